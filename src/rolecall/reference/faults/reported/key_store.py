"""Faults of how API keys are made, kept, shown, looked up and revoked."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.alterations import note_keys
from rolecall.reference.app import Server
from rolecall.reference.cache import Cache
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, forbidden
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import MANAGE_API_KEYS, RANK
from rolecall.reference.refresh import digest
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Principal

# --- who may make a key, and of which scope -----------------------------------------------------


def _for_everybody(server: Server, may: Callable[[list[str], str], bool]) -> None:
    """Let every user make keys for itself, if that is all right: asked are the key's scopes and its
    maker's role.
    """
    create = server.api_keys.create
    may_before = server.guard.may

    @instead_of(server.guard.may)
    def open_to_all(principal: Principal, operation: str) -> bool:
        return operation == MANAGE_API_KEYS or may_before(principal, operation)

    @instead_of(server.api_keys.create)
    def checked(call: Call, principal: Principal) -> Answer:
        body = call.json()
        if "admin" not in principal.scopes:
            scopes = body.get("scopes") if isinstance(body, dict) else None
            named = body.get("user", principal.id) if isinstance(body, dict) else None
            if named != principal.id or not may(
                server.api_keys.scopes(scopes), principal.user["role"]
            ):
                raise forbidden()
        return create(call, principal)

    answer = server.api_keys.answer

    @instead_of(server.api_keys.answer)
    def only_make(call: Call, principal: Principal) -> Answer:
        if "admin" not in principal.scopes and (call.method != "POST" or call.id is not None):
            raise forbidden()
        return answer(call, principal)


@fault("key-above-its-maker", finding="SEC-K01")
def key_above_its_maker(server: Server) -> None:
    """Everybody may make keys for the own user, of any scope.

    Modelled on datawrapper/api pull request 199.
    """
    _for_everybody(server, lambda scopes, role: True)


@fault("key-checked-by-its-first-scope", finding="SEC-K01")
def key_checked_by_its_first_scope(server: Server) -> None:
    """Everybody may make keys up to the own role, to which the first of the scopes is compared; the
    others come along.

    Modelled on Cap-go/capgo.app pull request 1685.
    """
    _for_everybody(server, lambda scopes, role: RANK[scopes[0]] <= RANK[role])


@fault("key-scopes-ranked-by-alphabet", finding="SEC-K01")
def key_scopes_ranked_by_alphabet(server: Server) -> None:
    """Everybody may make keys up to the own role; roles are compared as the texts that they are, by
    which a guest is the highest.

    Modelled on keygen-sh/keygen-api pull request 1108.
    """
    _for_everybody(server, lambda scopes, role: all(scope <= role for scope in scopes))


# --- names that are no scopes ------------------------------------------------------------------


def _any_names(server: Server) -> None:
    """Take any texts for scopes when a key is made."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def any_texts(value: object) -> list[str]:
        if (
            isinstance(value, list)
            and value
            and all(isinstance(name, str) and name.strip() for name in value)
        ):
            return list(dict.fromkeys(value))
        return scopes(value)


@fault("key-of-unknown-scopes-may-all", finding="KEY-scopes")
def key_of_unknown_scopes_may_all(server: Server) -> None:
    """Names of scopes that are unknown are dropped when a key is made; a key for which none is left
    has no limit.

    Modelled on KevinBonnoron/sirene pull request 40.
    """
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def known(value: object) -> list[str]:
        if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
            return [name for name in dict.fromkeys(value) if name in ROLES] or list(ROLES)
        return scopes(value)


@fault("key-scopes-searched", finding="SEC-K04")
def key_scopes_searched(server: Server) -> None:
    """A key may be given any names; whether it has a scope is searched for in all of them: who is
    no-admin is an admin.

    Modelled on gbbirkisson/kong-plugin-jwt-keycloak pull request 31.
    """
    _any_names(server)
    scopes = server.verifier.scopes

    @instead_of(server.verifier.scopes)
    def searched(claims: Document) -> frozenset[str]:
        if claims.get("grant_type") != API_KEY:
            return scopes(claims)
        return frozenset(role for role in ROLES if role in str(claims.get("scope")))


@fault("key-of-an-unknown-scope-may-write", finding="SEC-K04")
def key_of_an_unknown_scope_may_write(server: Server) -> None:
    """A key may be given any names; whether it may write is asked by comparing with the scopes that
    may not, and others are let through.

    Modelled on Pikselkroken/pixlstash pull request 1107.
    """
    _any_names(server)
    may = server.guard.may

    @instead_of(server.guard.may)
    def unless_known(principal: Principal, operation: str) -> bool:
        if principal.credential == "api-key" and not operation.startswith(
            ("list-", "fetch-", "manage-")
        ):
            names = str(principal.claims.get("scope")).split(" ")
            return may(principal, operation) or any(name not in ROLES for name in names)
        return may(principal, operation)


# --- looking up and revoking -------------------------------------------------------------------


@fault("revoked-key-kept-in-cache", finding="SEC-K02")
def revoked_key_kept_in_cache(server: Server) -> None:
    """That a key is good is kept for five minutes, and nothing tells the cache that it was revoked.

    Modelled on UsefulSoftwareCo/executor pull request 1870.
    """
    check = server.verifier.check_api_key
    good: Cache[bool] = Cache()

    @instead_of(server.verifier.check_api_key)
    def cached(claims: Document) -> None:
        jti = str(claims.get("jti"))
        if not good.get(jti):
            check(claims)
            good.put(jti, True)


@fault("revoked-key-only-hidden", finding="SEC-K02")
def revoked_key_only_hidden(server: Server) -> None:
    """A deleted key is marked and left out of the list; the look-up ignores the mark.

    Modelled on 3drepo/3drepo.io issue 2547.
    """
    keys = server.store.api_keys
    hidden: set[str] = set()

    @instead_of(server.store.api_keys)
    def shown() -> list[str]:
        return [text for text in keys() if loads(text.encode())["id"] not in hidden]

    @instead_of(server.store.remove_api_key)
    def marked(id: str) -> bool:
        there = any(loads(text.encode())["id"] == id for text in shown())
        hidden.add(id)
        return there


@fault("key-of-a-deleted-user", finding="SEC-K03")
def key_of_a_deleted_user(server: Server) -> None:
    """A key carries its user's data, so a user who was deleted is not missed.

    Modelled on watt-mind/coach pull request 379.
    """
    subject = server.verifier.subject

    @instead_of(server.verifier.subject)
    def by_key(claims: Document) -> Document:
        id = claims.get("_id")
        if (
            claims.get("grant_type") == API_KEY
            and isinstance(id, str)
            and server.store.get("users", id) is None
        ):
            return {"id": id, "role": "guest", "organization": claims.get("organization")}
        return subject(claims)


# --- keys in the place of tokens ---------------------------------------------------------------


@fault("key-becomes-a-session", finding="SEC-K05")
def key_becomes_a_session(server: Server) -> None:
    """An API key in the place of a refresh token is exchanged for a token of its user, with the
    scope of the user's role.

    Modelled on Countly/countly-server pull request 7957.
    """
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def keys_too(token: str) -> RefreshRow:
        try:
            return find(token)
        except Refusal:
            principal = server.verifier.principal(token) if token.count(".") == 2 else None
            if principal is None or principal.credential != "api-key":
                raise
            return RefreshRow(digest(token), principal.id, server.clock.now(), None)


# --- what is shown -----------------------------------------------------------------------------


@fault("keys-listed-in-clear", finding="SEC-K06")
def keys_listed_in_clear(server: Server) -> None:
    """The list of keys is the rows of the table, with the tokens in them.

    Modelled on MarlBurroW/kinbot issue 102.
    """
    known = note_keys(server)
    keys = server.store.api_keys

    @instead_of(server.store.api_keys)
    def in_clear() -> list[str]:
        rows = [loads(text.encode()) for text in keys()]
        return [dumps({**row, "token": known.get(row["id"])}) for row in rows]


@fault("key-fetched-in-clear", finding="SEC-K06")
def key_fetched_in_clear(server: Server) -> None:
    """Keys can be fetched one by one, masked in the list and in full by their ids.

    Modelled on ttimot24/horizont-cms pull request 102.
    """
    known = note_keys(server)
    answer = server.api_keys.answer

    @instead_of(server.api_keys.answer)
    def fetched(call: Call, principal: Principal) -> Answer:
        if call.verb != "GET":
            return answer(call, principal)
        rows = [loads(text.encode()) for text in server.store.api_keys()]
        if call.id is None:
            return Answer.of(
                200, [{**row, "token": f"{known.get(row['id'], '')[:8]}..."} for row in rows]
            )
        for row in rows:
            if row["id"] == call.id:
                return Answer.of(200, {**row, "token": known.get(call.id)})
        return answer(call, principal)


# --- whose rights a key has --------------------------------------------------------------------


@fault("key-reads-as-its-user", finding="PERM-list-organizations")
def key_reads_as_its_user(server: Server) -> None:
    """The scopes of a key are looked at where something is written; who reads with it may read all
    that its user may.

    Modelled on LeanerCloud/CUDly issue 1301.
    """
    may = server.guard.may

    @instead_of(server.guard.may)
    def reading(principal: Principal, operation: str) -> bool:
        if principal.credential == "api-key" and operation.startswith(("list-", "fetch-")):
            return may(principal, operation) or server.permissions.allows(
                frozenset({str(principal.user["role"])}), operation, principal.credential
            )
        return may(principal, operation)
