"""Time within a test: a replay goes on where, and as, the run did."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from rolecall.counting_loop import CountingLoop
from rolecall.evidence import Evidence
from rolecall.memory import Memory
from rolecall.pausing import alarm, in_thread, sleep, this_moment
from rolecall.replay.moments import Moments, ReplayedLoop
from tests.support.servers import ROOT

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


class Bustle:
    """Tests that take locks, wait for each other with alarms, and look at the clock.

    Args:
        memories: one for each test.
        chance: what decides how long they pause; None in a replay.
    """

    def __init__(self, memories: list[Memory], chance: random.Random | None) -> None:
        self.steps: list[str] = []
        self._memories, self._chance = memories, chance

    async def play(self) -> list[str]:
        """The steps that all of them took, in their order."""
        self._lock, self._free = asyncio.Lock(), asyncio.Event()
        await asyncio.gather(*map(self._test, range(len(self._memories))))
        return self.steps

    async def _pause(self, most: float) -> None:
        await sleep(most * self._chance.random() if self._chance else 0.0)

    async def _test(self, number: int) -> None:
        with Evidence.collect(f"test {number}", self._memories[number]):
            for _ in range(4):
                await self._pause(0.005)
                async with self._lock:
                    self.steps.append(f"{number} has it")
                    if this_moment() % 0.001 < 0.0005:
                        await self._pause(0.001)
                self._free.set()
                await self._wait(number)

    async def _wait(self, number: int) -> None:
        is_late = False

        def ring() -> None:
            nonlocal is_late
            is_late = True
            self._free.set()

        async with alarm(0.001, ring):
            while not is_late and (number + len(self.steps)) % 3:
                self._free.clear()
                await self._free.wait()
        self.steps.append(f"{number} goes on{' late' if is_late else ''}")


@pytest.mark.parametrize("seed", range(5))
def test_tests_that_share_things_meet_each_other_as_they_did(seed: int) -> None:
    """Whatever order chance gave to the steps of many tests, a replay gives them the same one."""
    chance = random.Random(seed)  # it opens nothing
    memories = [Memory() for _ in range(20)]
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        then = runner.run(Bustle(memories, chance).play())

    again = [Memory(memory.kept) for memory in memories]
    loop = ReplayedLoop(Moments(0.0, 0.0))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(Bustle(again, None).play()) == then
    assert len(then) == 160


#: What goes on in a turn of the event loop that no replay knows.
_BY_OTHER_MEANS = re.compile(
    r"asyncio\.(?:sleep|timeout|timeout_at|to_thread|wait|wait_for|as_completed)\b|call_later"
)


@pytest.mark.parametrize("folder", ["conformance", "src/rolecall/toolkit"])
def test_tests_wait_by_no_other_means(folder: str) -> None:
    """What tests share with each other they share in an order that a replay takes again."""
    by_other_means = {
        (path.name, found)
        for path in (ROOT / folder).rglob("*.py")
        for found in _BY_OTHER_MEANS.findall(path.read_text(encoding="utf-8"))
    }
    # A server of ours, of which a replay has none.
    assert by_other_means <= {("callback_server.py", "asyncio.wait_for")}
