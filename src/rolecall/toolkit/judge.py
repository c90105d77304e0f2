"""Judges the answers of operations: the rules for every cell of the permission table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from rolecall.evidence import Exchange, about, cite
from rolecall.outcomes import Finding, Inconclusive, NotTested, TransientFailure
from rolecall.spec.ids import is_of_id
from rolecall.spec.model import Operation
from rolecall.tokens import Caller
from rolecall.toolkit.effect_judge import EffectJudge
from rolecall.toolkit.expectations import any_of, shown_in
from rolecall.toolkit.lists import SMALLEST_PAGE
from rolecall.toolkit.participation import expect_to_take_part
from rolecall.toolkit.things import Fixture, Request, items, shows_id
from rolecall.toolkit.throwaway_users import another_like, fresh_session
from rolecall.toolkit.turns import against_the_table
from rolecall.toolkit.world import World

#: Statuses that say the request itself is not understood, or not possible now: a wrong path or body
#: in the tables, the state of the thing (409, 423), a condition that it lacks (412, 428), or what
#: somebody has to pay for (402), as likely as a denial.
_NOT_UNDERSTOOD = (400, 402, 404, 405, 409, 412, 415, 422, 423, 428, 501)
#: Things of a kind, made by a caller, after which a refusal may be that of a limit.
_MANY = 10


class Judge(EffectJudge):
    """Judges answers in a `World`; a missing piece of evidence raises `Inconclusive`."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        #: By operation and fixture.
        self._controls: dict[tuple[str, str], Exchange] = {}
        #: Of reads that do not show the thing themselves, the page or the later look that does.
        self._shown_by: dict[Exchange, Exchange] = {}

    # --- What is allowed ------------------------------------------------------------------------

    async def expect_allowed(self, exchange: Exchange, request: Request, caller: Caller) -> None:
        """The answer is a success; else it is a finding, if the caller is alive and others can.

        Raises:
            Finding: a caller who may was refused.
            Inconclusive: the credential died, or no role at all can do this as it is written in the
                tables.
        """
        operation = request.operation
        self._cite_answer(exchange, request, caller)
        if exchange.status in operation.success:
            return
        expected = f"{any_of(operation.success)}: {caller.role} may {_words(operation)}"
        if exchange.ok or 300 <= exchange.status < 400 or exchange.status >= 500:
            raise Finding(expected, f"{exchange.status}", exchange)
        await self._world.alive(caller, exchange.finished)
        if exchange.status in _NOT_UNDERSTOOD and not await self._anyone_else_can(
            operation, caller
        ):
            raise Inconclusive(
                f"an answer to {operation.method} {operation.path} from a server that knows it: "
                f"{exchange}",
                f"[operations.{operation.name}] in the target file, if it is done elsewhere or "
                "with another body",
            )
        if operation.effect == "create":
            await self._expect_no_limit(exchange, operation, caller)
        await expect_to_take_part(self._world, request, caller, exchange)
        raise Finding(expected, f"{exchange.status}: it was refused", exchange)

    async def _expect_no_limit(
        self, exchange: Exchange, operation: Operation, caller: Caller
    ) -> None:
        """A create was not refused for the number of what there is: who has made many such things
        before is not refused as well by now. Nothing says how many there may be.

        Raises:
            Inconclusive: it was.
        """
        kind = operation.resource.name
        for role in self._world.spec.allowed_roles(operation.name):
            many = await self._world.user(role)
            made = self._world.made_by[kind, f"{many}"]
            if len(made) < _MANY:
                continue
            is_same = f"{many}" == f"{caller}"
            refused = exchange if is_same else await self._try(operation, many)
            if not refused.ok:
                cite(made[-1], "made before")
                if not is_same:
                    cite(refused, "refused now")
                raise Inconclusive(
                    f"room for one more {kind}: {many} has made {len(made)} of them in this run, "
                    f"and then {refused}",
                    "how many of them the target allows, and how many are left of earlier runs",
                )

    @staticmethod
    def _cite_answer(exchange: Exchange, request: Request, caller: Caller | None) -> None:
        """Cite the answer, and say what it is about: who judges it once more has no request."""
        cite(exchange, "answer")
        fixture, is_write = request.fixture, request.operation.effect in ("create", "update")
        own = caller.user if caller and request.operation.is_self else ""
        about(
            thing=fixture.id if fixture else own,
            name=fixture.name if fixture else "",
            mark=request.name if is_write else "",
        )

    async def _anyone_else_can(self, operation: Operation, caller: Caller) -> bool:
        """Whether another role gets this done, which shows that the request is understood."""
        for role in self._world.spec.allowed_roles(operation.name):
            if role != caller.role:
                other = await self._world.user(role)
                if (answer := await self._try(operation, other)).ok:
                    cite(answer, "control")
                    return True
        return False

    async def _try(self, operation: Operation, caller: Caller) -> Exchange:
        world = self._world
        if operation.is_self and operation.effect == "update":
            caller = await another_like(world, caller)
        asked = world.request_on_own_fixture if operation.effect == "delete" else world.request
        return await world.perform(await asked(operation, caller), caller)

    # --- What is denied -------------------------------------------------------------------------

    async def expect_denied(
        self, exchange: Exchange, request: Request, caller: Caller | None
    ) -> None:
        """The answer is a denial and tells nothing of the thing itself.

        Raises:
            Finding: a caller who may not was let through, redirected, shown something, or answered
                otherwise.
            Inconclusive: no role that may gets this done, or the credential died, so the answer
                proves nothing.
        """
        operation, dialect = request.operation, self._world.dialect
        statuses = dialect.denied if caller else dialect.anonymous
        who = caller.role if caller else "a caller without a token"
        self._cite_answer(exchange, request, caller)
        expected = f"{any_of(statuses)}: {who} may not {_words(operation)}"
        as_specified = dialect.denies_as_specified(operation, exchange, anonymous=caller is None)
        if exchange.ok:
            if as_specified:
                return
            raise Finding(expected, f"{exchange.status}: it was allowed", exchange)
        if 300 <= exchange.status < 400:
            raise Finding(expected, f"{exchange.status}: a redirect is not a denial", exchange)
        if exchange.status >= 500:
            raise Finding(expected, f"{exchange.status}: a server error is not a denial", exchange)
        self._expect_no_leak(exchange, request.fixture, caller)
        if not as_specified:
            await self.control(request)
            if caller:
                await self._world.alive(caller, exchange.finished)
            raise Finding(expected, f"{exchange.status}", exchange)

    def _expect_no_leak(self, exchange: Exchange, thing: Fixture | None, of: Caller | None) -> None:
        """A refusal does not carry what it refuses; oneself everybody may fetch."""
        if thing and not (of and of.user == thing.id) and (where := shown_in(exchange, thing)):
            raise Finding(
                f"a refusal that shows nothing of {thing}",
                f"{exchange.status} with the thing in {where}",
                exchange,
            )

    async def control(self, request: Request) -> Exchange:
        """The same request by a caller who may: it shows that path, body and fixture are right.

        A read is shown once to succeed on its fixture, a create once by the shared fixture
        itself; an update or a delete is repeated on the fixture that the denied caller tried. It is
        the same to the letter, but for the mark: what was refused is looked for by it at the end.

        Raises:
            Inconclusive: no role that may succeeds.
        """
        operation = request.operation
        key = (operation.name, request.fixture.id if request.fixture else "")
        if operation.effect in ("update", "delete"):
            control = await self._control(request)
        elif key in self._controls:
            control = self._controls[key]
        else:
            made_by = (
                (await self._world.shared(operation.resource.name)).made_by
                if operation.effect == "create"
                else None
            )
            control = self._controls[key] = made_by or await self._control(request)
        if self._world.members.understood(request) != request:
            raise TransientFailure(
                f"{operation.name} without the members that the target does not know",
                f"the answers to {operation.name}",
            )
        if shown_by := self._shown_by.get(control):
            cite(shown_by, "control shows")
        return cite(control, "control")

    async def control_alive(self, request: Request, answer: Exchange, dead: Caller) -> None:
        """The same request succeeds with a live token of the same user, so the expired one matters.

        A success needs no control, for it says by itself that it was done. A delete is tried on a
        thing of its own, and an update of oneself by a user that the run made, where it can: an
        account that is not changed need not be put back.

        Raises:
            Inconclusive: it is not done for the live token either; perhaps the operation is not
                there at all.
        """
        if answer.ok:
            return
        operation = request.operation
        if operation.effect == "delete" or operation.is_self:
            live = await self._live(operation, dead)
            if operation.is_self:
                asked = (
                    request
                    if live.user == dead.user
                    else await self._world.request(operation, live)
                )
                control = await self._world.perform(asked, live)
            else:
                control = await self._try(operation, live)
            if not control.ok:
                missing = (
                    f"the same request succeeding with a token that has not expired: {control}"
                )
                raise Inconclusive(
                    missing, f"the cells of {operation.requirement} that are allowed"
                )
            cite(control, "control")
        else:
            await self.control(request)

    async def _live(self, operation: Operation, dead: Caller) -> Caller:
        if operation.effect == "update":
            with suppress(NotTested):
                return await fresh_session(self._world, dead.role)
        return await self._world.user(dead.role)

    async def _control(self, request: Request) -> Exchange:
        operation = request.operation
        exchange = None
        asked = (
            request.renamed(self._world.new_name(operation.name))
            if operation.effect in ("create", "update")
            else request
        )
        for role in self._world.spec.allowed_roles(operation.name):
            caller = await self._world.user(role)
            exchange = await self._world.perform(asked, caller)
            shows = operation.effect in ("list", "fetch") and (request.fixture or operation.is_self)
            if exchange.ok and (not shows or await self._shows(exchange, request, caller)):
                return exchange
        raise Inconclusive(
            "the same request succeeding for "
            f"{' or '.join(self._world.spec.allowed_roles(operation.name))}: {exchange}",
            f"the cells of {operation.requirement} that are allowed",
        )

    # --- What keys of several scopes may --------------------------------------------------------

    async def expect_rights(
        self, key: Caller, scopes: list[str], operations: Iterable[Operation]
    ) -> None:
        """At these reads an API key may what keys of its single scopes may together, and no more.

        Judged where the single keys do as the table says: a cell that is wrong by itself is that
        cell's finding. Lists that each of several scopes allows are left out; fetches are not.

        Raises:
            Inconclusive: there is nothing that the single keys were seen to be allowed.
        """
        world, distinct, allowed = self._world, list(dict.fromkeys(scopes)), 0
        for operation in operations:
            tabled = [world.spec.allows(operation.name, scope) for scope in distinct]
            if operation.effect == "list" and len(distinct) > 1 and all(tabled):
                continue
            singly = [
                await world.reads(await world.key(scope), operation.name) for scope in distinct
            ]
            if not all(
                self._is_as_tabled(operation, *seen) for seen in zip(singly, tabled, strict=True)
            ):
                continue
            allowed += await self._expect_union(operation, key, distinct, any(tabled)) and any(
                tabled
            )
        if not allowed:
            raise Inconclusive(
                f"a read that keys of {' and of '.join(distinct)} alone are allowed",
                "the cells of API keys",
            )

    async def _expect_union(
        self, operation: Operation, key: Caller, scopes: Sequence[str], may: bool
    ) -> bool:
        """Whether a key reads what keys of its single scopes may; False where that says nothing.

        Raises:
            Finding: it reads more, or less.
        """
        spec, answer = self._world.spec, await self._world.reads(key, operation.name)
        if (
            operation.effect == "fetch"
            and answer.status in self._world.dialect.gone
            and await self._is_of_another(key, scopes)
        ):
            # It does not see this thing, which says nothing of what it may do: who takes part in
            # what is a row's matter.
            return False
        if self._is_as_tabled(operation, answer, may):
            return True
        for scope in scopes:
            single, tabled = await self._world.key(scope), spec.allows(operation.name, scope)
            if await against_the_table(self._world, operation, single, may=tabled):
                return False  # by now it is let in, or refused, as from a cache: the cell's finding
        what = "allowed" if may else "denied"
        raise Finding(
            f"{operation.name} {what}, as for {' or '.join(scopes)} alone",
            f"{answer.status}",
            answer,
        )

    async def _is_of_another(self, key: Caller, scopes: Sequence[str]) -> bool:
        """Whether a key acts as somebody as whom none of the keys of single scopes does."""
        return key.user not in {(await self._world.key(scope)).user for scope in scopes}

    def _is_as_tabled(self, operation: Operation, answer: Exchange, may: bool) -> bool:
        dialect = self._world.dialect
        return dialect.allows(operation, answer) if may else dialect.denies(operation, answer)

    # --- What a read shows ----------------------------------------------------------------------

    async def shows(self, exchange: Exchange, request: Request, caller: Caller) -> bool:
        """Whether a successful read shows what it was asked for: the fixture, or the own user."""
        found = await self._shows(exchange, request, caller)
        if shown_by := self._shown_by.get(exchange):
            cite(shown_by, "answer shows")
        return found

    async def _shows(self, exchange: Exchange, request: Request, caller: Caller) -> bool:
        operation = request.operation
        wanted = caller.user if operation.is_self else request.fixture.id if request.fixture else ""
        if operation.effect == "fetch":
            return shows_id(exchange, wanted)
        if exchange.listed is None:
            raise Inconclusive(f"an array of things in the list: {exchange}", "RESPONSE-schema")
        if any(is_of_id(item, wanted) for item in items(exchange)):
            return True
        since = (
            request.fixture.made_by.finished if request.fixture and request.fixture.made_by else 0.0
        )
        if await self._world.patience.until(
            partial(self._is_listed, wanted, request.path, caller, exchange),
            since,
            f"{operation.name} of all",
        ):
            return True
        is_long = len(items(exchange)) >= SMALLEST_PAGE
        is_new_shown = is_long and await self._shows_a_new_one(operation, caller, exchange)
        return is_new_shown or not self._world.is_whole(exchange, operation, request.path)

    async def _is_listed(self, id: str, path: str, caller: Caller, answer: Exchange) -> bool:
        for _ in range(2):  # while others delete, a page may begin behind what it should begin with
            async for page in self._world.pages(path, caller):
                if any(is_of_id(item, id) for item in items(page)):
                    self._shown_by[answer] = page
                    return True
        return False

    async def _shows_a_new_one(
        self, operation: Operation, caller: Caller, answer: Exchange
    ) -> bool:
        """Whether a list shows what is made just now: a long one may be cut, with the newest first
        and no way to the rest.
        """
        if self._world.read_only:
            return False
        for _ in range(2):  # while others make more than a page holds
            newest = await self._world.fresh(operation.resource.name)
            path = (await self._world.request(operation, caller, newest)).path
            since = newest.made_by.finished if newest.made_by else 0.0
            if await self._world.patience.until(
                partial(self._is_listed, newest.id, path, caller, answer),
                since,
                f"{operation.name} of new ones",
            ):
                about(newest=newest.id)
                return True
        return False


def _words(operation: Operation) -> str:
    return operation.name.replace("-", " ")
