"""A run is stopped early where it cannot be met any more, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.loadgen.aborting import rest, why_to_stop
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective


def so_far(good: int = 0, errors: int = 0, *, ms: float = 10.0, dropped: int = 0) -> dict[str, Any]:
    """Ten seconds of a run."""
    recorder, totals = Recorder(0.0), Totals()
    recorder.scheduled = good + errors + dropped
    recorder.sent = recorder.completed = recorder.begun = good + errors
    recorder.dropped = dropped
    entry = recorder.entry("POST", "issue")
    for number in range(good):
        at = 10 * (number + 1) / good
        entry.success(at - ms / 1000, at - ms / 1000, at, 1)
    for _ in range(errors):
        entry.failure("500", 9.9, 9.9, 9.91)
    totals.merge("one", {**recorder.take(), "cpu": [0.1, 10.0]})
    return {**totals.so_far(["issue"]), "duration_s": 10.0}


def stop(document: dict[str, Any], objective: str, to_come: int, violations: int = 0) -> str:
    """Why to stop."""
    chosen = [Objective.parse(objective)]
    return why_to_stop(
        ("violation", "slo"), document, chosen, violations=violations, to_come=to_come
    )


@pytest.mark.parametrize(
    ("objective", "to_come", "stops"),
    [
        ("errors<1%", 1_000, True),  # 20 of 1,200
        ("errors<1%", 5_000, False),
        ("errors<10", 10**9, True),  # a count only grows
        ("p99<5ms", 10_000, True),  # 200 of 10,200 were slow
        ("p99<5ms", 100_000, False),
        ("p99<50ms", 0, False),
        ("max<9ms", 10**9, True),
        ("rate>1000", 0, False),  # the rest may be faster
        ("issue:errors<1%", 1_000, True),  # the same of one name: the rest may all be of it
        ("issue:errors<1%", 5_000, False),
        ("issue:p99<5ms", 10_000, True),
        ("issue:p99<5ms", 100_000, False),
        ("issue:p99<50ms", 0, False),
        ("list-users:p99<5ms", 0, False),  # of which there was none
    ],
)
def test_an_objective_that_is_out_of_reach(objective: str, to_come: int, stops: bool) -> None:
    """It is where even a perfect rest does not bring it back, and the sentence names it."""
    why = stop(so_far(180, 20), objective, to_come)

    assert bool(why) is stops
    if stops:
        assert why == (
            f"stopped after 10 s (--abort-on slo): {objective} can no longer be met, however good "
            "the rest"
        )


def test_the_rate_at_which_it_stopped() -> None:
    """Where the rate changes, the sentence has the one of that moment."""
    chosen = [Objective.parse("errors<1%")]
    why = why_to_stop(("slo",), so_far(180, 20), chosen, violations=0, to_come=0, rate=1234.4)

    assert why.startswith("stopped after 10 s, at 1,234 arrivals/s (--abort-on slo): errors<1% ")


def test_a_violation_stops_a_run() -> None:
    """One is enough, if that is asked for."""
    document = so_far(100)
    assert stop(document, "errors<1%", 10, violations=1).endswith("(--abort-on violation)")
    objectives = [Objective.parse("errors<1%")]
    assert not why_to_stop(("slo",), document, objectives, violations=1, to_come=10)


def test_what_this_side_did_stops_nothing() -> None:
    """Where the generator was late, its times are excused, and what it dropped is as well."""
    late = so_far(200, ms=900.0)
    late["dispatch_lag_ms"]["p99"] = 800.0
    assert not stop(late, "p99<250ms", 0)
    assert not stop(late, "issue:p99<250ms", 0)
    assert stop(so_far(200, ms=900.0), "p99<250ms", 0)
    assert not stop(so_far(100, dropped=10_000), "dropped<1", 0)


def test_what_a_pause_may_have_disturbed_is_of_no_name() -> None:
    """What a pause of this side explains may all be in the row that is asked of."""
    paused = so_far(80, 20, ms=900.0)
    (batch,) = paused["batches"]
    assert stop(paused, "issue:p99<250ms", 0)
    assert stop(paused, "issue:errors<1%", 0)
    paused["pauses"] |= {"requests": 100, "errors": {"500": 20}, **batch}
    assert not stop(paused, "issue:p99<250ms", 0)
    assert not stop(paused, "issue:errors<1%", 0)


def test_before_anything_came_nothing_is_said() -> None:
    """A run without an answer goes on."""
    assert not stop(so_far(), "errors<1%", 0)


def test_what_is_still_to_come() -> None:
    """Half as much again as an open schedule has left, in requests; twice of a closed loop's."""
    document = so_far(200)
    document["sent"] = 100  # two requests a step
    assert rest(document, 1_200, 60) == 1.5 * 1_000 * 2
    assert rest(document, 200, 60) == 0
    assert rest(document, None, 60) == 2 * 200 * 5
    assert rest(document, None, 5) == 0
