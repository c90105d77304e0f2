"""Faults of writes: a missing role is the default, members are lost, refusals leave traces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rolecall.reference.alterations import (
    asked_for,
    before_refusing,
    change_stored,
)
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import Change
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- what is not given, and single members ------------------------------------------------------


def _role_not_given(server: Server, is_none: Callable[[object], bool]) -> None:
    """Let an update of oneself take the role away; the next log-in has the role that new users
    have.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def taking_away(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        takes_away = (
            resource == "users"
            and isinstance(body, dict)
            and "role" in body
            and is_none(body["role"])
        )
        if takes_away:
            call.body = dumps(
                {name: value for name, value in body.items() if name != "role"}
            ).encode()
        answer = await update(call, principal, resource, id)
        if takes_away:
            change_stored(server, resource, id, role="agent")
        return answer


@fault("null-role-is-the-default", finding="SEC-A06")
def null_role_is_the_default(server: Server) -> None:
    """A role of null is taken away, and another one put in its place that new users have."""
    _role_not_given(server, lambda role: role is None)


@fault("empty-role-is-the-default", finding="SEC-A06")
def empty_role_is_the_default(server: Server) -> None:
    """An empty role is taken for one that was not given, and the default is put in its place."""
    _role_not_given(server, lambda role: role in ("", [], {}))


@fault("message-author-from-body", finding="SEC-A05")
def message_author_from_body(server: Server) -> None:
    """A message is of the user whom its body names: the sender is a default, and not a rule."""
    new_document = server.resources.new_document

    @instead_of(server.resources.new_document)
    def of_anybody(change: Change, **extra: object) -> Document:
        given = change.members.get("user")
        is_named = change.resource == "messages" and isinstance(given, str)
        return new_document(change, **(extra | {"user": given} if is_named else extra))


def _unnamed(
    server: Server,
    member: str,
    fill_in: Callable[[str], Awaitable[None]],
    *,
    of_oneself: bool = False,
) -> None:
    """After an update of another user that does not name a member, put something in its place; of
    oneself as well, where that is said.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def filling_in(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        answer = await update(call, principal, resource, id)
        lacks = resource == "users" and isinstance(body, dict) and member not in body
        if lacks and (of_oneself or principal.user["id"] != id):
            await fill_in(id)
        return answer


def _unnamed_role(server: Server, *, of_oneself: bool) -> None:
    """Put the role that new users have in the place of one that an update does not name."""

    async def default(id: str) -> None:
        change_stored(server, "users", id, role="agent")

    _unnamed(server, "role", default, of_oneself=of_oneself)


@fault("unnamed-role-is-the-default", finding="SEC-A06")
def unnamed_role_is_the_default(server: Server) -> None:
    """An update of a user that names no role gives it the one that new users have."""
    _unnamed_role(server, of_oneself=True)


@fault("unnamed-role-of-others-is-the-default", finding="SEC-E10")
def unnamed_role_of_others_is_the_default(server: Server) -> None:
    """An update of another user that names no role gives that one the role of new users."""
    _unnamed_role(server, of_oneself=False)


@fault("update-drops-the-password", finding="SEC-E10")
def update_drops_the_password(server: Server) -> None:
    """An update of another user hashes the password that it does not name, and stores that."""

    async def nothing(id: str) -> None:
        server.store.set_password(id, await server.passwords.hash_aside("undefined"))

    _unnamed(server, "password", nothing)


def _not_stored(server: Server, applies: Callable[[str, object], bool]) -> None:
    """Answer an update with all that was sent, and do not store some of it."""
    merged = server.resources.merged
    answered: list[Document] = []

    @instead_of(server.resources.merged)
    def without(document: Document, members: Document) -> Document:
        answered[:] = [merged(document, members)]
        return merged(
            document, {name: value for name, value in members.items() if not applies(name, value)}
        )

    updated = server.resources.updated

    @instead_of(server.resources.updated)
    def as_if(document: Document) -> Answer:
        return updated(answered.pop() if answered else document)


@fault("lists-never-dirty", finding="SEC-E10")
def lists_never_dirty(server: Server) -> None:
    """A changed list is in the answer of the update, and is not stored.

    Modelled on Mongoose, which does not save what has changed inside of a Mixed path without
    markModified.
    """
    _not_stored(server, lambda name, value: isinstance(value, list))


@fault("params-never-dirty", finding="SEC-E10")
def params_never_dirty(server: Server) -> None:
    """The params of services are in the answer of an update, and are not stored."""
    _not_stored(server, lambda name, value: name == "params")


@fault("content-only-once", finding="SEC-E10")
def content_only_once(server: Server) -> None:
    """The content of a knowledge item is written when it is made, and never again."""
    _not_stored(server, lambda name, value: name == "content")


@fault("update-drops-the-rest", finding="SEC-E10")
def update_drops_the_rest(server: Server) -> None:
    """An update writes the thing anew from what it names: meta, tags, content and params go where
    it does not name them.
    """
    merged = server.resources.merged
    optional = ("meta", "tags", "content", "params")

    @instead_of(server.resources.merged)
    def anew(document: Document, members: Document) -> Document:
        kept = {name: value for name, value in document.items() if name not in optional}
        return merged(kept, members)


# --- traces ------------------------------------------------------------------------------------


def _mark_refused(server: Server, action: str, **members: object) -> None:
    """Change the thing that a refused request was about, before it is refused."""

    def mark(call: Call, principal: Principal, operation: str) -> None:
        document = asked_for(server, call)
        if document and operation.startswith(action):
            change_stored(server, call.resource, document["id"], **members)

    before_refusing(server, mark)


@fault("denied-delete-marks", finding="PERM-delete-organization")
def denied_delete_marks(server: Server) -> None:
    """A delete that is refused has set deletedAt before."""
    _mark_refused(server, "delete-", deletedAt="2026-01-01T00:00:00.000Z")


@fault("denied-update-counts", finding="PERM-update-organization")
def denied_update_counts(server: Server) -> None:
    """An update that is refused has set the status of the thing to pending."""
    _mark_refused(server, "update-", status="pending")


@fault("denied-delete-hides", finding="PERM-delete-organization")
def denied_delete_hides(server: Server) -> None:
    """What somebody has tried to delete is in no list any more, and still there by its id."""
    hidden: set[str] = set()
    found = server.resources.found

    def hide(call: Call, principal: Principal, operation: str) -> None:
        if operation.startswith("delete-") and call.id:
            hidden.add(call.id)

    before_refusing(server, hide)

    @instead_of(server.resources.found)
    def shown(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        return [
            text
            for text in found(query, principal, resource)
            if loads(text.encode()).get("id") not in hidden
        ]
