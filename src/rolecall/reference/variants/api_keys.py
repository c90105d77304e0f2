"""Variants of API keys, who makes them and how they end, and of what users show of passwords."""

from __future__ import annotations

import time

from rolecall.reference.alterations import note_keys
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.permissions import MANAGE_API_KEYS
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Principal
from rolecall.reference.variants.registry import variant

MOST_KEYS = 5
"""Keys that a user may have, where there is a limit."""


@variant("everybody-makes-own-keys")
def everybody_makes_own_keys(server: Server) -> None:
    """Every role makes keys, lists its own and deletes them; a scope above the role is left out,
    and without one left it is 403.
    """
    keys, scopes = server.dispatcher.keys, server.api_keys.scopes
    asking: list[Principal] = []

    @instead_of(server.dispatcher.keys)
    async def own(call: Call) -> Answer:
        principal = server.guard.authenticate(call)
        if server.guard.may(principal, MANAGE_API_KEYS):
            return await keys(call)
        owned = [
            key
            for key in map(loads, (text.encode() for text in server.store.api_keys()))
            if key["user"] == principal.id
        ]
        if call.verb == "GET":
            return Answer.of(200, owned)
        if call.method == "DELETE" and call.id not in {key["id"] for key in owned}:
            raise Refusal(403, "Not a key of one's own")
        asking.append(principal)
        try:
            return server.api_keys.answer(call, principal)
        finally:
            asking.clear()

    @instead_of(server.api_keys.scopes)
    def no_more_than_oneself(value: object) -> list[str]:
        found = scopes(value)
        if not asking:
            return found
        rank = server.permissions.rank(asking[0].scopes)
        left = [scope for scope in found if ROLES.index(scope) <= rank]
        if not left:
            raise Refusal(403, "Not with a scope above the role")
        return left


@variant("unknown-key-scopes-dropped")
def unknown_key_scopes_dropped(server: Server) -> None:
    """Unknown names are left out of a key's scopes; a key that would be left without any is
    refused.
    """
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def known(value: object) -> list[str]:
        if isinstance(value, list) and all(isinstance(scope, str) for scope in value):
            value = [scope for scope in value if scope in ROLES]
        return scopes(value)


@variant("keys-go-with-their-user")
def keys_go_with_their_user(server: Server) -> None:
    """The keys of a user who is deleted are deleted as well."""
    remove = server.store.remove

    @instead_of(server.store.remove)
    def with_keys(resource: str, id: str) -> None:
        remove(resource, id)
        for key in map(loads, (text.encode() for text in server.store.api_keys())):
            if resource == "users" and key["user"] == id:
                server.store.remove_api_key(key["id"])


@variant("deleted-keys-linger")
def deleted_keys_linger(server: Server) -> None:
    """A key that was used is remembered as good for a second, also when it is deleted meanwhile."""
    check = server.verifier.check_api_key
    good: dict[str, float] = {}

    @instead_of(server.verifier.check_api_key)
    def remembered(claims: Document) -> None:
        jti = str(claims.get("jti"))
        if good.get(jti, 0.0) < time.monotonic():
            check(claims)
            good[jti] = time.monotonic() + 1.0


@variant("new-keys-are-late")
def new_keys_are_late(server: Server) -> None:
    """A new key is known a second after it was made, as of servers that look at a replica."""
    check, add = server.verifier.check_api_key, server.store.add_api_key
    known: dict[str, float] = {}

    @instead_of(server.store.add_api_key)
    def added(jti: str, id: str, body: str) -> None:
        add(jti, id, body)
        known[jti] = time.monotonic() + 1.0

    @instead_of(server.verifier.check_api_key)
    def late(claims: Document) -> None:
        check(claims)
        if known.get(str(claims.get("jti")), 0.0) > time.monotonic():
            raise server.verifier.invalid()


@variant("five-keys-a-user")
def five_keys_a_user(server: Server) -> None:
    """A user has five keys at most; another one is refused with 409 until one is deleted."""
    create = server.api_keys.create

    @instead_of(server.api_keys.create)
    def limited(call: Call, principal: Principal) -> Answer:
        owners = [loads(key.encode())["user"] for key in server.store.api_keys()]
        if owners.count(principal.id) >= MOST_KEYS:
            raise Refusal(409, "At most five keys a user: delete one first")
        return create(call, principal)


@variant("keys-follow-the-role")
def keys_follow_the_role(server: Server) -> None:
    """A key may at no time do more than its user's role."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def limited(claims: Document) -> Principal:
        one = person(claims)
        if claims.get("grant_type") != API_KEY:
            return one
        most = server.permissions.rank(frozenset({one.user["role"]}))
        lower = [scope for scope in ROLES[: most + 1] if scope in one.scopes]
        capped = lower or list(ROLES[: min(most, server.permissions.rank(one.scopes)) + 1])
        return Principal(one.user, frozenset(capped), one.credential, claims)


@variant("keys-listed-with-their-beginning")
def keys_listed_with_their_beginning(server: Server) -> None:
    """The list of keys shows the first characters of each, to tell them apart."""
    every, known = server.store.api_keys, note_keys(server)

    @instead_of(server.store.api_keys)
    def listed() -> list[str]:
        keys = [loads(text.encode()) for text in every()]
        return [
            dumps({**key, "prefix": known.get(key["id"], "")[:8], "token": "********"})
            for key in keys
        ]


@variant("passwords-hinted-at")
def passwords_hinted_at(server: Server) -> None:
    """A user that is fetched says that it has a password, since when, and shows it as stars; a hash
    of its picture as well.
    """
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def more(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        answer = fetch(call, principal, resource, id)
        if resource == "users":
            document = loads(answer.body)
            about = {
                "password": "********",
                "hasPassword": True,
                "passwordChangedAt": document["createdAt"],
            }
            answer.body = dumps(
                {**document, **about, "avatarHash": "d41d8cd98f00b204e9800998ecf8427e"}
            ).encode()
        return answer
