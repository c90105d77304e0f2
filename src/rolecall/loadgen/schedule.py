"""When requests are due: fixed beforehand, so that a slow server cannot slow its own test.

A schedule is a row of phases, each with a rate that is constant or changes evenly. Arrival number n
is due when the integral of the rate reaches n; of several workers, each takes every k-th arrival.
With Poisson arrivals the integral is crossed at random distances of mean 1 instead, and each worker
draws its own k-th of them from a seed: independent streams add up to the whole.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rolecall.errors import UsageError
from rolecall.loadgen import untrusted

Arrivals = Literal["constant", "poisson"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
#: Seconds; a run that is to go on for longer is a slip of the pen.
_LONGEST = 366 * 86_400.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


def duration(text: str, where: str = "duration") -> float:
    """``90``, ``90s``, ``1m30s`` or ``500ms`` in seconds; UsageError for anything else."""
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not parts or "".join(map("".join, parts)) != text or not seconds:
        raise UsageError(
            where, f"{text!r} is not a duration", "Write it as 30s, 1m30s, 500ms or 2h."
        )
    if seconds > _LONGEST:
        raise UsageError(where, f"{text!r} is longer than a year")
    return seconds


@dataclass(frozen=True)
class Phase:
    """``seconds`` in which the rate goes evenly from ``low`` to ``high`` requests a second."""

    low: float
    high: float
    seconds: float

    @classmethod
    def unpack(cls, packed: object) -> Phase:
        """A phase of `Schedule.pack`; `UnreadableValue` where it is none."""
        members = untrusted.mapping("phase", packed)
        return cls(
            low=untrusted.number("a rate", members.get("low")),
            high=untrusted.number("a rate", members.get("high")),
            seconds=untrusted.number("a phase's length", members.get("seconds"), 1e-9),
        )

    @property
    def arrivals(self) -> float:
        """The integral of the rate over the phase."""
        return (self.low + self.high) / 2 * self.seconds

    def times(
        self, marks: Iterator[float], mark: float, passed: float, end: float, start: float
    ) -> Generator[float, None, float]:
        """When the integral reaches each mark; returns the first mark from ``end`` on."""
        low, slope = self.low, (self.high - self.low) / self.seconds
        if not slope:
            while mark < end:
                yield start + (mark - passed) / low
                mark = next(marks)
            return mark
        root = math.sqrt
        while mark < end:
            x = mark - passed
            # The root of slope/2 t² + low t = x, in the form that does not cancel where the slope
            # is small or negative.
            yield start + (2 * x / (low + root(max(low * low + 2 * slope * x, 0.0))) if x else 0.0)
            mark = next(marks)
        return mark


@dataclass(frozen=True)
class Schedule:
    """Phases one after the other; ``seed`` says which of the Poisson schedules it is."""

    phases: tuple[Phase, ...]
    arrivals: Arrivals = "constant"
    seed: int = 0

    @property
    def peak(self) -> float:
        """The highest rate, in arrivals a second."""
        return max(max(phase.low, phase.high) for phase in self.phases)

    @classmethod
    def parse(
        cls,
        text: str,
        seconds: float,
        *,
        ramp: float = 0.0,
        arrivals: Arrivals = "constant",
        seed: int = 0,
        where: str = "--rate",
    ) -> Schedule:
        """The schedule that ``--rate`` asks for; UsageError when it cannot be read.

        ``100`` is constant; ``10..100`` rises (or falls) evenly; ``10,50,100`` are steps. Each part
        may say its length (``0..100:30s,100:5m``); parts without one share what ``seconds`` leaves.
        A ``ramp`` leads from 0 to the first rate, before all that and in addition to it.
        """
        parts = [_part(part, where) for part in text.replace(" ", "").split(",")]
        open_ended = sum(length is None for *_, length in parts)
        rest = seconds - sum(length for *_, length in parts if length is not None)
        if open_ended and rest <= 0:
            raise UsageError(
                where,
                f"{text!r} leaves no time for the parts without a length",
                "Make --duration longer.",
            )
        phases = [
            Phase(low, high, rest / open_ended if length is None else length)
            for low, high, length in parts
        ]
        if ramp:
            phases.insert(0, Phase(0.0, phases[0].low, ramp))
        made = cls(tuple(phases), arrivals, seed)
        if not made.count():
            raise UsageError(
                where,
                f"{text!r} for {made.duration:g} s: no request would be due",
                "Raise the rate.",
            )
        return made

    @property
    def duration(self) -> float:
        """Seconds from the start to the end of the last phase."""
        return sum(phase.seconds for phase in self.phases)

    def count(self) -> int:
        """How many requests are due: exact for constant arrivals, the mean for random ones."""
        # Rounded before it is raised: three times a tenth is not more than three tenths.
        return math.ceil(round(sum(phase.arrivals for phase in self.phases), 6))

    def rate_at(self, second: float) -> float:
        """The rate in requests a second at this second; 0 before the start and after the end."""
        if second < 0:
            return 0.0
        for phase in self.phases:
            if second < phase.seconds:
                return phase.low + (phase.high - phase.low) * second / phase.seconds
            second -= phase.seconds
        return 0.0

    def changing_rate_at(self, second: float) -> float | None:
        """The rate at this second; None where it is always the same, or all is over."""
        rates = {rate for phase in self.phases for rate in (phase.low, phase.high)}
        return self.rate_at(second) if len(rates) > 1 and second < self.duration else None

    def due(self, worker: int = 0, workers: int = 1) -> Iterator[float]:
        """When the requests of one worker are due, in seconds from the start, ascending.

        The streams of all workers together are the schedule; the same arguments always give the
        same times.
        """
        marks: Iterator[float] = itertools.count(worker, workers)
        if self.arrivals == "poisson":
            marks = itertools.accumulate(_distances(f"{self.seed}/{worker}/{workers}", workers))
        start, passed = 0.0, 0.0
        mark = next(marks)
        total = math.inf if self.arrivals == "poisson" else self.count()
        for phase in self.phases:
            end = min(passed + phase.arrivals, total)
            mark = yield from phase.times(marks, mark, passed, end, start)
            start += phase.seconds
            passed += phase.arrivals

    def pack(self) -> dict[str, Any]:
        """All of it, for a message to another process."""
        return asdict(self)

    @classmethod
    def unpack(cls, packed: object) -> Schedule:
        """The schedule that `pack` wrote; `UnreadableValue` where it did not."""
        members = untrusted.mapping("schedule", packed)
        arrivals = members.get("arrivals")
        if arrivals not in ("constant", "poisson"):
            raise untrusted.UnreadableValue("the schedule's arrivals are unknown here")
        phases = untrusted.sequence("schedule", members.get("phases"))
        least = -untrusted.MOST
        seed = untrusted.whole("the schedule's seed", members.get("seed"), least)
        return cls(tuple(map(Phase.unpack, phases)), arrivals, seed)


def _distances(seed: str, mean: float) -> Iterator[float]:
    """Distances of Poisson arrivals, without end."""
    dice = random.Random(seed).random  # noqa: S311  # a schedule, not a secret
    log = math.log
    while True:
        yield -mean * log(1.0 - dice())


def _part(text: str, where: str) -> tuple[float, float, float | None]:
    rates, colon, length = text.partition(":")
    low, dots, high = rates.partition("..")
    try:
        first, last = float(low), float(high if dots else low)
    except ValueError:
        first = last = math.nan
    if not (0 <= first < math.inf and 0 <= last < math.inf):
        raise UsageError(
            where,
            f"{text!r} is not a rate",
            "Write it as 100, 10..100, 10,50,100 or 0..100:30s,100:5m.",
        )
    return first, last, duration(length, where) if colon else None
