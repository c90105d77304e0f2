"""Faults that change a user's own role by an update that seems to say nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from rolecall.reference.alterations import change_stored, parameter
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _then(server: Server, role_in: Callable[[Call], object]) -> None:
    """Let an update of a user set its role to what is found in the request."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def assigning(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        role = role_in(call) if resource == "users" and principal.id == id else None
        answer = await update(call, principal, resource, id)
        if role in ROLES:
            return server.resources.updated(change_stored(server, resource, id, role=role))
        return answer


def _at(body: Any, *names: str) -> Any:
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return body


@fault("own-role-by-prototype", finding="SEC-A06")
def own_role_by_prototype(server: Server) -> None:
    """The body is merged into the document by a function that follows __proto__: what stands there
    is inherited, the role too.

    Modelled on CVE-2019-10744 (lodash) and CVE-2023-3696 (mongoose).
    """
    _then(server, lambda call: _at(call.json(), "__proto__", "role"))


@fault("own-role-by-constructor", finding="SEC-A06")
def own_role_by_constructor(server: Server) -> None:
    """__proto__ is filtered out of the body, and constructor.prototype is not.

    Modelled on CVE-2018-16487 (lodash).
    """
    _then(server, lambda call: _at(call.json(), "constructor", "prototype", "role"))


@fault("own-role-by-attributes", finding="SEC-A06")
def own_role_by_attributes(server: Server) -> None:
    """The body of an update may stand in data.attributes, and the filter looks at its first level.

    Modelled on OWASP API3:2023, broken object property level authorization.
    """
    _then(server, lambda call: _at(call.json(), "data", "attributes", "role"))


@fault("own-role-by-group", finding="SEC-A06")
def own_role_by_group(server: Server) -> None:
    """Who is in a group that is called as a role has it, and everybody may write the own groups.

    Modelled on OWASP API3:2023, broken object property level authorization.
    """

    def of_groups(call: Call) -> object:
        groups = _at(call.json(), "groups")
        return groups[0] if isinstance(groups, list) and groups else None

    _then(server, of_groups)


@fault("own-role-with-a-space", finding="SEC-A06")
def own_role_with_a_space(server: Server) -> None:
    """The filter looks for the member role, and the names of members are trimmed behind it."""
    _then(server, lambda call: _at(call.json(), "role "))


@fault("own-role-by-query", finding="SEC-A06")
def own_role_by_query(server: Server) -> None:
    """Parameters of the query are parameters like those of the body, and come in behind its filter.

    Modelled on CWE-235, improper handling of extra parameters.
    """
    _then(server, lambda call: parameter(call, "role"))


@fault("own-role-by-form", finding="SEC-A06")
def own_role_by_form(server: Server) -> None:
    """An update may be a form as well, and the filter is one of JSON.

    Modelled on OWASP API3:2023, broken object property level authorization.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def of_a_form(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        kind = (call.header(b"content-type") or "").partition(";")[0]
        if resource != "users" or kind != "application/x-www-form-urlencoded":
            return await update(call, principal, resource, id)
        members = dict(parse_qsl(call.body.decode("utf-8", "replace")))
        role = members.pop("role", None)
        call.body = dumps(members).encode()
        call.headers = [
            (name, b"application/json" if name == b"content-type" else value)
            for name, value in call.headers
        ]
        answer = await update(call, principal, resource, id)
        if role in ROLES:
            return server.resources.updated(change_stored(server, resource, id, role=role))
        return answer


@fault("new-password-resets-the-role", finding="SEC-A06")
def new_password_resets_the_role(server: Server) -> None:
    """A password is saved with the whole account, made anew with the role that new ones have.

    Modelled on github.com/mage-ai/mage-ai/pull/3982.
    """
    _then(server, lambda call: "agent" if _at(call.json(), "password") else None)


@fault("own-email-resets-the-role", finding="SEC-A06")
def own_email_resets_the_role(server: Server) -> None:
    """Where an update holds an e-mail the account is registered again, with the default role.

    Modelled on github.com/akveo/ngx-admin-bundle-support/issues/8.
    """
    _then(server, lambda call: "agent" if _at(call.json(), "email") else None)


@fault("own-role-in-the-whole-document", finding="SEC-A06")
def own_role_in_the_whole_document(server: Server) -> None:
    """The filter is one of changes: an update that holds the whole user is saved in its place."""

    def replacing(call: Call) -> object:
        body = call.json()
        is_whole = isinstance(body, dict) and {"id", "email", "createdAt"} <= set(body)
        return _at(body, "role") if is_whole else None

    _then(server, replacing)


@fault("own-role-by-participation", finding="SEC-A06")
def own_role_by_participation(server: Server) -> None:
    """The role in which somebody takes part in a conversation is written to the user, too.

    Modelled on CWE-266, incorrect privilege assignment.
    """
    new_conversation = server.resources.new_conversation

    @instead_of(server.resources.new_conversation)
    def with_roles(change: Change) -> Document:
        parts = list(change.members.get("participants", []))
        document = new_conversation(change)
        for part in parts:
            if part.get("role") in ROLES:
                change_stored(server, "users", part["user"], role=part["role"])
        return document
