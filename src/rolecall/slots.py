"""How many tests are under way at once: one that only lets time pass makes room for another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar


class Slots:
    """A number of tests that may be under way.

    They are given out by one task, which waits for them; a test that rests has its slot back at
    once, so that for a moment a few more may be under way.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._freed = asyncio.Event()

    async def acquire(self) -> None:
        """Wait for a free slot, and take it."""
        while self._free <= 0:
            self._freed.clear()
            await self._freed.wait()
        self._free -= 1

    def release(self) -> None:
        """Give a slot back."""
        self._free += 1
        self._freed.set()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let another test have a slot for as long as this block takes."""
        self.release()
        try:
            yield
        finally:
            self._free -= 1


_held: ContextVar[Slots | None] = ContextVar("held", default=None)


@contextmanager
def lending(slots: Slots) -> Iterator[None]:
    """In this block, whoever `rests` lends a slot of these."""
    token = _held.set(slots)
    try:
        yield
    finally:
        _held.reset(token)


def rests() -> AbstractContextManager[None]:
    """Lend the slot of the test at hand, if it has one to lend, while it only waits."""
    slots = _held.get()
    return slots.lent() if slots else nullcontext()
