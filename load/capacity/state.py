"""A state of the server: what it carried for as long as it carried the same, and when a step shows that it no longer does.

A search takes minutes, and a server need not stay what it was: a cache fills, a compiler warms up, an autoscaler adds machines, credits
for a burst run out, a limiter begins another window. A belief of one capacity, made of steps of two, is of neither. So each step is held
against what was believed before it. A step *at odds* with that, one that failed well below the believed interval or held well above it,
is measured once more, at once: if the second agrees with the belief, the first was an *incident* (a pause, a neighbour), and is
not counted; if it agrees with the first, the server has changed, and a new state begins with the two of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rolecall.load.capacity.belief import Belief, Excess
from rolecall.load.capacity.steps import Judgement, Share, Verdict, significant

#: Capacities that differ by less are one.
SAME = 1.1
#: How much beyond the interval, as a share, and beyond its own error a step must be to be at odds with it.
_BEYOND, _SIGMAS = 0.025, 3.5
#: The excess from which on a failure is clear; by what factor a rate that held has to be above it to contradict it.
_CLEAR, _ABOVE = 0.02, 1.02
#: By how much of what is allowed an objective is broken where no tail of a queue explains it.
_FAR = 3.0
#: How much higher the upper end of a belief is than its lower one where it is vague.
_VAGUE = 1.3
#: What is left out on either side of a 95 % interval. A search looks where the last steps sent it: its belief is surer than it should.
_OUTSIDE = 0.01
#: The widths of a step beyond the interval from which on it is made wider.
_CLEARLY = 2.0
#: The share of a limiter's pace that can be had, at the least.
_NEARLY = 0.97
#: How far beyond what was measured the grid of a belief reaches.
_MARGIN = 1.3


@dataclass
class State:
    """The steps of one state, and what is believed of it. ``began`` and ``ended`` are seconds of the search."""

    began: float = 0.0
    steps: list[Judgement] = field(default_factory=list)
    incidents: list[Judgement] = field(default_factory=list)
    ended: float = 0.0
    _belief: Belief | None = None

    @property
    def held(self) -> float:
        """The highest rate that held, below all that failed; 0 where none did."""
        failed = self.failed
        return max((it.step.rate for it in self.steps if it.held and it.step.rate < failed and self._counts(it)), default=0.0)

    @property
    def failed(self) -> float:
        """The lowest rate that failed; infinite where none did."""
        return min((it.step.rate for it in self.steps if it.failed), default=math.inf)

    @property
    def is_bracketed(self) -> bool:
        """Whether a rate failed, and one below it held."""
        return self.held > 0 and self.failed < math.inf

    @property
    def pace(self) -> float:
        """What a limiter let through after its first 429, in requests a second: the least that was seen; infinite where none was."""
        return min((carried(it) for it in self.steps if it.limited and not it.closed), default=math.inf)

    @property
    def value(self) -> float:
        """What it carried: the middle of the belief; where that is vague yet, what steps say by themselves."""
        if self.failed == math.inf:
            return self.held
        if self.held:
            low, middle, high = self.quantiles(0.025, 0.5, 0.975)
            if high < _VAGUE * low:
                return middle
        return max(self.held, min(map(carried, (it for it in self.steps if it.failed))))

    def values(self) -> list[float]:
        """What it carried, and what it carried in steps at odds with that, or at rates that were to be the answer."""
        return [self.value, *(it.step.rate if it.held else carried(it) for it in self.incidents)]

    def sentence(self) -> str:
        """What it carried, and when."""
        return f"{self.value:.4g}/s from second {self.began:.0f} to {self.ended:.0f}"

    def quantiles(self, *shares: float) -> list[float]:
        """The rates below which the capacity lies with these probabilities; there must have been a step that held or failed."""
        if self._belief is None:
            self._belief = self._believe()
        found = self._belief.quantiles(*shares)
        while found[0] < 1.02 * self._belief.low or found[-1] > self._belief.high / 1.02:
            if self._belief.high > 1e4 * self._belief.low:
                break
            self._belief = self._believe(self._belief.low / 1.5, self._belief.high * 1.5)
            found = self._belief.quantiles(*shares)
        return found

    def interval(self) -> tuple[float, float, float]:
        """The 95 % interval with the middle; wider where a step says by itself, and clearly, that the capacity is not in it."""
        low, middle, high = self.quantiles(_OUTSIDE, 0.5, 1 - _OUTSIDE)
        low = min(low, _NEARLY * self.pace)  # how near to it one may come depends on how evenly requests come
        for it in self.steps:
            if not self._counts(it) or it.verdict is Verdict.UNCLEAR:
                continue
            seen = Excess.of(it.step.offered, it.excess, self._doubt(it))
            if it.failed and seen.off(low) > _CLEARLY and not seen.is_collapse(low):
                low = min(low, seen.rate * (1 - seen.seen - seen.width))
            elif it.held and seen.off(high) < -_CLEARLY:
                high = max(high, seen.rate)
        return low, middle, high

    def learn(self, it: Judgement) -> None:
        """Take a step as one of this state."""
        paced = self.pace
        self.steps.append(it)
        if self._belief is not None and self.pace == paced and self._belief.low < it.step.offered < self._belief.high:
            self._tell_strain(self._belief, it)
            self._belief.forget_excess()
            self._tell_excess(self._belief)
        else:
            self._belief = None  # the grid is another, or what counts is

    def since_failure(self) -> list[Judgement]:
        """The steps after the last one that failed."""
        last = max((at for at, it in enumerate(self.steps) if it.failed), default=-1)
        return self.steps[last + 1 :]

    def end(self, steps: list[Judgement]) -> None:
        """The server has changed: these steps were of another state."""
        self.ended = steps[0].second
        self.steps = [it for it in self.steps if it not in steps]
        self._belief = None

    def is_at_odds(self, it: Judgement) -> bool:
        """Whether a step cannot be of this state."""
        if not self.is_bracketed or not it.usable or not it.step.due:
            return False
        low, high = self.quantiles(0.025, 0.975)
        return self._is_too_low(it, low) or self._is_too_high(it, high) or self._is_inverted(it)

    def _is_inverted(self, it: Judgement) -> bool:
        """Whether a step failed below one that held, or held above one that failed."""
        if it.held and self._counts(it):
            return any(self._is_clear(fell) and _margin(fell) * fell.step.rate <= it.step.rate for fell in self.steps)
        rate = _margin(it) * it.step.rate
        return self._is_clear(it) and any(held.held and self._counts(held) and held.step.rate >= rate for held in self.steps)

    def _is_clear(self, it: Judgement) -> bool:
        """Whether a step failed for more than was due, whatever noise the server has."""
        return it.failed and it.excess > max(_CLEAR, _SIGMAS * self._width(it))

    @property
    def ceiling(self) -> float:
        """The rate that the answer has to be below: the lowest that clearly failed."""
        return min((it.step.rate for it in self.steps if self._is_clear(it)), default=math.inf)

    def broken_at_any_rate(self, rate: float) -> str:
        """The objective that all steps up to this rate together break, with what they saw; empty where there is none."""
        steps = [it for it in self.steps if it.step.rate <= rate and not it.growing]
        for name in sorted({share.name for it in steps for share in it.step.objectives if share.of > 1}):
            shares = [share for it in steps for share in it.step.objectives if share.name == name]
            bad, of = sum(share.bad for share in shares), sum(share.of for share in shares)
            if Share(name, bad, of, shares[0].allowed, max(share.clump for share in shares)).failed:
                return f"not {name} at any rate: {bad / of:.2%} of {of:,} requests at rates up to {rate:.4g}/s"
        return ""

    def contradictions(self, answer: float) -> list[Judgement]:
        """The steps that cannot be of a server that carries the answer, and no more than the belief's upper end."""
        (high,) = self.quantiles(0.975)
        return [
            it
            for it in self.steps
            if self._is_too_low(it, (1 - _BEYOND) * answer) or (self._counts(it) and self._is_too_high(it, max(high, answer)))
        ]

    def _is_too_low(self, it: Judgement, capacity: float) -> bool:
        """Whether a step failed below what should be carried, by far more than chance and tails of queues explain."""
        far = it.strain is not None and it.strain.failed and it.strain.strain > _FAR
        return it.failed and it.step.offered < capacity and (far or it.excess > max(_BEYOND, _SIGMAS * self._width(it)))

    def _is_too_high(self, it: Judgement, capacity: float) -> bool:
        """Whether a step held above all that should be carried, and was no limiter's allowance."""
        rate = it.step.offered
        return it.held and rate < _ALLOWANCE * self.pace and 1 - capacity / rate > max(_BEYOND, _SIGMAS * self._width(it))

    def _width(self, it: Judgement) -> float:
        return Excess.of(it.step.offered, it.excess, self._doubt(it)).width

    def _doubt(self, it: Judgement) -> float:
        """How far a step's excess may be off: as far as it says itself, or as the steps say in which the server was busy throughout.

        How unevenly a server works is a property of the server. A step of which it happened to make no pause is not exact for that.
        """
        busy = [step.doubt**2 * step.step.seconds for step in self.steps if step.growing and step.saturated]
        if not busy or it.limited or not it.step.due:
            return it.doubt
        return max(it.doubt, math.sqrt(sum(busy) / len(busy) / it.step.seconds))

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

    def _believe(self, low: float = math.inf, high: float = 0.0) -> Belief:
        """All that was seen of this state, on a grid from the least that a step says it carried to the most."""
        held, failed = self.held, self.failed
        rates = [it.step.offered for it in self.steps]
        # Far below what held nothing was carried only because the server had broken down.
        least = max(min(map(carried, self.steps)), (held or min(rates)) / 16)
        low = min(low, least / _MARGIN, (held or least) / _MARGIN)
        high = max(high, _MARGIN * (failed if failed < math.inf else max(rates)), _MARGIN * held)
        belief = Belief(low, high)
        for it in self.steps:
            self._tell_strain(belief, it)
        self._tell_excess(belief)
        return belief

    def _counts(self, it: Judgement) -> bool:
        """Whether a step says what is carried for good: above a limiter's pace a rate holds for as long as the allowance lasts."""
        return it.failed or it.step.rate < _ALLOWANCE * self.pace

    def _tell_excess(self, belief: Belief) -> None:
        for it in self.steps:
            if self._counts(it) and belief.low / 2 < it.step.offered < 2 * belief.high:
                belief.excess(it.step.offered, it.excess, self._doubt(it), exact=it.limited and not it.closed)

    def _tell_strain(self, belief: Belief, it: Judgement) -> None:
        # An objective that breaks while the backlog grows breaks for that; and 429 where there is a pace is what the pace says.
        if (it.growing and it.saturated) or it.limited or not self._counts(it):
            return
        shares = [it.strain] if self.pace == math.inf else list(it.step.objectives)
        strain = max((share for share in shares if share), key=lambda share: share.strain, default=None)
        if strain and belief.low / 2 < it.step.offered < 2 * belief.high:
            belief.strain(it.step.offered, strain.bad, strain.limit)


#: The rate, in paces of a limiter, from which on a step may have lived on an allowance.
_ALLOWANCE = 1.005


def is_far(it: Judgement) -> bool:
    """Whether a step failed by far: no second one is needed to see by how much."""
    return it.failed and SAME * carried(it) < it.step.offered


def _margin(it: Judgement) -> float:
    return 0.995 if is_far(it) else _ABOVE


def carried(it: Judgement) -> float:
    """What a step says is carried at the least: all, or what was not too much."""
    return it.step.offered * (1 - max(it.excess, 0.0))
