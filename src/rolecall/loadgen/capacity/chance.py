"""Tests whether chance explains a count: one late request of 60 does not break a limit of 1 %.

A step of a search counts a sample. Where the server makes one request in a hundred wait, a step of
60 requests has two late ones in every eighth case; a search of fifteen steps that takes every such
step for a failure ends far below the capacity. So an objective fails a step only where a server
that *just* keeps the objective would hardly ever look as bad: a one-sided binomial test. A step
that looks bad and may be chance is `unclear`, and is measured again, for longer.

The binomial takes every request for a throw of its own. Bad requests come in clumps: all who came
during one pause are late together, and forty of them are one event, not forty. How large the clumps
are shows in how unevenly bad requests are spread over the slices of a step: the variance of their
number by its mean, which is 1 where they are independent (Poisson) and about the size of a clump
where they are not. Both sides of the comparison are counted in clumps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import exp, lgamma, log
from statistics import mean, pvariance

#: How probable it may be that a server that just keeps its objective looks as bad as this, for the
#: step to have failed.
UNLIKELY = 0.01


def tail(bad: float, of: float, allowed: float, clump: float = 1.0) -> float:
    """The probability of ``bad`` or more of ``of`` at a share of ``allowed``, in such clumps."""
    count = max(math.ceil(bad / clump - 0.5), 1)
    throws = max(round(of / clump), count)
    if bad <= 0 or allowed >= 1:
        return 1.0
    if allowed <= 0:
        return 0.0
    if count <= throws * allowed:
        return 1.0  # at the mean or below: it is not asked how much below a half
    odds = allowed / (1 - allowed)
    term = exp(_binomial(throws, count, allowed))
    total = term
    while count < throws and term > 1e-12 * total:
        term *= odds * (throws - count) / (count + 1)
        count += 1
        total += term
    return min(total, 1.0)


def trend(seen: Sequence[tuple[float, float, float]], clump: float = 1.0) -> float:
    """By how much a share of bad requests that grows with the rate explains better what was seen
    than one that is always the same.

    Args:
        seen: rates, how many were bad at each, and of how many.

    Returns:
        The difference of the logarithms of the likelihoods (Poisson, in clumps), at the best of
        some powers of the rate; near 0 or below where the rate makes no difference.
    """
    top, bad = max((rate for rate, _, _ in seen), default=0.0), math.fsum(bad for _, bad, _ in seen)
    if not bad:
        return 0.0

    def likelihood(power: float) -> float:
        weights = [power * log(rate / top) for rate, _, _ in seen]
        expected = math.fsum(
            of * exp(weight) for (_, _, of), weight in zip(seen, weights, strict=True)
        )
        return math.fsum(
            bad * weight for (_, bad, _), weight in zip(seen, weights, strict=True)
        ) - bad * log(expected)

    return (max(map(likelihood, _POWERS)) - likelihood(0)) / clump


#: Powers of the rate with which bad requests may grow.
_POWERS = (1, 2, 5, 10, 20, 80, 320)


def clump(counts: Sequence[int]) -> float:
    """The size of the clumps in which counts of even slices came; 1 where there are none."""
    if not any(counts):
        return 1.0
    return max(1.0, pvariance(counts) / mean(counts))


def _binomial(of: int, count: int, share: float) -> float:
    """The logarithm of the probability of so many, where each is one with this probability."""
    choose = lgamma(of + 1) - lgamma(count + 1) - lgamma(of - count + 1)
    return choose + count * log(share) + (of - count) * log(1 - share)
