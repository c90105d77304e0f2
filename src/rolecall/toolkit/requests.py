"""The requests of operations: filled in from the tables and sent, if need be with other members."""

from __future__ import annotations

from typing import Any

from rolecall.evidence import Exchange
from rolecall.http.gate import Thing
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import this_moment
from rolecall.spec.model import Operation
from rolecall.spec.templates import fill, fill_path, in_address, made_up_password
from rolecall.tokens import Caller
from rolecall.toolkit.lists import Lists
from rolecall.toolkit.members import REFUSED, Attempts, Members
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, Request

#: RFC 9110 15.5.10: the state of the thing stands in the way, as where it is not empty.
_CONFLICT = 409


class Requests(Lists):
    """A run's requests, as the tables have them."""

    members: Members
    full: set[str]
    deleted: dict[str, dict[str, Exchange]]
    bare: set[str]

    async def fresh(self, resource: str, *, bare: bool = False) -> Fixture:
        """A new thing for one test alone: see `World.fresh`."""
        raise NotImplementedError

    async def ready_made(self, name: str) -> Fixture:
        """A thing that the target file names: see `World.ready_made`."""
        raise NotImplementedError

    async def organization(self) -> str | int | float | None:
        """The id of the accounts' organization: see `World.organization`."""
        raise NotImplementedError

    async def participants(self) -> tuple[str, ...]:
        """The users who take part in conversations: see `World.participants`."""
        raise NotImplementedError

    async def request(
        self, operation: Operation, caller: Caller | None, fixture: Fixture | None = None
    ) -> Request:
        """The request of an operation, on ``fixture`` or on the shared fixture of its resource."""
        needs_fixture = operation.effect != "create" and not operation.is_self
        if fixture is None and needs_fixture:
            fixture = await (
                self.ready_made(operation.name)
                if operation.name in self.target.fixtures
                else self.shared(operation.resource.name)
            )
        name = self.new_name(operation.name)
        values = await self._values(operation, caller, fixture, name)
        inside = (
            Thing("conversation", values["conversation"])
            if "{conversation}" in operation.path
            else None
        )
        request = Request(
            operation,
            fill_path(operation.path, values),
            fill(operation.body, values),
            name,
            fixture,
            _thing(operation, values),
            inside,
        )
        return self.members.understood(request)

    async def _values(
        self, operation: Operation, caller: Caller | None, fixture: Fixture | None, name: str
    ) -> dict[str, Any]:
        """The values of the placeholders in an operation's path and body."""
        values: dict[str, Any] = {
            "id": fixture.id if fixture else "",
            "self": caller.user if caller else (await self.user(self.roles[0])).user,
            "name": name,
        }
        wanted = f"{operation.path} {operation.body}"
        if "{conversation}" in wanted:
            values["conversation"] = (fixture and fixture.conversation) or (
                await self.shared("conversation")
            ).id
        if operation.effect == "create" or "{email}" in wanted:
            local = f"rolecall.{name.split('-')[-2]}" if operation.is_self else in_address(name)
            values["email"] = f"{local}@{self.target.email_domain}"
        if "{password}" in wanted:
            values["password"] = made_up_password()
        if "{organization}" in wanted:
            values["organization"] = await self.organization()
        if "{participants}" in wanted:
            values["participants"] = [
                {"user": self.as_given(user)} for user in await self.participants()
            ]
        if operation.is_self and not values["self"]:
            raise Inconclusive(
                f"the user that {caller} acts as: no answer tells",
                "[api_keys] acts_as in the target file",
            )
        return values

    async def request_on_own_fixture(self, operation: Operation, caller: Caller) -> Request:
        """The request of a write; an update or a delete gets a thing made for this test alone."""
        resource = operation.resource.name
        if operation.effect == "create" or operation.is_self:
            return await self.request(operation, caller)
        fixture = await self.fresh(
            resource, bare=operation.effect == "delete" and resource in self.full
        )
        return await self.request(operation, caller, fixture)

    async def perform(self, request: Request, caller: Caller | None, **options: Any) -> Exchange:
        """Send an operation's request; if its members are refused, again with other ones, and again
        while the thing is too new to be there for others than its maker.

        What an attack sends is sent as it is.
        """
        if options.get("attack"):
            return await self._perform(request, caller, **options)
        answer = await self._understood(request, caller, **options)
        born = self._born(request)
        is_new = born is not None and this_moment() < born + self.patience.seconds
        if born is None or not (is_new and self._may_come(caller, answer)):
            return answer

        looks = 0

        async def is_there() -> bool:
            nonlocal answer, looks
            looks += 1
            if looks > 1:
                answer = await self._understood(request, caller, **options)
            return not self._may_come(caller, answer)

        await self.patience.until(is_there, born, f"{request.operation.name} by others")
        return answer

    def _born(self, request: Request) -> float | None:
        """When what a request is about was made, if this run made it and has not deleted it."""
        resource, id = request.operation.resource.name, ""
        if request.fixture:
            id = request.fixture.id
        elif request.inside:
            resource, id = request.inside.resource, request.inside.id
        return None if id in self.deleted.get(resource, ()) else self.born.get((resource, id))

    def _may_come(self, caller: Caller | None, answer: Exchange) -> bool:
        """Whether a thing that was not there may be there in a moment: who makes things sees them
        at once, and others a moment later, where these are led to a replica (AMB-17).
        """
        is_another = caller is not None and caller.role != self.highest
        return is_another and answer.status in self.dialect.gone

    async def _understood(
        self, request: Request, caller: Caller | None, **options: Any
    ) -> Exchange:
        """Send an operation's request; if its members are refused, again with other ones."""
        request = self.members.understood(request)
        first = await self._perform(request, caller, **options)
        attempts = Attempts(request, first)
        while other := attempts.following():
            answer = await self._perform(other, caller, **options)
            attempts.add(other, answer)
            if answer.status not in REFUSED:
                self.members.learn(request, other)
                return answer
        return first

    async def _perform(self, request: Request, caller: Caller | None, **options: Any) -> Exchange:
        """Send an operation's request once; what it makes or deletes is in the ledger first."""
        operation = request.operation
        is_read = operation.effect in ("list", "fetch")
        is_own = operation.effect == "delete" and request.thing and self.gate.owns(request.thing)
        if self.read_only and not (is_read or is_own or self.may_be_tried(operation, caller)):
            raise NotTested(f"--read-only: {operation.name} would write")
        if operation.effect == "create":
            if request.name not in f"{request.body}{options.get('content', b'')!r}":
                raise Inconclusive(
                    f"the run's name in what {operation.name} sends: without it the run cannot "
                    "tell what it made",
                    f"[operations.{operation.name}] body in the target file",
                )
            what = (
                operation.resource.name,
                request.name,
                operation.method,
                request.path,
                caller,
                request.inside,
            )
            return await self.create(*what, json=request.body, **options)
        exchange = await self.send(
            operation.method,
            request.path,
            caller,
            json=request.body,
            about=request.thing,
            **options,
        )
        if operation.effect == "delete" and exchange.ok and request.thing:
            deleted = self.ledger.of(request.thing.resource, request.thing.id)
            if deleted:
                self.deleted.setdefault(request.thing.resource, {})[request.thing.id] = exchange
                self.ledger.gone(deleted)
        if operation.effect == "delete" and exchange.status == _CONFLICT:
            self._note_full(request, exchange)
        return exchange

    def _note_full(self, request: Request, exchange: Exchange) -> None:
        """Note that a thing is not empty: tests that delete one like it get an empty one from now
        on.

        Raises:
            TransientFailure: it was made with something in it.
        """
        resource = request.operation.resource.name
        if request.thing and any(
            inner.parent == resource for inner in self.spec.resources.values()
        ):
            self.parents.add(request.thing.id)
        self.full.add(resource)
        if request.thing and request.thing.id not in self.bare:
            raise TransientFailure(
                f"a {resource} that is empty, and can be deleted: {exchange}", "what is in it"
            )

    async def fetch_self(self, caller: Caller) -> Exchange:
        """A caller's look at the own user."""
        return await self.perform(
            await self.request(self.spec.operations["fetch-user-self"], caller), caller
        )

    @shared_setup
    async def reads(self, caller: Caller, operation: str) -> Exchange:
        """What a caller is answered at a read of the shared fixture."""
        return await self.perform(
            await self.request(self.spec.operations[operation], caller), caller
        )


def _thing(operation: Operation, values: dict[str, Any]) -> Thing | None:
    """What a request that changes something is about; None for the others."""
    if operation.effect not in ("update", "delete"):
        return None
    if operation.is_self:
        return Thing("user", values["self"], in_path="{self}" in operation.path)
    return Thing(operation.resource.name, values["id"], in_path="{id}" in operation.path)
