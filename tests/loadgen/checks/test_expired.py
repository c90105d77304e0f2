"""Sources of expired tokens under load, in memory, and lawful reasons to refuse one."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jwt
import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.expired import BANK, CLOCK, KEY, MARGIN, ExpiredTokens, Kept, Left
from rolecall.loadgen.checks.sessions import Harmless, Holder, LoginSession, SessionGrant
from rolecall.target import ExpiryOptions
from rolecall.token_bank import BankedToken

URL = "http://127.0.0.1:8080"
SECRET = "a key that is long enough for HS256, and then some"
DAY = 86400
NOW = int(time.time())
ACCOUNT = LoadAccount("guest@example.org", "Sesame-1", "guest")


def grant(*, lifetime: int = DAY, lone: bool = False, shared: bool = False) -> SessionGrant:
    """What a guest holds."""
    claims = {"_id": "u1", "scope": "guest", "jti": "j1", "iat": NOW, "exp": NOW + lifetime}
    session = LoginSession(Holder(ACCOUNT, Harmless(), lone=lone, shared=shared))
    session.opened()
    return SessionGrant(
        jwt.encode(claims, SECRET, "HS256"),
        "r",
        "u1",
        session,
        0,
        session.sent,
        lifetime,
        0,
        sound=True,
    )


def let_in(seen: list[str], *, answer: bool = True) -> Callable[[SessionGrant, str], bool]:
    """Notes what is tried."""

    def protected_request(grant: SessionGrant, token: str) -> bool:
        seen.append(token)
        return answer

    return protected_request


def ways(
    tokens: ExpiredTokens, held: SessionGrant | None = None, *, answer: bool = True
) -> list[tuple[str, str]]:
    """The sources for a guest who is logged in."""
    return tokens.ways({"guest": held or grant()}, let_in([], answer=answer))


def claims(token: str) -> dict[str, Any]:
    """What a token says, whose signature is right."""
    found: dict[str, Any] = jwt.decode(token, SECRET, ["HS256"], options={"verify_exp": False})
    return found


# --- The signing key ---------------------------------------------------------------------------


def test_made_with_the_key() -> None:
    """A token like the live one that ended more than a minute ago; one made alike that has not
    ended was let in before.
    """
    tokens, held = ExpiredTokens(ExpiryOptions(signing_key=SECRET), URL), grant()
    seen: list[str] = []

    assert tokens.ways({"guest": held}, let_in(seen)) == [(KEY, "guest")]
    presented = tokens.present(KEY, "guest", held, lambda email: None)

    (canary,) = map(claims, seen)
    made, live = claims(presented.token), claims(held.token)
    assert canary["iat"] < live["iat"]
    assert canary["exp"] > NOW
    assert made["exp"] < NOW - MARGIN
    assert made["exp"] - made["iat"] == DAY
    assert {name: made[name] for name in ("_id", "scope", "jti")} == {
        name: live[name] for name in ("_id", "scope", "jti")
    }
    assert tokens.present(KEY, "guest", held, lambda email: None).token == presented.token
    assert tokens.why_not == []


def test_made_anew_for_a_new_session() -> None:
    """After a log-in of the role the token is made from the new one, whose session is alive."""
    tokens = ExpiredTokens(ExpiryOptions(signing_key=SECRET), URL)
    first, second = grant(), grant(lifetime=DAY + 7)

    made = [
        claims(tokens.present(KEY, "guest", held, lambda email: None).token)
        for held in (first, second)
    ]

    assert [claims["exp"] - claims["iat"] for claims in made] == [DAY, DAY + 7]


def test_the_canary_of_short_lives() -> None:
    """Where tokens live for three seconds, the one that has to be let in has not ended either."""
    seen: list[str] = []
    ExpiredTokens(ExpiryOptions(signing_key=SECRET), URL).ways(
        {"guest": grant(lifetime=3)}, let_in(seen)
    )

    assert [claims(token)["exp"] - NOW for token in seen] == [2]


@pytest.mark.parametrize(
    ("expiry", "answer", "said"),
    [
        (
            ExpiryOptions(signing_key=SECRET),
            False,
            "the target does not take tokens made with the key",
        ),
        (
            ExpiryOptions(signing_key=SECRET, algorithm="RS256"),
            True,
            "does not fit the algorithm RS256",
        ),
        (
            ExpiryOptions(),
            True,
            (
                "the target file names no source of them; give bank, signing_key_env or clock_url "
                "under [expiry]"
            ),
        ),
        (
            ExpiryOptions(clock_url=f"{URL}/__clock"),
            True,
            "the clock is moved by the rolecall load that begins a run",
        ),
        (
            ExpiryOptions(command="./expired {role}"),
            True,
            "command and wait under [expiry] are for certify only",
        ),
        (ExpiryOptions(wait=60), True, "command and wait under [expiry] are for certify only"),
    ],
)
def test_no_way(expiry: ExpiryOptions, answer: bool, said: str) -> None:
    """Without a source, the reason says what to do, and does not repeat the key."""
    tokens = ExpiredTokens(expiry, URL)

    assert ways(tokens, answer=answer) == []
    (why,) = tokens.why_not
    assert said in why
    assert SECRET not in why


def test_nobody_to_ask() -> None:
    """Without a log-in the key is not tried."""
    tokens = ExpiredTokens(ExpiryOptions(signing_key=SECRET), URL)

    assert tokens.ways({}, let_in([])) == []
    assert tokens.why_not == ["no role is logged in"]


# --- The bank ----------------------------------------------------------------------------------


def bank(folder: Path, *expires: float, url: str = URL, role: str = "guest") -> ExpiredTokens:
    """A bank with tokens that end so many seconds from now."""
    rows = [
        asdict(BankedToken(url, role, "u1", ACCOUNT.email, NOW + moment, f"token {moment:g}", ""))
        for moment in expires
    ]
    folder.chmod(0o700)
    file = folder / "tokens.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(rows), encoding="utf-8")
    return ExpiredTokens(ExpiryOptions(bank=folder), URL)


def test_from_the_bank(tmp_path: Path) -> None:
    """Of the tokens that have certainly ended the newest is taken."""
    tokens = bank(tmp_path, -DAY, -MARGIN - 5, -MARGIN + 5, 60)

    assert ways(tokens) == [(BANK, "guest")]
    assert (
        tokens.present(BANK, "guest", grant(), lambda email: None).token == f"token {-MARGIN - 5:g}"
    )


@pytest.mark.parametrize(
    ("url", "role", "expires"),
    [("http://127.0.0.1:1", "guest", -DAY), (URL, "guest", DAY)],
    ids=["another's", "good yet"],
)
def test_nothing_in_the_bank(tmp_path: Path, url: str, role: str, expires: float) -> None:
    """Where it holds none of this target that has ended, it is said when it will."""
    tokens = bank(tmp_path, expires, url=url, role=role)

    assert ways(tokens) == []
    assert "run rolecall certify today, and this tomorrow" in tokens.why_not[0]


def test_a_bank_that_is_none(tmp_path: Path) -> None:
    """One that cannot be used is said, and ends no run."""
    tokens = bank(tmp_path, -DAY)
    (tmp_path / "tokens.json").chmod(0o644)

    assert ways(tokens) == []
    assert "others may read this token bank" in tokens.why_not[0]


# --- What the clock has left -------------------------------------------------------------------


def test_what_the_clock_has_left(tmp_path: Path) -> None:
    """It goes through a file for its owner alone, and is what it was."""
    left, file = (
        Left((Kept("guest", "u1", ACCOUNT.email, "a token"),), ("no other",)),
        tmp_path / "left.json",
    )
    left.write(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Left.read(file) == left
    tokens = ExpiredTokens(ExpiryOptions(clock_url=f"{URL}/__clock"), URL, left)
    assert ways(tokens) == [(CLOCK, "guest")]
    assert tokens.why_not == ["no other"]
    assert "a token" not in repr(left)


@pytest.mark.parametrize("text", ["", "[]", '{"tokens": [{"role": 1}], "why_not": []}'])
def test_a_file_of_something_else(tmp_path: Path, text: str) -> None:
    """A file of something else is refused, and its content not repeated."""
    file = tmp_path / "left.json"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match="not a file of expired tokens"):
        Left.read(file)


# --- Who is excused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lone", "shared", "since", "excused"),
    [
        (False, False, False, False),
        (False, False, True, True),
        (True, False, False, True),
        (False, True, False, True),
    ],
    ids=["nothing", "a log-in since", "one session for each user", "another process"],
)
def test_a_session_that_may_have_been_ended(
    tmp_path: Path, lone: bool, shared: bool, since: bool, excused: bool
) -> None:
    """A 401 for a token of the bank is explained only by what may have ended its session since it
    was answered as expired.
    """
    tokens = bank(tmp_path, -DAY)
    held = grant(lone=lone, shared=shared)
    ways(tokens, held)
    first = tokens.present(BANK, "guest", held, lambda email: held.session.holder)
    assert first.may_be_refused  # a log-in of the account goes before it
    first.seen()
    if since:
        LoginSession(held.session.holder)

    assert (
        tokens.present(BANK, "guest", held, lambda email: held.session.holder).may_be_refused
        is excused
    )


def test_an_account_that_is_not_known(tmp_path: Path) -> None:
    """Who else logs in as an account that this process does not is not known."""
    tokens = bank(tmp_path, -DAY)
    ways(tokens)

    assert tokens.present(BANK, "guest", grant(), lambda email: None).may_be_refused


def test_a_made_token_lives_with_its_session() -> None:
    """A token made from one whose session may have been ended by another log-in may be refused for
    that.
    """
    tokens, held = ExpiredTokens(ExpiryOptions(signing_key=SECRET), URL), grant()
    presented = tokens.present(KEY, "guest", held, lambda email: None)

    assert not presented.may_be_refused
    LoginSession(held.session.holder)
    assert presented.may_be_refused
