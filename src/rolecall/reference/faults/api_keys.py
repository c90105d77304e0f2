"""Faults of API keys: who makes them, what odd scopes give, how long they live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import MANAGE_API_KEYS, RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Principal

# --- Who makes keys -----------------------------------------------------------------------------


def _makers(server: Server, may_ask: Callable[[Principal, list[str]], bool]) -> None:
    """Let others than admins make keys."""
    keys, scopes = server.dispatcher.keys, server.api_keys.scopes
    asking: list[Principal] = []

    @instead_of(server.dispatcher.keys)
    async def more_makers(call: Call) -> Answer:
        principal = server.guard.authenticate(call)
        if server.guard.may(principal, MANAGE_API_KEYS) or call.method != "POST":
            return await keys(call)
        asking.append(principal)
        try:
            return server.api_keys.answer(call, principal)
        finally:
            asking.clear()

    @instead_of(server.api_keys.scopes)
    def checked(value: object) -> list[str]:
        found = scopes(value)
        if asking and not may_ask(asking[0], found):
            raise Refusal(403, "Not with these scopes")
        return found


@fault("bots-make-admin-keys", finding="SEC-K01")
def bots_make_admin_keys(server: Server) -> None:
    """Bots make keys as well, with any scopes."""
    _makers(
        server, lambda principal, scopes: server.permissions.rank(principal.scopes) >= RANK["bot"]
    )


@fault("keys-make-keys-as-their-user", finding="SEC-K01")
def keys_make_keys_as_their_user(server: Server) -> None:
    """Who may make keys is looked up by the user: the key of an admin for guests makes any key."""
    _makers(
        server,
        lambda principal, scopes: (
            principal.credential != "token" and principal.user["role"] == ROLES[-1]
        ),
    )


# --- Odd scopes --------------------------------------------------------------------------------


def _reading(server: Server, read: Callable[[list[Any]], list[Any]]) -> None:
    """Read scopes that are texts in another way before they are checked."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def otherwise(value: object) -> list[str]:
        is_odd = (
            isinstance(value, list)
            and value
            and all(isinstance(scope, (str, list)) for scope in value)
        )
        return scopes(read(value) if isinstance(value, list) and is_odd else value)


@fault("unknown-beside-known-is-all", finding="SEC-K04")
def unknown_beside_known_is_all(server: Server) -> None:
    """A key with an unknown scope beside a known one has all scopes: its permissions cannot be
    read, and are not looked at.
    """

    def odd(value: list[Any]) -> list[Any]:
        known = [scope for scope in value if scope in ROLES]
        return list(ROLES) if known and len(known) < len(value) else value

    _reading(server, odd)


@fault("key-scopes-split-at-commas", finding="SEC-K04")
def key_scopes_split_at_commas(server: Server) -> None:
    """A key's scopes are joined by commas to be stored, and split at them to be read."""
    _reading(
        server,
        lambda value: [
            part
            for scope in value
            for part in (scope.split(",") if isinstance(scope, str) else [scope])
        ],
    )


@fault("key-scopes-flattened", finding="SEC-K04")
def key_scopes_flattened(server: Server) -> None:
    """Arrays in the array of a key's scopes are flattened."""
    _reading(
        server,
        lambda value: [
            part for scope in value for part in (scope if isinstance(scope, list) else [scope])
        ],
    )


@fault("key-scope-star-is-all", finding="SEC-K04")
def key_scope_star_is_all(server: Server) -> None:
    """A key may be made with the scope *, which is every scope.

    Modelled on github.com/decocms/studio/pull/4119.
    """
    _reading(server, lambda value: list(ROLES) if value == ["*"] else value)


# --- A key in a refresh ------------------------------------------------------------------------


@fault("key-refreshes-for-all", finding="SEC-K05")
def key_refreshes_for_all(server: Server) -> None:
    """GET refresh with an API key as bearer gives a token of its user for any refresh token."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def of_key(call: Call) -> Answer:
        principal = server.guard.authenticate(call)
        if principal.credential == "token":
            return before(call)
        server.refresh.find(server.tokens.refresh_parameter(call))
        return server.tokens.tokens(principal.user, "*")


# --- Keys that are gone ------------------------------------------------------------------------


@fault("key-outlives-its-user", finding="SEC-K03")
def key_outlives_its_user(server: Server) -> None:
    """The user of a key is remembered, so that the key of a deleted user goes on working.

    Modelled on github.com/OctopusDeploy/Issues/issues/4779.
    """
    person = server.verifier.person
    known: dict[str, Principal] = {}

    @instead_of(server.verifier.person)
    def remembered(claims: Document) -> Principal:
        if claims.get("grant_type") != API_KEY:
            return person(claims)
        jti = str(claims.get("jti"))
        if jti not in known:
            known[jti] = person(claims)
        return known[jti]


# --- What the token says -----------------------------------------------------------------------
