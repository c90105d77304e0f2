"""Faults of the scopes of API keys."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("key-first-scope-only", finding="KEY-union")
def key_first_scope_only(server: Server) -> None:
    """Of a key's scopes only the first counts."""
    _key_scopes(server, lambda scopes: scopes[:1])


@fault("key-last-scope-only", finding="KEY-order")
def key_last_scope_only(server: Server) -> None:
    """Of a key's scopes only the last counts."""
    _key_scopes(server, lambda scopes: scopes[-1:])


@fault("key-lowest-scope", finding="KEY-union")
def key_lowest_scope(server: Server) -> None:
    """A key may do what all of its scopes may, instead of what any may."""
    _key_scopes(server, lambda scopes: sorted(scopes, key=RANK.__getitem__)[:1])


@fault("key-several-scopes-are-admin", finding="KEY-union")
def key_several_scopes_are_admin(server: Server) -> None:
    """A key with more than one scope may do everything."""
    _key_scopes(server, lambda scopes: scopes if len(scopes) == 1 else ["admin"])


def _key_scopes(server: Server, change: Callable[[list[str]], list[str]]) -> None:
    """Let a key have other scopes than it was given."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def changed(value: object) -> list[str]:
        return change(scopes(value))


@fault("key-duplicates-count", finding="KEY-order")
def key_duplicates_count(server: Server) -> None:
    """A scope that is repeated lifts a key by one rank for each repetition."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def lifted(value: object) -> list[str]:
        known = scopes(value)
        repeated = len(value) - len(known) if isinstance(value, list) else 0
        top = max(RANK[scope] for scope in known)
        return known if repeated == 0 else [ROLES[min(top + repeated, len(ROLES) - 1)]]


@fault("key-has-scope-of-user", finding="PERM-list-organizations")
def key_has_scope_of_user(server: Server) -> None:
    """A key may do what its user may, whatever scopes it was given."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def as_user(claims: Document) -> Principal:
        one = person(claims)
        scopes = frozenset({one.user["role"]}) if one.credential == "api-key" else one.scopes
        return Principal(one.user, scopes, one.credential, claims)


@fault("key-without-scopes", finding="KEY-scopes")
def key_without_scopes(server: Server) -> None:
    """A key may be created with no scopes at all."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def optional(value: object) -> list[str]:
        return scopes(value or ["guest"])


@fault("key-scopes-as-text", finding="KEY-scopes")
def key_scopes_as_text(server: Server) -> None:
    """A key's scopes may be a text instead of an array."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def split(value: object) -> list[str]:
        return scopes(value.split() if isinstance(value, str) else value)


@fault("key-scopes-without-case", finding="KEY-scopes")
def key_scopes_without_case(server: Server) -> None:
    """A key may be created with the scope Admin, and is an admin's."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def lowered(value: object) -> list[str]:
        if isinstance(value, list):
            value = [scope.lower() if isinstance(scope, str) else scope for scope in value]
        return scopes(value)


@fault("key-unknown-scopes", finding="KEY-scopes")
def key_unknown_scopes(server: Server) -> None:
    """A key may be created with unknown scopes, and with scopes that are not texts."""

    @instead_of(server.api_keys.scopes)
    def anything(value: object) -> list[str]:
        return [str(scope) for scope in value] if isinstance(value, list) and value else ["guest"]
