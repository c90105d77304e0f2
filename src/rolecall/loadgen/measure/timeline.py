"""A run second by second and batch by batch, in memory that hardly grows.

A second keeps its counts and a few percentiles, 48 bytes; the histogram that they come from is only
kept while workers may still report on that second. Batches keep theirs: at most `MOST_BATCHES` of
equal length, which doubles when there would be more, so that the percentiles of any part of a run
can be worked out again.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from rolecall.histogram import Histogram
from rolecall.loadgen.measure.recorder import Second

#: Workers report every three seconds; a second that is this much older than the newest has its
#: percentiles for good.
SETTLED = 10
MOST_BATCHES = 64
PERCENTS = (50.0, 90.0, 99.0, 99.9)

_COUNTS = ("scheduled", "sent", "completed", "requests", "errors", "throttled", "violations")
_TIMES = ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "max_ms")


class Timeline:
    """The seconds of a run, or slices of another ``width`` in seconds, merged over all workers."""

    def __init__(self, width: float = 1.0) -> None:
        self.width = width
        self._counts = {name: array("I") for name in _COUNTS}
        self._times = {name: array("f") for name in _TIMES}
        self._open: dict[int, Histogram] = {}
        self._batches: dict[int, Batch] = {}
        self._length = 1

    def __len__(self) -> int:
        return len(self._counts["requests"])

    def add(self, number: int, second: Second) -> None:
        """Add what one worker knows of a second."""
        self._reach(number)
        counts = self._counts
        for name, arrivals in zip(_COUNTS[:3], second.arrivals, strict=True):
            counts[name][number] += arrivals
        counts["requests"][number] += second.response.count + second.throttled
        counts["errors"][number] += second.errors
        counts["throttled"][number] += second.throttled
        counts["violations"][number] += second.violations
        if len(self) - number <= SETTLED:
            self._open.setdefault(number, Histogram()).merge(second.response)
        self._batches.setdefault(number // self._length, Batch()).add(second)
        for settled in [at for at in self._open if len(self) - at > SETTLED]:
            self._measure(settled, self._open.pop(settled))

    @property
    def requests(self) -> int:
        """How many requests are in all seconds together."""
        return sum(self._counts["requests"])

    def violation(self, second: int, count: int = 1) -> None:
        """Violations that the master found, and no worker."""
        found = Second()
        found.violations = count
        self.add(second, found)

    def recent(self, seconds: int) -> tuple[Histogram, dict[str, float]]:
        """Response times, and counts per second, of the newest seconds that have ended."""
        end = max(len(self) - 1, 0)
        begin = max(end - min(seconds, SETTLED - 1), 0)
        merged = Histogram()
        for at in range(begin, end):
            if at in self._open:
                merged.merge(self._open[at])
        return merged, {
            name: sum(values[begin:end]) / (max(end - begin, 1) * self.width)
            for name, values in self._counts.items()
        }

    def document(self) -> dict[str, list[float]]:
        """The columns, one number a second; ``second`` is when it began."""
        for number, histogram in self._open.items():
            self._measure(number, histogram)
        return {
            "second": [round(number * self.width, 3) for number in range(len(self))],
            **{name: list(values) for name, values in self._counts.items()},
            **{name: [round(value, 3) for value in values] for name, values in self._times.items()},
        }

    def rows(self, begin: int, most: int) -> list[list[float]]:
        """Some seconds from one on, each with its counts, then its times, as in `document`."""
        end = min(begin + most, len(self))
        for number in range(begin, end):
            if number in self._open:
                self._measure(number, self._open[number])
        columns: list[Sequence[float]] = [*self._counts.values(), *self._times.values()]
        columns = [values[begin:end] for values in columns]
        return [[round(value, 3) for value in row] for row in zip(*columns, strict=True)]

    def bands(self, begin: int) -> dict[int, dict[int, int]]:
        """The batches from a second on, by number, each as `Histogram.bands`."""
        first = begin // self.batch
        return {
            number: batch.response.bands()
            for number, batch in sorted(self._batches.items())
            if number >= first
        }

    @property
    def batch(self) -> int:
        """How many seconds are in a batch."""
        return self._length

    def response(self, begin: float, end: float) -> Histogram:
        """The response times of the batches between two moments, in seconds from the start."""
        merged = Histogram()
        length = self._length * self.width
        for number, batch in self._batches.items():
            if begin <= number * length and (number + 1) * length <= end:
                merged.merge(batch.response)
        return merged

    def batches(self, seconds: float = math.inf) -> Iterator[dict[str, Any]]:
        """The batches, ascending; the last one is shorter where the run, of so many seconds, ends
        within it.
        """
        for number in sorted(self._batches):
            batch, begin = self._batches[number], number * self._length
            yield {
                "begin_s": round(begin * self.width, 3),
                "end_s": round(
                    max(
                        min((begin + self._length) * self.width, len(self) * self.width, seconds),
                        begin * self.width,
                    ),
                    3,
                ),
                "requests": batch.requests,
                "errors": batch.errors,
                "throttled": batch.throttled,
                "response_ms": pairs(batch.response),
            }

    def _reach(self, number: int) -> None:
        missing = number + 1 - len(self)
        if missing > 0:
            for values in self._counts.values():
                values.extend([0] * missing)
            for times in self._times.values():
                times.extend([0.0] * missing)
        while number // self._length >= MOST_BATCHES:
            self._length *= 2
            halves, self._batches = self._batches, {}
            for half in sorted(halves):
                self._batches.setdefault(half // 2, Batch()).merge(halves[half])

    def _measure(self, number: int, histogram: Histogram) -> None:
        *percentiles, most = histogram.percentiles([*PERCENTS, 100.0])
        for name, value in zip(_TIMES, [*percentiles, most], strict=True):
            self._times[name][number] = value * 1000


class Batch:
    """Some seconds in a row."""

    __slots__ = ("errors", "requests", "response", "throttled")

    def __init__(self) -> None:
        self.response = Histogram()
        self.requests = self.errors = self.throttled = 0

    def add(self, second: Second) -> None:
        """Add one of its seconds, or a part of it."""
        self.response.merge(second.response)
        self.requests += second.response.count + second.throttled
        self.errors += second.errors
        self.throttled += second.throttled

    def merge(self, other: Batch) -> None:
        """Add another batch."""
        self.response.merge(other.response)
        self.requests += other.requests
        self.errors += other.errors
        self.throttled += other.throttled


def pairs(histogram: Histogram) -> list[list[float]]:
    """A histogram as documents have it: milliseconds, and how many took about as long."""
    return [[_milliseconds(seconds), count] for seconds, count in histogram.buckets()]


def _milliseconds(seconds: float) -> float:
    """Rounded to what still names the same bucket."""
    return float(f"{seconds * 1000:.6g}")
