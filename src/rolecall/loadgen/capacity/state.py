"""A state of the server: a time in which it carried the same, and when a step ends it.

A search takes minutes, and a server need not stay what it was: a cache fills, a compiler warms up,
an autoscaler adds machines, credits for a burst run out, a limiter begins anew. A posterior
of one capacity, made of steps of two, is of neither. So each step is held against what was known
before it. A step *at odds* with that, one that failed well below the credible interval or held well
above it, is measured once more, at once: if the second agrees with the posterior, the first was an
*incident* (a pause, a neighbour), and is not counted; if it agrees with the first, the server has
changed, and a new state begins with the two of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.posterior import Excess, Posterior
from rolecall.loadgen.capacity.steps import Share, StepJudgement, StepVerdict, significant

#: Capacities that differ by less are one.
SAME = 1.1
#: How much beyond the interval, as a share, and beyond its own error a step must be to be at odds
#: with it.
_BEYOND, _SIGMAS = 0.025, 3.5
#: The excess from which on a failure is clear; by what factor a rate that held has to be above it
#: to contradict it.
_CLEAR, _ABOVE = 0.02, 1.02
#: By how much of what is allowed an objective is broken where no tail of a queue explains it.
_FAR = 3.0
#: How probable it may be that all steps together look as bad as this, for the objective to be
#: broken: there is no other test of that.
_TOGETHER = 0.05
#: How much better, in logarithms of likelihood, bad requests are explained that grow with the rate,
#: where it makes a difference.
_TREND = 4.0
#: How much higher the upper end of a posterior is than its lower one where it is vague.
_VAGUE = 1.3
#: What is left out on either side of a 95 % interval. A search looks where the last steps sent it:
#: its posterior is surer than it should.
_OUTSIDE = 0.01
#: The widths of a step beyond the interval from which on it is made wider.
_CLEARLY = 1.5
#: The share of a limiter's pace that can be had, at the least.
_NEARLY = 0.97
#: How far beyond what was measured the grid of a posterior reaches.
_MARGIN = 1.3


@dataclass
class State:
    """The steps of one state and its posterior; ``began``, ``ended`` are seconds of the search."""

    began: float = 0.0
    steps: list[StepJudgement] = field(default_factory=list)
    incidents: list[StepJudgement] = field(default_factory=list)
    ended: float = 0.0
    _posterior: Posterior | None = None

    @property
    def held(self) -> float:
        """The highest rate that held, below all that failed; 0 where none did."""
        failed = self.failed
        return max(
            (
                judged.step.rate
                for judged in self.steps
                if judged.held and judged.step.rate < failed and self._counts(judged)
            ),
            default=0.0,
        )

    @property
    def failed(self) -> float:
        """The lowest rate that failed; infinite where none did."""
        return min((judged.step.rate for judged in self.steps if judged.failed), default=math.inf)

    @property
    def is_bracketed(self) -> bool:
        """Whether a rate failed, and one below it held."""
        return self.held > 0 and self.failed < math.inf

    @property
    def pace(self) -> float:
        """The median rate that a limiter let through after its first 429; infinite without 429."""
        paces = [carried(judged) for judged in self.steps if judged.limited and not judged.closed]
        return median(paces) if paces else math.inf

    @property
    def value(self) -> float:
        """What it carried: the posterior's middle, or what steps say while that is vague."""
        if self.failed == math.inf:
            return self.held
        if self.held:
            low, middle, high = self.quantiles(0.025, 0.5, 0.975)
            if high < _VAGUE * low:
                return middle
        return max(self.held, min(map(carried, (judged for judged in self.steps if judged.failed))))

    def values(self) -> list[float]:
        """What it carried, also in steps at odds with that, and at tries of an answer."""
        return [
            self.value,
            *(judged.step.rate if judged.held else carried(judged) for judged in self.incidents),
        ]

    def sentence(self) -> str:
        """What it carried, and when."""
        return f"{self.value:.4g}/s from second {self.began:.0f} to {self.ended:.0f}"

    def quantiles(self, *shares: float) -> list[float]:
        """The capacity's quantiles; a step must have held or failed."""
        if self._posterior is None:
            self._posterior = self._fitted()
        found = self._posterior.quantiles(*shares)
        while found[0] < 1.02 * self._posterior.low or found[-1] > self._posterior.high / 1.02:
            if self._posterior.high > 1e4 * self._posterior.low:
                break
            self._posterior = self._fitted(self._posterior.low / 1.5, self._posterior.high * 1.5)
            found = self._posterior.quantiles(*shares)
        return found

    def interval(self) -> tuple[float, float, float]:
        """The 95 % interval with the middle, widened where a step clearly contradicts it."""
        low, middle, high = self.quantiles(_OUTSIDE, 0.5, 1 - _OUTSIDE)
        # how near to it one may come depends on how evenly requests come
        low = min(low, _NEARLY * self.pace)
        for judged in self.steps:
            if not self._counts(judged) or judged.verdict is StepVerdict.UNCLEAR:
                continue
            seen = Excess.of(judged.step.offered, judged.excess, self._doubt(judged))
            if judged.failed and seen.off(low) > _CLEARLY and not seen.is_collapse(low):
                low = min(low, seen.rate * (1 - seen.seen - seen.width))
            elif judged.held and seen.off(high) < -_CLEARLY:
                high = max(high, seen.rate)
        return low, middle, high

    def learn(self, judged: StepJudgement) -> None:
        """Take a step as one of this state."""
        paced = self.pace
        self.steps.append(judged)
        if (
            self._posterior is not None
            and self.pace == paced
            and self._posterior.low < judged.step.offered < self._posterior.high
        ):
            self._tell_strain(self._posterior, judged)
            self._posterior.forget_excess()
            self._tell_excess(self._posterior)
        else:
            self._posterior = None  # the grid is another, or what counts is

    def since_failure(self) -> list[StepJudgement]:
        """The steps after the last one that failed."""
        last = max((at for at, judged in enumerate(self.steps) if judged.failed), default=-1)
        return self.steps[last + 1 :]

    def end(self, steps: list[StepJudgement]) -> None:
        """The server has changed: these steps were of another state."""
        self.ended = steps[0].second
        self.steps = [judged for judged in self.steps if judged not in steps]
        self._posterior = None

    def is_at_odds(self, judged: StepJudgement) -> bool:
        """Whether a step cannot be of this state."""
        if not self.is_bracketed or not judged.usable or not judged.step.due:
            return False
        low, high = self.quantiles(0.025, 0.975)
        return (
            self._is_too_low(judged, low)
            or self._is_too_high(judged, high)
            or self._is_inverted(judged)
        )

    def _is_inverted(self, judged: StepJudgement) -> bool:
        """Whether a step failed below one that held, or held above one that failed."""
        if judged.held and self._counts(judged):
            return any(
                self._is_clear(fell) and _margin(fell) * fell.step.rate <= judged.step.rate
                for fell in self.steps
            )
        rate = _margin(judged) * judged.step.rate
        return self._is_clear(judged) and any(
            held.held and self._counts(held) and held.step.rate >= rate for held in self.steps
        )

    def _is_clear(self, judged: StepJudgement) -> bool:
        """Whether a step failed for more than was due, whatever noise the server has."""
        return judged.failed and judged.excess > max(_CLEAR, _SIGMAS * self._width(judged))

    @property
    def ceiling(self) -> float:
        """The rate that the answer has to be below: the lowest that clearly failed."""
        return min(
            (judged.step.rate for judged in self.steps if self._is_clear(judged)), default=math.inf
        )

    def breaks_down(self, rate: float) -> bool:
        """Whether it carried clearly less than this rate in an overload, and refused nothing."""
        return any(
            judged.growing and not judged.step.failed and SAME * carried(judged) < rate
            for judged in self.steps
        )

    def broken_at_any_rate(self, rate: float) -> str:
        """The objective that is broken up to this rate, with what was seen; empty where there is
        none.

        That shows in all steps up to the rate together; or in all steps, where the rate makes no
        difference: a search ends where it was lucky, so that the steps below are the better ones by
        chance.
        """
        calm = [judged for judged in self.steps if not judged.growing]
        for name in sorted(
            {share.name for judged in calm for share in judged.step.objectives if share.of > 1}
        ):
            every = _pooled(name, calm)
            below = _pooled(name, [judged for judged in calm if judged.step.rate <= rate])
            if not below.of:
                continue
            is_flat = chance.trend(_by_rate(name, calm), every.clump) < _TREND
            for share, most in ((below, rate), (every, max(judged.step.rate for judged in calm))):
                if _looks_broken(share) and (is_flat or share is below):
                    return (
                        f"not {name} at any rate: {share.bad / share.of:.2%} of {share.of:,} "
                        f"requests at rates up to {most:.4g}/s"
                    )
        return ""

    def contradictions(self, answer: float) -> list[StepJudgement]:
        """The steps that cannot be of a server that carries the answer and no more."""
        (high,) = self.quantiles(0.975)
        return [
            judged
            for judged in self.steps
            if self._is_too_low(judged, (1 - _BEYOND) * answer)
            or (self._counts(judged) and self._is_too_high(judged, max(high, answer)))
        ]

    def _is_too_low(self, judged: StepJudgement, capacity: float) -> bool:
        """Whether a step failed too far below what should be carried to be chance."""
        far = judged.strain is not None and judged.strain.failed and judged.strain.strain > _FAR
        return (
            judged.failed
            and judged.step.offered < capacity
            and (far or judged.excess > max(_BEYOND, _SIGMAS * self._width(judged)))
        )

    def _is_too_high(self, judged: StepJudgement, capacity: float) -> bool:
        """Whether a step held above all that should be carried, and was no limiter's allowance."""
        rate = judged.step.offered
        return (
            judged.held
            and rate < _ALLOWANCE * self.pace
            and 1 - capacity / rate > max(_BEYOND, _SIGMAS * self._width(judged))
        )

    def _width(self, judged: StepJudgement) -> float:
        return Excess.of(judged.step.offered, judged.excess, self._doubt(judged)).width

    def _doubt(self, judged: StepJudgement) -> float:
        """How far a step's excess may be off: as far as it says itself, or as the steps say in
        which the server was busy throughout.

        How unevenly a server works is a property of the server. A step of which it happened to make
        no pause is not exact for that.
        """
        busy = [
            step.doubt**2 * step.step.seconds
            for step in self.steps
            if step.growing and step.saturated
        ]
        if not busy or judged.limited or not judged.step.due:
            return judged.doubt
        return max(judged.doubt, math.sqrt(sum(busy) / len(busy) / judged.step.seconds))

    def document(self) -> dict[str, Any]:
        """A state in ``capacity.json``; it has steps."""
        low, _, high = self.interval()
        rate = self.value
        return {
            "from": round(self.began, 1),
            "to": round(self.ended, 1),
            "rate": significant(rate),
            "low": significant(min(low, rate)),
            "high": significant(max(high, rate)),
        }

    def _fitted(self, low: float = math.inf, high: float = 0.0) -> Posterior:
        """The posterior of all that was seen of this state."""
        held, failed = self.held, self.failed
        rates = [judged.step.offered for judged in self.steps]
        # Far below what held nothing was carried only because the server had broken down.
        least = max(min(map(carried, self.steps)), (held or min(rates)) / 16)
        low = min(low, least / _MARGIN, (held or least) / _MARGIN)
        high = max(high, _MARGIN * (failed if failed < math.inf else max(rates)), _MARGIN * held)
        posterior = Posterior(low, high)
        for judged in self.steps:
            self._tell_strain(posterior, judged)
        self._tell_excess(posterior)
        return posterior

    def _counts(self, judged: StepJudgement) -> bool:
        """Whether a step says what is carried for good, not just while an allowance lasts."""
        return judged.failed or judged.step.rate < _ALLOWANCE * self.pace

    def _tell_excess(self, posterior: Posterior) -> None:
        for judged in self.steps:
            if (
                self._counts(judged)
                and posterior.low / 2 < judged.step.offered < 2 * posterior.high
            ):
                posterior.excess(
                    judged.step.offered,
                    judged.excess,
                    self._doubt(judged),
                    exact=judged.limited and not judged.closed,
                )

    def _tell_strain(self, posterior: Posterior, judged: StepJudgement) -> None:
        # An objective that breaks while the backlog grows breaks for that; and 429 where there is a
        # pace is what the pace says.
        if (judged.growing and judged.saturated) or judged.limited or not self._counts(judged):
            return
        shares = [judged.strain] if self.pace == math.inf else list(judged.step.objectives)
        strain = max(
            (share for share in shares if share), key=lambda share: share.strain, default=None
        )
        if strain and posterior.low / 2 < judged.step.offered < 2 * posterior.high:
            posterior.strain(judged.step.offered, strain.bad, strain.limit)


#: The rate, in paces of a limiter, from which on a step may have lived on an allowance.
_ALLOWANCE = 1.005


def is_far(judged: StepJudgement) -> bool:
    """Whether a step failed by far: no second one is needed to see by how much."""
    return judged.failed and SAME * carried(judged) < judged.step.offered


def _pooled(name: str, steps: list[StepJudgement]) -> Share:
    """An objective over some steps together."""
    shares = [share for judged in steps for share in judged.step.objectives if share.name == name]
    bad, of = sum(share.bad for share in shares), sum(share.of for share in shares)
    clump = max((share.clump for share in shares), default=1.0)
    return Share(name, bad, of, max((share.allowed for share in shares), default=1.0), clump)


def _by_rate(name: str, steps: list[StepJudgement]) -> list[tuple[float, float, float]]:
    """The bad requests of an objective by rate, and of how many."""
    return [
        (judged.step.rate, share.bad, share.of)
        for judged in steps
        for share in judged.step.objectives
        if share.name == name
    ]


def _looks_broken(share: Share) -> bool:
    return share.broken and chance.tail(share.bad, share.of, share.allowed, share.clump) < _TOGETHER


def _margin(judged: StepJudgement) -> float:
    return 0.995 if is_far(judged) else _ABOVE


def carried(judged: StepJudgement) -> float:
    """What a step says is carried at the least: all, or what was not too much."""
    return judged.step.offered * (1 - max(judged.excess, 0.0))
