"""Faults that let a user change its own role through its profile."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from rolecall.reference.alterations import change_stored, look_scopes_up, role_of_user
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _own_role(server: Server, role_in: Callable[[Document], object]) -> None:
    """Let an update of a user set its role to what is found in the body."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def assigning(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        role = role_in(body) if resource == "users" and isinstance(body, dict) else None
        answer = await update(call, principal, resource, id)
        if role in ROLES:
            return server.resources.updated(change_stored(server, resource, id, role=role))
        return answer


@fault("own-role-at-next-login", finding="SEC-A06")
def own_role_at_next_login(server: Server) -> None:
    """Everybody may set the own role; the next login has its scope."""
    _own_role(server, lambda body: body.get("role"))


@fault("own-role-below-the-highest", finding="SEC-A06")
def own_role_below_the_highest(server: Server) -> None:
    """That nobody makes itself an admin is checked by that name; any other role may be taken."""
    _own_role(server, lambda body: body.get("role") if body.get("role") != ROLES[-1] else None)


@fault("own-role-by-put", finding="SEC-A06")
def own_role_by_put(server: Server) -> None:
    """PUT stores a user as it was sent: only PATCH knows which members are not one's own to set."""
    answer, put = server.dispatcher.answer, ContextVar("put", default=False)

    @instead_of(server.dispatcher.answer)
    async def as_update(call: Call) -> Answer:
        put.set(call.method == "PUT" and call.resource == "users")
        if put.get():
            call.method = "PATCH"
        return await answer(call)

    _own_role(server, lambda body: body.get("role") if put.get() else None)


@fault("own-role-at-once", finding="SEC-A06")
def own_role_at_once(server: Server) -> None:
    """Everybody may set the own role, and the scope of a token is looked up at every request."""
    _own_role(server, lambda body: body.get("role"))
    look_scopes_up(server, role_of_user)


@fault("own-scope-member", finding="SEC-A06")
def own_scope_member(server: Server) -> None:
    """A member scope or scopes of the own profile becomes the role."""

    def scope(body: Document) -> object:
        scopes = body.get("scopes")
        return body.get("scope") or (scopes[-1] if isinstance(scopes, list) and scopes else None)

    _own_role(server, scope)


@fault("own-role-nested", finding="SEC-A06")
def own_role_nested(server: Server) -> None:
    """A role inside any object of the own profile becomes the role."""

    def nested(body: Document) -> object:
        inner = [
            item
            for value in body.values()
            for item in (value if isinstance(value, list) else [value])
        ]
        return next(
            (item["role"] for item in inner if isinstance(item, dict) and "role" in item), None
        )

    _own_role(server, nested)


@fault("own-role-by-operator", finding="SEC-A06")
def own_role_by_operator(server: Server) -> None:
    """The body of an update is handed to the database: {"$set": {"role": ...}} works."""
    _raw_names(server)
    _own_role(
        server,
        lambda body: body["$set"].get("role") if isinstance(body.get("$set"), dict) else None,
    )


@fault("own-role-dotted", finding="SEC-A06")
def own_role_dotted(server: Server) -> None:
    """A member whose name ends in .role sets the role."""
    _raw_names(server)
    _own_role(
        server, lambda body: next((body[name] for name in body if name.endswith(".role")), None)
    )


def _raw_names(server: Server) -> None:
    """Do not look at the names of members, and do not keep the strange ones."""
    members = server.resources.members

    @instead_of(server.resources.members)
    def tolerated(body: object) -> Document:
        if isinstance(body, dict):
            body = {
                name: value for name, value in body.items() if "$" not in name and "." not in name
            }
        return members(body)


def _own_role_in_list(server: Server, kind: str, role_in: Callable[[Document], object]) -> None:
    """Take an update that is a list of this media type, and set a role that is found in it."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def assigning(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        is_such = resource == "users" and call.header(b"content-type") == kind
        parts = loads(call.body) if is_such else None
        if not isinstance(parts, list):
            return await update(call, principal, resource, id)
        server.resources.existing(principal, resource, id)
        roles = [role for part in parts if isinstance(part, dict) for role in (role_in(part),)]
        role = next((role for role in roles if role in ROLES), None)
        members = {} if role is None else {"role": role}
        return server.resources.updated(change_stored(server, resource, id, **members))


@fault("json-patch-unfiltered", finding="SEC-A06")
def json_patch_unfiltered(server: Server) -> None:
    """PATCH takes application/json-patch+json as well, whose paths nothing filters: /role is set.

    Modelled on OWASP API3:2023, broken object property level authorization.
    """
    _own_role_in_list(
        server,
        "application/json-patch+json",
        lambda part: part.get("value") if part.get("path") == "/role" else None,
    )


@fault("list-for-an-object-unfiltered", finding="SEC-A06")
def list_for_an_object_unfiltered(server: Server) -> None:
    """The filter of an update goes through the members of an object; the objects of a list get past
    it, and are merged one after the other.
    """
    _own_role_in_list(server, "application/json", lambda part: part.get("role"))
