"""Servers whose capacity is not what it seems in a few seconds: they limit, warm up, collapse,
pause, err or change their mind.

Each is a function of the virtual time and of what was asked of it, without sockets;
`tests.support.queues.Bench` puts it under load. The sustained rate of each is known by
construction, and `KINDS` lists them: what a search for the capacity has to get right, or must admit
that it cannot say.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.queues import Answer, Line, Server, Throttle, exponential, fixed, noisy

Capacity = Callable[[float], float]


@dataclass
class Varying:
    """Serves one request after the other, ``capacity(seconds)`` of them a second."""

    capacity: Capacity
    _free: float = 0.0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """First come, first served."""
        start = max(at, self._free)
        self._free = start + 1 / self.capacity(start)
        return self._free, "ok"


@dataclass
class Thrashing:
    """Carries ``rate`` as long as fewer than ``most`` wait, and a quarter of it when more do, until
    all are served.
    """

    rate: float
    most: int
    _free: float = 0.0
    _ends: deque[float] = field(default_factory=deque)
    _is_thrashing: bool = False

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """First come, first served."""
        while self._ends and self._ends[0] <= at:
            self._ends.popleft()
        self._is_thrashing = len(self._ends) > self.most or (
            self._is_thrashing and bool(self._ends)
        )
        self._free = max(at, self._free) + (4 if self._is_thrashing else 1) / self.rate
        self._ends.append(self._free)
        return self._free, "ok"


@dataclass
class Pausing:
    """Carries ``rate``, but stops for ``pause`` seconds about every ``every`` seconds."""

    rate: float
    every: float
    pause: float
    _free: float = 0.0
    _next: float = 0.0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """First come, first served; a request that is served in a pause waits for its end."""
        end = max(at, self._free) + 1 / self.rate
        while end > self._next:
            if end - 1 / self.rate < self._next + self.pause:
                end = max(end - 1 / self.rate, self._next) + self.pause + 1 / self.rate
            self._next += self.pause + dice.expovariate(1 / self.every)
        self._free = end
        return end, "ok"


@dataclass
class Erring:
    """A share of all answers is an error, at any rate."""

    server: Server
    share: float

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """The work is done all the same."""
        end, how = self.server.answer(at, rate, dice)
        return end, "failed" if dice.random() < self.share else how


@dataclass
class Bursting:
    """About every ``every`` seconds all answers are errors, for ``burst`` seconds."""

    server: Server
    every: float
    burst: float
    _next: float = -1.0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """Errors come at once."""
        while at > self._next + self.burst:
            self._next += dice.expovariate(1 / self.every) + self.burst
        return (at + 0.001, "failed") if at >= self._next else self.server.answer(at, rate, dice)


@dataclass
class Straggling:
    """A share of all answers takes ``seconds`` longer, at any rate."""

    server: Server
    share: float
    seconds: float

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """The queue does not wait for it."""
        end, how = self.server.answer(at, rate, dice)
        return end + (self.seconds if dice.random() < self.share else 0.0), how


@dataclass
class Window:
    """429 beyond ``quota`` requests in each window of the clock of so many ``seconds``."""

    quota: int
    seconds: float
    offset: float = 0.0
    _window: int = -1
    _count: int = 0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """No queue."""
        window = math.floor((at + self.offset) / self.seconds)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        return at + 0.001, "ok" if self._count <= self.quota else "throttled"


@dataclass
class Sliding:
    """429 while ``quota`` requests were let in within the last ``seconds``."""

    quota: int
    seconds: float
    _let_in: deque[float] = field(default_factory=deque)

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """No queue."""
        while self._let_in and self._let_in[0] <= at - self.seconds:
            self._let_in.popleft()
        if len(self._let_in) >= self.quota:
            return at + 0.001, "throttled"
        self._let_in.append(at)
        return at + 0.001, "ok"


@dataclass
class PenaltyBox:
    """429 to everything for ``penalty`` seconds once more than ``most`` came within a second."""

    most: int
    penalty: float
    _recent: deque[float] = field(default_factory=deque)
    _until: float = -1.0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """No queue."""
        while self._recent and self._recent[0] <= at - 1:
            self._recent.popleft()
        self._recent.append(at)
        if at >= self._until and len(self._recent) > self.most:
            self._until = at + self.penalty
        return at + 0.001, "throttled" if at < self._until else "ok"


@dataclass
class Shedding:
    """Answers 503 to a request that would be one too many in the queue."""

    service: Callable[[random.Random], float]
    most: int
    _ends: list[float] = field(default_factory=list)
    _free: float = 0.0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """First come, first served."""
        while self._ends and self._ends[0] <= at:
            heapq.heappop(self._ends)
        if len(self._ends) >= self.most:
            return at + 0.001, "failed"
        self._free = max(at, self._free) + self.service(dice)
        heapq.heappush(self._ends, self._free)
        return self._free, "ok"


def switching(*phases: tuple[float, float]) -> Capacity:
    """Requests a second from each moment on: ``(0, 400), (60, 100)``."""

    def capacity(at: float) -> float:
        return next(rate for begin, rate in reversed(phases) if at >= begin)

    return capacity


def alternating(first: float, second: float, period: float, offset: float = 0.0) -> Capacity:
    """One for ``period`` seconds, then the other."""
    return lambda at: (first, second)[math.floor((at + offset) / period) % 2]


def drifting(first: float, last: float, seconds: float) -> Capacity:
    """From one to the other evenly, in so many seconds."""
    return lambda at: first + (last - first) * min(at / seconds, 1)


def wavering(mean: float, share: float, period: float) -> Capacity:
    """A sine about a mean."""
    return lambda at: mean * (1 + share * math.sin(2 * math.pi * at / period))


class Kind(NamedTuple):
    """A server, and the rate that it sustains; 0 where it sustains none."""

    true: float
    make: Callable[[random.Random], Server]
    settings: Mapping[str, Any] = {}


KINDS: Mapping[str, Kind] = {
    "steady": Kind(100, lambda dice: Line(fixed(0.01))),
    "steady-poisson": Kind(100, lambda dice: Line(fixed(0.01)), {"arrivals": "poisson"}),
    "steady-fast": Kind(400, lambda dice: Line(fixed(0.0025))),
    "noisy": Kind(100, lambda dice: Line(noisy(0.01, 0.5))),
    "noisy-poisson": Kind(100, lambda dice: Line(exponential(0.01)), {"arrivals": "poisson"}),
    "collapse": Kind(100, lambda dice: Varying(switching((0, 400), (60, 100)))),
    "collapse-50": Kind(50, lambda dice: Varying(switching((0, 200), (60, 50)))),
    "collapse-late": Kind(
        100, lambda dice: Varying(switching((0, 200), (65 + 20 * dice.random(), 100)))
    ),
    "collapse-early": Kind(
        50, lambda dice: Varying(switching((0, 200), (5 + 20 * dice.random(), 50)))
    ),
    "warm-up": Kind(200, lambda dice: Varying(switching((0, 50), (40, 200)))),
    "warm-up-slow": Kind(200, lambda dice: Varying(drifting(20, 200, 60))),
    "autoscaler": Kind(200, lambda dice: Varying(switching((0, 100), (30, 200)))),
    "bucket-100": Kind(100, lambda dice: Throttle(100, burst=100)),
    "bucket-500": Kind(100, lambda dice: Throttle(100, burst=500)),
    "bucket-2000": Kind(100, lambda dice: Throttle(100, burst=2000)),
    "bucket-poisson": Kind(100, lambda dice: Throttle(100, burst=300), {"arrivals": "poisson"}),
    "window-60": Kind(100, lambda dice: Window(6000, 60, 60 * dice.random())),
    "window-10": Kind(100, lambda dice: Window(1000, 10, 10 * dice.random())),
    "window-1": Kind(100, lambda dice: Window(100, 1, dice.random())),
    "sliding-10": Kind(100, lambda dice: Sliding(1000, 10)),
    "sliding-60": Kind(100, lambda dice: Sliding(6000, 60)),
    "penalty-10": Kind(100, lambda dice: PenaltyBox(100, 10)),
    "penalty-60": Kind(100, lambda dice: PenaltyBox(100, 60)),
    "fuse-429": Kind(100, lambda dice: PenaltyBox(100, 0.5)),
    "errors-0.8%": Kind(100, lambda dice: Erring(Line(fixed(0.01)), 0.008)),
    "errors-0.6%": Kind(100, lambda dice: Erring(Line(fixed(0.01)), 0.006)),
    "errors-1.5%": Kind(0, lambda dice: Erring(Line(fixed(0.01)), 0.015)),
    "error-bursts": Kind(100, lambda dice: Bursting(Line(fixed(0.01)), 40, 0.2)),
    "stragglers-0.8%": Kind(
        100, lambda dice: Straggling(Line(fixed(0.01)), 0.008, 1.0), {"limit": 0.25}
    ),
    "two-phases-20": Kind(100, lambda dice: Varying(alternating(200, 100, 20, 40 * dice.random()))),
    "two-phases-40": Kind(100, lambda dice: Varying(alternating(200, 100, 40, 80 * dice.random()))),
    "two-phases-5": Kind(125, lambda dice: Varying(alternating(150, 100, 5, 10 * dice.random()))),
    "drift-down": Kind(100, lambda dice: Varying(drifting(150, 100, 110))),
    "wavering": Kind(100, lambda dice: Varying(wavering(100, 0.05, 30))),
    "pauses": Kind(95.2, lambda dice: Pausing(100, 4, 0.2)),
    "thrashing": Kind(100, lambda dice: Thrashing(100, 100)),
    "sheds": Kind(100, lambda dice: Shedding(fixed(0.01), 20)),
    "four-p99": Kind(
        120, lambda dice: Line(fixed(0.02), servers=4), {"arrivals": "poisson", "limit": 0.04}
    ),
}
