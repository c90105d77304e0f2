"""Time within a test: a replay goes on where, and as, the run did."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import pytest

from rolecall.counting_loop import CountingLoop
from rolecall.evidence import Evidence
from rolecall.memory import Memory
from rolecall.pausing import alarm, in_thread, sleep, this_moment
from rolecall.replay.moments import Moments, ReplayedLoop

T = TypeVar("T")


def run(story: Callable[[], Awaitable[T]], memory: Memory) -> T:
    """Let a test have this story, or have it again."""

    async def told() -> T:
        with Evidence.collect("a test", memory):
            return await story()

    moments = Moments(0.0, 0.0)
    loop = ReplayedLoop(moments) if memory.is_replayed else CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(told())


def twice(story: Callable[[], Awaitable[T]]) -> tuple[T, T]:
    """What comes of a story in a run, and in its replay."""
    memory = Memory()
    then = run(story, memory)
    again = Memory(memory.kept)
    outcome = run(story, again)
    assert again.unknown == ""
    return then, outcome


def test_a_moment_is_that_of_then() -> None:
    """What a test decides by the clock, it decides by the clock of then."""

    async def story() -> float:
        return this_moment()

    then, again = twice(story)
    assert then == again > 0


@pytest.mark.parametrize("takes", [0.0, 5.0], ids=["in-time", "late"])
def test_an_alarm_rings_where_it_rang(takes: float) -> None:
    """An alarm that rang does so again, and one that did not does not, however much later it is."""

    async def story() -> bool:
        rung = asyncio.Event()
        async with alarm(0.01, rung.set):
            if takes:
                await rung.wait()
            elif isinstance(asyncio.get_running_loop(), ReplayedLoop):
                await asyncio.sleep(0.05)
        return rung.is_set()

    assert twice(story) == (bool(takes), bool(takes))


def test_what_a_thread_did_is_gone_on_with_in_its_turn() -> None:
    """Its result and its error come, and other tests are as far as they were then."""

    async def story() -> tuple[list[str], list[str]]:
        steps: list[str] = []

        async def other() -> None:
            for number in range(3):
                await sleep(0.02)
                steps.append(f"other {number}")

        async def threaded() -> None:
            await in_thread(time.sleep, 0.05)
            steps.append("done")
            with pytest.raises(KeyError):
                await in_thread(dict[str, int]().__getitem__, "lacking")
            steps.append("failed")

        await asyncio.gather(other(), threaded())
        return steps, sorted(steps)

    then, again = twice(story)
    assert then == again
    assert then[1] == ["done", "failed", "other 0", "other 1", "other 2"]


@pytest.mark.parametrize("seed", range(5))
def test_tests_that_share_things_meet_each_other_as_they_did(seed: int) -> None:
    """Whatever order chance gave to the steps of many tests, a replay gives them the same one: they
    take locks, wait for each other with alarms, and look at the clock.
    """
    # Longer than 40 lines because the steps of a test stand beside what is expected of them.
    chance = random.Random(seed)  # it opens nothing
    memories: Mapping[int, Memory] = {number: Memory() for number in range(20)}

    async def story(memories: Mapping[int, Memory], *, is_run: bool) -> list[str]:
        steps: list[str] = []
        lock, free = asyncio.Lock(), asyncio.Event()

        async def test(number: int) -> None:
            is_late = False

            def ring() -> None:
                nonlocal is_late
                is_late = True
                free.set()

            with Evidence.collect(f"test {number}", memories[number]):
                for _ in range(4):
                    await sleep(chance.random() / 200 if is_run else 0.0)
                    async with lock:
                        steps.append(f"{number} has it")
                        if this_moment() % 0.001 < 0.0005:
                            await sleep(chance.random() / 1000 if is_run else 0.0)
                    free.set()
                    is_late = False
                    async with alarm(0.001, ring):
                        while not is_late and chance_of(number):
                            free.clear()
                            await free.wait()
                    steps.append(f"{number} goes on{' late' if is_late else ''}")

        def chance_of(number: int) -> bool:
            return (number + len(steps)) % 3 > 0

        await asyncio.gather(*map(test, memories))
        return steps

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        then = runner.run(story(memories, is_run=True))
    replayed = {number: Memory(memory.kept) for number, memory in memories.items()}
    loop = ReplayedLoop(Moments(0.0, 0.0))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        again = runner.run(story(replayed, is_run=False))
    assert again == then
    assert len(then) == 160
