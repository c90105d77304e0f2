"""Faults of keys that are looked up: what is nearly a key, or stands for one, is taken for it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from rolecall.reference.app import Server
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.keys import keep_opaque_keys


@fault("keys-looked-up-by-pattern", finding="SEC-E11-keys")
def keys_looked_up_by_pattern(server: Server) -> None:
    """Keys are looked up with LIKE: a % in one is anything, and the oldest key that fits is meant.

    Modelled on CWE-155, improper neutralization of wildcards.
    """

    def like(kept: dict[str, Document], token: str) -> str | None:
        pattern = re.sub(r"([*?\[])", r"[\1]", token).replace("%", "*")
        return next((key for key in kept if fnmatchcase(key, pattern)), None)

    keep_opaque_keys(server, like)


@fault("keys-known-by-their-beginning", finding="SEC-E11-keys")
def keys_known_by_their_beginning(server: Server) -> None:
    """A key is looked up by its first half, which is stored in clear, and the hash of the rest is
    not looked at.
    """
    keep_opaque_keys(
        server, lambda kept, token: next((key for key in kept if key[:18] == token[:18]), None)
    )


@fault("keys-in-any-letters", finding="SEC-E11-keys")
def keys_in_any_letters(server: Server) -> None:
    """Keys are compared by a database to which small and large letters are the same."""
    keep_opaque_keys(
        server,
        lambda kept, token: next((key for key in kept if key.lower() == token.lower()), None),
    )


@fault("id-of-a-key-is-a-key", finding="SEC-E11-keys")
def id_of_a_key_is_a_key(server: Server) -> None:
    """A key is looked up by itself or by its id, which every list of keys shows."""
    of_id: dict[str, str] = {}
    add = server.store.add_api_key

    @instead_of(server.store.add_api_key)
    def noted(jti: str, id: str, body: str) -> None:
        add(jti, id, body)
        of_id[loads(body.encode())["id"]] = jti

    def by_either(kept: dict[str, Document], token: str) -> str | None:
        wanted = of_id.get(token)
        if wanted is None:
            return token
        return next(key for key, claims in kept.items() if wanted in str(claims))

    keep_opaque_keys(server, by_either)
