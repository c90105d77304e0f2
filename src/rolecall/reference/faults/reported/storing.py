"""Faults of storing: creates that replace, members that slip through, answers that are not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolecall.reference.alterations import body_of, change_stored
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import bad_request
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, NotJson, as_pairs, dumps, lenient, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- a create that reaches what is there --------------------------------------------------------


@fault("create-with-an-id-replaces", finding="SEC-E07")
def create_with_an_id_replaces(server: Server) -> None:
    """A create whose body has the id of a thing that exists saves over it: a role that may create
    may update.

    Modelled on https://github.com/ogx-ai/ogx/issues/5930.
    """
    create = server.resources.create

    @instead_of(server.resources.create)
    async def saved(call: Call, principal: Principal, resource: str) -> Answer:
        id = next(
            (
                body_of(call)[name]
                for name in ("id", "_id")
                if isinstance(body_of(call).get(name), str)
            ),
            None,
        )
        if id is None or server.store.get(resource, id) is None:
            return await create(call, principal, resource)
        document = {
            **server.resources.stored(resource, id),
            **server.resources.members(call.json()),
            "id": id,
        }
        document.pop("password", None)
        document["updatedAt"] = server.clock.instant()
        server.store.replace(resource, id, dumps(document))
        return server.resources.created(document)


@fault("messages-inside-a-create-replace", finding="SEC-E07")
def messages_inside_a_create_replace(server: Server) -> None:
    """Messages in the body of a new conversation that have an id are taken over from where they
    are, with what the body says.

    Modelled on CVE-2022-41654 (Ghost, related objects inside an update).
    """
    new_conversation = server.resources.new_conversation

    @instead_of(server.resources.new_conversation)
    def linked(change: Change) -> Document:
        messages = change.members.get("messages")
        inside = (
            [message for message in messages if isinstance(message, dict)]
            if isinstance(messages, list)
            else []
        )
        known = [
            message for message in inside if server.store.get("messages", str(message.get("id")))
        ]
        if known:
            change.members["messages"] = [message for message in inside if message not in known]
        document = new_conversation(change)
        for message in known:
            merged = {
                **server.resources.stored("messages", message["id"]),
                **message,
                "conversation": document["id"],
            }
            server.store.replace("messages", message["id"], dumps(merged))
        return document


@fault("organization-inside-a-create-is-made", finding="SEC-E07")
def organization_inside_a_create_is_made(server: Server) -> None:
    """An object in place of a new thing's organization is made as a new organization.

    Modelled on https://github.com/balderdashy/waterline/issues/1051.
    """
    create = server.resources.create

    @instead_of(server.resources.create)
    async def nested(call: Call, principal: Principal, resource: str) -> Answer:
        body = body_of(call)
        inside = body.get("organization")
        if resource != "organizations" and isinstance(inside, dict):
            made = server.resources.new_document(
                Change(principal, "organizations", server.resources.members(inside))
            )
            call.body = dumps({**body, "organization": made["id"]}).encode()
        return await create(call, principal, resource)


# --- members that slip through -----------------------------------------------------------------


def _role_from(server: Server, role_in: Callable[[Call], object]) -> None:
    """Let an update of a user by itself set its role to what is found in the request, if anything
    is.
    """
    update = server.resources.update
    nothing = object()

    @instead_of(server.resources.update)
    async def assigning(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        found = role_in(call) if resource == "users" and id == principal.id else nothing
        answer = await update(call, principal, resource, id)
        if found is nothing or found is None:
            return answer
        return server.resources.updated(change_stored(server, resource, id, role=found))


@fault("no-role-is-the-default-role", finding="SEC-A06")
def no_role_is_the_default_role(server: Server) -> None:
    """The filter of an update drops a role if there is one; null and an empty text pass, and become
    the default: agent.

    Modelled on https://github.com/Frachtwerk/essencium-backend/pull/322.
    """

    def emptied(call: Call) -> object:
        body = body_of(call)
        return "agent" if "role" in body and not body["role"] else None

    _blank_roles(server)
    _role_from(server, emptied)


@fault("unknown-role-is-above-all", finding="SEC-E14")
def unknown_role_is_above_all(server: Server) -> None:
    """One may empty the own role, and the place of a role in the list from admin down to guest is
    -1 if it is not there.

    Modelled on https://github.com/apache/cloudstack/pull/12973.
    """

    def emptied(call: Call) -> object:
        body = body_of(call)
        return "none" if "role" in body and not body["role"] else None

    _blank_roles(server)
    _role_from(server, emptied)
    scope = server.issuer.scope

    @instead_of(server.issuer.scope)
    def by_place(user: Document) -> str:
        descending = ROLES[::-1]
        place = descending.index(user["role"]) if user["role"] in descending else -1
        return next(
            (role for needed, role in enumerate(descending) if place <= needed), scope(user)
        )


def _blank_roles(server: Server) -> None:
    """Do not look at a role that is empty."""
    check_role = server.resources.check_role

    @instead_of(server.resources.check_role)
    def unless_empty(members: Document) -> None:
        if members.get("role"):
            check_role(members)


@fault("role-in-other-letters", finding="SEC-A06")
def role_in_other_letters(server: Server) -> None:
    """Members are dropped by the exact name and bound without regard to case: Role sets the role.

    Modelled on CVE-2022-22968 (Spring, disallowed fields).
    """

    def bound(call: Call) -> object:
        body = body_of(call)
        return next(
            (
                body[name]
                for name in body
                if name.lower() == "role" and name != "role" and body[name] in ROLES
            ),
            None,
        )

    _role_from(server, bound)


@fault("role-twice-in-a-body", finding="SEC-A06")
def role_twice_in_a_body(server: Server) -> None:
    """Two parsers read a body: of a member that comes twice one drops the first, the other keeps
    the last.

    Modelled on CVE-2017-12635 (Apache CouchDB).
    """

    def last(call: Call) -> object:
        try:
            pairs = loads(call.body, as_pairs)
        except NotJson:
            return None
        roles = (
            [pair[1] for pair in pairs if isinstance(pair, tuple) and pair[0] == "role"]
            if isinstance(pairs, list)
            else []
        )
        return roles[-1] if len(roles) > 1 and roles[-1] in ROLES else None

    update = server.resources.update

    @instead_of(server.resources.update)
    async def tolerant(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        role = last(call) if resource == "users" and id == principal.id else None
        if role is None:
            return await update(call, principal, resource, id)
        call.body = dumps(loads(call.body, lenient)).encode()
        answer = await update(call, principal, resource, id)
        change_stored(server, resource, id, role=role)
        return answer


@fault("merge-patch-unfiltered", finding="SEC-A06")
def merge_patch_unfiltered(server: Server) -> None:
    """PATCH takes application/merge-patch+json as well, and merges it with the document as it is,
    role and all.

    Modelled on https://github.com/java-json-tools/json-patch/issues/169.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def merged(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if not (call.header(b"content-type") or "").startswith("application/merge-patch+json"):
            return await update(call, principal, resource, id)
        kept = {
            name: value
            for name, value in body_of(call).items()
            if name not in ("id", "_id", "password")
        }
        if kept.get("role", "guest") not in ROLES:
            raise bad_request("role has to be a role")
        server.resources.existing(principal, resource, id)
        document = {
            **server.resources.stored(resource, id),
            **kept,
            "updatedAt": server.clock.instant(),
        }
        server.store.replace(resource, id, dumps(document))
        return server.resources.updated(document)


# --- answered and not kept ---------------------------------------------------------------------


def _not_kept(server: Server, lost: Callable[[str, Any], bool]) -> None:
    """Answer an update with all of it, and keep the members that are not lost."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def forgetful(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        before = server.resources.stored(resource, id)
        answer = await update(call, principal, resource, id)
        after = server.resources.stored(resource, id)
        for name in [
            name for name, value in after.items() if lost(name, value) and value != before.get(name)
        ]:
            del after[name]
            if name in before:
                after[name] = before[name]
        server.store.replace(resource, id, dumps(after))
        return answer


@fault("objects-are-answered-and-not-kept", finding="SEC-E10")
def objects_are_answered_and_not_kept(server: Server) -> None:
    """An update of meta or params is answered with it; both are objects of no schema, and not seen
    to change when they are saved.

    Modelled on https://github.com/Automattic/mongoose/issues/1694.
    """
    _not_kept(server, lambda name, value: name in ("meta", "params"))


@fault("lists-are-answered-and-not-kept", finding="SEC-E10")
def lists_are_answered_and_not_kept(server: Server) -> None:
    """An update of a member that is a list is answered with it, and the list in the store is the
    old one.

    Modelled on https://github.com/Automattic/mongoose/issues/3658.
    """
    _not_kept(server, lambda name, value: isinstance(value, list))


@fault("empty-values-are-answered-and-not-kept", finding="SEC-E10")
def empty_values_are_answered_and_not_kept(server: Server) -> None:
    """An update to an empty text, list or object, to 0 or to false is answered with it, and taken
    for no value when it is saved.

    Modelled on https://github.com/mtmr0x/nucleo/issues/28.
    """
    replace = server.store.replace

    @instead_of(server.store.replace)
    def given_values(resource: str, id: str, body: str) -> None:
        before, after = server.resources.stored(resource, id), loads(body.encode())
        given = {
            name: value or before.get(name)
            for name, value in after.items()
            if value or name in before
        }
        replace(resource, id, dumps(given))


@fault("deleted-things-stay-in-lists", finding="PERM-delete-organization")
def deleted_things_stay_in_lists(server: Server) -> None:
    """Deleting marks a thing; fetching looks at the mark, and listing does not.

    Modelled on https://github.com/openises/TicketsCAD/issues/25.
    """
    existing, gone = server.resources.existing, server.resources.delete
    marked: set[tuple[str, str]] = set()

    @instead_of(server.resources.existing)
    def unmarked(principal: Principal, resource: str, id: str) -> str:
        return existing(principal, resource, "-" if (resource, id) in marked else id)

    @instead_of(server.resources.delete)
    def mark(principal: Principal, resource: str, id: str) -> Answer:
        if resource == "users":
            return gone(principal, resource, id)
        unmarked(principal, resource, id)
        marked.add((resource, id))
        return server.resources.deleted()
