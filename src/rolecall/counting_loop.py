"""An event loop that counts its turns, so that a replay can take the same ones.

What goes on after an answer, or a pause, does so at the beginning of a turn of the loop and in the
order in which it came: whatever woke it up, a replay can wake it up at the same place.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class CountingSelector(selectors.DefaultSelector):
    """Counts how often it is asked, once in each turn of the loop, and begins each turn with those
    who wait for one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0
        self.waiting: list[asyncio.Future[None]] = []

    def select(self, timeout: float | None = None) -> list[Any]:
        """What is ready after no more than ``timeout`` seconds."""
        self.turn += 1
        ready = super().select(0 if self.waiting else timeout)
        waiting, self.waiting = self.waiting, []
        for sign in waiting:
            if not sign.done():
                sign.set_result(None)
        return ready


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that knows which turn it is in: what is ready in one turn is done in it, whatever
    comes in meanwhile.
    """

    def __init__(self, selector: CountingSelector | None = None) -> None:
        self._counting = selector or CountingSelector()
        super().__init__(self._counting)

    @property
    def turn(self) -> int:
        """The number of this turn."""
        return self._counting.turn

    async def next_turn(self) -> None:
        """Go on at the beginning of the next turn."""
        sign = self.create_future()
        self._counting.waiting.append(sign)
        await sign

    async def come_to(self, turn: int, moment: float) -> None:
        """Wait for a turn at a monotonic moment; only a replay knows when they are."""
        raise NotImplementedError


async def next_turn() -> int:
    """Go on at the beginning of the next turn of the running loop, and tell its number; at once,
    with 0, where turns are not counted.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, CountingLoop):
        return 0
    await loop.next_turn()
    return loop.turn
