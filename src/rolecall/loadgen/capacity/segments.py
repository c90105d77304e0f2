"""Makes the steps of a search from segments of load: in slices, without the warm-up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.histogram import Histogram
from rolecall.loadgen import generator_limits
from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.steps import Share, Slice, Step
from rolecall.loadgen.coordinator import Coordinator, Segment
from rolecall.loadgen.judgement import failed_by_shut_out
from rolecall.loadgen.measure.timeline import Timeline
from rolecall.loadgen.objectives import Objective

#: Seconds of each step before it counts, and slices after that.
_WARM_UP, SLICES = 1.0, 20
#: How often a second a recorder counts what it noted: slices that end between two of these moments
#: end with the next one.
_TURNS = 32
#: What became of requests that a server may still be working on.
_GIVEN_UP = ("timeout", "unanswered")


def cut(seconds: float) -> tuple[float, int]:
    """How wide a slice of a step of about so many seconds is, in seconds, and how many slices its
    warm-up has.

    A slice ends when a recorder counts, to the moment: else answers that arrived just after its end
    would be in it.
    """
    width = max(round(seconds / SLICES * _TURNS), 1) / _TURNS
    return width, math.ceil(_WARM_UP / width)


class Stopped(Exception):
    """There are to be no more steps; the text says why, where the run does not know that itself."""


class Segments:
    """Makes steps of the coordinator's segments; each objective becomes a share of requests."""

    def __init__(self, coordinator: Coordinator, objectives: Sequence[Objective]) -> None:
        self.coordinator = coordinator
        self._objectives = objectives
        self._errors = [objective for objective in objectives if objective.measure == "errors"]
        self._violations = 0

    def step(
        self,
        rate: float,
        width: float,
        segment: Segment,
        measured: Mapping[str, Any],
        slices: list[Slice],
        waiting: int,
    ) -> Step:
        """The step that a segment was; ``measured`` is its document.

        Raises:
            Stopped: accounts that were never let in break an objective: at every rate they would.
        """
        self._see_who_was_let_in(measured)
        warm_up = math.ceil(_WARM_UP / width)
        violations, self._violations = (
            self.coordinator.violations.total - self._violations,
            self.coordinator.violations.total,
        )
        response = segment.totals.timeline.response(warm_up * width, math.inf)
        p50, p99 = response.percentiles([50, 99]) if response.count else (None, None)
        unanswered = measured["sent"] - measured["completed"]
        return Step(
            rate,
            len(slices) * width,
            slices,
            waiting=waiting,
            p50=p50,
            p99=p99,
            objectives=[
                _share(objective, measured, response, warm_up, segment.totals.timeline)
                for objective in self._objectives
            ],
            violations=violations,
            generator="; ".join(
                [*segment.errors, *generator_limits.of_the_generator(measured, self._objectives)]
            ),
            left=max(unanswered, 0) + sum(measured["errors"].get(kind, 0) for kind in _GIVEN_UP),
        )

    def _see_who_was_let_in(self, measured: Mapping[str, Any]) -> None:
        for why in failed_by_shut_out(measured, self._errors, self.coordinator.refused):
            raise Stopped(why)


def rows(measured: Mapping[str, Any], names: Sequence[str], count: int) -> list[tuple[int, ...]]:
    """The first ``count`` rows of these columns of a timeline; zeros where it was over before."""
    found = list(zip(*(measured["timeline"][name] for name in names), strict=True))
    return (found + [(0,) * len(names)] * count)[:count]


def _share(
    objective: Objective,
    measured: Mapping[str, Any],
    response: Histogram,
    warm_up: int,
    timeline: Timeline,
) -> Share:
    """An objective as a share of requests, from the end of the warm-up on."""
    columns = measured["timeline"]
    if objective.request:  # its times are known as percentiles alone
        return Share(objective.text, int(not objective.holds(measured)), 1, 0.5)
    if objective.unit == "ms" and objective.measure.startswith("p"):
        slow = sum(
            count for seconds, count in response.buckets() if 1000 * seconds > objective.limit
        )
        allowed = 1 - float(objective.measure[1:]) / 100
        return Share(
            objective.text,
            slow,
            response.count,
            allowed,
            chance.clump(_slow(objective, warm_up, timeline)),
        )
    if objective.unit == "%" and objective.measure in columns:
        bad, of = (columns[name][warm_up:] for name in (objective.measure, "requests"))
        return Share(
            objective.text, sum(bad), sum(of), objective.limit / 100, chance.clump(bad[:SLICES])
        )
    return Share(objective.text, int(not objective.holds(measured)), 1, 0.5)


def _slow(objective: Objective, warm_up: int, timeline: Timeline) -> list[int]:
    """How many requests were later than they may be, in each slice."""
    batches = [
        batch for batch in timeline.batches() if batch["begin_s"] >= warm_up * timeline.width
    ]
    return [
        sum(count for ms, count in batch["response_ms"] if ms > objective.limit)
        for batch in batches[:SLICES]
    ]
