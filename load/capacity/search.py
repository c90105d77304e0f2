"""The search for a server's capacity: the highest rate of arrivals that it carries while the objectives hold.

It climbs by doubling until a step fails, and then narrows. Near the capacity a verdict on a few seconds is noisy, so nothing
rests on a single one: all that was seen goes into one belief of where the capacity is (`belief.py`), which says where to look
next, when it is known well enough, and how well it is known. What a single step says is in `steps.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rolecall.load.capacity.belief import Belief
from rolecall.load.capacity.steps import Judgement, Step, Verdict, judge, knee, milliseconds, significant

#: How many steps may be lost to a machine that was too slow, and how near to such a rate the climb goes.
_LOST, _NEAR = 3, 1.1

#: Offers a rate for so many seconds, not counting the warm-up.
Measure = Callable[[float, float], Step]


class Outcome(StrEnum):
    """How a search ended."""

    FOUND = "found"
    AT_LEAST = "at-least"  # the ceiling held
    NOTHING_HELD = "nothing-held"
    VIOLATED = "violated"
    GENERATOR = "generator"  # this machine ran out before the server did
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Capacity:
    """What a search found: the capacity lies between ``low`` and ``high`` with a probability of ``confidence``.

    ``held`` is the highest rate that clearly held, ``failed`` the lowest above it that clearly failed.
    """

    outcome: Outcome
    because: str
    rate: float | None
    low: float | None
    high: float | None
    held: float | None
    failed: float | None
    steps: Sequence[Judgement]
    seconds: float
    confidence: float = 0.95

    def document(self) -> dict[str, Any]:
        """The findings of ``capacity.json``."""
        best = knee(self.steps)
        return {
            "axis": "rate",
            "outcome": str(self.outcome),
            "because": self.because,
            "capacity": {
                **{name: significant(getattr(self, name)) for name in ("rate", "low", "high", "held", "failed")},
                "confidence": self.confidence,
            },
            "knee": best and {"rate": significant(best.rate), "p50_ms": milliseconds(best.p50), "p99_ms": milliseconds(best.p99)},
            "steps": [it.document() for it in self.steps],
            "seconds": round(self.seconds, 1),
        }


class _Stop(Exception):
    """Why there is nothing more to look for; no error."""

    def __init__(self, outcome: Outcome, because: str) -> None:
        super().__init__(because)
        self.outcome = outcome
        self.because = because


class Search:
    """Looks for the highest rate that holds.

    ``measure(rate, seconds)`` offers a rate to the server: some seconds of warm-up, and then as many as it is told, in slices. It
    returns when everything that was due has been answered, so that the next step finds an idle server. The search begins at
    ``start``, never asks for more than ``ceiling``, takes ``seconds`` of ``clock``, and is content when the 95 % interval is
    ``precision`` on either side. ``told`` hears of every step.
    """

    def __init__(
        self,
        measure: Measure,
        *,
        start: float = 10.0,
        ceiling: float = math.inf,
        seconds: float = 165.0,
        precision: float = 0.02,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Judgement], None] = lambda judgement: None,
    ) -> None:
        self.steps: list[Judgement] = []
        self._measure = measure
        self._start = min(start, ceiling)
        self._ceiling = ceiling
        self._seconds = seconds
        self._precision = precision
        self._clock = clock
        self._told = told
        self._began = clock()
        self._latency = math.inf
        self._overhead = 0.0
        self._lost = 0
        self._belief: Belief | None = None
        self._end = _Stop(Outcome.UNFINISHED, "it was interrupted")

    def run(self) -> Capacity:
        """Search to the end. Whatever ``measure`` raises goes through; `capacity` then says what is known so far."""
        try:
            held, failed = self._climb()
            self._narrow(held, failed)
        except _Stop as end:
            self._end = end
        return self.capacity()

    def capacity(self) -> Capacity:
        """What is known by now."""
        outcome, because = self._end.outcome, self._end.because
        usable = [it for it in self.steps if it.usable]
        failed = [it.step.rate for it in usable if it.verdict is Verdict.FAILED]
        held = [it.step.rate for it in usable if it.verdict is Verdict.HELD]
        low, rate, high = self._belief.quantiles(0.025, 0.5, 0.975) if self._belief else (None, None, None)
        if rate is None and held:
            rate = low = max(held)
        if rate is not None:
            held = [it for it in held if it <= rate]
            failed = [it for it in failed if it >= rate]
        most, least = max(held, default=None), min(failed, default=None)
        return Capacity(outcome, because, rate, low, high, most, least, self.steps, self._clock() - self._began)

    def _climb(self) -> tuple[float, float]:
        """The highest rate that held and the next one, that did not."""
        seconds = max(3.0, self._seconds // 55)
        held, limit, rate = 0.0, math.inf, self._start
        while True:
            if self._left() < seconds:
                raise _Stop(Outcome.UNFINISHED, "the time was over before a rate failed")
            it = self._step(rate, seconds)
            if it.verdict is not Verdict.HELD and not (it.saturated and it.growing):
                it = self._step(rate, 2 * seconds)  # a cold server, a hiccup
            if it.verdict is Verdict.HELD:
                held = rate
                if rate >= self._ceiling:
                    raise _Stop(Outcome.AT_LEAST, f"{rate:g}/s, the most that it was to try, held")
            elif it.verdict is Verdict.GENERATOR:
                limit = rate
            elif held:
                return held, rate
            else:
                rate /= 4
                if rate * seconds < 4:
                    raise _Stop(Outcome.NOTHING_HELD, f"not even {it.step.rate:g}/s held: {it.why or 'the backlog grows'}")
                continue
            rate = min(2 * rate, self._ceiling, math.sqrt(held * limit) if limit < math.inf else math.inf)
            if rate < _NEAR * held or not held:
                raise _Stop(
                    Outcome.GENERATOR, f"this machine ran out before the server did: {it.why or 'it could offer no more'}"
                )

    def _narrow(self, held: float, failed: float) -> None:
        """Look on both sides of where the capacity seems to be, until it is known."""
        belief = self._believe(held / 1.3, failed * 1.3)
        sides = [0, 0]
        noise = 0.0
        seconds = max(2.0, self._seconds // 14)
        while True:
            low, below, median, above, high = belief.quantiles(0.025, 0.2, 0.5, 0.8, 0.975)
            known = math.log(high / low) / 2
            if min(sides) >= 2 and known <= self._precision:
                raise _Stop(Outcome.FOUND, f"known to ±{known:.1%}")
            if self._left() < seconds:
                raise _Stop(Outcome.FOUND, f"known to ±{known:.1%}, and the time is over")
            upper = sides[1] < sides[0]
            # Beyond the capacity by so much that this step will see the backlog grow.
            rate = max(above, median * (1.03 + 2 * noise)) if upper else min(below, median * 0.97)
            it = self._step(min(rate, self._ceiling), seconds)
            sides[upper] += 1
            if not it.usable:
                continue
            noise = it.error
            self._learn(belief, it)
            if low < 1.02 * belief.low or high > belief.high / 1.02:
                belief = self._believe(belief.low / 1.5, belief.high * 1.5)

    def _left(self) -> float:
        """Seconds that the next step may take, its warm-up and what follows it not counted."""
        return self._seconds - (self._clock() - self._began) - self._overhead

    def _step(self, rate: float, seconds: float) -> Judgement:
        began = self._clock()
        step = self._measure(rate, seconds)
        self._overhead = max(self._overhead, self._clock() - began - seconds)
        if step.p50 is not None:
            self._latency = min(self._latency, step.p50)
        it = judge(step, self._latency)
        self.steps.append(it)
        self._told(it)
        if it.verdict is Verdict.VIOLATED:
            raise _Stop(Outcome.VIOLATED, f"at {rate:g}/s it was no longer right: {it.why}")
        self._lost += it.verdict is Verdict.GENERATOR
        if self._lost > _LOST:
            raise _Stop(Outcome.GENERATOR, f"this machine ran out before the server did: {it.why}")
        return it

    def _believe(self, low: float, high: float) -> Belief:
        self._belief = belief = Belief(low, high)
        for it in self.steps:
            if it.usable and low / 2 < it.step.offered < 2 * high:
                self._learn(belief, it)
        return belief

    @staticmethod
    def _learn(belief: Belief, it: Judgement) -> None:
        belief.excess(it.step.offered, it.excess, it.error)
        # An objective that breaks while the backlog grows breaks for that.
        if it.strain and not (it.growing and it.saturated):
            belief.strain(it.step.offered, it.strain.bad, it.strain.limit)
