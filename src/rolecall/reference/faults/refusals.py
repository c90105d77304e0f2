"""Faults of how a refusal looks, and of what it does."""

from __future__ import annotations

import asyncio
import contextlib

from rolecall.reference.alterations import before_refusing
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, forbidden, not_found
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("denied-401", finding="PERM-list-organizations")
def denied_401(server: Server) -> None:
    """Too little scope is answered 401."""
    _denied_as(server, Refusal(401, "Not allowed", {"WWW-Authenticate": "Bearer"}))


@fault("denied-404", finding="PERM-list-organizations")
def denied_404(server: Server) -> None:
    """Too little scope is answered 404."""
    _denied_as(server, not_found())


@fault("denied-500", finding="PERM-list-organizations")
def denied_500(server: Server) -> None:
    """Too little scope ends in a crash."""
    _denied_as(server, Refusal(500, "Internal server error"))


@fault("denied-redirect", finding="PERM-list-organizations")
def denied_redirect(server: Server) -> None:
    """Too little scope is answered with a redirect to a login page."""
    _denied_as(server, Refusal(302, "Log in", {"Location": "/login"}))


def _denied_as(server: Server, refusal: Refusal) -> None:
    @instead_of(server.dispatcher.refuse)
    async def refuse(call: Call, principal: Principal, operation: str) -> Answer:
        raise refusal


@fault("denied-redirect-with-body", finding="PERM-list-organizations")
def denied_redirect_with_body(server: Server) -> None:
    """Too little scope is answered with a redirect whose body holds what was asked for."""

    @instead_of(server.dispatcher.refuse)
    async def leak(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET":
            raise forbidden()
        answer = await server.dispatcher.perform(call, principal, operation)
        return Answer(302, answer.body, {"Location": "/login"})


@fault("denied-403-with-resource", finding="PERM-list-organizations")
def denied_403_with_resource(server: Server) -> None:
    """A read is refused with 403, and the body holds what was asked for."""

    @instead_of(server.dispatcher.refuse)
    async def leak(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET":
            raise forbidden()
        answer = await server.dispatcher.perform(call, principal, operation)
        return Answer(403, b'{"error":{"message":"Permission Denied"},"data":' + answer.body + b"}")


@fault("denied-403-with-ids", finding="PERM-list-organizations")
def denied_403_with_ids(server: Server) -> None:
    """A list is refused with 403, and the body says the ids of what is hidden."""

    @instead_of(server.dispatcher.refuse)
    async def telling(call: Call, principal: Principal, operation: str) -> Answer:
        if not operation.startswith("list-"):
            raise forbidden()
        answer = await server.dispatcher.perform(call, principal, operation)
        ids = [thing["id"] for thing in loads(answer.body)]
        return Answer(403, dumps({"error": {"message": "Forbidden"}, "hidden": ids}).encode())


@fault("denied-200-empty-list", finding="PERM-list-organizations")
def denied_200_empty_list(server: Server) -> None:
    """A list that is not allowed is answered 200 with nothing in it."""

    @instead_of(server.dispatcher.refuse)
    async def nothing(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith("list-"):
            return Answer(200, b"[]")
        raise forbidden()


@fault("denied-200-empty-object", finding="PERM-fetch-organization")
def denied_200_empty_object(server: Server) -> None:
    """A thing that is not allowed is fetched with 200 and nothing but its id."""

    @instead_of(server.dispatcher.refuse)
    async def nothing(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith("fetch-"):
            return Answer.of(200, {"id": call.id})
        raise forbidden()


def _denied_but_done(server: Server, action: str) -> None:
    """Refuse, after doing it."""

    @instead_of(server.dispatcher.refuse)
    async def too_late(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith(action):
            await server.dispatcher.perform(call, principal, operation)
        raise forbidden()


@fault("denied-create-applies", finding="PERM-create-organization")
def denied_create_applies(server: Server) -> None:
    """A create is refused with 403, and done."""
    _denied_but_done(server, "create-")


@fault("denied-update-applies", finding="PERM-update-organization")
def denied_update_applies(server: Server) -> None:
    """An update is refused with 403, and done."""
    _denied_but_done(server, "update-")


@fault("denied-delete-applies", finding="PERM-delete-organization")
def denied_delete_applies(server: Server) -> None:
    """A delete is refused with 403, and done."""
    _denied_but_done(server, "delete-")


def _denied_but_done_later(
    server: Server, action: str, seconds: float, *, unless_changed: bool = False
) -> None:
    """Refuse, and do it after some time; ``unless_changed``: if the thing is as it was."""
    tasks: set[asyncio.Task[None]] = set()

    @instead_of(server.dispatcher.refuse)
    async def queued(call: Call, principal: Principal, operation: str) -> Answer:
        before = server.store.get(call.resource, call.id) if call.id else None

        async def later() -> None:
            await asyncio.sleep(seconds)
            now = server.store.get(call.resource, call.id) if call.id else None
            if unless_changed and now != before:
                return
            with contextlib.suppress(Refusal):
                await server.dispatcher.perform(call, principal, operation)

        if operation.startswith(action):
            tasks.add(task := asyncio.get_running_loop().create_task(later()))
            task.add_done_callback(tasks.discard)
        raise forbidden()


@fault("denied-update-applies-later", finding="PERM-update-organization")
def denied_update_applies_later(server: Server) -> None:
    """An update is refused with 403, and done a twentieth of a second later."""
    _denied_but_done_later(server, "update-", 0.05)


@fault("denied-delete-applies-later", finding="PERM-delete-organization")
def denied_delete_applies_later(server: Server) -> None:
    """A delete is refused with 403, and done a twentieth of a second later."""
    _denied_but_done_later(server, "delete-", 0.05)


@fault("denied-create-applies-a-second-later", finding="PERM-create-organization")
def denied_create_applies_a_second_later(server: Server) -> None:
    """A create is refused with 403, and done a second later."""
    _denied_but_done_later(server, "create-", 1.0)


@fault("denied-update-applies-a-second-later", finding="PERM-update-organization")
def denied_update_applies_a_second_later(server: Server) -> None:
    """An update is refused with 403, and done a second later."""
    _denied_but_done_later(server, "update-", 1.0)


@fault("denied-update-is-queued", finding="PERM-update-organization")
def denied_update_is_queued(server: Server) -> None:
    """An update is refused with 403, and done a second later where nobody has changed the thing
    meanwhile.
    """
    _denied_but_done_later(server, "update-", 1.0, unless_changed=True)


@fault("denied-status-tells-existence", finding="SEC-A12")
def denied_status_tells_existence(server: Server) -> None:
    """Who may not, hears 404 for what is not there and 403 for what is."""

    @instead_of(server.dispatcher.refuse)
    async def telling(call: Call, principal: Principal, operation: str) -> Answer:
        if call.id is not None:
            server.resources.existing(principal, call.resource, call.id)
        raise forbidden()


@fault("denied-delete-drops-the-password", finding="PERM-delete-user")
def denied_delete_drops_the_password(server: Server) -> None:
    """A user's password is taken off at the identity provider, then the delete is refused with
    403: the user is there, and cannot log in any more.
    """

    def drop(call: Call, principal: Principal, operation: str) -> None:
        if operation == "delete-user" and call.id:
            server.store.set_password(call.id, "")

    before_refusing(server, drop)
