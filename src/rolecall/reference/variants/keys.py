"""Variants of API keys: the specification never says what one looks like."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Principal
from rolecall.reference.variants.answers import without
from rolecall.reference.variants.registry import variant


@variant("opaque-keys")
def opaque_keys(server: Server) -> None:
    """An API key is a text of chance that says nothing; the answer that has it names the user whom
    it acts as.
    """
    keep_opaque_keys(server)


@variant("uuids-as-keys")
def uuids_as_keys(server: Server) -> None:
    """An API key is a UUID, which a database keeps as a number: large letters are as small ones."""
    keep_opaque_keys(server, lambda kept, token: token.lower(), lambda: str(uuid.uuid4()))


def keep_opaque_keys(
    server: Server,
    find: Callable[[dict[str, Document], str], str | None] | None = None,
    make: Callable[[], str] = lambda: f"key_{secrets.token_hex(16)}",
) -> dict[str, Document]:
    """Make keys of chance, whose claims are returned; ``find`` tells which one a token means."""
    kept: dict[str, Document] = {}
    write, principal = server.issuer.write, server.verifier.principal

    @instead_of(server.issuer.write)
    def opaque(claims: Document) -> str:
        if claims.get("grant_type") != API_KEY:
            return write(claims)
        token = make()
        kept[token] = claims
        return token

    @instead_of(server.verifier.principal)
    def looked_up(token: str) -> Principal:
        key = find(kept, token) if find else token
        if key not in kept:
            return principal(token)
        server.verifier.check_api_key(kept[key])
        return server.verifier.person(kept[key])

    return kept


@variant("key-scopes-once")
def key_scopes_once(server: Server) -> None:
    """No key is made with a scope that comes twice: 422."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def distinct(value: object) -> list[str]:
        known = scopes(value)
        if isinstance(value, list) and len(value) > len(known):
            raise Refusal(422, "Each scope may be given once")
        return known


@variant("opaque-keys-without-user")
def opaque_keys_without_user(server: Server) -> None:
    """An API key is a text of chance, and neither it nor the answer that has it names a user."""
    opaque_keys(server)
    answer = server.api_keys.answer

    @instead_of(server.api_keys.answer)
    def unnamed(call: Call, principal: Principal) -> Answer:
        said = answer(call, principal)
        if said.body:
            said.body = dumps(without(loads(said.body), ("user",))).encode()
        return said
