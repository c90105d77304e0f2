"""The search for a server's capacity: the highest rate of arrivals that it carries while the objectives hold.

It climbs by doubling until a step fails, and then narrows. Near the capacity a verdict on a few seconds is noisy, so nothing
rests on a single one: all that was seen goes into one belief of where the capacity is (`belief.py`), which says where to look
next, when it is known well enough, and how well it is known. What a single step says is in `steps.py`.

What the belief says is a conclusion, and the search does not end with one. It ends with a longer step at the answer, which has to hold
there; where it does not, the answer is lowered, and has to hold again. And it asks all along whether the server is still the one of
which the belief is (`state.py`). Where it carried more before than it does at the end, or now this and now that, there is no one
capacity, and the outcome is `unstable`, with the least and the most. Where it only ever carried more (a cold cache, a compiler, an
autoscaler), the last state is the answer, if the search has seen it for longer than it has seen the others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from rolecall.load.capacity.findings import Capacity, Outcome
from rolecall.load.capacity.state import State, carried
from rolecall.load.capacity.steps import Judgement, Step, Verdict, judge

__all__ = ["Capacity", "Measure", "Outcome", "Search"]

#: How many steps may be lost to a machine that was too slow, and how near to such a rate the climb goes.
_LOST, _NEAR = 3, 1.1
#: Where in the belief the steps at the answer are: the first below the middle, the next ones where less is left to doubt.
_ANSWERS = (0.25, 0.1, 0.025)
#: By how much each of them is lower than the one before, at least.
_LOWER = 0.985
#: States and incidents from which on a server is not looked at any longer.
_STATES, _INCIDENTS = 4, 3
#: Capacities that differ by less are one.
_SAME = 1.1

#: So many steps in a row above where the capacity seems to be that hold, and the lowest rate that failed is tried again.
_ROW = 2

_LESS = "it carried more before than it does now"
_NOW_AND_THEN = "the same rates held at one time and failed at another"

#: Seconds of a step that only sees whether the server is idle again, and for how long that is tried.
_GENTLY, _PATIENCE = 2.0, 40.0

#: Offers a rate for so many seconds, not counting the warm-up.
Measure = Callable[[float, float], Step]


class _Stop(Exception):
    """Why there is nothing more to look for; no error."""

    def __init__(self, outcome: Outcome, because: str, rate: float | None = None) -> None:
        super().__init__(because)
        self.outcome = outcome
        self.because = because
        self.rate = rate


class _Changed(Exception):
    """The server is in another state now; no error."""


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
        self._overheads: list[float] = []
        self._lost = 0
        self._is_settling = self._is_unsettled = False
        self._states = [State()]
        self._end = _Stop(Outcome.UNFINISHED, "it was interrupted")

    def run(self) -> Capacity:
        """Search to the end. Whatever ``measure`` raises goes through; `capacity` then says what is known so far."""
        try:
            self._search()
        except _Stop as end:
            self._end = end
        return self.capacity()

    def capacity(self) -> Capacity:
        """What is known by now."""
        end, now = self._end, self._passed()
        self._state.ended = now
        states = [state for state in self._states if state.steps]
        low = rate = high = None
        if end.outcome is Outcome.UNSTABLE:
            low, high = self._extremes()
        elif states and self._state.is_bracketed:
            low, rate, high = self._interval(end.rate)
        elif states and self._state.held:
            rate = low = self._state.held
        steps = [it for it in self._state.steps if rate is not None]
        most = max((it.step.rate for it in steps if it.held and rate and it.step.rate <= rate), default=None)
        least = min((it.step.rate for it in steps if it.failed and rate and it.step.rate >= rate), default=None)
        return Capacity(end.outcome, end.because, rate, low, high, most, least, self.steps, now, states=states)

    @property
    def _state(self) -> State:
        return self._states[-1]

    def _search(self) -> None:
        while True:
            try:
                self._bracket()
                if any(state.value > _SAME * self._state.value for state in self._states[:-1] if self._state.is_bracketed):
                    raise self._unstable(_LESS)
                if self._state.is_bracketed:
                    self._narrow()
                if self._state.is_bracketed or self._state.failed == math.inf:
                    self._confirm()
            except _Changed:
                if len(self._states) > _STATES:
                    raise self._unstable("it did not stay the same") from None

    # --- From nowhere to near the capacity -------------------------------------------------------------------------------------

    def _bracket(self) -> None:
        """Double the rate until it fails; where none held, lower it until one does. The ceiling may hold instead."""
        seconds = max(3.0, self._seconds // 55)
        state, limit = self._state, math.inf
        rate = self._start if not state.steps else self._next(state, self._state.steps[-1], limit)
        while not self._state.is_bracketed:
            if self._left() < seconds:
                raise self._over("the time was over before a rate failed")
            it = self._attempt(rate, seconds)
            if it.verdict is Verdict.GENERATOR:
                limit = rate
            elif not it.failed and rate >= self._ceiling:
                return
            rate = self._next(state, it, limit)
            if it.failed and not state.held and rate * seconds < 4:
                raise self._nothing(it)
            if limit < math.inf and rate < _NEAR * state.held or (it.verdict is Verdict.GENERATOR and not state.held):
                raise _Stop(
                    Outcome.GENERATOR, f"this machine ran out before the server did: {it.why or 'it could offer no more'}"
                )

    def _next(self, state: State, it: Judgement, limit: float) -> float:
        """Where to go after a step while there is no bracket."""
        if it.failed:
            return state.failed * min(max(0.9 * (1 - it.excess), 0.25), 0.7)
        middle = math.sqrt(state.held * limit) if limit < math.inf else math.inf
        return min(2 * it.step.rate, self._ceiling, middle)

    def _attempt(self, rate: float, seconds: float) -> Judgement:
        """A step on the way; what does not hold, but may be a cold server or a hiccup, is measured once more, for longer."""
        it = self._step(rate, seconds)
        if not it.held and not (it.saturated and it.growing):
            it = self._step(rate, 2 * seconds)
        return self._take(it, seconds)

    # --- Near the capacity -------------------------------------------------------------------------------------------------------

    def _narrow(self) -> None:
        """Look on both sides of where the capacity seems to be, until it is known, or the rest of the time is for the answer."""
        state = self._state
        sides, row, vain = [0, 0], 0, 0
        fell: Judgement | None = None
        noise = 0.0
        seconds = self._usual
        while state.is_bracketed:
            low, below, middle, above, high = state.quantiles(0.025, 0.2, 0.5, 0.8, 0.975)
            if min(sides) >= 2 and math.log(high / low) / 2 <= self._precision:
                return
            if self._left() < seconds + self._overhead + self._longer:
                return
            upper = sides[1] < sides[0]
            # Beyond the capacity by so much that this step will see the backlog grow, or the allowance of a limiter end.
            if state.pace < math.inf:
                rate = state.pace * (1.25 + 0.5 * vain if upper else 0.97)
            else:
                rate = max(above, middle * (1.03 + 2 * noise)) if upper else min(below, middle * 0.97)
            if upper and row >= _ROW and state.pace == math.inf:
                rate = state.failed
            if fell:
                self._look_again(fell)
            it = self._take(self._step(min(rate, self._ceiling), seconds), seconds)
            sides[upper] += 1
            if it.usable:
                noise = it.error
                vain += upper and it.held
                row = (row + 1 if it.held else 0) if upper else row
                fell = it if not upper and it.failed and carried(it) < state.held / _SAME else None
            if it.held and rate == state.failed:
                self._change(state.since_failure())

    def _look_again(self, fell: Judgement) -> None:
        """After a step that failed by far: whether what held before does so still; else the server has changed."""
        it = self._step(self._state.held, self._short)
        if it.failed and carried(it) < it.step.offered / _SAME:
            self._change([fell, it])
        self._take(it, self._short)

    def _confirm(self) -> None:
        """End with a longer step at the answer, which has to hold; where it does not, with one below it."""
        last = math.inf
        state = self._state
        for share in _ANSWERS:
            seconds = self._longer
            if len(self._states) > 1:
                seconds = max(seconds, self._left())
            if self._left() < 0.5 * seconds and last < math.inf:
                break
            rate = state.quantiles(share)[0] if self._state.is_bracketed else self._ceiling
            rate = min(rate, _LOWER * last, self._ceiling)
            it = self._take(self._step(rate, seconds), seconds)
            if not it.failed and not self._is_carried(it) and self._left() > 0.5 * seconds:
                it = self._take(self._step(rate, seconds), seconds)
            if self._is_carried(it):
                raise self._found(rate)
            last = rate
            if not self._state.is_bracketed:
                return
        raise self._unstable(f"{last:.5g}/s was to be the answer, and did not hold")

    def _is_carried(self, it: Judgement) -> bool:
        """Whether this was a step at an answer that held all the time."""
        return it.carried and not (self._state.is_bracketed and self._state.is_restless(it))

    @property
    def _usual(self) -> float:
        """Seconds of a step near the capacity."""
        return max(2.0, self._seconds // 14)

    @property
    def _short(self) -> float:
        """Seconds of a step that only sees something large: an overload costs the server no more than it has to."""
        return max(2.0, self._seconds // 40)

    @property
    def _longer(self) -> float:
        """Seconds of a step at the answer."""
        return max(3.0, self._seconds // 9)

    # --- A step ------------------------------------------------------------------------------------------------------------------

    def _passed(self) -> float:
        return self._clock() - self._began

    @property
    def _overhead(self) -> float:
        """Seconds that a step takes beside those that it is asked for: its warm-up, and what follows it."""
        return median(self._overheads) if self._overheads else 0.0

    def _left(self) -> float:
        """Seconds that the next step may take, its warm-up and what follows it not counted."""
        return self._seconds - self._passed() - self._overhead

    def _step(self, rate: float, seconds: float) -> Judgement:
        if self._is_unsettled and not self._is_settling:
            self._settle()
        began = self._passed()
        step = self._measure(rate, seconds)
        self._overheads.append(self._passed() - began - seconds)
        if step.p50 is not None:
            self._latency = min(self._latency, step.p50)
        it = replace(judge(step, self._latency), second=began)
        self.steps.append(it)
        self._told(it)
        if it.verdict is Verdict.VIOLATED:
            raise _Stop(Outcome.VIOLATED, f"at {rate:g}/s it was no longer right: {it.why}")
        self._lost += it.verdict is Verdict.GENERATOR
        if self._lost > _LOST:
            raise _Stop(Outcome.GENERATOR, f"this machine ran out before the server did: {it.why}")
        self._is_unsettled = bool(step.left) or (it.growing and step.failed > 0)
        return it

    def _settle(self) -> None:
        """Wait until a server that still works on requests that were given up is idle again: the next step is not to suffer for them."""
        self._is_settling, began = True, self._passed()
        while not self._step(self._gently, _GENTLY).held:
            if self._passed() - began > _PATIENCE:
                raise self._unstable(f"{_PATIENCE:g} s after it was overloaded not even {self._gently:g}/s held")
        self._is_settling = False

    @property
    def _gently(self) -> float:
        """A rate that a server which is well carries without any effort."""
        return min(self._start, self._state.held or math.inf) / 2

    def _take(self, it: Judgement, seconds: float) -> Judgement:
        """Learn from a step; from one that is at odds with all before it only when a second one says the same."""
        state = self._state
        it = self._see_through(it)
        if state.is_at_odds(it):
            again = self._step(it.step.rate, self._short if carried(it) < it.step.offered / _SAME else min(seconds, self._usual))
            if again.usable and state.is_at_odds(again):
                self._change([it, again])
            state.incidents.append(it)
            if sum(len(state.incidents) for state in self._states) >= _INCIDENTS:
                raise self._unstable(_NOW_AND_THEN)
            it = again
        if it.usable:
            state.learn(it)
        return it

    def _see_through(self, it: Judgement) -> Judgement:
        """A step in which 429 came in blocks, measured once more, for so long that the blocks are a beat; if they can be."""
        blocks = "429 came in blocks, as of a limiter with a quota for some time, which no step of this search outlasts"
        if it.closed and self._step(self._gently, _GENTLY).step.throttled:
            raise self._unstable(blocks, it)
        if it.blocks:
            it = self._step(it.step.rate, 3 * self._usual)
            if it.blocks or it.closed:
                raise self._unstable(blocks, it)
        return it

    def _change(self, steps: list[Judgement]) -> None:
        """Begin another state, of which these steps are."""
        self._state.end(steps)
        self._states.append(State(began=steps[0].second))
        for step in steps:
            self._state.learn(step)
        raise _Changed

    # --- The end -----------------------------------------------------------------------------------------------------------------

    def _found(self, rate: float) -> _Stop:
        """What a rate that held at the end means, after all that was seen before."""
        low, _, high = self._interval(rate)
        known = math.log(high / low) / 2
        if not self._state.is_bracketed:
            return _Stop(Outcome.AT_LEAST, f"{rate:g}/s, the most that it was to try, held", rate)
        because = f"{rate:.5g}/s held for {self.steps[-1].step.seconds:g} s at the end; known to ±{known:.1%}"
        if len(self._state.contradictions(rate)) > 1:
            return self._unstable(_NOW_AND_THEN, *self._state.contradictions(rate))
        before = self._states[:-1]
        if any(state.value > _SAME * rate for state in before):
            return self._unstable(_LESS)
        if any(_SAME * state.value < rate for state in before):
            if self._passed() - self._state.began < self._state.began:
                return self._unstable("it has not carried this for longer than it carried less")
            because += f"; until second {self._state.began:.0f} it carried less"
        return _Stop(Outcome.FOUND, because, rate)

    def _nothing(self, it: Judgement) -> _Stop:
        if len(self._states) > 1:
            return self._unstable("it carries nothing any more")
        return _Stop(Outcome.NOTHING_HELD, f"not even {it.step.rate:g}/s held: {it.why or 'the backlog grows'}")

    def _over(self, because: str) -> _Stop:
        return self._unstable(because) if len(self._states) > 1 else _Stop(Outcome.UNFINISHED, because)

    def _unstable(self, because: str, *incidents: Judgement) -> _Stop:
        self._state.ended = self._passed()
        self._state.incidents.extend(incidents)
        seen = "; ".join(state.sentence() for state in self._states if state.steps)
        return _Stop(Outcome.UNSTABLE, f"{because}: {seen}")

    def _extremes(self) -> tuple[float, float]:
        """The least and the most that the server carried."""
        values = [value for state in self._states if state.steps for value in state.values()]
        return min(values), max(values)

    def _interval(self, rate: float | None) -> tuple[float, float, float]:
        """The capacity with its interval, over all states that are one but for small differences."""
        same = [state for state in self._states if state.steps and state.value < _SAME * self._state.value < _SAME**2 * state.value]
        found = [state.interval() for state in same or [self._state]]
        answer = found[-1][1] if rate is None else rate
        return min(answer, *(low for low, _, _ in found)), answer, max(answer, *(high for _, _, high in found))
