"""Borrows an account's own user for one test at a time, and puts it back as it was.

Nothing is written into such a user that could not be taken out again. A member that has a value is
given its old value; one that has none must be made empty, and whether the server can do that is
tried first on a user that the run makes for this.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rolecall.http.gate import Thing
from rolecall.ledger import CHANGE, LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import sleep, this_moment
from rolecall.spec.model import Operation
from rolecall.spec.templates import fill_path
from rolecall.tokens import Caller
from rolecall.toolkit.members import shows_name
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, Request

if TYPE_CHECKING:
    from rolecall.toolkit.world import World

_RUN = re.compile(r"rolecall-(\d{8}-\d{6}-[0-9a-f]{6})-")
_PATIENCE, _MOMENT = 25, 0.2  # looks at a user whom another run holds, and the seconds between them
#: Members of a user that say who it is or what it may, or that the server writes itself: never
#: another's place.
_NOT_OURS = re.compile(
    r"(?i)_?id|e-?mail|role|scope|status|type|password|organi[sz]ation|.*(at|by|url|path|token|key)"
)


@dataclass
class Loan:
    """A user on loan: what to write into it to restore it, and the ledger's entry of the change."""

    user: Fixture
    before: dict[str, Any]
    restore: dict[str, Any]
    request: Request
    caller: Caller
    entry: LedgerEntry | None = field(default=None, repr=False)


class Borrowing:
    """The users on loan in one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._open: list[Loan] = []

    @asynccontextmanager
    async def borrow(self, caller: Caller, request: Request) -> AsyncIterator[Request]:
        """The caller's own user for one test, and the request, perhaps with another member.

        A user that the run made itself is only held, not put back.

        Raises:
            Inconclusive: there is nothing that could be written into the user and taken out again.
        """
        if self._world.read_only:
            raise NotTested(f"--read-only: {request.operation.name} would write")
        user = Fixture(self._world.spec.resources["user"], caller.user, "")
        async with self._locks[caller.user]:
            if self._world.gate.owns(Thing("user", caller.user)):
                yield request
                return
            before = await self._undisturbed(user)
            loan = await self._loan(user, before, request, caller)
            loan.entry = self._world.ledger.intend(
                CHANGE, f"{', '.join(loan.restore)} of user {caller.user}", undo=self._undo(loan)
            )
            self._world.gate.own(loan.entry, caller.user)
            self._world.ledger.store()  # here, since what changes the user makes nothing
            self._open.append(loan)
            try:
                with self._world.gate.borrowing("user", caller.user):
                    yield loan.request
            finally:
                await self._put_back(loan)

    @asynccontextmanager
    async def request_to_try(self, operation: Operation, caller: Caller) -> AsyncIterator[Request]:
        """A write for an attack to try, on a new thing or on the caller's own user on loan."""
        request = await self._world.request_on_own_fixture(operation, caller)
        if not operation.is_self:
            yield request
            return
        async with self.borrow(caller, request) as lent:
            yield lent

    def _undo(self, loan: Loan) -> dict[str, Any]:
        """What another process has to know to put the user back; nothing if a secret is in it."""
        before = {name: loan.before[name] for name in loan.restore if name in loan.before}
        undo = {"write": loan.restore, "before": before}
        text = json.dumps(undo)
        return {} if self._world.client.secrets.redact(text) != text else undo

    async def take_over(self, entry: LedgerEntry, caller: Caller) -> None:
        """Take over the loan of a run that did not end it, by its ledger, for `put_all_back`; left
        alone is a user that does not show what that run wrote.

        Raises:
            Inconclusive: no answer shows the user.
        """
        user = Fixture(self._world.spec.resources["user"], entry.id, "")
        shown = await self._world.observe(user, piece="")
        restore, before = entry.undo.get("write"), entry.undo.get("before", {})
        if not restore or shown is None:
            return
        is_as_before = all(
            (name in shown, shown.get(name)) == (name in before, before.get(name))
            for name in restore
        )
        if is_as_before or any(shows_name(shown.get(name), self._world.mark) for name in restore):
            operation = self._world.spec.operations["update-user"]
            request = await self._world.request(operation, caller, user)
            self._open.append(Loan(user, before, restore, request, caller, entry))

    async def put_all_back(self) -> None:
        """Put back every user on loan; the ledger keeps one that cannot be put back."""
        for loan in list(self._open):
            try:
                await self._put_back(loan)
            except (Inconclusive, NotTested):
                continue

    # --- Before ---------------------------------------------------------------------------------

    async def _undisturbed(self, user: Fixture) -> dict[str, Any]:
        """A user as it stands when no other run holds it; what a broken run has left for longer is
        taken as it is.
        """
        document: dict[str, Any] | None = {}
        for number in range(_PATIENCE):
            await sleep(_MOMENT if number else 0.0)
            document = await self._world.observe(user, piece="")
            if document is None or not self.is_of_another_run(document):
                break
        if document is None:
            raise Inconclusive(f"{user} as it was before: no answer shows it", "PERM-fetch-user")
        return document

    def is_of_another_run(self, document: Mapping[str, Any] | None) -> bool:
        """Whether another run has written to this thing."""
        return any(run != self._world.run_id for run in _RUN.findall(str(document)))

    async def _loan(
        self, user: Fixture, before: dict[str, Any], request: Request, caller: Caller
    ) -> Loan:
        """What can be written into the user and taken out again: what was asked for, else a member
        that has a value.
        """
        restore: dict[str, Any] = {}
        for member in request.body:
            if before.get(member) not in (None, "", [], {}):
                restore[member] = before[member]
            else:
                restore[member] = await self._nothing(member, before)
        if ... not in restore.values():
            return Loan(user, before, restore, request, caller)
        for member, value in before.items():
            if (
                isinstance(value, str)
                and value
                and not _NOT_OURS.fullmatch(member)
                and await self._can_be_rewritten(member)
            ):
                instead = replace(request, body={member: request.name})
                return Loan(user, before, {member: value}, instead, caller)
        raise Inconclusive(
            f"a member of {user} that can be changed and put back: {', '.join(request.body)} has "
            "no value there, and cannot be emptied",
            f"[operations.{request.operation.name}] body in the target file, with a member that "
            "the account has",
        )

    async def _nothing(self, member: str, before: Mapping[str, Any]) -> Any:
        """The value that keeps this member of a user as it is here; ``...`` when none does."""
        for nothing in (None, ""):
            if await self._leaves_nothing(member, nothing) == (
                member in before,
                before.get(member),
            ):
                return nothing
        return ...

    # --- Rehearsal ------------------------------------------------------------------------------

    @shared_setup
    async def _leaves_nothing(self, member: str, nothing: Any) -> tuple[bool, Any] | None:
        """What a user of ours shows of a member that was written and then made empty: whether it is
        there, and its value.
        """
        extra = await self._extra(without=member)
        if (
            extra is None
            or not await self._write(extra, member, extra.name)
            or not await self._accepts(extra, member, nothing)
        ):
            return None
        shown: dict[str, Any] = {}

        async def is_another() -> bool:
            shown.clear()
            shown.update(await self._world.observe(extra, piece="") or {})
            return shown.get(member) != extra.name

        await self._world.patience.until(is_another, this_moment(), f"{member} given back")
        return member in shown, shown.get(member)

    @shared_setup
    async def _can_be_rewritten(self, member: str) -> bool:
        """Whether a member of a user of ours can be given one text and then another."""
        extra = await self._extra(without="")
        return (
            extra is not None
            and await self._write(extra, member, extra.name)
            and await self._write(extra, member, "Rolecall")
        )

    async def _extra(self, without: str) -> Fixture | None:
        """A user made for a rehearsal, without one of its members; None where it cannot be made."""
        world = self._world
        try:
            admin = await world.user(world.highest)
            plain = await world.request(world.spec.operations["create-user"], admin)
            body = {name: value for name, value in plain.body.items() if name != without}
            # by its name it is found again
            if not any(plain.name in str(value) for value in body.values()):
                body = {**body, "displayName": plain.name}
            answer = await world.perform(replace(plain, body=body), admin)
            return await world.made(plain, answer) if answer.ok else None
        except TransientFailure:
            raise
        except (Inconclusive, NotTested):
            return None

    async def _write(self, extra: Fixture, member: str, text: str) -> bool:
        """Whether a member of a user of ours takes a text, and shows it."""

        async def is_shown() -> bool:
            return (await self._world.observe(extra, piece="") or {}).get(member) == text

        return await self._accepts(extra, member, text) and await self._world.patience.until(
            is_shown, this_moment(), f"{member} written"
        )

    async def _accepts(self, extra: Fixture, member: str, value: Any) -> bool:
        world = self._world
        admin = await world.user(world.highest)
        plain = await world.request(world.spec.operations["update-user"], admin, extra)
        return (await world.perform(replace(plain, body={member: value}), admin)).ok

    # --- Afterwards -----------------------------------------------------------------------------

    async def _put_back(self, loan: Loan) -> None:
        """Undo what was written, as the user itself or as the highest role; then the loan is over,
        else it stays open.
        """
        world = self._world
        # what is shown now may be what was there before the change
        await world.patience.settle(time.monotonic())
        if await self._is_as_before(loan):
            self._end(loan)
            return
        asked, by_highest = loan.request, world.spec.operations["update-user"]
        path = fill_path(by_highest.path, {"id": loan.user.id})
        for as_itself in (True, False):
            if as_itself:
                method, where, caller, about = (
                    asked.operation.method,
                    asked.path,
                    loan.caller,
                    asked.thing,
                )
            else:  # logged in anew: tokens may live for seconds, and the look before took time
                method, where, about = by_highest.method, path, Thing("user", loan.user.id)
                caller = await self._highest()
            with world.gate.borrowing("user", loan.user.id):
                await world.send(
                    method, where, caller, json=loan.restore, about=about, repeatable=True
                )
            if await world.patience.until(lambda: self._is_as_before(loan), this_moment()):
                self._end(loan)
                return

    async def _highest(self) -> Caller:
        """The highest role, logged in anew; with the run's token where its account has had all the
        log-ins of a run.
        """
        try:
            return await self._world.fresh_caller(self._world.highest)
        except NotTested:
            return await self._world.user(self._world.highest)

    async def _is_as_before(self, loan: Loan) -> bool:
        now = await self._world.observe(loan.user, piece="")
        return now is not None and all(
            (member in now, now.get(member)) == (member in loan.before, loan.before.get(member))
            for member in loan.restore
        )

    def _end(self, loan: Loan) -> None:
        if loan in self._open:
            self._open.remove(loan)
        if loan.entry:
            self._world.ledger.gone(loan.entry)
