"""Tokens as a client sees them: what the token endpoint granted, and what a JWT says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import jwt

from rolecall.evidence import Exchange
from rolecall.spec.claims import lifetime
from rolecall.spec.ids import id_text

#: Where tokens are issued and refreshed.
TOKEN_PATH = "/v2/auth/token"  # noqa: S105  # not a secret
#: Where the answer to the making of an API key may have it: the specification has no such answer
#: (AMB-10, AMB-15).
_KEY_MEMBERS = ("token", "key", "apiKey", "api_key", "secret")


def key_in(document: Mapping[str, Any]) -> str:
    """The API key in the answer to its making; empty where there is none."""
    values = (document.get(member) for member in _KEY_MEMBERS)
    return next((value for value in values if isinstance(value, str) and value), "")


def header_of(token: str) -> dict[str, Any]:
    """The JOSE header of a JWT, not verified; empty for what is not a JWT."""
    header: dict[str, Any] = _decode(token).get("header", {})
    return header


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, not verified; empty for what is not a JWT."""
    payload: dict[str, Any] = _decode(token).get("payload", {})
    return payload


@lru_cache(maxsize=4096)  # the same tokens are read again and again, and never changed
def _decode(token: str) -> dict[str, Any]:
    try:
        return dict(jwt.decode_complete(token, options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}


def user_of(claims: dict[str, Any]) -> str:
    """The user that a token's claims name: ``_id`` as in the specification's example."""
    return id_text(claims.get("_id"))


@dataclass(frozen=True)
class Grant:
    """An answer of the token endpoint, read leniently: an absent or mistyped member is empty."""

    exchange: Exchange
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    user: str
    scope: str

    @classmethod
    def of(cls, exchange: Exchange) -> Grant:
        """Read the fields of an answer."""
        document = exchange.document

        def text(name: str) -> str:
            value = document.get(name)
            return value if isinstance(value, str) else ""

        return cls(
            exchange,
            text("token"),
            text("refreshToken"),
            id_text(document.get("user")),
            text("scope"),
        )

    @property
    def claims(self) -> dict[str, Any]:
        """The JWT's claims."""
        return claims_of(self.token)

    @property
    def scopes(self) -> dict[str, object]:
        """The two scopes of the answer, by where they stand."""
        return {"the answer": self.scope, "the JWT": self.claims.get("scope")}

    @property
    def lifetime(self) -> float | None:
        """Seconds from iat to exp; None when the token does not say."""
        return lifetime(self.claims)


@dataclass(frozen=True)
class Caller:
    """Sends requests: an account's user with a token, or an API key of one scope."""

    role: str
    credential: str
    token: str = field(repr=False)
    user: str
    email: str = ""
    session: Grant | None = field(default=None, repr=False)

    @property
    def grant(self) -> Grant:
        """The answer that gave the token; an API key has none."""
        assert self.session is not None, f"{self} did not log in"
        return self.session

    def __str__(self) -> str:
        return f"{self.role} ({self.credential})"

    def may_have_ended(self, exchange: Exchange) -> bool:
        """Whether the token may have lived when a request was asked for, and have ended by the
        answer.

        A request waits for its turn, and as long as a 429 asks. What was refused then was perhaps
        refused for that.
        """
        lifetime = self.session.lifetime if self.session else None
        if self.session is None or lifetime is None:
            return False
        login = self.session.exchange  # its iat may be rounded down by a second
        return (
            exchange.queued < login.finished + lifetime
            and login.started - 1 + lifetime <= exchange.finished
        )

    def continued(self, grant: Grant) -> Caller:
        """The same user with the token of a refresh."""
        return replace(self, token=grant.token, session=grant)
