"""The pause after many wrong guesses in a row, for the user concerned alone."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rolecall.reference.clock import Clock
from rolecall.reference.errors import Refusal

MOST_WRONG = 100
"""In a row, as NIST SP 800-63B, 5.2.2 has it; far more than anybody mistypes, and than a test run
gets wrong.
"""
PAUSE = 30.0
"""Seconds; after them each further wrong guess begins another pause, until one is right."""
MOST_KNOWN = 10_000


@dataclass
class Guesses:
    """What is remembered of one who guesses."""

    wrong: int = 0
    paused_until: float = 0.0


class LockoutPolicy:
    """Counts wrong guesses by what was asked for, so unknown names are answered like known ones."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._guesses: OrderedDict[str, Guesses] = OrderedDict()

    @contextmanager
    def guess(self, at: str) -> Iterator[None]:
        """One guess: not looked at during a pause, counted if it is refused, and the end of the
        counting if it is right.
        """
        pause = self._guesses.get(at, Guesses()).paused_until - self.clock.now()
        if pause > 0:
            raise Refusal(429, "Too many wrong guesses", {"Retry-After": str(math.ceil(pause))})
        try:
            yield
        except Refusal:
            self.wrong(at)
            raise
        self._guesses.pop(at, None)

    def wrong(self, at: str) -> None:
        """A guess was wrong."""
        guesses = self._guesses.setdefault(at, Guesses())
        self._guesses.move_to_end(at)
        guesses.wrong += 1
        if guesses.wrong >= MOST_WRONG:
            guesses.paused_until = self.clock.now() + PAUSE
        if len(self._guesses) > MOST_KNOWN:
            self._guesses.popitem(last=False)
