"""Damaged and invented tokens and ids, and secrets in errors, in memory."""

from __future__ import annotations

import asyncio
import html
import json
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.test_secrecy import readable, tells
from conformance.test_secrecy import test_errors_tell_no_secrets as errors_tell_no_secrets
from conformance.test_token_signature import DAMAGES
from rolecall.jwt_forging import Parts
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.spec.ids import unused_id
from rolecall.toolkit.refresh_tokens import never_issued
from tests.support.exchanges import exchange

# --- Tokens and ids ----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["last-byte-changed", "signature-cut-in-half"])
def test_a_token_without_a_signature_has_none_to_damage(damage: str) -> None:
    """An unsigned token is another requirement's finding; the damage to it is inconclusive or none,
    and breaks nothing here.
    """
    parts = Parts.of("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.")

    try:
        token = DAMAGES[damage](parts)
    except Inconclusive as reason:
        assert "a signature to change" in str(reason)
    else:
        assert token == f"{parts.head}.{parts.body}.{parts.signature}", (
            "the test says so: nothing was damaged"
        )


def test_a_signature_that_is_no_base64_is_nothing_to_tamper_with() -> None:
    """A third part that cannot be decoded is reported as such, and is not a bug of ours."""
    with pytest.raises(Inconclusive, match="not base64url"):
        Parts.of("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.a").with_last_byte_changed()


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJfaWQiOiI1OTllIn0.q83vEjRWeJCrze8SNFZ4kA"


@pytest.mark.parametrize(
    ("token", "user", "kept"),
    [
        ("599e.0123abcd", "599e", "599e."),
        ("0123abcd.599e", "599e", ".599e"),
        ("0123abcd", "599e", ""),
        ("xyzxyz.xyz", "599e", "."),
        (JWT, "599e", "eyJhbGciOiJIUzI1NiJ9.eyJfaWQiOiI1OTllIn0."),
    ],
)
def test_an_unknown_refresh_token_looks_like_a_known_one(token: str, user: str, kept: str) -> None:
    """The secret of a refresh token is moved wherever it stands, and its user's id or its claims
    are kept.
    """
    other = never_issued(token, user)

    assert other != token
    assert len(other) == len(token)
    assert kept in other


def test_a_refresh_token_of_which_no_other_can_be_made() -> None:
    """A refresh token that cannot be altered is inconclusive."""
    with pytest.raises(Inconclusive, match="digits or letters"):
        never_issued("---.___", "599e")


@pytest.mark.parametrize(
    "id", ["7", "599e1fcd9da1c72645c95886", "2D4A6C1E-93B7-4F52-8A10-7C3D5E9F1B24", "user-12", ""]
)
def test_an_unused_id_is_another(id: str) -> None:
    """It looks like the one it was made of and is another; short ones, which may count up, become
    longer than any counter.
    """
    other = unused_id(id)

    assert other != id
    assert len(other) == max(len(id), 16)
    assert id[:8] == other[:8] or len(id) < 16
    assert other.isdigit() or not id.isdigit()


# --- Secrets in errors -------------------------------------------------------------------------

PASSWORD = "Sesam&Oeffne<dich>4'2+\U0001f511"
#: How an error may spell the password: as writers of JSON and HTML do, and as one of them within
#: another.
SPELLED: dict[str, str] = {
    "plainly": json.dumps({"message": PASSWORD}, ensure_ascii=False),
    "in-ascii": json.dumps({"message": PASSWORD}),
    "as-go-does": json.dumps({"message": PASSWORD})
    .replace("&", "\\u0026")
    .replace("<", "\\u003c")
    .replace(">", "\\u003e"),
    "as-dotnet-does": '{"m":"Sesam\\u0026Oeffne\\u003Cdich\\u003E4\\u00272\\u002B\\uD83D\\uDD11"}',
    "every-character": '{"m":"'
    + "".join(f"\\u{ord(c):04x}" for c in "Sesam&Oeffne<dich>4'2+")
    + '\\ud83d\\udd11"}',
    "as-html": f"<p>{html.escape(PASSWORD).replace('&#x27;', '&#39;')}</p>",
    "html-in-json": json.dumps(
        {"message": PASSWORD.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    ),
    "json-in-json": json.dumps({"message": json.dumps({"password": PASSWORD})}),
    "cut-off-json": json.dumps({"message": PASSWORD})[:-2],
    "in-a-member's-name": json.dumps({PASSWORD: "is wrong"}),
    "percent-encoded": json.dumps(
        {"url": "?password=Sesam%26Oeffne%3Cdich%3E4%272%2B%F0%9F%94%91"}
    ),
}


@pytest.mark.parametrize("case", SPELLED)
def test_an_error_tells_a_password_however_it_is_spelled(case: str) -> None:
    """What a reader of the answer would read as the password is the password."""
    assert tells(readable(exchange(status=400, body=SPELLED[case].encode())), PASSWORD)


@pytest.mark.parametrize("case", SPELLED)
def test_a_password_in_an_error_is_a_finding(case: str) -> None:
    """SEC-I14 holds it against the target that an error repeats the password of its request,
    however it is spelled.
    """
    asked = json.dumps({"email": "guest@example.org", "password": PASSWORD}).encode()
    login = exchange("POST", status=200, request_body=asked, body=b"{}")
    error = exchange("POST", status=400, request_body=asked, body=SPELLED[case].encode())
    answers: Any = SimpleNamespace(all=lambda: [login, error])
    world: Any = SimpleNamespace(target=SimpleNamespace(secrets=[]))

    with pytest.raises(Finding, match="400 with the password of its request in it"):
        asyncio.run(errors_tell_no_secrets(answers, world))


def test_errors_without_bodies_tell_nothing() -> None:
    """A target whose errors have no bodies repeats nothing; one that never erred was not tested."""
    world: Any = SimpleNamespace(target=SimpleNamespace(secrets=[]))
    wordless: Any = SimpleNamespace(all=lambda: [exchange(status=403)])
    flawless: Any = SimpleNamespace(all=lambda: [exchange(status=200)])

    asyncio.run(errors_tell_no_secrets(wordless, world))
    with pytest.raises(NotTested, match="no error"):
        asyncio.run(errors_tell_no_secrets(flawless, world))


def test_an_error_that_tells_nothing() -> None:
    """A text that only resembles the password does not tell it, and neither does none at all."""
    for body in (
        b"",
        b"Sesam&Oeffne",
        json.dumps({"message": "invalid"}).encode(),
        b"\\u00",
        b"&#;",
    ):
        assert not tells(readable(exchange(status=400, body=body)), PASSWORD)
