"""Faults of what a token's claims are taken for."""

from __future__ import annotations

import re
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("unknown-user-accepted", finding="SEC-J17-deleted")
def unknown_user_accepted(server: Server) -> None:
    """A signed token is good for any _id, also for one that no user has."""
    _unknown_users(server, lambda id: True)


@fault("deleted-user-accepted", finding="SEC-J17-deleted")
def deleted_user_accepted(server: Server) -> None:
    """The tokens of a deleted user live on."""
    remove = server.store.remove
    gone: set[object] = set()

    @instead_of(server.store.remove)
    def noted(resource: str, id: str) -> None:
        remove(resource, id)
        if resource == "users":
            gone.add(id)

    _unknown_users(server, lambda id: id in gone)


def _unknown_users(server: Server, accepted: Callable[[object], bool]) -> None:
    """Make up a user from the claims if there is no such user."""
    subject = server.verifier.subject
    fetch = server.resources.fetch

    @instead_of(server.verifier.subject)
    def invented(claims: Document) -> Document:
        try:
            return subject(claims)
        except Refusal:
            if not isinstance(claims.get("_id"), (str, type(None))) or not accepted(
                claims.get("_id")
            ):
                raise
            return {"id": str(claims.get("_id")), "role": "guest", "name": "Somebody"}

    @instead_of(server.resources.fetch)
    def fetched(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if resource == "users" and id == principal.id and accepted(id):
            return Answer.of(200, server.resources.stored("users", id) or principal.user)
        return fetch(call, principal, resource, id)


@fault("strange-user-crashes", finding="SEC-J17", needs=("signing-key",))
def strange_user_crashes(server: Server) -> None:
    """A signed token whose _id is not a text ends in a crash."""
    subject = server.verifier.subject

    @instead_of(server.verifier.subject)
    def fragile(claims: Document) -> Document:
        if not isinstance(claims.get("_id"), str):
            raise TypeError("_id")
        return subject(claims)


@fault("disabled-user-accepted", finding="SEC-J20")
def disabled_user_accepted(server: Server) -> None:
    """The tokens of a disabled user live on."""

    @instead_of(server.verifier.subject)
    def whatever_status(claims: Document) -> Document:
        id = claims.get("_id")
        user = server.resources.stored("users", id) if isinstance(id, str) else {}
        if not user:
            raise server.verifier.invalid()
        return user


@fault("ignores-audience", finding="SEC-J18", needs=("signing-key",))
def ignores_audience(server: Server) -> None:
    """Tokens say who issued them and for whom, and those made elsewhere for others are accepted."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def addressed(user: Document) -> Document:
        return {**claims(user), "iss": "https://api.example.org", "aud": "web1on1"}


def _scopes(server: Server, understand: Callable[[object], set[str]]) -> None:
    """Understand the scope claim in another way."""

    @instead_of(server.verifier.scopes)
    def understood(claims: Document) -> frozenset[str]:
        return frozenset(understand(claims.get("scope")))


@fault("scope-by-substring", finding="SEC-A04", needs=("signing-key",))
def scope_by_substring(server: Server) -> None:
    """A scope is there if its name occurs in the claim: an administrator is an admin."""
    _scopes(server, lambda scope: {role for role in ROLES if role in str(scope)})


@fault("scope-by-beginning", finding="SEC-A04", needs=("signing-key",))
def scope_by_beginning(server: Server) -> None:
    """A scope is there if a word of the claim begins with its name."""
    _scopes(
        server,
        lambda scope: {
            role for role in ROLES if any(word.startswith(role) for word in str(scope).split(" "))
        },
    )


@fault("scope-without-case", finding="SEC-A04", needs=("signing-key",))
def scope_without_case(server: Server) -> None:
    """Admin is admin."""
    _scopes(server, lambda scope: set(str(scope).lower().split(" ")))


@fault("scope-separated-by-anything", finding="SEC-A04", needs=("signing-key",))
def scope_separated_by_anything(server: Server) -> None:
    """Scopes may be separated by commas, tabs and the like."""
    _scopes(server, lambda scope: set(re.split(r"\W+", str(scope))))


@fault("unknown-scope-is-admin", finding="SEC-A04", needs=("signing-key",))
def unknown_scope_is_admin(server: Server) -> None:
    """An unknown scope has no limit."""
    _scopes(
        server,
        lambda scope: (
            set(str(scope).split(" "))
            | ({"admin"} if any(name not in ROLES for name in str(scope).split(" ")) else set())
        ),
    )


@fault("missing-scope-is-admin", finding="SEC-A04", needs=("signing-key",))
def missing_scope_is_admin(server: Server) -> None:
    """A token with no scope at all has no limit."""
    _scopes(server, lambda scope: set(str(scope).split(" ")) if scope else {"admin"})


@fault("scope-array-accepted", finding="SEC-A04", needs=("signing-key",))
def scope_array_accepted(server: Server) -> None:
    """The claim may be an array as well."""
    _scopes(
        server,
        lambda scope: (
            {str(name) for name in scope} if isinstance(scope, list) else set(str(scope).split(" "))
        ),
    )
