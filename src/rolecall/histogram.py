"""Latencies in constant memory: log-linear buckets that merge exactly, with exact extremes.

A bucket is named by the upper half of the number as an IEEE 754 single: eight bits of exponent,
seven of fraction. That makes 128 equal buckets between a power of two and the next, so that what is
reported, the middle of a bucket, is at most 0.4 % away from what was recorded; and an `array` finds
the buckets of many numbers at once, several times as fast as arithmetic on each.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

#: What is shorter or longer is counted in the first or the last bucket; a microsecond and an hour
#: lie between.
SHORTEST, LONGEST = 2.0**-20, 2.0**12 - 2.0**-10

#: Where in a machine's own single the upper half is.
_UPPER = slice(1, None, 2) if sys.byteorder == "little" else slice(0, None, 2)
_HEAD = struct.Struct("<ddd")


class Histogram:
    """Counts of durations, in seconds.

    ``note`` is the cheapest way to record: it only appends, so that its user has to call `settle`
    soon.
    """

    __slots__ = ("_counts", "_maximum", "_minimum", "_pending", "_total", "note")

    #: Recorded numbers that wait to be counted together.
    _BATCH = 4096

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._pending: list[float] = []
        self._total = 0.0
        self._minimum = math.inf
        self._maximum = 0.0
        self.note: Callable[[float], None] = self._pending.append

    def record(self, seconds: float) -> None:
        """Count one duration."""
        self._pending.append(seconds)
        if len(self._pending) >= self._BATCH:
            self.settle()

    def settle(self) -> bool:
        """Count what was noted: whether anything was."""
        values = self._pending
        if not values:
            return False
        low, high = min(values), max(values)
        if low < SHORTEST or high > LONGEST:
            self._counts.update(_buckets([min(max(value, SHORTEST), LONGEST) for value in values]))
        else:
            self._counts.update(_buckets(values))
        self._total += sum(values)
        self._minimum = min(self._minimum, max(low, 0.0))
        self._maximum = max(self._maximum, high)
        values.clear()
        return True

    def merge(self, other: Histogram) -> None:
        """Add all that the other one holds."""
        self.settle()
        other.settle()
        counts = self._counts
        for bucket, count in other._counts.items():
            counts[bucket] += count
        self._total += other._total
        self._minimum = min(self._minimum, other._minimum)
        self._maximum = max(self._maximum, other._maximum)

    def clear(self) -> None:
        """Forget everything; ``note`` stays the same."""
        self._counts.clear()
        self._pending.clear()
        self._total, self._minimum, self._maximum = 0.0, math.inf, 0.0

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return self._counts.total() + len(self._pending)

    @property
    def total(self) -> float:
        """Their exact sum."""
        self.settle()
        return self._total

    @property
    def minimum(self) -> float:
        """The shortest, exactly; 0 when there is none."""
        self.settle()
        return self._minimum if self._counts else 0.0

    @property
    def maximum(self) -> float:
        """The longest, exactly; 0 when there is none."""
        self.settle()
        return self._maximum

    @property
    def mean(self) -> float:
        """Their exact mean; 0 when there is none."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """The duration that ``percent`` of all did not exceed; 0 when there is none."""
        return self.percentiles([percent])[0]

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Several percentiles, ascending, in one walk."""
        self.settle()
        count = self.count
        # Rounded before it is raised: 99.9 % of 1,000 is 999, and not the 1,000 that
        # 999.0000000000001 would become.
        ranks = [max(1, math.ceil(round(percent * count / 100, 6))) for percent in percents]
        return [
            self._maximum if rank >= count else min(max(value, self._minimum), self._maximum)
            for rank, value in zip(ranks, self._walk(ranks), strict=True)
        ]

    def buckets(self) -> Iterator[tuple[float, int]]:
        """What each bucket reports, and how many durations it holds, ascending."""
        self.settle()
        for bucket in sorted(self._counts):
            yield middle(bucket), self._counts[bucket]

    def bands(self) -> Counter[int]:
        """Counts by quarters of a doubling, for a picture: band n begins at
        ``(1 + n % 4 / 4) * 2 ** (n // 4 - 127)`` seconds.
        """
        self.settle()
        bands: Counter[int] = Counter()
        for bucket, count in self._counts.items():
            bands[bucket >> 5] += count
        return bands

    @classmethod
    def of(cls, buckets: Iterable[tuple[float, int]]) -> Histogram:
        """A histogram from what `buckets` gave: the same percentiles; extremes and sum are those of
        the middles.
        """
        histogram = cls()
        for seconds, count in buckets:
            histogram._counts[_buckets([min(max(seconds, SHORTEST), LONGEST)])[0]] += count
            histogram._total += seconds * count
            histogram._minimum = min(histogram._minimum, seconds)
            histogram._maximum = max(histogram._maximum, seconds)
        return histogram

    @classmethod
    def of_load(cls, document: Mapping[str, Any]) -> Histogram:
        """The response times of all batches of load.json."""
        return cls.of(
            (ms / 1000, count)
            for batch in document["batches"]
            for ms, count in batch["response_ms"]
        )

    def pack(self) -> bytes:
        """All of it, for a message to another process: ten bytes per bucket in use."""
        self.settle()
        n = len(self._counts)
        return _HEAD.pack(self._total, self._minimum, self._maximum) + struct.pack(
            f"<{n}H{n}Q", *self._counts, *self._counts.values()
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Histogram:
        """The histogram that `pack` wrote; ValueError when it did not."""
        n, rest = divmod(len(packed) - _HEAD.size, 10)
        if n < 0 or rest:
            raise ValueError("not a packed histogram")
        histogram = cls()
        histogram._total, histogram._minimum, histogram._maximum = _HEAD.unpack_from(packed)
        numbers = struct.unpack_from(f"<{n}H{n}Q", packed, _HEAD.size)
        histogram._counts.update(dict(zip(numbers[:n], numbers[n:], strict=True)))
        return histogram

    def _walk(self, ranks: Sequence[int]) -> Iterator[float]:
        buckets = iter(sorted(self._counts.items()))
        seen = bucket = 0
        for rank in ranks:
            while seen < rank and (found := next(buckets, None)):
                bucket, seen = found[0], seen + found[1]
            yield middle(bucket)


@cache
def middle(bucket: int) -> float:
    """What a bucket reports, in seconds."""
    low, high = struct.unpack("<ff", struct.pack("<II", bucket << 16, (bucket + 1) << 16))
    return float(low + high) / 2


def _buckets(values: list[float]) -> array[int]:
    return array("H", array("f", values).tobytes())[_UPPER]
