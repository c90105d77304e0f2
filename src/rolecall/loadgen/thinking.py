"""How long a client thinks between two steps, as a person does between two clicks."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from time import perf_counter

from rolecall.errors import UsageError
from rolecall.loadgen.scenario import Scenario
from rolecall.loadgen.schedule import duration


@dataclass(frozen=True)
class Think:
    """Evenly between ``low`` and ``high`` seconds; exponential with mean ``low`` without a high."""

    low: float
    high: float | None

    @classmethod
    def parse(cls, between: str, mean: str = "") -> Think | None:
        """The times of ``--think`` or ``--think-mean``; None without either.

        Raises:
            UsageError: both are given, or one cannot be read.
        """
        if between and mean:
            raise UsageError("--think", "excludes --think-mean", "Give one of them.")
        if mean:
            return cls(duration(mean, "--think-mean"), None)
        if not between:
            return None
        low, dots, high = between.partition("..")
        if not dots:
            return cls(duration(low, "--think"), duration(low, "--think"))
        most = duration(high, "--think")
        unit = _ONE_UNIT.fullmatch(high)
        if unit and _NUMBER.fullmatch(low):  # 1..5s: both in the unit of the second
            low += unit[1]
        least = 0.0 if _NOTHING.fullmatch(low) else duration(low, "--think")
        if least > most:
            raise UsageError("--think", f"{between!r} begins with the longer time")
        return cls(least, most)

    @property
    def mean(self) -> float:
        """Seconds, on average."""
        return self.low if self.high is None else (self.low + self.high) / 2

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low:g} s on average"
        return f"{self.low:g} s" if self.low == self.high else f"{self.low:g}..{self.high:g} s"

    def dice(self, seed: object) -> Callable[[], float]:
        """Thinking times, one after the other; the same seed gives the same ones."""
        dice = random.Random(str(seed))  # noqa: S311  # repeatable, not secret
        if self.high is None:
            return lambda: dice.expovariate(1 / self.low)
        return lambda: dice.uniform(self.low, self.high or 0.0)


_NUMBER, _ONE_UNIT = re.compile(r"[0-9.]+"), re.compile(r"[0-9.]+([a-z]+)")
_NOTHING = re.compile(r"0+(\.0+)?[a-z]*")


class ThinkingClients:
    """Clients that take no step just now: the next one is that which has thought to its end, or
    comes next to it.
    """

    def __init__(self, think: Callable[[], float]) -> None:
        self._think = think
        self._waiting: list[tuple[float, int, Scenario]] = []
        self._number = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def popleft(self) -> Scenario:
        """The client whose next step is due first."""
        return heappop(self._waiting)[2]

    def append(self, client: Scenario) -> None:
        """A client has taken a step, and thinks."""
        heappush(self._waiting, (perf_counter() + self._think(), next(self._number), client))

    def extend(self, clients: Sequence[Scenario]) -> None:
        """Clients that have taken no step yet."""
        for client in clients:
            heappush(self._waiting, (0.0, next(self._number), client))
