"""Takes the steps of a search: on an idle server, judged, compared with the state, or repeated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from rolecall.loadgen.capacity.findings import SearchOutcome
from rolecall.loadgen.capacity.history import History
from rolecall.loadgen.capacity.state import is_far
from rolecall.loadgen.capacity.steps import Step, StepJudgement, StepVerdict, judge

#: How many steps may be lost to a machine that was too slow.
_LOST = 3
#: Incidents from which on a server is not looked at any longer.
_INCIDENTS = 3
#: Seconds of a step that only sees whether the server is idle again, and for how long that is
#: tried.
_GENTLY, _PATIENCE = 2.0, 40.0

NOW_AND_THEN = "the same rates held at one time and failed at another"
_BLOCKS = (
    "429 came in blocks, as of a limiter with a quota for some time: no step of this search "
    "outlasts it"
)

#: Offers a rate for so many seconds, not counting the warm-up.
Measure = Callable[[float, float], Step]


class Stop(Exception):
    """The end of a search; ``rate`` is the answer, ``refuted`` says that it did not hold."""

    def __init__(
        self,
        outcome: SearchOutcome,
        because: str,
        rate: float | None = None,
        *,
        refuted: bool = False,
    ) -> None:
        super().__init__(because)
        self.refuted = refuted
        self.outcome = outcome
        self.because = because
        self.rate = rate


class Changed(Exception):
    """The server is in another state now; no error."""


class Stepper:
    """Takes steps for ``seconds`` of ``clock``; a well server carries ``gentle`` with ease."""

    def __init__(
        self,
        measure: Measure,
        gentle: float,
        seconds: float,
        clock: Callable[[], float],
        told: Callable[[StepJudgement], None],
    ) -> None:
        self.steps: list[StepJudgement] = []
        self.history = History()
        self._measure = measure
        self._gentle = gentle
        self._seconds = seconds
        self._clock = clock
        self._told = told
        self._began = clock()
        self._latency = math.inf
        self._overheads: list[float] = []
        self._lost = 0
        self._is_settling = self._is_unsettled = False

    @property
    def usual(self) -> float:
        """Seconds of a step near the capacity."""
        return max(2.0, self._seconds // 14)

    @property
    def short(self) -> float:
        """Seconds of a step that only has to show something large."""
        return max(2.0, self._seconds // 40)

    @property
    def longer(self) -> float:
        """Seconds of a step at the answer."""
        return max(3.0, self._seconds // 11)

    @property
    def overhead(self) -> float:
        """Seconds that a step takes beside its own: its warm-up, and what follows it."""
        return median(self._overheads) if self._overheads else 0.0

    def passed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def left(self) -> float:
        """Seconds that the next step may take, its warm-up and what follows it not counted."""
        return self._seconds - self.passed() - self.overhead

    def step(self, rate: float, seconds: float) -> StepJudgement:
        """Measure and judge.

        Raises:
            Stop: the server is no longer right, or no longer comes back; or this machine was too
                slow too often.
        """
        if self._is_unsettled and not self._is_settling:
            self._settle()
        began = self.passed()
        step = self._measure(rate, seconds)
        self._overheads.append(self.passed() - began - seconds)
        if step.p50 is not None:
            self._latency = min(self._latency, step.p50)
        judged = replace(judge(step, self._latency), second=began)
        self.steps.append(judged)
        self._told(judged)
        if judged.verdict is StepVerdict.VIOLATED:
            raise Stop(
                SearchOutcome.VIOLATED, f"at {rate:g}/s it was no longer right: {judged.why}"
            )
        self._lost += judged.verdict is StepVerdict.GENERATOR
        if self._lost > _LOST:
            raise Stop(
                SearchOutcome.GENERATOR, f"this machine ran out before the server did: {judged.why}"
            )
        self._is_unsettled = step.left > 0 or (judged.growing and step.failed > 0)
        return judged

    def take(self, judged: StepJudgement, seconds: float) -> StepJudgement:
        """Learn from a step; from one that is at odds with all before it only when a second one
        says the same.

        Raises:
            Changed: it does.
            Stop: that has happened too often, or 429 came in such a way that no step says anything.
        """
        judged = self._see_through(judged)
        state = self.history.now
        if state.is_at_odds(judged):
            again = self.step(
                judged.step.rate, self.short if is_far(judged) else min(seconds, self.usual)
            )
            if again.usable and state.is_at_odds(again):
                before = state.since_failure() if judged.held and again.held else []
                self.change([*before, judged, again])
            state.incidents.append(judged)
            if self.history.incidents >= _INCIDENTS:
                raise self.unstable(NOW_AND_THEN)
            judged = again
        if judged.usable:
            state.learn(judged)
        return judged

    def change(self, steps: list[StepJudgement]) -> None:
        """Begin another state, of which these steps are.

        Raises:
            Changed: always.
        """
        self.history.change(steps)
        raise Changed

    def unstable(self, because: str, *incidents: StepJudgement) -> Stop:
        """The end of a search of a server that did not stay the same."""
        now = self.history.now
        now.ended = self.passed()
        now.incidents.extend(incidents)
        seen = self.history.sentence()
        return Stop(SearchOutcome.UNSTABLE, f"{because}: {seen}" if seen else because)

    def _gently(self) -> StepJudgement:
        """A short step at a rate that is easy for the server."""
        return self.step(min(self._gentle, (self.history.now.held or math.inf) / 2), _GENTLY)

    def _settle(self) -> None:
        """Wait until a server that still works on abandoned requests is idle."""
        self._is_settling, began = True, self.passed()
        while not self._gently().held:
            if self.passed() - began > _PATIENCE:
                raise self.unstable(
                    f"{_PATIENCE:g} s after it was overloaded it did not answer "
                    f"{self.steps[-1].step.rate:g}/s"
                )
        self._is_settling = False

    def _see_through(self, judged: StepJudgement) -> StepJudgement:
        """Measure a step with blocks of 429 again, so long that the blocks are a beat."""
        if judged.closed and self._gently().step.throttled:
            raise self.unstable(_BLOCKS, judged)
        if judged.blocks:
            judged = self.step(judged.step.rate, 3 * self.usual)
            if judged.blocks or judged.closed:
                raise self.unstable(_BLOCKS, judged)
        return judged
