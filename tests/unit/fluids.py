"""Servers like water: what comes in goes out at a pace, evenly, so that a search of three minutes
is a few sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rolecall.loadgen.capacity.steps import Share, Slice, Step

SLICES, WARM_UP = 20, 1.0


@dataclass
class Fluid:
    """A server that carries ``capacity(second)`` requests a second, with a queue before it; ``now``
    is the virtual time.

    ``refuses``: it turns away with 429 what it does not carry at once. ``erring(rate)`` is the
    share of errors in its good answers. ``wrong`` is the rate from which on it violates what it
    must not, ``most`` what the generator can offer at the most. A request is given up after
    ``patience`` seconds of waiting. ``change`` makes another step of one, by its number.
    """

    capacity: Callable[[float], float]
    refuses: bool = False
    erring: Callable[[float], float] = lambda rate: 0.0
    wrong: float = math.inf
    most: float = math.inf
    patience: float = math.inf
    allowed: float = 0.01
    change: Callable[[int, Step], Step] = lambda number, step: step
    now: float = 0.0
    asked: list[tuple[float, float]] = field(default_factory=list)
    _waiting: float = 0.0

    def clock(self) -> float:
        """Virtual seconds."""
        return self.now

    def measure(self, rate: float, seconds: float) -> Step:
        """Offer a rate, and wait until all is answered, or given up."""
        # Longer than 40 lines because it is a model, step by step.
        self.asked.append((rate, seconds))
        offered, width = min(rate, self.most), seconds / SLICES
        for _ in range(10):
            self._pour(offered, WARM_UP / 10)
        waiting, before, left = round(self._waiting), self._waiting, 0
        totals = [[0.0, 0.0, 0.0, 0.0]]
        for _ in range(SLICES):
            totals.append(
                [
                    sofar + now
                    for sofar, now in zip(totals[-1], self._pour(offered, width), strict=True)
                ]
            )
        whole = [[math.floor(value + 1e-6) for value in row] for row in totals]
        slices = [
            Slice(*(after - sofar for sofar, after in zip(*pair, strict=True)))
            for pair in pairwise(whole)
        ]
        pace = self.capacity(self.now)
        longest = max(before, self._waiting) / pace
        if longest > self.patience:
            left = round((longest - self.patience) * pace)
        self.now += min(self._waiting / pace, self.patience)
        self._waiting = 0.0
        failed, ended = (
            sum(part.failed for part in slices),
            sum(part.ok + part.throttled + part.failed for part in slices),
        )
        step = Step(
            rate,
            seconds,
            slices,
            waiting=waiting,
            p50=0.01,
            p99=0.01 + longest,
            objectives=[Share("errors<1%", failed, ended, self.allowed)],
            violations=int(rate >= self.wrong),
            generator="its core was busy" if rate > self.most else "",
            left=left,
        )
        return self.change(len(self.asked), step)

    def _pour(self, rate: float, seconds: float) -> tuple[float, float, float, float]:
        """What is due and what comes out in so many seconds."""
        due, could = rate * seconds, self.capacity(self.now) * seconds
        self.now += seconds
        done = min(self._waiting + due, could)
        refused = max(due - could, 0.0) if self.refuses else 0.0
        self._waiting += due - done - refused
        failed = done * self.erring(rate)
        return due, done - failed, refused, failed


def steady(rate: float, **settings: Any) -> Fluid:
    """One that carries the same all the time."""
    return Fluid(lambda at: rate, **settings)


def changing(*phases: tuple[float, float], **settings: Any) -> Fluid:
    """One that carries so much from so many seconds on: ``(0, 400), (60, 100)``."""
    return Fluid(
        lambda at: next(rate for begin, rate in reversed(phases) if at >= begin), **settings
    )
