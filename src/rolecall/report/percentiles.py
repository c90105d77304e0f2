"""Writes percentiles in HdrHistogram's text form, which its plotter reads; in milliseconds."""

from __future__ import annotations

import math

from rolecall.histogram import Histogram

#: Lines for each halving of what is left to 100 %, as HdrHistogram writes it.
_TICKS = 5


def write(histogram: Histogram) -> str:
    """The text of the file."""
    total = histogram.count
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    level = 0.0  # per cent
    seen = 0
    for seconds, count in histogram.buckets():
        seen += count
        value = 1000 * min(max(seconds, histogram.minimum), histogram.maximum)
        while seen < total and 100 * seen / total >= level:
            lines.append(
                f"{value:12.3f} {level / 100:14.12f} {seen:10d} {100 / (100 - level):14.2f}"
            )
            level += 100 / (_TICKS * 2 ** (math.floor(math.log2(100 / (100 - level))) + 1))
    if total:
        lines.append(f"{histogram.maximum * 1000:12.3f} {1.0:14.12f} {total:10d} {'inf':>14}")
    mean, deviation = histogram.mean * 1000, _deviation(histogram) * 1000
    return "\n".join(
        [
            *lines,
            f"#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]",
            f"#[Max     = {histogram.maximum * 1000:12.3f}, Total count    = {total:12d}]",
            f"#[Buckets = {32:12d}, SubBuckets     = {128:12d}]",
            "",
        ]
    )


def _deviation(histogram: Histogram) -> float:
    if not histogram.count:
        return 0.0
    mean = histogram.mean
    return math.sqrt(
        sum((seconds - mean) ** 2 * count for seconds, count in histogram.buckets())
        / histogram.count
    )
