"""The search by users: throughput at ever more clients, and the law that it follows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from rolecall.loadgen.capacity.findings import SearchOutcome
from rolecall.loadgen.capacity.scalability import FEWEST, CannotFit, Point, fit
from rolecall.loadgen.capacity.steps import (
    THROTTLED,
    Step,
    StepJudgement,
    StepVerdict,
    judge,
    knee,
    milliseconds,
    significant,
)

#: The throughput has passed its peak when it is below this share of the best.
_PASSED = 0.8
#: The share of requests without a good answer from which on a throughput is that of a server that
#: refuses.
_REFUSING = THROTTLED

#: Seconds that a level is looked at, at the least; and that its warm-up and its end take, about.
_SHORTEST, _AROUND = 2.0, 1.5

#: So many clients for so many seconds, not counting the warm-up.
Measure = Callable[[int, float], Step]


@dataclass(frozen=True)
class Scaling:
    """The result; ``steps`` are judgements with numbers of clients, in the order of trial."""

    outcome: SearchOutcome
    because: str
    steps: Sequence[tuple[int, StepJudgement]]
    seconds: float

    @property
    def points(self) -> list[Point]:
        """The levels at which the server answered as it should."""
        return [
            Point(n, judged.step.throughput)
            for n, judged in self.steps
            if judged.usable and not _refusing(judged.step)
        ]

    def document(self) -> dict[str, Any]:
        """The findings of ``capacity.json``: the highest throughput that held, and the law."""
        held = [
            judged.step
            for _, judged in self.steps
            if judged.verdict in {StepVerdict.HELD, StepVerdict.UNCLEAR}
        ]
        best = max(held, key=lambda step: step.throughput, default=None)
        turn = knee([judged for _, judged in self.steps])
        try:
            law, why = fit(self.points).document(), ""
        except CannotFit as reason:
            law, why = None, f"; no law: {reason}"
        return {
            "axis": "concurrency",
            "outcome": str(self.outcome),
            "because": self.because + why,
            "capacity": {**_interval(best), "confidence": 0.95},
            "knee": turn
            and {
                "rate": significant(turn.throughput),
                "p50_ms": milliseconds(turn.p50),
                "p99_ms": milliseconds(turn.p99),
            },
            "steps": [{**judged.document(), "concurrency": n} for n, judged in self.steps],
            "usl": law,
            "seconds": round(self.seconds, 1),
        }


class SearchByUsers:
    """Raises the number of clients, until the throughput has passed its peak.

    ``measure(clients, seconds)`` lets so many clients send one request after the other: some
    seconds of warm-up, then as many as it is told, in slices; the step's rate is the throughput. It
    never asks for more than ``most`` clients, and takes ``seconds`` of ``clock``. ``told`` hears of
    every level.
    """

    def __init__(
        self,
        measure: Measure,
        *,
        most: int = 256,
        seconds: float = 165.0,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[int, StepJudgement], None] = lambda clients, judgement: None,
    ) -> None:
        self.steps: list[tuple[int, StepJudgement]] = []
        self._measure = measure
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._told = told
        self._began = clock()
        self._end = SearchOutcome.UNFINISHED, "it was interrupted"

    def run(self) -> Scaling:
        """Search to the end. What ``measure`` raises goes through; `scaling` has the result."""
        self._end = self._search()
        return self.scaling()

    def scaling(self) -> Scaling:
        """What is known by now."""
        return Scaling(*self._end, self.steps, self._clock() - self._began)

    def _search(self) -> tuple[SearchOutcome, str]:
        levels = numbers(self._most)
        latency = math.inf
        best = 0.0
        for at, clients in enumerate(levels):
            began = self._clock()
            left = self._seconds - (began - self._began)
            seconds = max(_SHORTEST, left / (len(levels) - at) - _AROUND)
            if left < seconds:
                return SearchOutcome.UNFINISHED, f"the time was over at {clients} clients"
            step = self._measure(clients, seconds)
            latency = min(latency, step.p50 or math.inf)
            judged = judge(step, latency)
            self.steps.append((clients, judged))
            self._told(clients, judged)
            if judged.verdict is StepVerdict.VIOLATED:
                return (
                    SearchOutcome.VIOLATED,
                    f"with {clients} clients it was no longer right: {judged.why}",
                )
            if judged.verdict is StepVerdict.GENERATOR:
                return (
                    SearchOutcome.GENERATOR,
                    f"this machine ran out before the server did: {judged.why}",
                )
            if _refusing(step):
                held = any(judged.verdict is StepVerdict.HELD for _, judged in self.steps)
                refused, ended = step.failed + step.throttled, sum(step.ended)
                because = f"with {clients} clients it refused {refused:,} of {ended:,} requests"
                because += f": {step.failed:,} errors, {step.throttled:,} answers of 429"
                return SearchOutcome.FOUND if held else SearchOutcome.NOTHING_HELD, because
            best = max(best, step.throughput)
            if step.throughput < _PASSED * best and at + 1 >= FEWEST:
                return SearchOutcome.FOUND, f"{clients} clients get less than fewer did"
        return (
            SearchOutcome.AT_LEAST,
            f"{self._most} clients, the most that were to be tried, get no less than fewer did",
        )


def numbers(most: int) -> list[int]:
    """Levels of concurrency up to the most, each about 1.4 times the one before."""
    levels = {round(2 ** (half / 2)) for half in range(1 + 2 * max(0, math.floor(math.log2(most))))}
    return sorted(levels | {most})


def _refusing(step: Step) -> bool:
    ended = sum(step.ended)
    return not step.ok or step.failed + step.throttled > _REFUSING * ended


def _interval(step: Step | None) -> dict[str, float | None]:
    if step is None:
        return {"rate": None, "low": None, "high": None}
    paces = [piece.ok * len(step.slices) / step.seconds for piece in step.slices]
    error = 1.96 * stdev(paces) / math.sqrt(len(paces))
    return {
        "rate": significant(step.throughput),
        "low": significant(max(0.0, step.throughput - error)),
        "high": significant(step.throughput + error),
    }
