"""An event loop that counts its turns, so that a replay can take the same ones."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class CountingSelector(selectors.DefaultSelector):
    """Counts how often it is asked: once in each turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        """What is ready after no more than ``timeout`` seconds."""
        self.turn += 1
        return super().select(timeout)


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that knows which turn it is in: things of one turn are done one right after the other,
    whatever comes in meanwhile.
    """

    def __init__(self, selector: CountingSelector | None = None) -> None:
        self._counting = selector or CountingSelector()
        super().__init__(self._counting)

    @property
    def turn(self) -> int:
        """The number of this turn."""
        return self._counting.turn

    async def come_to(self, turn: int, moment: float) -> None:
        """Wait for a turn at a monotonic moment; only a replay knows when they are."""
        raise NotImplementedError
