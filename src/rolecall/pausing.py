"""Waiting within a test, such that a replay of the run goes on at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from rolecall.counting_loop import CountingLoop, next_turn
from rolecall.evidence import memory

_PAUSE = "paused until"


async def sleep(seconds: float) -> None:
    """Sleep; in a replay, until the turn of the event loop in which the sleeper woke up then."""
    loop, kept = asyncio.get_running_loop(), memory()
    if not isinstance(loop, CountingLoop):
        await asyncio.sleep(seconds)
        return
    if until := kept.recorded(_PAUSE):
        await loop.come_to(*until)
        return
    await asyncio.sleep(seconds)
    kept.keep(_PAUSE, [await next_turn(), round(time.monotonic(), 7)])


def ends_of_pauses(kept: Iterable[tuple[str, Any]]) -> list[float]:
    """When the pauses ended that stand in a test's memory, in monotonic seconds."""
    return [until[1] for what, until in kept if what == _PAUSE]
