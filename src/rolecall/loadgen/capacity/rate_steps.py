"""The steps of a search by rate, on real workers: each is a segment of open load."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rolecall.loadgen import plan, result
from rolecall.loadgen.capacity.by_rate import Search
from rolecall.loadgen.capacity.by_users import Scaling
from rolecall.loadgen.capacity.findings import Capacity, SearchOutcome, broken, imprecise
from rolecall.loadgen.capacity.segments import SLICES, Segments, Stopped, cut, rows
from rolecall.loadgen.capacity.steps import Slice, Step, StepJudgement
from rolecall.loadgen.coordinator import Coordinator
from rolecall.loadgen.objectives import Objective
from rolecall.loadgen.run import LoadRun
from rolecall.loadgen.schedule import Arrivals, Phase, Schedule

N = TypeVar("N", int, float)

#: Seconds that steps under way have at the end; arrivals that still wait for a client are dropped.
_GRACE = 10.0


class CapacityRun(LoadRun):
    """A search for the capacity in place of a single load."""

    #: What is known by now of what is looked for.
    found: Callable[[], Capacity | Scaling] | None = None
    _stopped_by = ""

    def _load(self) -> None:
        options = self.options
        self.coordinator.prepare(self.scenario, _CLIENTS, plan.shared(options))
        steps = RateSteps(self.coordinator, self.of_steps, options.arrivals, options.seed)
        search = Search(
            self.until_stopped(steps.measure),
            start=options.first_rate,
            ceiling=options.most_rate or math.inf,
            seconds=options.search_time,
            told=lambda judged: self.tell(f"{judged.step.rate:,.1f}/s", judged),
        )
        self.found = search.capacity
        self.until_it_ends(search.run)

    def until_it_ends(self, search: Callable[[], object]) -> None:
        """Search, until that is stopped."""
        try:
            search()
        except Stopped as end:
            self._stopped_by = str(end)

    def why_void(self) -> list[str]:
        """Sentences on what broke on our side, or is wrong in the accounts."""
        return [*super().why_void(), *filter(None, [self._stopped_by])]

    @property
    def of_steps(self) -> list[Objective]:
        """The objectives that a step has to hold; the rate is not one, it is searched for."""
        return [objective for objective in self.objectives if objective.measure != "rate"]

    def until_stopped(self, measure: Callable[[N, float], Step]) -> Callable[[N, float], Step]:
        """The same, until the run is stopped or a worker dies."""

        def step(much: N, seconds: float) -> Step:
            if self.stopped.is_set() or self.coordinator.died:
                raise Stopped
            return measure(much, seconds)

        return step

    def tell(self, load: str, judged: StepJudgement) -> None:
        """Say what a step found."""
        step = judged.step
        self.say(
            f"{load:>11} for {step.seconds:.0f} s: {judged.verdict}  {step.throughput:,.1f}/s "
            "answered"
            + (
                ""
                if step.p50 is None or step.p99 is None
                else f"  p50 {1000 * step.p50:,.1f} ms  p99 {1000 * step.p99:,.1f} ms"
            )
            + (f"  ({judged.why})" if judged.why else "")
        )

    def write(self) -> dict[str, Any]:
        """Judge, and write capacity.json and its page."""
        found = self.found() if self.found else None
        findings = found.document() if found else result.NOTHING_FOUND
        void = self.why_void()
        invalid = [*void, *imprecise(findings, self.options.precision)]
        because = [found.because] if found and not void else []
        word = "invalid" if invalid or found is None else _VERDICTS[found.outcome]
        missed = list(broken(self.objectives, findings)) if word == "met" else []
        if missed:
            word = "missed" if found and found.outcome is SearchOutcome.FOUND else "invalid"
        if self.coordinator.violations.total:
            word = "missed"
        document = {
            **result.about(self.options, self.scenario, self.started),
            "verdict": word,
            "exit_code": int(self.exit_code(word)),
            "reasons": [*invalid, *because, *missed],
            "objectives": [objective.text for objective in self.objectives],
            **result.accounts(self.options, self.coordinator.accounts_used),
            **findings,
            "violation_samples": result.samples(self.coordinator.violations.samples),
            **result.advice(self.coordinator.violations),
        }
        result.write_capacity(Path(self.options.run_folder), document)
        return document


#: Clients that are logged in before a search.
_CLIENTS = 32
_VERDICTS = {
    SearchOutcome.FOUND: "met",
    SearchOutcome.AT_LEAST: "met",
    SearchOutcome.NOTHING_HELD: "missed",
    SearchOutcome.UNSTABLE: "invalid",
    SearchOutcome.VIOLATED: "missed",
    SearchOutcome.GENERATOR: "invalid",
    SearchOutcome.UNFINISHED: "invalid",
}


class RateSteps(Segments):
    """Offers rates to the target, as `Search` asks for them."""

    def __init__(
        self,
        coordinator: Coordinator,
        objectives: Sequence[Objective],
        arrivals: Arrivals,
        seed: int,
    ) -> None:
        super().__init__(coordinator, objectives)
        self._arrivals: Arrivals = arrivals
        self._seed = seed

    def measure(self, rate: float, seconds: float) -> Step:
        """Offer a rate, after a warm-up, and wait until all has been answered."""
        width, warm_up = cut(seconds)
        count = warm_up + SLICES
        schedule = Schedule((Phase(rate, rate, count * width),), self._arrivals, self._seed)
        segment = self.coordinator.go(schedule, width=width, grace=_GRACE, abandon=True)
        self.coordinator.wait(segment, schedule.duration + 2 * _GRACE)

        measured = segment.totals.document(schedule.duration)
        seen = rows(measured, ("scheduled", "completed", "throttled", "errors"), count)
        waiting = sum(due - done for due, done, *_ in seen[:warm_up])
        slices = [
            Slice(due, max(done - throttled - failed, 0), throttled, failed)
            for due, done, throttled, failed in seen[warm_up:]
        ]
        return self.step(rate, width, segment, measured, slices, waiting)
