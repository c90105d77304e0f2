"""Answers of a token endpoint, made by hand: all in order unless a test says otherwise."""

from __future__ import annotations

import itertools
import json
from base64 import urlsafe_b64encode
from typing import Any

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.loading import load_specification

USER, OTHER = "599e1fcd9da1c72645c95886", "5f47d86c51755a001dc41b82"
ADA, BEA = (
    LoadAccount("ada@example.org", "Sesame-1", "agent"),
    LoadAccount("bea@example.org", "Sesame-2", "agent"),
)
LOGIN = (
    b"POST /v2/auth/token HTTP/1.1\r\nhost: x\r\ncontent-length: "
    b'52\r\n\r\n{"email":"ada@example.org","password":"Sesame-1"}'
)
HEADER = {"alg": "HS256", "typ": "JWT"}
DAY = 24 * 60 * 60
_numbers = itertools.count(1)


def looking(*, lifetime: int = 24 * 60 * 60, **options: Any) -> Invariants:
    """Invariants under the default readings, but for the lifetime, with a table that tells 65,536
    owners apart.
    """
    spec = load_specification()
    dialect = spec.dialect({"lifetime": lifetime}, "tests")
    return Invariants(
        spec.for_target({}, dialect, "tests"), dialect, Violations(), places=2**18, **options
    )


def found(invariants: Invariants) -> dict[str, int]:
    """The violations, by kind."""
    return dict(invariants.violations.counts)


def segment(document: Any) -> str:
    """A part of a JWT."""
    return urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def claims(user: str = USER, /, **changes: Any) -> dict[str, Any]:
    """The claims of a token, with a jti of its own; ``...`` leaves one out."""
    jti = f"jti-{next(_numbers)}"
    made = {
        "_id": user,
        "scope": "agent",
        "jti": jti,
        "iat": 1_700_000_000,
        "exp": 1_700_000_000 + DAY,
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def jwt(of: dict[str, Any], header: Any = None, signature: str = "c2lnbmF0dXJl") -> str:
    """A token."""
    return f"{segment(HEADER if header is None else header)}.{segment(of)}.{signature}"


def document(user: str = USER, of: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A token answer with a new refresh token; ``...`` leaves a member out."""
    made = {
        "tokenType": "Bearer",
        "token": jwt(of if of is not None else claims(user)),
        "refreshToken": f"{user}.{next(_numbers):080x}",
        "user": user,
        "scope": "agent",
    } | changes
    return {name: value for name, value in made.items() if value is not ...}


def answer(body: Any = None, status: int = 200) -> Response:
    """An answer; a body that is not a text is sent as JSON."""
    content = (
        body
        if isinstance(body, bytes)
        else json.dumps(document() if body is None else body).encode()
    )
    return Response(
        status, b"HTTP/1.1 %d OK\r\ncontent-type: application/json" % status, content, True
    )
