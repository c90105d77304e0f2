"""Passwords and their hashes are found in answers, in memory."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.test_passwords import test_no_answer_holds_a_password as no_answer_holds_a_password
from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, NotTested
from rolecall.toolkit.passwords import hash_in_text, hashes_in, spellings
from tests.support.exchanges import exchange

PASSWORD = "Sesam&Oeffne<dich>42"
#: Members that hold what is kept of a password, or one itself.
TELLING: dict[str, Any] = {
    "password": {"password": "Sesam-Oeffne-dich-42"},
    "passwordHash": {"passwordHash": "d41d8cd98f00b204e9800998ecf8427e"},
    "hashed_password": {"hashed_password": "d41d8cd98f00b204e9800998ecf8427e"},
    "in-a-list": [{"id": "1"}, {"auth": {"password_digest": "d41d8cd98f00b204"}}],
    "hash-of-a-user": {"auth": {"local": {"hash": "d41d8cd98f00b204e9800998ecf8427e"}}},
    "bcrypt-by-any-name": {
        "secretThing": "$2b$12$wNuQEDRtqtqjdHyKy9pPwoaUcDjNxWHvZKNDRYeggWzSg7YcHaYLy"
    },
    "argon2": {"x": "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$hash"},
    "django": {"x": "pbkdf2_sha256$600000$salt$hash"},
    "ldap": {"x": "{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr"},
}
#: Members that a good server may show.
HARMLESS: dict[str, Any] = {
    "stars": {"password": "********"},
    "nothing": {"password": "", "passwordHash": None},
    "in-brackets": {"password": "<not shown>"},
    "a-date": {"passwordChangedAt": "2026-11-26T07:00:00.000Z"},
    "a-flag": {"hasPassword": True, "passwordResetRequired": False},
    "a-policy": {"passwordPolicy": "twelve characters of four kinds"},
    "hash-of-a-picture": {"avatarHash": "d41d8cd98f00b204e9800998ecf8427e"},
    "a-price": {"price": "$12.50", "note": "$5 off"},
    "a-short-hash": {"hash": "#top"},
    "a-token": {
        "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
        "refreshToken": "599e1fcd.28167e54e423275c0d94",
    },
}


@pytest.mark.parametrize("case", TELLING)
def test_what_is_kept_of_a_password_is_seen(case: str) -> None:
    """A password, its hash or its salt in a user's answer is seen by its name or by its form,
    wherever it stands.
    """
    assert list(hashes_in(TELLING[case], of_user=True))


@pytest.mark.parametrize("case", HARMLESS)
def test_what_tells_nothing_is_nothing(case: str) -> None:
    """Stars, dates, flags and hashes of other things are no passwords."""
    assert list(hashes_in(HARMLESS[case], of_user=True)) == []


def test_a_hash_of_something_else_is_no_users() -> None:
    """A member called hash is one of a password only where a user has it: a file's hash is
    its own.
    """
    assert list(hashes_in({"hash": "d41d8cd98f00b204e9800998ecf8427e"}, of_user=False)) == []


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("no match for $2y$10$wNuQEDRtqtqjdHyKy9pPwoaUcDjNxWHvZKNDRYeggWzSg7YcHaYLy.", "$2y$10$"),
        ("is $argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub", "$argon2id$"),
        ("got pbkdf2_sha256$600000$salt$aGFzaGhhc2g=", "pbkdf2_sha256$"),
        ("scrypt:16384$5f3a9c$0123456789abcdef", "scrypt:16384$"),
        (f"$6$rounds=5000$salt${'a' * 86}", "$6$"),
        ("what is kept is $2b$12$..., or pbkdf2_sha256$", ""),
        ("it costs $5 to $6$, not $2a$", ""),
    ],
)
def test_a_hash_in_the_words_of_a_refusal(text: str, begins: str) -> None:
    """A whole hash is known anywhere in a text; the names of the functions alone are none."""
    assert hash_in_text(text) == begins


def judged(*answers: Exchange) -> None:
    """The requirement over these answers."""
    responses: Any = SimpleNamespace(all=lambda: list(answers))
    account = SimpleNamespace(password="hunter2-of-the-file")

    async def user(role: str) -> None:
        raise NotTested("a server that could be asked")

    world: Any = SimpleNamespace(
        target=SimpleNamespace(accounts={"guest": account}), highest="admin", user=user
    )
    asyncio.run(no_answer_holds_a_password(responses, world))


def made(body: Any) -> Exchange:
    """The answer to a create of a user with the password."""
    sent = json.dumps({"email": "guest@example.org", "password": PASSWORD}).encode()
    return exchange("POST", status=201, request_body=sent, body=json.dumps(body).encode())


@pytest.mark.parametrize("spelled", sorted(spellings(PASSWORD)))
def test_a_password_that_was_sent_is_a_finding(spelled: str) -> None:
    """The password of a create in its answer, or in a later one, is held against the target,
    however JSON or HTML spell it.
    """
    later = exchange(status=200, body=b'[{"note":"' + spelled.encode() + b'"}]')

    with pytest.raises(Finding, match="a password that was sent"):
        judged(made({"id": "1"}), later)


def test_the_accounts_own_password_is_a_finding() -> None:
    """A password of the target file in any answer is held against the target."""
    with pytest.raises(Finding, match="a password that was sent"):
        judged(exchange(status=200, body=b'{"id":"1","note":"hunter2-of-the-file"}'))


def test_a_hash_is_a_finding() -> None:
    """A hash in the answer to a fetch of a user is held against the target, by the member's
    name.
    """
    with pytest.raises(Finding, match="'passwordHash'"):
        judged(made({"id": "1", "passwordHash": "d41d8cd98f00b204e9800998ecf8427e"}))


def test_answers_without_passwords_pass() -> None:
    """A password in an error is another requirement's matter; answers without one pass."""
    judged(made({"id": "1"}), exchange(status=400, body=PASSWORD.encode()))
