"""The search by rate: the highest rate of arrivals at which the objectives hold.

It climbs by doubling until a step fails, and then narrows. Near the capacity a verdict on a few
seconds is noisy, so nothing rests on a single one: all that was seen goes into a posterior of
the capacity is (`posterior.py`), which says where to look next, when it is known well enough, and
how well it is known. What a single step says is in `steps.py`.

What the posterior says is a conclusion, and the search does not end with one. It ends with a longer
step at the answer, which has to hold there; where it does not, the answer is lowered, and has to
hold again. And it asks all along whether the server is still the one of which the posterior is
(`state.py`). Where it carried more before than it does at the end, or changes to and fro, there
is no one capacity, and the outcome is `unstable`, with the least and the most. Where it only ever
carried more (a cold cache, a compiler, an autoscaler), the last state is the answer, if the search
has seen it for longer than it has seen the others; it then takes all its time.

Longer than 400 lines because the parts of the search share one state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.findings import Capacity, SearchOutcome
from rolecall.loadgen.capacity.state import SAME, State, carried, is_far
from rolecall.loadgen.capacity.stepper import NOW_AND_THEN, Changed, Measure, Stepper, Stop
from rolecall.loadgen.capacity.steps import StepJudgement, StepVerdict, keep_together

__all__ = ["Capacity", "Measure", "Search", "SearchOutcome"]

#: How near to a rate that this machine could not offer the way up goes.
_NEAR = 1.1
#: Where in the posterior the steps at the answer are: the first below the middle, the others where
#: less is left to doubt.
_ANSWERS = (0.25, 0.1, 0.025, 0.01)
#: The share of the middle of the posterior that the first one is at the most: at the very capacity
#: nothing holds for long.
_BELOW = 0.99
#: By how much each of them is lower than the one before, at least.
_LOWER = 0.985
#: Of the precision that is wanted, what is enough before the step at the answer, which says as much
#: as two others.
_ALMOST = 1.5
#: How probable it has to be that an answer broke an objective by chance, for another look at it
#: before it is lowered.
_CHANCE = 0.15
#: Changes of the server from which on it is not looked at any longer.
_CHANGES = 4

_LESS = "it carried more before than it does now"


class Search:
    """Looks for the highest rate that holds.

    ``measure(rate, seconds)`` offers a rate to the server: some seconds of warm-up, and then as
    many as it is told, in slices. It returns when everything that was due has been answered, or
    given up. The search begins at ``start``, never asks for more than ``ceiling``, takes
    ``seconds`` of ``clock``, and is content when the 95 % interval is ``precision`` on either side.
    ``told`` hears of every step.
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
        told: Callable[[StepJudgement], None] = lambda judgement: None,
    ) -> None:
        self._start = min(start, ceiling)
        self._ceiling = ceiling
        self._precision = precision
        self._climb = max(3.0, seconds // 55)  # seconds of a step on the way up
        self._stepper = Stepper(measure, self._start / 2, seconds, clock, told)
        self._history = self._stepper.history
        self._end = Stop(SearchOutcome.UNFINISHED, "it was interrupted")

    def run(self) -> Capacity:
        """Search to the end. What ``measure`` raises goes through; `capacity` has the result."""
        try:
            self._search()
        except Stop as end:
            self._end = end
        return self.capacity()

    def capacity(self) -> Capacity:
        """What is known by now."""
        end, state = self._end, self._state
        state.ended = seconds = self._stepper.passed()
        low = rate = high = most = least = None
        if end.outcome is SearchOutcome.UNSTABLE:
            low, high = self._history.extremes() if self._history.states else (None, None)
        elif end.outcome is SearchOutcome.NOTHING_HELD:
            pass
        elif state.is_bracketed:
            low, rate, high = self._history.interval(end.rate)
        elif state.held:
            rate = low = state.held
        if end.refuted:
            rate = None
        if rate is not None:
            most = max(
                (
                    judged.step.rate
                    for judged in state.steps
                    if judged.held and judged.step.rate <= rate
                ),
                default=None,
            )
            least = min(
                (
                    judged.step.rate
                    for judged in state.steps
                    if judged.failed and judged.step.rate >= rate
                ),
                default=None,
            )
        known = (end.outcome, end.because, rate, low, high, most, least)
        return Capacity(*known, self._stepper.steps, seconds, states=self._history.states)

    @property
    def _state(self) -> State:
        return self._history.now

    def _search(self) -> None:
        while True:
            try:
                self._bracket()
                if self._state.is_bracketed and self._history.carried_more(self._state.value):
                    raise self._stepper.unstable(_LESS)
                if self._state.is_bracketed:
                    self._narrow()
                if self._state.is_bracketed or self._state.failed == math.inf:
                    self._confirm()
            except Changed:
                if self._history.changes >= _CHANGES:
                    raise self._stepper.unstable("it did not stay the same") from None

    # --- From nowhere to near the capacity ------------------------------------------------------

    def _bracket(self) -> None:
        """Double the rate until it fails, or lower it until it holds; the ceiling may hold."""
        state, limit, ran_out = self._state, math.inf, ""
        rate = self._next(state.steps[-1], limit) if state.steps else self._start
        while not state.is_bracketed:
            if self._stepper.left() < self._climb:
                missing = "failed" if state.held else "held" if state.failed < math.inf else ""
                raise self._over(
                    f"the time was over before a rate {missing or 'clearly held or failed'}: "
                    "search for longer (--search-time), or begin nearer to it (--first-rate)"
                )
            judged = self._attempt(rate)
            if judged.verdict is StepVerdict.GENERATOR:
                limit, ran_out = rate, judged.why or "it could offer no more"
            elif not judged.failed and rate >= self._ceiling:
                return
            rate = self._next(judged, limit)
            if judged.failed and not state.held and rate * self._climb < 4:
                raise self._nothing(
                    f"not even {judged.step.rate:g}/s held: {judged.why or 'the backlog grows'}"
                )
            if (limit < math.inf and rate < _NEAR * state.held) or (
                judged.verdict is StepVerdict.GENERATOR and not state.held
            ):
                raise Stop(
                    SearchOutcome.GENERATOR,
                    f"this machine ran out before the server did: {ran_out}",
                )

    def _next(self, judged: StepJudgement, limit: float) -> float:
        """Where to go after a step while there is no bracket."""
        state = self._state
        if judged.failed:
            return state.failed * min(max(0.9 * (1 - judged.excess), 0.25), 0.7)
        middle = math.sqrt(state.held * limit) if limit < math.inf else math.inf
        return min(2 * judged.step.rate, self._ceiling, middle)

    def _attempt(self, rate: float) -> StepJudgement:
        """A step on the way; what may be a cold server or a hiccup is measured again, longer."""
        judged = self._stepper.step(rate, self._climb)
        if not judged.held and not (judged.saturated and judged.growing):
            judged = self._stepper.step(rate, 2 * self._climb)
        return self._stepper.take(judged, self._climb)

    # --- Near the capacity ----------------------------------------------------------------------

    def _narrow(self) -> None:
        """Look on both sides of the capacity until it is known well enough, or time runs out."""
        state, stepper, sides = self._state, self._stepper, _Sides()
        while state.is_bracketed:
            low, high = state.quantiles(0.025, 0.975)
            known = math.log(high / low) / 2
            if sides.are_seen and (known <= _ALMOST * self._precision or state.pace < math.inf):
                # a limiter's pace is exact; how near to it one may come, steps at the answer say
                return
            if stepper.left() < stepper.usual + 2 * (stepper.overhead + stepper.longer):
                return  # there is to be time to look at the answer twice
            if sides.fell:
                self._look_again(sides.fell)
            lowest = state.failed
            rate = min(sides.rate(state), self._ceiling)
            judged = stepper.take(stepper.step(rate, stepper.usual), stepper.usual)
            sides.note(judged, state)
            if judged.held and rate == lowest:
                stepper.change(state.since_failure())

    def _look_again(self, fell: StepJudgement) -> None:
        """After a step that failed by far, check that what held before still holds."""
        judged = self._stepper.step(self._state.held, self._stepper.short)
        if is_far(judged):
            self._stepper.change([fell, judged])
        self._stepper.take(judged, self._stepper.short)

    # --- At the answer --------------------------------------------------------------------------

    def _confirm(self) -> None:
        """End with a longer step at the answer, which has to hold, or with one below it."""
        stepper, state, last = self._stepper, self._state, math.inf
        was_bracketed = state.is_bracketed
        judged: StepJudgement | None = None
        for number, share in enumerate(_ANSWERS):
            seconds = (
                max(stepper.longer, stepper.left()) if self._history.changes else stepper.longer
            )
            if judged and stepper.left() < 0.5 * seconds:
                break
            rate = self._answer(share, _LOWER ** (number + 1), last)
            looks: list[StepJudgement] = []
            while len(looks) < 2:
                judged = stepper.take(stepper.step(rate, seconds), seconds)
                looks.append(judged)
                is_last = stepper.left() < 0.5 * seconds
                if (
                    self._is_carried(judged, seconds)
                    and (judged.held or is_last)
                    and keep_together(looks)
                ):
                    raise self._found(rate)
                if is_last or not self._may_be_chance(judged):
                    break
            last = rate
            if state.is_bracketed != was_bracketed:
                return  # the ceiling did not hold
        because = f"{last:.5g}/s was to be the answer, and did not hold"
        if judged and judged.why and not judged.held:
            because += f" ({judged.why})"
        if judged and is_far(judged):
            raise self._stepper.unstable(because, judged)
        if broken := state.broken_at_any_rate(last / 2):
            raise self._nothing(broken)
        raise self._over(because, refuted=True)

    def _answer(self, share: float, below: float, last: float) -> float:
        """The rate of a step at the answer, of which the one before was at ``last``."""
        state = self._state
        rate = (
            min(state.quantiles(share)[0], _BELOW * state.quantiles(0.5)[0])
            if state.is_bracketed
            else self._ceiling
        )
        if state.pace < math.inf:
            rate = max(rate, below * state.pace)
        return min(rate, _LOWER * last, 0.99 * state.ceiling, self._ceiling)

    def _may_be_chance(self, judged: StepJudgement) -> bool:
        """Whether an answer broke an objective by so little that it deserves another look."""
        strain = judged.strain
        if strain is None or not strain.broken or judged.failed or self._history.is_slump(judged):
            return False
        if self._state.pace < math.inf and strain.name not in {
            share.name for share in judged.step.objectives
        }:
            return (
                False  # 429 from a limiter: how near to its pace one may come is what is looked for
            )
        return chance.tail(strain.bad, strain.of, strain.allowed, strain.clump) >= _CHANCE

    def _is_carried(self, judged: StepJudgement, seconds: float) -> bool:
        """Whether a step at an answer held, all the time and not only in a second look."""
        return (
            judged.carried
            and judged.step.seconds > 0.9 * seconds
            and not self._history.is_slump(judged)
        )

    # --- The end --------------------------------------------------------------------------------

    def _found(self, rate: float) -> Stop:
        """What a rate that held at the end means, after all that was seen before."""
        state, last = self._state, self._stepper.steps[-1].step
        if broken := state.broken_at_any_rate(rate):
            return (
                self._nothing(broken)
                if state.broken_at_any_rate(rate / 2)
                else self._over(broken, refuted=True)
            )
        for why in self._why_unstable(rate):
            return self._stepper.unstable(*why)
        held = "held" if self._stepper.steps[-1].held else "may have held"
        because = f"{rate:.5g}/s {held} for {last.seconds:.3g} s at the end"
        if self._history.carried_less(rate):
            because += f", and until second {state.began:.0f} it carried less"
        if not state.is_bracketed:
            return Stop(SearchOutcome.AT_LEAST, f"{because}: the most that it was to try", rate)
        low, _, high = self._history.interval(rate)
        return Stop(
            SearchOutcome.FOUND, f"{because}; known to ±{math.log(high / low) / 2:.1%}", rate
        )

    def _why_unstable(self, rate: float) -> Iterator[tuple[Any, ...]]:
        """Why a rate that held is not the answer, each time with the steps that say so."""
        history, began = self._history, self._state.began
        contradictions, slumps = self._state.contradictions(rate), history.slumps
        if any(
            judged.held and judged.step.rate > SAME * rate for judged in contradictions
        ) or history.carried_more(rate):
            yield _LESS, *contradictions
        is_different = history.carried_less(rate) or self._state.breaks_down(rate)
        if len(contradictions) > 1 or (history.incidents and is_different):
            yield NOW_AND_THEN, *contradictions
        if len(slumps) > 1:
            yield "it carried less for a part of some steps", *slumps
        if history.carried_less(rate) and self._stepper.passed() - began < began:
            yield ("it has not carried this for longer than it carried less",)

    def _nothing(self, because: str) -> Stop:
        if self._history.changes:
            return self._stepper.unstable("it carries nothing any more")
        return Stop(SearchOutcome.NOTHING_HELD, because)

    def _over(self, because: str, *, refuted: bool = False) -> Stop:
        """The time was over before there was an answer."""
        if self._history.changes:
            return self._stepper.unstable(because)
        return Stop(SearchOutcome.UNFINISHED, because, refuted=refuted)


@dataclass
class _Sides:
    """The steps on both sides of the capacity: the next one, from those so far."""

    below: int = 0
    above: int = 0
    noise: float = 0.0
    #: How many steps in a row held above the capacity, and how many were to find a limiter and did
    #: not.
    row: int = 0
    vain: int = 0
    #: Whether the last step below came near to breaking an objective, and whether it did not hold.
    is_strained: bool = False
    has_fallen: bool = False
    #: The last step, if it was below the capacity and failed by far.
    fell: StepJudgement | None = None

    @property
    def are_seen(self) -> bool:
        """Whether enough was seen of both."""
        return min(self.below, self.above) >= 2

    @property
    def is_upper(self) -> bool:
        """Whether the next step is above."""
        return self.above < self.below

    def rate(self, state: State) -> float:
        """Above, so far that a step shows it; below, no farther than it takes."""
        below, middle, above = state.quantiles(0.2, 0.5, 0.8)
        if state.pace < math.inf:
            if self.is_upper:
                return state.pace * (1.25 + 0.5 * self.vain)
            return min(state.pace * 0.97, below if self.is_strained else math.inf)
        if self.is_upper and self.row >= 2:
            # only held ones followed the step that failed: whether it still does
            return state.failed
        if self.is_upper:  # farther only where that is not far enough
            return max(
                above if self.row else min(above, middle * 1.08), middle * (1.03 + 2 * self.noise)
            )
        return min(below if self.has_fallen else max(below, middle * 0.93), middle * 0.97)

    def note(self, judged: StepJudgement, state: State) -> None:
        """Take a step as the next one."""
        is_upper = self.is_upper
        self.above += is_upper
        self.below += not is_upper
        self.fell = None
        if not judged.usable:
            return
        self.noise = judged.error
        if is_upper:
            self.vain += judged.held
            self.row = self.row + 1 if judged.held else 0
            return
        self.has_fallen = not judged.held
        self.is_strained = judged.strain is not None and judged.strain.strain > 0.5
        if is_far(judged) and carried(judged) < state.held / SAME:
            self.fell = judged
