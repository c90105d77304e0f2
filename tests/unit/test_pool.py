"""Users for sessions: a test waits for one that another test has, though not for ever."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rolecall.toolkit.throwaway_users import Pool
from tests.unit.stage import passing

#: So many are lent at once; how long is waited for one (seconds).
AT_ONCE, PATIENCE = 4, 3.0


def idle(*, lent: int, free: int = 0, back_after: float = 0.0) -> tuple[Any, float]:
    """Which user a test gets, and after how many seconds."""

    async def story() -> tuple[Any, float]:
        users: list[Any] = [f"user {number}" for number in range(free)]
        pool, begun = Pool(free=users, lent=lent), time.monotonic()

        async def give_back() -> None:
            await asyncio.sleep(back_after)
            pool.lent -= 1
            back: Any = "the one that came back"
            pool.put(back)

        giving = asyncio.create_task(give_back()) if back_after else None
        user = await pool.idle()
        waited = time.monotonic() - begun
        if giving:
            await giving
        return user, waited

    return passing(story)


@pytest.mark.parametrize(
    ("lent", "free", "user"), [(AT_ONCE, 1, "user 0"), (AT_ONCE - 1, 0, None)], ids=["idle", "few"]
)
def test_where_one_is_idle_or_few_are_lent_nothing_is_waited_for(
    lent: int, free: int, user: object
) -> None:
    """A test gets the one that no test has, or is told at once to make another one."""
    assert idle(lent=lent, free=free) == (user, 0.0)


@pytest.mark.parametrize("lent", [AT_ONCE, AT_ONCE + 3])
def test_one_that_comes_back_is_lent_again(lent: int) -> None:
    """A test that waits gets it as soon as it is there."""
    assert idle(lent=lent, back_after=1.0) == ("the one that came back", 1.0)


def test_after_a_long_wait_another_one_is_made() -> None:
    """Tests that wait for each other's users would wait for ever."""
    user, waited = idle(lent=AT_ONCE, back_after=10.0)
    assert (user, waited) == (None, PATIENCE)
