"""Servers of known capacity in virtual time: a search of three minutes is over in a moment."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.steps import Share, Slice, Step

Draw = Callable[[random.Random], float]
#: When an answer comes, and how: ok, throttled or failed.
Answer = tuple[float, str]


def fixed(seconds: float) -> Draw:
    """Always the same (D)."""
    return lambda dice: seconds


def exponential(seconds: float) -> Draw:
    """Memoryless, with this mean (M)."""
    return lambda dice: dice.expovariate(1 / seconds)


def noisy(seconds: float, variation: float) -> Draw:
    """Gamma, with this mean and this standard deviation as a share of it (G)."""
    return lambda dice: dice.gammavariate(variation**-2, seconds * variation**2)


class Server(Protocol):
    """Answers requests in the order in which they arrive."""

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """When a request that arrives now ends, and how: ok, throttled or failed."""
        raise NotImplementedError


@dataclass
class Line:
    """Servers with a queue; a request that would wait longer than ``patience`` gets an error."""

    service: Draw
    servers: int = 1
    patience: float = math.inf
    _free: list[float] = field(default_factory=list)

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """First come, first served."""
        self._free = self._free or [0.0] * self.servers
        start = max(at, self._free[0])
        if start - at > self.patience:
            return at + 0.001, "failed"
        end = start + self.service(dice)
        heapq.heapreplace(self._free, end)
        return end, "ok"


@dataclass
class Fuse:
    """Answers with an error as long as more than ``most`` requests came in the last second."""

    most: int
    _recent: list[float] = field(default_factory=list)

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """No queue."""
        self._recent = [*(moment for moment in self._recent if moment > at - 1), at]
        return at + 0.001, "ok" if len(self._recent) <= self.most else "failed"


@dataclass
class Throttle:
    """A token bucket: 429 beyond a rate, after a burst."""

    rate: float
    burst: float
    _tokens: float = 0.0
    _at: float = 0.0

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """No queue."""
        self._tokens = min(self.burst, self._tokens + (at - self._at) * self.rate)
        self._at = at
        if self._tokens < 1:
            return at + 0.001, "throttled"
        self._tokens -= 1
        return at + 0.001, "ok"


@dataclass
class Smooth:
    """Any number at once, ever slower the higher the rate."""

    latency: Callable[[float], float]

    def answer(self, at: float, rate: float, dice: random.Random) -> Answer:
        """A lognormal latency whose 99th percentile is the given one."""
        return at + self.latency(rate) * math.exp(dice.gauss(-2.326 * 0.1, 0.1)), "ok"


@dataclass
class Bench:
    """Measures steps, as a search asks for them; ``now`` is the virtual time.

    ``limit`` is an objective, that 99 % be answered within so many seconds; ``most`` is all that
    the generator can offer, and from ``wrong`` on there is a violation. ``patience`` is the
    client's timeout, after which a request has failed, whether the server still works on it or not;
    ``pause`` are the seconds that pass between two steps.
    """

    server: Server
    arrivals: str = "poisson"
    seed: int = 0
    width: float = 0.5
    limit: float | None = None
    most: float = math.inf
    wrong: float = math.inf
    warm_up: float = 1.0
    pause: float = 0.0
    patience: float = math.inf
    now: float = 0.0

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def clock(self) -> float:
        """Virtual seconds."""
        return self.now

    def measure(self, rate: float, seconds: float) -> Step:
        """Offer a rate, and wait until everything is answered."""
        begin, total = self.now, self.warm_up + seconds
        offered = min(rate, self.most)
        times = [(due, *self._answer(begin, due, offered)) for due in self._due(offered, total)]
        self.now = begin + max([total, *(end for _, end, _ in times)]) + self.pause
        slices = self._slices(times, seconds)
        waits = sorted(
            end - due
            for due, end, how in times
            if due >= self.warm_up and how in ("ok", "throttled")
        )
        failed, answers = (
            sum(part.failed for part in slices),
            sum(part.ok + part.throttled + part.failed for part in slices),
        )
        shares = [Share("errors<1%", failed, answers, 0.01)]
        if self.limit is not None:
            shares.append(self._share_of_waits(times, waits, len(slices), self.limit))
        return Step(
            rate,
            seconds,
            slices,
            waiting=sum(due < self.warm_up <= end for due, end, _ in times),
            p50=_percentile(waits, 0.5),
            p99=_percentile(waits, 0.99),
            objectives=shares,
            violations=int(rate >= self.wrong),
            generator="its core was busy" if rate > self.most else "",
            left=sum(how == "given up" for *_, how in times),
        )

    def _share_of_waits(
        self,
        times: Sequence[tuple[float, float, str]],
        waits: Sequence[float],
        slices: int,
        limit: float,
    ) -> Share:
        late = [
            int((due - self.warm_up) / self.width)
            for due, end, how in times
            if due >= self.warm_up and end - due > limit
        ]
        counts = [late.count(at) for at in range(slices)]
        over = sum(wait > limit for wait in waits)
        return Share("p99", over, len(waits), 0.01, chance.clump(counts))

    def _answer(self, begin: float, due: float, rate: float) -> Answer:
        end, how = self.server.answer(begin + due, rate, self._dice)
        wait = end - begin - due
        return (due + wait, how) if wait <= self.patience else (due + self.patience, "given up")

    def _due(self, rate: float, seconds: float) -> list[float]:
        if self.arrivals == "constant":
            return [number / rate for number in range(int(rate * seconds))]
        due, at = [], self._dice.expovariate(rate)
        while at < seconds:
            due.append(at)
            at += self._dice.expovariate(rate)
        return due

    def _slices(self, times: Sequence[tuple[float, float, str]], seconds: float) -> list[Slice]:
        count = round(seconds / self.width)
        names = ("due", "ok", "throttled", "failed")
        times = [(due, end, "failed" if how == "given up" else how) for due, end, how in times]
        table: list[dict[str, int]] = [dict.fromkeys(names, 0) for _ in range(count)]
        for due, end, how in times:
            for moment, name in ((due, "due"), (end, how)):
                at = math.floor((moment - self.warm_up) / self.width)
                if 0 <= at < count:
                    table[at][name] += 1
        return [Slice(**row) for row in table]


def _percentile(values: Sequence[float], share: float) -> float | None:
    return values[min(math.ceil(share * len(values)), len(values)) - 1] if values else None
