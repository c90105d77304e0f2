"""Time within a test: waiting and looking at the clock, so that a replay goes the way of the run.

Whatever goes on for another reason than an answer (a pause is over, a thread is done, an alarm
rings) does so at the beginning of a turn of the event loop, and which turn it was is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from rolecall.counting_loop import CountingLoop, next_turn
from rolecall.evidence import memory, recalled
from rolecall.slots import rests

_PAUSE, _THREAD, _ALARM, _NOW = "paused until", "a thread was done", "an alarm rang", "now"
_LONGER = 10  # times that an alarm is set to in a replay, of which it is not known that it rang

P = ParamSpec("P")
R = TypeVar("R")


def this_moment() -> float:
    """The monotonic time, in seconds, for what a test decides by it; in a replay, that of then."""
    moment: float = recalled(_NOW, time.monotonic)
    return moment


async def sleep(seconds: float) -> None:
    """Sleep, and let another test begin meanwhile; in a replay, until the turn of the event loop in
    which the sleeper woke up then.
    """
    with rests():
        await _pause(seconds)


async def let_others_go_on() -> None:
    """Take a turn of the event loop, as `sleep` of no time does, and keep the own place among the
    tests; in a replay, go on in the turn of then, however many turns went before.
    """
    await _pause(0)


async def _pause(seconds: float) -> None:
    if not await _came_as_then(_PAUSE):
        await asyncio.sleep(seconds)
        await _keep_turn(_PAUSE)


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do something in a thread that would hold up the event loop; in a replay, go on in the turn in
    which it was done then.
    """
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    finally:
        if not await _came_as_then(_THREAD):
            await _keep_turn(_THREAD)


@asynccontextmanager
async def alarm(seconds: float, ring: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``ring`` when the block takes longer than this; in a replay, where it rang then."""
    kept, rung = memory(), list[float]()
    until: list[float] | None = kept.recorded(_ALARM) if kept.is_replayed else None
    kept.keep(_ALARM, rung)  # in the order in which alarms are set; filled in when it rings

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        if until and isinstance(loop, CountingLoop):
            await loop.come_to(int(until[0]), until[1])
        else:
            await asyncio.sleep(seconds * (_LONGER if kept.is_replayed else 1))
            rung.extend((await next_turn(), time.monotonic()))
        ring()

    task = asyncio.create_task(wait())
    try:
        yield
    finally:
        task.cancel()


async def _came_as_then(what: str) -> bool:
    """Go on in the turn of then; False where there is none."""
    loop, kept = asyncio.get_running_loop(), memory()
    if not isinstance(loop, CountingLoop) or not (until := kept.recorded(what)):
        return False
    await loop.come_to(*until)
    return True


async def _keep_turn(what: str) -> None:
    """Go on in the next turn, and keep which one it is."""
    kept = memory()
    kept.keep(what, [await next_turn(), time.monotonic()])


def ends_of_pauses(kept: Iterable[tuple[str, Any]]) -> list[float]:
    """When the pauses ended that stand in a test's memory, in monotonic seconds."""
    return [until[1] for what, until in kept if what == _PAUSE]
