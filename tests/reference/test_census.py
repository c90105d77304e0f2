"""What a census tells of a server: who was logged in too often, in memory."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
import pytest

from rolecall.http import login_budget
from rolecall.reference import census as module
from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK
from tests.support.watched import watched


def counted(tries: Iterable[tuple[str, bool]]) -> list[str]:
    """What a census says after log-ins of the guest, each an e-mail and whether it succeeds."""
    with (
        watched(Settings(scrypt_n=QUICK)) as (one, census),
        httpx.Client(base_url=one.base_url, trust_env=False) as client,
    ):
        guest = one.accounts["guest"]
        for email, is_right in tries:
            password = guest.password if is_right else "wrong"
            client.post(
                "/v2/auth/token", json={"email": email or guest.email, "password": password}
            )
        assert census.damage() == []
    return census.log_ins_beyond_budget()


@pytest.mark.parametrize(
    ("tries", "is_too_much"),
    [
        pytest.param([("", True)] * 15, False, id="fifteen"),
        pytest.param([("", True)] * 16, True, id="sixteen"),
        pytest.param([("", False), ("", False), ("", True)] * 2, False, id="four wrong ones"),
        pytest.param([("", False), ("", True)] * 5, True, id="five wrong ones"),
        pytest.param([("", False)] * 3, True, id="three in a row"),
        pytest.param([("nobody@example.org", False)] * 9, False, id="somebody else"),
    ],
)
def test_log_ins_are_counted(tries: list[tuple[str, bool]], is_too_much: bool) -> None:
    """A census names an account that logs in, or is refused, more often than a run may."""
    assert bool(counted(tries)) == is_too_much


def test_the_budget_is_that_of_a_run() -> None:
    """The census counts by the budget that a run has, without importing it."""
    for name in ("MOST_GRANTED", "MOST_REFUSED", "MOST_IN_A_ROW"):
        assert getattr(module, name) == getattr(login_budget, name)
