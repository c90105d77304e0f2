"""What a token says of its times: read once, and leniently, whatever a server may have written."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding
from rolecall.spec.claims import lifetime, numeric_date
from rolecall.tokens import Caller, Grant
from rolecall.toolkit import token_judge
from rolecall.toolkit.expectations import expect_no_more_than
from rolecall.toolkit.token_judge import TokenJudge
from rolecall.toolkit.world import World
from tests.support.exchanges import exchange
from tests.support.token_answers import (
    ADA,
    DAY,
    LOGIN,
    USER,
    answer,
    claims,
    document,
    found,
    looking,
)

HUGE = 10**400
#: What JSON may hold in place of an instant.
NO_INSTANTS = {
    "huge": HUGE,
    "infinite": float("inf"),
    "not-a-number": float("nan"),
    "2-to-the-53": 2**53,
    "negative": -1,
    "true": True,
    "text": "1700000000",
    "null": None,
    "list": [1_700_000_000],
}


def granted(of: dict[str, Any]) -> Exchange:
    """An answer of the token endpoint with these claims."""
    return exchange(
        "POST", "http://target.example/v2/auth/token", body=json.dumps(document(of=of)).encode()
    )


@pytest.mark.parametrize("value", [0, 1_700_000_000, 1_700_000_000.25, 2**53 - 1])
def test_an_instant_is_read(value: float) -> None:
    """A number of seconds, with or without a fraction, is the instant that it says."""
    assert numeric_date({"exp": value}, "exp") == value


@pytest.mark.parametrize("value", NO_INSTANTS.values(), ids=NO_INSTANTS)
def test_what_is_no_instant_is_none(value: object) -> None:
    """Anything that one cannot calculate with is not an instant, and a token with it has no
    lifetime.
    """
    assert numeric_date({"exp": value}, "exp") is None
    assert lifetime({"iat": 1_700_000_000.5, "exp": value}) is None
    assert lifetime({"iat": value, "exp": 1_700_000_000.5}) is None


def test_a_lifetime_may_have_a_fraction() -> None:
    """Iat and exp with fractions (RFC 7519 2) give a lifetime."""
    assert lifetime({"iat": 1_700_000_000.25, "exp": 1_700_086_400.75}) == 86400.5


def test_a_huge_exp_is_more_than_was_asked_for() -> None:
    """A token that says an end of 400 digits lives longer than any other: that is a finding, and
    breaks nothing.
    """
    worth = granted(claims(jti=...))

    with pytest.raises(Finding, match="actual:   it has no end"):
        expect_no_more_than(Grant.of(worth), granted(claims(jti=..., exp=HUGE)))


#: Days that tokens live: after a log-in, a plain refresh and an attack; and whether that is held
#: against the attack.
LIVES = {
    "as-after-a-log-in": (1, 30, 1, False),
    "as-after-a-refresh": (1, 30, 30, False),
    "longer-than-after-a-refresh": (1, 30, 3650, True),
    "longer-than-after-both": (1, 1, 30, True),
    "refresh-shorter": (1, 0, 1, False),
}


@pytest.mark.parametrize("case", LIVES)
def test_a_refreshed_token_lives_as_after_a_plain_refresh(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an attack on a refresh got lives too long where it outlives both a log-in's token and
    one of a plain refresh.
    """
    log_in, plain, attack, blamed = LIVES[case]

    def living(days: int) -> Exchange:
        return granted(claims(jti=..., exp=1_700_000_000 + days * DAY))

    async def refresh_by(*words: object, **options: object) -> Exchange:
        return living(plain)

    session = Caller("agent", "token", "", USER, session=Grant.of(living(log_in)))
    monkeypatch.setattr(token_judge, "fresh_session", AsyncMock(return_value=session))
    judge = TokenJudge(cast(World, SimpleNamespace(tokens=SimpleNamespace(refresh_by=refresh_by))))

    with (
        pytest.raises(Finding, match=re.escape(f"actual:   {attack * DAY} s"))
        if blamed
        else nullcontext()
    ):
        asyncio.run(judge.expect_refresh_at_most(living(attack), session, "post"))


@pytest.mark.parametrize("claim", ["iat", "exp"])
def test_a_huge_instant_under_load(claim: str) -> None:
    """A token whose iat or exp has hundreds of digits is a violation, and the load run goes on."""
    invariants = looking()
    assert (
        invariants.logged_in(
            invariants.log_in(ADA), answer(document(of=claims(**{claim: HUGE}))), LOGIN
        )
        is None
    )

    assert found(invariants) == {"jwt": 1}
