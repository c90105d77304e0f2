"""The percentile file: as HdrHistogram writes it, with the values that were recorded."""

from __future__ import annotations

import math
import random
import re

import pytest

from rolecall.histogram import Histogram
from rolecall.report import percentiles

#: What HdrHistogram's own plotter looks for (plotFiles.html): a value, a percentile, a count and
#: the axis.
ROW = re.compile(r"^ *([0-9.]+) ([0-9.]+) +([0-9]+) +([0-9.]+|inf)$")
FOOT = re.compile(
    r"#\[Mean    = +[0-9.]+, StdDeviation   = +[0-9.]+\]\n#\[Max     = +[0-9.]+, Total count    = "
    r"+\d+\]\n#\[Buckets = +\d+, SubBuckets     = +\d+\]\n$"
)


def test_every_line_is_a_point_of_the_distribution() -> None:
    """Values, percentiles and counts rise; each value is the percentile that it stands beside; the
    last is the maximum.
    """
    dice = random.Random(1)
    values = sorted(dice.lognormvariate(-5, 1) for _ in range(10_000))
    histogram = Histogram()
    for value in values:
        histogram.record(value)

    head, blank, *rows = percentiles.write(histogram).partition("#[")[0].splitlines()
    points = [tuple(map(float, match.groups())) for row in rows if (match := ROW.match(row))]

    assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert blank == ""
    assert len(points) == len(rows)
    assert points == sorted(points)
    for value, level, count, axis in points[:-1]:
        assert axis == pytest.approx(1 / (1 - level), rel=0.01)
        assert count >= level * len(values)
        assert value == pytest.approx(
            1000 * values[max(math.ceil(round(level * len(values), 6)) - 1, 0)], rel=0.01
        )
    assert points[-1][0] == pytest.approx(values[-1] * 1000, abs=0.001)
    assert points[-1][1:] == (1.0, 10_000, float("inf"))
    assert points[-2][1] > 0.999


def test_the_foot_sums_up() -> None:
    """Mean, deviation, maximum and count close the file, also of a run without an answer."""
    histogram = Histogram()
    for value in (0.010, 0.020, 0.030):
        histogram.record(value)

    text = percentiles.write(histogram)

    assert FOOT.search(text)
    assert re.search(r"Mean    = +20.000, StdDeviation   = +8.1", text)
    assert re.search(r"Max     = +30.000, Total count    = +3\]", text)
    assert FOOT.search(percentiles.write(Histogram()))
