"""The posterior of a capacity: how probable each rate is to be it, given all that
was measured.

Two things limit a server, and its capacity is the lower of the two: the rate from which on it does
not carry all, so that the backlog grows, and the rate from which on an objective does not hold.
Each has a probability of its own over the same grid of rates.

Three things keep such a posterior from being surer than it may be. None of the measurements is
trusted entirely: whatever the noise of this one, a share of them is about something else (a pause,
a neighbour). Beyond its capacity a server may do worse than turn away what is too much, it may
collapse; so a step that shows a far greater excess than fits says no more than that the rate was
too high. And where the steps disagree by more than their errors, the errors were too small: all are
widened by the same factor until they agree, as metrologists do when laboratories disagree (Birge's
ratio; Particle Data Group, "Review of Particle Physics", 5.2.2).
"""

from __future__ import annotations

import math
from itertools import accumulate
from math import exp, lgamma, log
from typing import NamedTuple

#: The distance of two rates on the grid, in their logarithms.
_CELL = 0.003
#: The least weight that a measurement leaves to any rate, relative to the most probable one.
_DOUBT = 0.003
#: The weight of a collapse: that a server whose capacity is exceeded carries less than its
#: capacity.
_COLLAPSE = 0.05
#: The error of any excess, however exactly counted; and its share of the excess: a server at twice
#: its capacity may be slower or faster than at its capacity.
_LEAST, _BEYOND = 0.003, 0.1
#: The share of the capacity from which on a rate is so near to it that it says something of it.
_NEAR = 0.9
#: The share of what was due from which on what is missing beside the excess is a breakdown.
_BREAKDOWN = 0.15
#: How steeply an objective breaks: bad requests grow with this power of the rate.
_POWERS = (5, 10, 20, 80, 320, 1280)
#: In how large clumps bad requests come: the variance of their number by its mean.
_CLUMPS = (1.0, 4.0, 16.0, 64.0, 256.0)
#: How much of what is allowed is bad at any rate, one by one: a server may err in one answer of 125
#: whatever it carries.
_BASES = (0.4, 0.7, 0.9)
#: What is thought possible of the bad requests of a server: how many of them are there at any rate,
#: and in how large clumps they come.
_WAYS = [(0.0, clump) for clump in _CLUMPS] + [
    (base, clump) for base in _BASES for clump in _CLUMPS[:2]
]
#: Strain is told apart within these bounds only: beyond, the power law is a guess. The points
#: between them at which it is worked out.
_FAINT, _BROKEN, _POINTS = 0.02, 30.0, 200
_PER_POINT = log(_BROKEN / _FAINT) / _POINTS
#: The logarithms of growth between which points are looked up, and how many there are to one.
_STEEP, _PER_ONE = 20.0, 64


class Excess(NamedTuple):
    """What was not carried at a rate, with its ``error``; ``width`` adds what every count has."""

    rate: float
    seen: float
    width: float

    @classmethod
    def of(cls, rate: float, excess: float, error: float, beyond: float = _BEYOND) -> Excess:
        """What was seen; ``beyond`` is by how much of the excess itself it may be off."""
        width = math.hypot(error, _LEAST + beyond * max(excess, 0.0))
        # a backlog that shrank shows no more than one that did not grow
        return cls(rate, max(excess, -width), width)

    def off(self, capacity: float) -> float:
        """By how many widths this is above, or below, what such a capacity would show."""
        return (self.seen - max(0.0, 1 - capacity / self.rate)) / self.width

    def is_collapse(self, capacity: float) -> bool:
        """Whether a server of this capacity broke down at this rate."""
        return self.rate > capacity and self.seen - (1 - capacity / self.rate) > _BREAKDOWN


class Posterior:
    """The probability of each capacity between two rates; at the start all are equally probable."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high
        self._grid = [
            log(low) + _CELL * (cell + 0.5) for cell in range(math.ceil(log(high / low) / _CELL))
        ]
        self._seen: list[Excess] = []
        self._strain = {(power, way): [1.0] * len(self._grid) for power in _POWERS for way in _WAYS}
        self._cumulated: list[float] = []

    def excess(self, rate: float, excess: float, error: float, *, exact: bool = False) -> None:
        """At this rate the server did not carry this share of what was due, give or take ``error``
        (a standard deviation).

        Below the capacity it should carry all, above it all but what is too much: ``exact`` where
        that is a limiter's doing.
        """
        self._seen.append(Excess.of(rate, excess, error, 0.0 if exact else _BEYOND))
        self._cumulated = []

    def forget_excess(self) -> None:
        """Begin anew with what was not carried; what is known of the strain stays."""
        self._seen = []
        self._cumulated = []

    def strain(self, rate: float, bad: float, allowed: float) -> None:
        """At this rate so many requests were bad, where ``allowed`` would just have been right.

        Some are bad at any rate. Around the limit the others grow with a power of the rate, in
        clumps; neither the share of the first nor the power nor the size is known.
        """
        self._cumulated = []
        bad = min(bad, _BROKEN * allowed)
        tables = {clump: _table(bad, allowed, clump) for clump in _CLUMPS}
        best = max(max(table) for table in tables.values())
        weights = {
            clump: [exp(value - best) + _DOUBT for value in table]
            for clump, table in tables.items()
        }
        for power in _POWERS:
            growths = (power * (log(rate) - capacity) for capacity in self._grid)
            steps = [
                int(_PER_ONE * (max(-_STEEP, min(growth, 0.999 * _STEEP)) + _STEEP))
                for growth in growths
            ]
            for base, clump in _WAYS:
                table, points = weights[clump], _LOOK_UP[base]
                seen = self._strain[power, (base, clump)]
                seen[:] = [
                    so_far * table[points[step]] for so_far, step in zip(seen, steps, strict=True)
                ]

    def quantiles(self, *shares: float) -> list[float]:
        """The rates below which the capacity lies with these probabilities."""
        if not self._cumulated:
            stable = self._stable(1.0)
            factor = self.disagreement(self._rate(_cumulated(stable), 0.5))
            carried = _cumulated(self._stable(factor) if factor > 1 else stable)
            held = _cumulated([sum(cell) for cell in zip(*self._strain.values(), strict=True)])
            self._cumulated = [
                1 - (1 - upto) * (1 - strained)
                for upto, strained in zip(carried, held, strict=True)
            ]
        return [self._rate(self._cumulated, share) for share in shares]

    def disagreement(self, capacity: float) -> float:
        """Birge's ratio: by what factor the errors are too small for one capacity; else 1."""
        told = [
            seen.off(capacity)
            for seen in self._seen
            if not seen.is_collapse(capacity) and seen.rate > _NEAR * capacity
        ]
        return math.sqrt(max(1.0, sum(z * z for z in told) / max(len(told) - 1, 1)))

    def _stable(self, factor: float) -> list[float]:
        """The weight of each capacity by what was carried, with all errors widened by a factor."""
        weights = [0.0] * len(self._grid)
        for cell, logarithm in enumerate(self._grid):
            capacity = exp(logarithm)
            for seen in self._seen:
                z = seen.off(capacity) / factor
                doubt = _COLLAPSE if z > 0 and seen.rate > capacity else _DOUBT
                weights[cell] += log(exp(-z * z / 2) + doubt)
        top = max(weights)
        return [exp(weight - top) for weight in weights]

    def _rate(self, cumulated: list[float], share: float) -> float:
        cell = next(
            (cell for cell, upto in enumerate(cumulated) if upto >= share), len(cumulated) - 1
        )
        before = cumulated[cell - 1] if cell else 0.0
        part = (share - before) / (cumulated[cell] - before) if cumulated[cell] > before else 0.5
        return exp(self._grid[cell] + _CELL * (part - 0.5))


def _cumulated(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [min(upto / total, 1.0) for upto in accumulate(weights)]


def _table(bad: float, allowed: float, clump: float) -> list[float]:
    """The log probability of so many bad ones, for each point between faint and broken."""
    return [
        _probability(bad, allowed * _FAINT * exp(_PER_POINT * point), clump)
        for point in range(_POINTS + 1)
    ]


def _point(base: float, growth: float) -> int:
    """Where a server stands: 1 is its capacity, at which just the allowed share is bad."""
    strain = base + (1 - base) * exp(growth)
    return round(log(max(_FAINT, min(strain, _BROKEN)) / _FAINT) / _PER_POINT)


def _probability(count: float, mean: float, clump: float) -> float:
    """The log of a negative binomial of this mean and ``clump`` means of variance."""
    if clump == 1:
        return count * log(mean) - mean - lgamma(count + 1)
    size = mean / (clump - 1)
    return (
        lgamma(count + size)
        - lgamma(size)
        - lgamma(count + 1)
        - size * log(clump)
        + count * log(1 - 1 / clump)
    )


#: For each base, the points of all growths.
_LOOK_UP = {
    base: [_point(base, step / _PER_ONE - _STEEP) for step in range(int(2 * _STEEP * _PER_ONE))]
    for base in (0.0, *_BASES)
}
