"""The time of a replay."""

from __future__ import annotations

import asyncio
import time

from rolecall.evidence import Evidence
from rolecall.memory import Memory
from rolecall.pausing import sleep
from rolecall.replay.moments import Moments, ReplayedLoop


def test_sleeping_takes_no_time() -> None:
    """An hour is over at once, on the loop's clock and on everybody's."""
    moments = Moments(started=1_000_000.0, monotonic=50.0)

    async def story() -> tuple[float, float]:
        await asyncio.sleep(3600)
        return time.monotonic(), time.time()

    real = time.perf_counter()
    with (
        moments.everywhere(),
        asyncio.Runner(loop_factory=lambda: ReplayedLoop(moments)) as runner,
    ):
        monotonic, wall = runner.run(story())
    assert 3650 <= monotonic < 3651
    assert 1_003_600 <= wall < 1_003_601
    assert time.perf_counter() - real < 60


def test_answers_come_in_their_turns() -> None:
    """What takes some turns of the loop after an answer is done before an answer that came after
    as many turns, and after one that came at once.
    """
    moments = Moments(0.0, 0.0)
    loop = ReplayedLoop(moments)
    order: list[str] = []

    async def answered(name: str, turn: int, then: int) -> None:
        await loop.come_to(turn, float(turn))
        order.append(name)
        for _ in range(then):
            await asyncio.sleep(0)
        order.append(f"after {name}")

    async def story() -> None:
        await asyncio.gather(
            answered("late", 110, 0), answered("first", 100, 3), answered("next", 101, 0)
        )

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(story())
    assert order == ["first", "next", "after next", "after first", "late", "after late"]
    assert moments.now >= 110


def test_a_sleeper_wakes_up_where_it_did() -> None:
    """The turn and the moment at which a test woke up are kept, and come again."""
    moments = Moments(0.0, 0.0)
    memory = Memory([("paused until", [40, 7.5])])

    async def story() -> None:
        with Evidence.collect("a test", memory):
            await sleep(1)

    with asyncio.Runner(loop_factory=lambda: ReplayedLoop(moments)) as runner:
        runner.run(story())
    assert moments.now == 7.5


def test_threads_are_not_waited_for() -> None:
    """What is given to a thread is done at once, and its error is raised."""
    moments = Moments(0.0, 0.0)

    def broken() -> None:
        raise KeyError("of the work")

    async def story() -> str:
        try:
            await asyncio.to_thread(broken)
        except KeyError as error:
            return f"{error} after {await asyncio.to_thread(lambda: 'work')}"
        return ""

    with asyncio.Runner(loop_factory=lambda: ReplayedLoop(moments)) as runner:
        assert runner.run(story()) == "'of the work' after work"
    assert moments.now == 0.0
