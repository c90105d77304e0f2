"""What is believed of a capacity, in numbers: how probable each rate is to be it, given all that was measured.

Two things limit a server, and its capacity is the lower of the two: the rate from which on it does not carry all, so that the
backlog grows, and the rate from which on an objective does not hold. Each has a probability of its own over the same grid of rates.
None of the measurements is believed entirely: whatever the noise of this one, a share of them is about something else (a pause, a
neighbour).
"""

from __future__ import annotations

import math
from itertools import accumulate
from math import exp, lgamma, log

#: The distance of two rates on the grid, in their logarithms.
_CELL = 0.003
#: The least weight that a measurement leaves to any rate, relative to the most probable one.
_DOUBT = 0.003
#: The error of any excess, however exactly counted; and its share of the excess: a server at twice its capacity may be slower or
#: faster than at its capacity.
_LEAST, _BEYOND = 0.003, 0.1
#: How steeply an objective breaks: bad requests grow with this power of the rate.
_POWERS = (5, 20, 80, 320, 1280)
#: In how large clumps bad requests come: the variance of their number by its mean.
_CLUMPS = (1.0, 4.0, 16.0, 64.0, 256.0)
#: Strain is told apart within these bounds only: beyond, the power law is a guess.
_FAINT, _BROKEN = 0.02, 30.0


class Belief:
    """The belief in each capacity between two rates, which starts as no knowledge at all."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high
        self._grid = [log(low) + _CELL * (cell + 0.5) for cell in range(math.ceil(log(high / low) / _CELL))]
        self._excess = [0.0] * len(self._grid)
        self._strain = {(power, clump): [0.0] * len(self._grid) for power in _POWERS for clump in _CLUMPS}

    def excess(self, rate: float, excess: float, error: float) -> None:
        """At this rate the server did not carry this share of what was due, give or take ``error`` (a standard deviation).

        Below the capacity it should carry all, above it all but what is too much.
        """
        width = math.hypot(error, _LEAST + _BEYOND * max(excess, 0.0))
        seen = max(excess, -width)  # that an old backlog went away is no more than that it did not grow
        for cell, capacity in enumerate(self._grid):
            z = (seen - max(0.0, 1 - exp(capacity) / rate)) / width
            self._excess[cell] += log(exp(-z * z / 2) + _DOUBT)

    def strain(self, rate: float, bad: float, allowed: float) -> None:
        """At this rate so many requests were bad, where ``allowed`` would just have been right.

        Around the limit bad requests grow with a power of the rate, in clumps; neither the power nor the size is known.
        """
        bad = min(bad, _BROKEN * allowed)
        told = {}
        for power, clump in self._strain:
            means = (
                allowed * exp(max(log(_FAINT), min(log(_BROKEN), power * (log(rate) - capacity)))) for capacity in self._grid
            )
            told[power, clump] = [_probability(bad, mean, clump) for mean in means]
        best = max(max(cells) for cells in told.values())
        for key, cells in told.items():
            seen = self._strain[key]
            for cell, value in enumerate(cells):
                seen[cell] += log(exp(value - best) + _DOUBT)

    def quantiles(self, *shares: float) -> list[float]:
        """The rates below which the capacity lies with these probabilities."""
        top = max(self._excess)
        stable = _cumulated([exp(value - top) for value in self._excess])
        peak = max(max(cells) for cells in self._strain.values())
        held = _cumulated([sum(exp(value - peak) for value in cell) for cell in zip(*self._strain.values(), strict=True)])
        both = [1 - (1 - one) * (1 - other) for one, other in zip(stable, held, strict=True)]
        return [self._rate(both, share) for share in shares]

    def _rate(self, cumulated: list[float], share: float) -> float:
        cell = next((cell for cell, upto in enumerate(cumulated) if upto >= share), len(cumulated) - 1)
        before = cumulated[cell - 1] if cell else 0.0
        part = (share - before) / (cumulated[cell] - before) if cumulated[cell] > before else 0.5
        return exp(self._grid[cell] + _CELL * (part - 0.5))


def _cumulated(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [min(upto / total, 1.0) for upto in accumulate(weights)]


def _probability(count: float, mean: float, clump: float) -> float:
    """The logarithm of a negative binomial with this mean, and a variance of ``clump`` means; Poisson for 1."""
    if clump == 1:
        return count * log(mean) - mean - lgamma(count + 1)
    size = mean / (clump - 1)
    return lgamma(count + size) - lgamma(size) - lgamma(count + 1) - size * log(clump) + count * log(1 - 1 / clump)
