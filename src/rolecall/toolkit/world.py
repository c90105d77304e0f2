"""The world of a run: its callers, its things on the target, and how it looks at them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from rolecall.evidence import Exchange, cite, cite_look
from rolecall.http.client import Client
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.spec.ids import id_of, id_text, is_of_id, own_id
from rolecall.spec.model import Operation, Specification
from rolecall.target import Target
from rolecall.tokens import Caller, claims_of
from rolecall.toolkit.borrowing import Borrowing
from rolecall.toolkit.consistency import ConsistencyWait
from rolecall.toolkit.members import REFUSED, Members, barely
from rolecall.toolkit.new_users import NewUsers
from rolecall.toolkit.requests import Requests
from rolecall.toolkit.shared import SingleFlight, invalidate, shared_setup
from rolecall.toolkit.things import Fixture, Request, absent

#: What helps where a server refuses the run's names, for the signs in them or for their length.
_BODY = "body, which may hold {name} in another member that is shown, "


@dataclass
class Attacks:
    """The user on whom wrong log-ins are tried at the moment, and how many more may be; and the
    e-mails of all who had some since their last good one.
    """

    user: Any = None
    left: int = 0
    refused: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class World(Requests):
    """Everything a test needs to tell its story; one per run."""

    def __init__(
        self,
        target: Target,
        spec: Specification,
        client: Client,
        run_id: str,
        *,
        intrusive: bool,
    ) -> None:
        super().__init__(target, spec, client, run_id, intrusive=intrusive)
        self.borrowing = Borrowing(self)
        self.attacks = Attacks()
        self.members = Members()
        self.patience = ConsistencyWait(self.dialect.consistency)
        self.new_users = NewUsers(self.dialect)
        #: The ids of things that were made with nothing in them.
        self.bare: set[str] = set()
        #: The resources of which one could not be deleted, because of what is in it.
        self.full: set[str] = set()
        #: By resource and id: deletes that were answered with success.
        self.deleted: dict[str, dict[str, Exchange]] = {}
        self.pools: dict[str, Any] = {}  # by role: users made for sessions
        #: By role: sessions that tests have left in good order.
        self.spare: dict[str, list[Caller]] = {}
        #: The accounts of which a log-in was seen to end the other sessions.
        self.lone: set[str] = set()
        self._alive: dict[str, SingleFlight[Exchange | None]] = {}

    # --- Life -----------------------------------------------------------------------------------

    def forget_logins(self) -> None:
        """Let every account log in anew, after a move of the clock that ended shared tokens."""
        invalidate(self, "_user")
        self._alive.clear()
        self.spare.clear()

    async def alive(self, caller: Caller, after: float) -> Exchange:
        """Proof that a caller's credential works, sent after the moment ``after`` (monotonic s).

        Raises:
            Inconclusive: nothing that every role may do succeeds any more.
        """
        probe = self._alive.setdefault(
            caller.token, SingleFlight(lambda: self._prove_alive(caller))
        )
        exchange = await probe.after(after)
        if exchange is None:
            raise Inconclusive(
                f"a live credential: {caller} may do nothing at all",
                "the requirements of issuance and expiry",
            )
        return cite(exchange, "alive")

    async def _prove_alive(self, caller: Caller) -> Exchange | None:
        for operation in self.signs_of_life(caller.role):
            if operation.is_self and not caller.user:  # an opaque key: its user is unknown
                continue
            exchange = await self.perform(await self.request(operation, caller), caller)
            if exchange.ok:
                return exchange
        return None

    def signs_of_life(self, role: str) -> list[Operation]:
        """Reads that a role may do, one or two per role it includes, to prove a credential alive.

        Where one cell is wrong the others still tell; where the cascade is broken, so does what is
        the role's very own.
        """
        reads = [
            operation
            for operation in self.spec.operations.values()
            if operation.effect in ("list", "fetch")
        ]
        included = self.roles[: self.roles.index(role) + 1] if role in self.roles else self.roles
        chosen: list[Operation] = []
        for lowest in included:
            own = [
                operation
                for operation in reads
                if self.spec.allowed_roles(operation.name)[-1] == lowest
            ]
            chosen += own if lowest == self.roles[0] else own[:1]
        return chosen

    # --- Fixtures -------------------------------------------------------------------------------

    @shared_setup
    async def organization(self) -> str | int | float | None:
        """The id of the accounts' organization, as the highest role's own user tells; else None."""
        admin = await self.user(self.highest)
        found = [
            admin.grant.exchange.document.get("organization"),
            claims_of(admin.token).get("organization"),
        ]
        found.append((await self.fetch_self(admin)).document.get("organization"))
        return next((value for value in found if id_text(value)), None)

    async def everybody(self) -> list[Caller]:
        """Every account that can log in, logged in."""
        return await _there(*(self.user(name) for name in self.target.accounts))

    @shared_setup
    async def participants(self) -> tuple[str, ...]:
        """The users who take part in each conversation: the accounts' and the API keys'."""
        callers = await self.everybody() + await _there(*(self.key(role) for role in self.roles))
        return tuple(dict.fromkeys(caller.user for caller in callers if caller.user))

    @shared_setup
    async def selves(self) -> set[str]:
        """The users of the roles' tokens, and those whom the API keys act as."""
        users, keys = (
            (self.user(role) for role in self.roles),
            (self.key(role) for role in self.roles),
        )
        return {caller.user for caller in await _there(*users, *keys)}

    @shared_setup
    async def shared(self, resource: str) -> Fixture:
        """A thing that tests may read, not change: that of the target file, else a new one, else
        one from before.
        """
        given = self.target.fixtures.get(resource)
        if given and given.id:
            return await self.ready_made(resource)
        try:
            return await self.fresh(resource)
        except TransientFailure:  # it passes, and then one can be made
            raise
        except (Inconclusive, NotTested):
            existing = [id for item in await self.listing(resource, 0.0) if (id := own_id(item))]
            # a user that is not an account of ours: the second guest, or any other
            if resource == "user":
                others = [
                    (await self.user(name)).user
                    for name in self.target.accounts
                    if name not in self.roles
                ]
                existing = [id for id in others + existing if id not in await self.selves()]
            if not existing:
                raise
            return Fixture(self.spec.resources[resource], existing[0], "")

    @shared_setup
    async def ready_made(self, name: str) -> Fixture:
        """The thing that ``[fixtures.NAME]`` of the target file names.

        Raises:
            Inconclusive: it is not there, or users that tests act as do not take part in it: what
                they are answered would say nothing of the target.
        """
        given, where = self.target.fixtures[name], f"[fixtures.{name}] id in the target file"
        resource = self.spec.resources[name.removeprefix("fetch-")]
        fixture = Fixture(resource, given.id, "", conversation=given.conversation)
        document = await self.observe(fixture, piece="")
        if document is None or not is_of_id(document, given.id):
            raise Inconclusive(f"{fixture}: no answer shows it", where)
        missing = absent(self.spec, resource.name, document, await self.participants())
        if missing:
            raise Inconclusive(
                f"{fixture} with the users of all accounts and keys in it: user "
                f"{', '.join(missing)} does not take part",
                where,
            )
        return fixture

    async def wait_for(self, made: Fixture) -> Fixture:
        """Wait until a new thing is shown, where fetches lag.

        Whether they lag is seen at the first things of each kind.
        """
        if made.made_by is None or (made.resource.name in self.prompt and not self.patience.lag):
            return made

        async def is_there() -> bool:
            try:
                return await self.observe(made, piece="") is not None
            except Inconclusive:
                return True

        await self.patience.until(
            is_there, made.made_by.finished, f"{made.resource.name} by its id"
        )
        self.prompt.add(made.resource.name)
        return made

    async def fresh(self, resource: str, *, bare: bool = False) -> Fixture:
        """A new thing for one test, by the highest role that can; a bare one has only its name.

        Raises:
            Inconclusive: no role that may make one can.
            NotTested: the target file forbids it, or the run is read-only.
        """
        self.gate.expect_may_make(resource)
        operation = self.spec.operations[f"create-{resource}"]
        exchange = None
        for role in self.spec.allowed_roles(operation.name):
            caller = await self.user(role)
            request = await self.request(operation, caller)
            exchange = await self.perform(barely(request) if bare else request, caller)
            if bare and exchange.status in REFUSED:
                exchange = await self.perform(request, caller)
            if exchange.ok and (id := self._id_of_made(resource, request.name)):
                self.bare |= {id} if bare else set()
                conversation = (
                    (await self.shared("conversation")).id
                    if operation.resource.parent == "conversation"
                    else ""
                )
                return await self.wait_for(
                    Fixture(operation.resource, id, request.name, exchange, conversation)
                )
        named = exchange is not None and exchange.status in REFUSED
        silent = exchange is not None and exchange.ok and not id_of(exchange)
        why = ", whose id is neither in its body nor in Location" if silent else ""
        raise Inconclusive(
            f"a {resource} to test with: {exchange}{why}",
            f"[operations.create-{resource}] {_BODY if named else ''}in the target file",
        )

    async def made(self, request: Request, answer: Exchange) -> Fixture | None:
        """The thing that a successful create has made; None when it is nowhere.

        Raises:
            Inconclusive: it is there, but it is not certain which id it has.
        """
        resource = request.operation.resource
        id = self._id_of_made(resource.name, request.name)
        if not id and (
            item := await self._find_in_time(resource.name, request.name, answer.finished)
        ):
            id, entry = own_id(item), self.ledger.named(resource.name, request.name)
            if not id or entry is None or await self.was_there_before(resource.name, id):
                raise Inconclusive(
                    f"the id of the {resource.name} that {answer} made",
                    "the answer to the creation, and the list",
                )
            self.gate.own(entry, id)
        if not id and await self._is_there_without_name(resource.name, request.name):
            raise Inconclusive(
                f"the run's name in the {resource.name} that {answer} made: it is there, and "
                "shows nothing of what was sent",
                f"[operations.{request.operation.name}] body in the target file",
            )
        return Fixture(resource, id, request.name, answer) if id else None

    async def _is_there_without_name(self, resource: str, name: str) -> bool:
        """Whether a create was answered with an id that nothing had before, under which there is
        something now.
        """
        entry = self.ledger.named(resource, name)
        if (
            entry is None
            or not entry.claimed
            or await self.was_there_before(resource, entry.claimed)
        ):
            return False
        claimed = Fixture(self.spec.resources[resource], entry.claimed, "")
        shown = await self.observe(claimed, piece="")
        return is_of_id(shown, entry.claimed)

    def _id_of_made(self, resource: str, name: str) -> str:
        """The id of what the run made under this name; empty when it is not certain."""
        entry = self.ledger.named(resource, name)
        return entry.id if entry and not entry.gone else ""

    # --- Observation ----------------------------------------------------------------------------

    async def observe(
        self, fixture: Fixture, *, piece: str = "observation"
    ) -> dict[str, Any] | None:
        """The thing as it stands now, or None when it is gone; the look is cited as ``piece``.

        Raises:
            Inconclusive: no role that may fetch or list it can.
        """
        operation = self.spec.operations[f"fetch-{fixture.resource.name}"]
        exchange = None
        for role in self.spec.allowed_roles(operation.name):
            caller = await self.user(role)
            exchange = await self.perform(await self.request(operation, caller, fixture), caller)
            if exchange.ok and exchange.document:
                cite_look([exchange], piece)
                return exchange.document
            if exchange.status in self.dialect.gone:
                cite_look([exchange], piece)
                return None
        everything = await self.listing(fixture.resource.name, time.monotonic(), piece)
        return next((item for item in everything if is_of_id(item, fixture.id)), None)

    async def _find_in_time(self, resource: str, name: str, since: float) -> dict[str, Any] | None:
        """The same as soon as a list shows it, as long as lists may lag."""
        found: dict[str, Any] | None = None

        async def is_listed() -> bool:
            nonlocal found
            found = await self.find(resource, name, time.monotonic(), "observation")
            return found is not None

        await self.patience.until(is_listed, since, f"{resource} by its name")
        return found

    # --- End ------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the connections and the ledger."""
        await self.client.close()
        self.ledger.close()


async def _there(*callers: Awaitable[Caller]) -> list[Caller]:
    """Those of the callers that the target and its file give; one who did not come for passing
    trouble is not left out.
    """
    found = await asyncio.gather(*callers, return_exceptions=True)
    for outcome in found:
        if isinstance(outcome, BaseException) and type(outcome) not in (Inconclusive, NotTested):
            raise outcome
    return [outcome for outcome in found if isinstance(outcome, Caller)]
