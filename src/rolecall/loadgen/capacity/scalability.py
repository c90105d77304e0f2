"""The Universal Scalability Law (Gunther 2007): how throughput grows with concurrency, fitted to
what was measured.

    X(n) = lambda n / (1 + sigma (n - 1) + kappa n (n - 1))

``lambda`` is the throughput of one client alone, ``sigma`` the share of the work that has to wait
its turn (contention), ``kappa`` the cost of keeping everybody agreed with everybody (coherency):
with a kappa above 0 there is a most that a server carries, and more clients get less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any, NamedTuple

from rolecall.loadgen.capacity.steps import significant

#: Levels of concurrency that a fit needs: a curve with three parameters goes through any three
#: points, and near any four.
FEWEST = 5
#: What a parameter must add to the likelihood's double logarithm: chance adds this much to one in
#: twenty (chi-squared).
_WORTH = 3.84
#: Squares that are no more than rounding.
_EXACT = 1e-20


class CannotFit(ValueError):
    """Why there is no law."""


class Point(NamedTuple):
    """A level of concurrency, and the throughput in requests a second that was measured there."""

    concurrency: float
    throughput: float


@dataclass(frozen=True)
class Law:
    """The law with its three parameters; ``rate`` is lambda.

    ``r2`` is the share of the throughput's variance that the law explains, which is high for any
    curve that rises; ``off`` says more: by how much of itself it misses what was measured,
    typically. ``most`` is the highest level that was measured.
    """

    rate: float
    sigma: float
    kappa: float
    r2: float
    off: float
    most: float

    def throughput(self, concurrency: float) -> float:
        """Requests a second at this level."""
        return _law(self.rate, self.sigma, self.kappa, concurrency)

    @property
    def peak(self) -> Point | None:
        """The level with the highest throughput; None where more clients always get more."""
        if not self.kappa:
            return None
        n = max(1.0, math.sqrt(max(1 - self.sigma, 0.0) / self.kappa))
        return Point(n, self.throughput(n))

    @property
    def bound(self) -> float | None:
        """The throughput that no number of clients exceeds; None with a peak, or no bound."""
        return self.rate / self.sigma if self.sigma and not self.kappa else None

    def document(self) -> dict[str, Any]:
        """``usl`` of ``capacity.json``; a peak beyond all measurements is marked as a guess."""
        peak = self.peak
        return {
            "lambda": significant(self.rate),
            "sigma": significant(self.sigma),
            "kappa": significant(self.kappa),
            "peak_concurrency": peak and significant(peak.concurrency),
            "peak_throughput": peak and significant(peak.throughput),
            "peak_measured": peak is not None and peak.concurrency <= self.most,
            "bound": significant(self.bound),
            "r2": round(self.r2, 5),
            "off": round(self.off, 5),
        }


def fit(points: Sequence[Point]) -> Law:
    """The law with the least relative squared error at these points.

    X n' / n with n' in 1, n - 1 and n (n - 1) adds up to 1 with weights 1, sigma and kappa by
    lambda, and what is left over is what is missed as a share: a linear problem, with nothing to
    iterate. A sigma or kappa that would be negative, which means nothing, or that explains no more
    than chance does, is left at 0.

    Raises:
        CannotFit: there are too few levels, or one had no throughput.
    """
    levels = {point.concurrency for point in points}
    if len(levels) < FEWEST:
        raise CannotFit(
            f"{len(levels)} levels of concurrency are too few to fit a law to; {FEWEST} would do"
        )
    if any(n < 1 or throughput <= 0 for n, throughput in points):
        raise CannotFit("there was a level without throughput")
    rows = [
        (throughput / n, throughput * (n - 1) / n, throughput * (n - 1)) for n, throughput in points
    ]
    _, missed, found = min(
        (len(rows) * math.log(missed / len(rows) + _EXACT) + _WORTH * len(free), missed, found)
        for free in ((0,), (0, 1), (0, 2), (0, 1, 2))
        for missed, found in [_least_squares(rows, free)]
        if found[0] > 0 and min(found) >= 0
    )
    rate, sigma, kappa = 1 / found[0], found[1] / found[0], found[2] / found[0]
    free = sum(value > 0 for value in found)
    mean = sum(throughput for _, throughput in points) / len(points)
    spread = sum((throughput - mean) ** 2 for _, throughput in points)
    left = sum((throughput - _law(rate, sigma, kappa, n)) ** 2 for n, throughput in points)
    return Law(
        rate,
        sigma,
        kappa,
        r2=1 - left / spread if spread else 0.0,
        off=math.sqrt(missed / (len(points) - free)),
        most=max(levels),
    )


def _law(rate: float, sigma: float, kappa: float, n: float) -> float:
    return rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


def _least_squares(
    rows: Sequence[Sequence[float]], free: Sequence[int]
) -> tuple[float, list[float]]:
    """The least squares left over, and the weights that leave them, 0 unless ``free``."""
    # Columns of length 1: n (n - 1) is a million times as large as 1.
    sizes = [math.hypot(*(row[at] for row in rows)) or 1.0 for at in free]
    columns = [[row[at] / size for row in rows] for at, size in zip(free, sizes, strict=True)]
    solved = _solve(
        [[*(sum(map(mul, row, column)) for column in columns), sum(row)] for row in columns]
    )
    found = [0.0] * len(rows[0])
    for at, value, size in zip(free, solved, sizes, strict=True):
        found[at] = value / size
    return sum((sum(map(mul, row, found)) - 1) ** 2 for row in rows), found


def _solve(matrix: list[list[float]]) -> list[float]:
    """Solves linear equations (Gauss and Jordan, with pivots); the right side is last."""
    for at in range(len(matrix)):
        pivot = max(range(at, len(matrix)), key=lambda row: abs(matrix[row][at]))
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        matrix[at] = [value / matrix[at][at] for value in matrix[at]]
        for row, values in enumerate(matrix):
            if row != at:
                matrix[row] = [
                    value - values[at] * own for value, own in zip(values, matrix[at], strict=True)
                ]
    return [row[-1] for row in matrix]
