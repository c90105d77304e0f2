"""Decides that a run goes on for nothing: a violation, or an objective that is out of reach.

An objective is out of reach where it is missed even if all that is still to come is answered well
and at once, and if everything that may have been this side's fault is excused. How much is still to
come is not known for sure; half as much again as is likely is assumed, twice as much in a closed
loop.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rolecall.loadgen import generator_limits
from rolecall.loadgen.objectives import Objective, beyond_doubt

_MORE, _MORE_USERS = 1.5, 2.0
#: Seconds before which nothing is said of what is still to come.
_FIRST = 1.0


def rest(so_far: Mapping[str, Any], planned: int | None, seconds: float) -> int:
    """How many requests may still come.

    Args:
        so_far: `Totals.so_far`.
        planned: the arrivals of the whole schedule; None in a closed loop.
        seconds: the length of the whole run.
    """
    requests, passed = int(so_far["requests"]), float(so_far["duration_s"])
    if planned is not None:
        steps = max(int(so_far["sent"]), 1)
        left = max(planned - int(so_far["scheduled"]), 0)
        return math.ceil(_MORE * left * max(requests / steps, 1.0))
    left_seconds = max(seconds - passed, 0.0)
    return math.ceil(_MORE_USERS * requests * left_seconds / max(passed, _FIRST))


def why_to_stop(
    conditions: Collection[str],
    so_far: Mapping[str, Any],
    objectives: Sequence[Objective],
    *,
    violations: int,
    to_come: int,
    rate: float | None = None,
) -> str:
    """Why the run is to be stopped now, as a sentence; empty where it is to go on.

    Args:
        rate: of a schedule that is not constant, at this moment.
    """
    seconds = f"stopped after {so_far['duration_s']:.0f} s"
    seconds += "" if rate is None else f", at {rate:,.0f} arrivals/s"
    if "violation" in conditions and violations:
        return f"{seconds} (--abort-on violation)"
    if "slo" not in conditions or so_far["duration_s"] < _FIRST or not so_far["requests"]:
        return ""
    slow = any(generator_limits.slow(so_far, objectives))
    missed = beyond_doubt(objectives, so_far, slow=slow, rest=to_come)
    if not missed:
        return ""
    names = " and ".join(objective.text for objective in missed)
    return f"{seconds} (--abort-on slo): {names} can no longer be met, however good the rest"
