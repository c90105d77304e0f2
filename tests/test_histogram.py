"""Histograms of latencies: exact where they say so, within 1 % elsewhere, however merged."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence

import pytest

from rolecall.histogram import Histogram

PERCENTS = (1, 25, 50, 90, 99, 99.9, 99.99)


def histogram(values: Sequence[float]) -> Histogram:
    """All the values, recorded."""
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def exact(values: Sequence[float], percent: float) -> float:
    """The percentile by its definition: the smallest value that so many per cent do not exceed."""
    return sorted(values)[math.ceil(round(percent * len(values) / 100, 6)) - 1]


@pytest.mark.parametrize("typical", [8e-6, 30e-6, 0.0003, 0.002, 0.145, 9.0, 600.0])
def test_percentiles_are_within_one_per_cent(typical: float) -> None:
    """Whatever the magnitude, a percentile is at most 0.5 % from the true one."""
    dice = random.Random(7)
    values = [typical * dice.lognormvariate(0, 0.5) for _ in range(20_000)]

    found = histogram(values).percentiles(PERCENTS)

    assert found == pytest.approx([exact(values, percent) for percent in PERCENTS], rel=0.005)


def test_every_duration_from_a_microsecond_to_an_hour_has_a_bucket() -> None:
    """A duration alone between two others comes back within half a per cent, at both ends of the
    range too.
    """
    duration = 1e-6
    while duration < 3600:
        assert histogram([0.0, duration, 4000.0]).percentile(50) == pytest.approx(
            duration, rel=0.005
        )
        duration *= 1.003


def test_extremes_and_mean_are_exact() -> None:
    """Minimum, maximum, sum and mean are those of the numbers, not of the buckets."""
    values = [0.1234567, 0.2345678, 0.0034567]

    made = histogram(values)

    assert (made.minimum, made.maximum, made.count) == (0.0034567, 0.2345678, 3)
    assert made.total == pytest.approx(sum(values), rel=1e-12)
    assert made.mean == pytest.approx(sum(values) / 3, rel=1e-12)
    assert made.percentile(100) == 0.2345678


def test_a_percentile_is_a_rank() -> None:
    """99.9 % of a thousand is the 999th, although the product exceeds 999 as a float."""
    made = histogram([0.001] * 999 + [1.0])

    assert made.percentile(99.9) == pytest.approx(0.001, rel=0.005)
    assert made.percentile(99.91) == 1.0


def test_nothing_recorded() -> None:
    """An empty histogram has zeros, not errors, and merges without a trace."""
    empty = Histogram()
    made = histogram([0.5])
    made.merge(empty)
    empty.merge(Histogram())

    assert (empty.count, empty.mean, empty.minimum, empty.maximum, empty.percentile(99)) == (
        0,
        0.0,
        0.0,
        0.0,
        0.0,
    )
    assert (made.count, made.minimum, made.maximum) == (1, 0.5, 0.5)


def test_what_is_out_of_range_is_counted() -> None:
    """A clock that went back, nothing at all and a day are counted; the longest stays exact."""
    made = histogram([-0.001, 0.0, 86_400.0])

    assert (made.count, made.minimum, made.maximum) == (3, 0.0, 86_400.0)
    assert made.percentile(50) <= 2e-6


def test_parts_merge_exactly() -> None:
    """Merged parts, packed on the way, are the histogram of the whole."""
    dice = random.Random(1)
    values = [dice.expovariate(100) for _ in range(30_000)]
    merged = Histogram()
    for part in (values[:7], values[7:20_000], values[20_000:]):
        merged.merge(Histogram.unpack(histogram(part).pack()))

    whole = histogram(values)

    assert list(merged.buckets()) == list(whole.buckets())
    assert (merged.count, merged.minimum, merged.maximum) == (
        whole.count,
        whole.minimum,
        whole.maximum,
    )
    assert merged.total == pytest.approx(whole.total, rel=1e-12)


def test_buckets_make_the_same_histogram_again() -> None:
    """What stands in a file as pairs has the same percentiles when it is read."""
    dice = random.Random(2)
    whole = histogram([dice.expovariate(100) for _ in range(5_000)])

    again = Histogram.of((round(seconds, 9), count) for seconds, count in whole.buckets())

    assert again.percentiles([50, 90, 99]) == pytest.approx(
        whole.percentiles([50, 90, 99]), rel=1e-6
    )
    assert again.count == 5_000


def test_memory_is_constant() -> None:
    """Durations over the whole range take no more memory than the range has buckets."""
    made = Histogram()
    dice = random.Random(3)
    for _ in range(200_000):
        made.record(10 ** dice.uniform(-6.5, 4))

    assert len(list(made.buckets())) <= 4096
    assert len(made.pack()) <= 41_000
    assert sys.getsizeof(made._pending) < 100_000


def test_noted_durations_are_seen_by_every_question() -> None:
    """What was noted and not yet settled counts."""
    made = Histogram()
    made.note(0.25)

    assert (made.count, made.minimum, made.maximum, made.percentile(50)) == (1, 0.25, 0.25, 0.25)


def test_a_torn_message_is_refused() -> None:
    """Bytes that no histogram wrote are an error, not numbers."""
    packed = histogram([0.1, 0.2]).pack()

    for torn in (b"", packed[:-1], packed[:20]):
        with pytest.raises(ValueError, match="not a packed histogram"):
            Histogram.unpack(torn)
