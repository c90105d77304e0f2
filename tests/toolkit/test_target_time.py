"""Whose clock it is that ends tokens, where a log-in shows two."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.outcomes import NotTested
from rolecall.toolkit.clock import ClockReading
from rolecall.toolkit.target_time import target_time
from tests.support.timed_target import TimedTarget

AN_HOUR = 3600


def asked(timed: TimedTarget) -> ClockReading:
    """The time of the target, by a log-in of the admin's account."""

    async def story() -> ClockReading:
        grant = (await timed.world.user("admin")).grant
        return await target_time(timed.world, grant)

    return asyncio.run(story())


def behind_its_proxy(timed: TimedTarget) -> None:
    """Let its clock be an hour behind that of its Date."""
    timed.offset = -AN_HOUR

    def dated(answer: Exchange) -> None:
        answer.headers = [("date", formatdate(int(timed.now) + AN_HOUR, usegmt=True))]

    timed.login = dated


def gives_again(timed: TimedTarget) -> None:
    """Let a log-in to an account give the token of an hour ago again."""
    given = timed.token_answer("admin", iat=int(timed.now) - AN_HOUR)

    def again(answer: Exchange) -> None:
        answer.body = given

    timed.login = again


async def somebody_new(world: Any, role: str) -> Any:
    """A user made just now, who is given a new token."""
    return SimpleNamespace(caller=await world.fresh_caller(role))


@pytest.mark.parametrize("can_make", [True, False])
def test_a_clock_behind_the_date(
    can_make: bool, timed: TimedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the clock is behind the Date, the iat of another new token shows it."""
    behind_its_proxy(timed)
    if can_make:
        monkeypatch.setattr("rolecall.toolkit.target_time.throwaway_user", somebody_new)

    assert abs(asked(timed).earliest(timed.elapsed) - timed.now) < 3


def test_a_token_that_is_given_again(timed: TimedTarget) -> None:
    """Where an account is given the same token again, the Date is the time."""
    gives_again(timed)

    assert abs(asked(timed).earliest(timed.elapsed) - timed.now) < 3


def test_nothing_else_shows_it(timed: TimedTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody new can log in, and the account not again, the time stays open."""
    gives_again(timed)

    async def no_more(name: str) -> Any:
        raise NotTested("log-ins are used up")

    monkeypatch.setattr(timed.world, "renewed", no_more)

    assert asked(timed).is_vague


def test_no_log_in_more_where_both_agree(timed: TimedTarget) -> None:
    """Where the token and the Date say the same, nobody else is asked."""
    asked(timed)

    assert len(timed.sent) == 1
