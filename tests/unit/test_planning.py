"""What a plan says of exchanges in memory: requests, writes, log-ins and time."""

from __future__ import annotations

import json

import pytest

from rolecall.evidence import Exchange
from rolecall.harness.planning import Duration, log_ins
from rolecall.target import Account
from tests.support.exchanges import exchange

TOKEN = "http://target.example/v2/auth/token"


def log_in(email: str, status: int = 200) -> Exchange:
    """A log-in that was answered so."""
    body = json.dumps({"email": email, "password": "secret"}).encode()
    return exchange("POST", TOKEN, request_body=body, status=status)


def at(*moments: tuple[float, float]) -> list[Exchange]:
    """Exchanges from one moment to another, in seconds."""
    return [exchange(started=100 + begin, finished=100 + end) for begin, end in moments]


def test_log_ins_by_account() -> None:
    """Log-ins are counted by the account whose address they try; a refresh is none."""
    refresh = exchange("POST", TOKEN, request_body=b'{"refreshToken": "x"}')
    accounts = [Account(role, role, f"{role}@example.org", "p") for role in ("guest", "admin")]
    sent = [
        log_in("guest@example.org"),
        log_in("Guest@example.org"),
        log_in("guest@example.org", 401),
        log_in("rolecall.made@example.org"),
        refresh,
    ]

    assert log_ins(sent, accounts) == {
        "guest": {"granted": 2, "refused": 1},
        "admin": {"granted": 0, "refused": 0},
        "(made by the run, or unknown)": {"granted": 1, "refused": 0},
    }


@pytest.mark.parametrize(
    ("rate", "seconds"), [(20.0, 42.0), (1.0, 840.0), (0.5, 1640.0), (0.0, 5.0)]
)
def test_time_by_the_rate(rate: float, seconds: float) -> None:
    """At a rate limit the permits say how long it takes, without one the requests in flight."""
    sent = at(*[(0.0, 0.01)] * 800)

    assert Duration.of(sent, [], rate, 8).seconds == pytest.approx(seconds)


def test_pauses_are_added() -> None:
    """Time that a test let pass while no request was in flight is added; slowness is not."""
    sent = at((0, 1), (0.5, 2), (7, 8), (8.1, 9), (12, 13))
    woken = [106.9, 108.05]  # before the third and the fourth; the fifth was late by itself

    plain, paused = (Duration.of(sent, moments, 20.0, 8).seconds for moments in ([], woken))

    assert paused - plain == pytest.approx(5.0)
