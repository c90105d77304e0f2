"""What the live page is told of a run: only what is new to it, since the run shares its process.

A page names the second and the violation up to which it knows the run; the figures of so many
seconds before that may still change, while workers report, and are told again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.loadgen.checks.violations import Violations
from rolecall.loadgen.coordinator import Segment
from rolecall.loadgen.measure.timeline import SETTLED
from rolecall.loadgen.objectives import Objective, judge
from rolecall.loadgen.result import samples
from rolecall.report.foreign_text import visible

#: Seconds of a run in one answer; a page that is opened late asks again for the rest.
_MOST_ROWS = 600
#: Seconds that the figures of "now" are taken over.
_NOW = 5
_SO_FAR = ("duration_s", "requests", "throttled", "errors", "own_failures", "violations")


def state(
    segment: Segment | None,
    objectives: Sequence[Objective],
    violations: Violations,
    said: Sequence[str],
    document: Mapping[str, Any] | None,
    *,
    second: int,
    sample: int,
) -> dict[str, Any]:
    """The run now, for JSON.

    Args:
        segment: the period of load; None before the first.
        said: lines of the run, such as the steps of a search.
        document: the run's result, once there is one.
        second: the page knows the slices of the segment up to this one, which is 1 s long unless
            ``width`` says otherwise.
        sample: so many samples of violations are known to the page.
    """
    told: dict[str, Any] = {
        "state": _state(segment, document),
        "samples": [_shown(found) for found in samples(violations.samples[sample:])],
        "said": list(said),
        "result": document
        and {name: document[name] for name in ("verdict", "exit_code", "reasons")},
    }
    return told | _figures(segment, objectives, second) if segment else told


def _figures(segment: Segment, objectives: Sequence[Objective], second: int) -> dict[str, Any]:
    """What was measured of a segment: the newest seconds, now, and so far."""
    timeline, so_far = segment.totals.timeline, segment.totals.so_far()
    begin = max(min(second, len(timeline)) - SETTLED, 0)
    response, counts = timeline.recent(_NOW)
    p50, p99 = response.percentiles([50, 99])
    good = counts["requests"] - counts["errors"] - counts["throttled"]
    return {
        "segment": segment.number,
        "width": timeline.width,
        "seconds": len(timeline),
        "begin": begin,
        "rows": timeline.rows(begin, _MOST_ROWS),
        "batch": timeline.batch,
        "bands": timeline.bands(begin),
        "now": {"rate": round(good, 1), "p50": 1000 * p50, "p99": 1000 * p99},
        "so_far": {name: so_far[name] for name in _SO_FAR},
        "objectives": judge(objectives, so_far),
    }


def _shown(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A violation's texts with nothing in them that hides."""
    return {
        name: visible(value) if isinstance(value, str) else value for name, value in sample.items()
    }


def _state(segment: Segment | None, document: Mapping[str, Any] | None) -> str:
    """A word for how far the run is."""
    if document is not None:
        return "over"
    if segment is None:
        return "preparing"
    return "running" if segment.waiting_for else "ending"
