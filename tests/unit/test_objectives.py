"""Objectives: read as people write them, judged by what was measured, never met by what was not."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.load.measure.recorder import Recorder
from rolecall.load.measure.totals import Totals
from rolecall.load.objectives import Objective, judge, verdict


def measured(*, good: int = 990, errors: int = 5, throttled: int = 5, violations: int = 0) -> dict[str, Any]:
    """What totals say of a run of ten seconds with response times of 1 ms, 2 ms, ... in turn up to 100 ms, and late arrivals."""
    recorder, totals = Recorder(0.0), Totals()
    recorder.scheduled, recorder.late, recorder.dropped = 1000, 10, 2
    entry = recorder.entry("POST", "/")
    for number in range(good):
        at = number / 100
        entry.success(at - (number % 100 + 1) / 1000, at - 0.001, at, 1)
    for _ in range(errors):
        entry.failure("timeout", 9.9 - 0.05, 9.9 - 0.05, 9.9)
    for _ in range(throttled):
        entry.throttled(9.9 - 0.05, 9.9 - 0.05, 9.9)
    for _ in range(violations):
        recorder.violation("shape")
    totals.merge("a", recorder.take())
    return totals.document(10)


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ("p50<51ms", 50),
        ("p99<=0.1s", 99),
        ("P 99.9 < 101 ms", 100),
        ("p95<96000us", 95),
        ("p75.5<77ms", 75.5),
        ("max<=100ms", 100),
        ("mean<51ms", 50.3),
        ("rate>=99", 99),
        ("rate>98/s", 99),
        ("errors<0.51%", 0.5025),  # of those that were let in
        ("errors<=5", 5),
        ("throttled<1%", 0.5),
        ("violations==0", 0),
        ("late<=1%", 1),
        ("dropped<0.3%", 0.2),
    ],
)
def test_an_objective_is_read_and_judged(text: str, observed: float) -> None:
    """Each measure is what was measured, and an objective just beyond it holds."""
    document = measured()

    assert Objective.parse(text).observed(document) == pytest.approx(observed, rel=0.01)
    assert Objective.parse(text).holds(document)


@pytest.mark.parametrize(
    "text",
    [
        "p50<49ms",
        "p99<=0.09s",
        "p95<94ms",
        "max<99ms",
        "mean<50ms",
        "rate>=100",
        "errors<0.5%",
        "errors==0",
        "throttled<0.5%",
        "late<1%",
        "dropped==0",
        "violations>0",
    ],
)
def test_an_objective_is_missed(text: str) -> None:
    """An objective just short of what was measured does not hold."""
    assert not Objective.parse(text).holds(measured())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fast", "no objective"),
        ("p99", "no objective"),
        ("p99=250ms", "no objective"),
        ("p99<-1ms", "no objective"),
        ("p99<250", "needs a unit"),
        ("p99<1%", "needs a unit"),
        ("p100<1ms", "no such measure"),
        ("latency<1ms", "no such measure"),
        ("errors<1ms", "no such unit"),
        ("rate>5%", "no such unit"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, words: str) -> None:
    """The message repeats the text and says what would be right."""
    with pytest.raises(UsageError, match=words) as error:
        Objective.parse(text)

    assert text in str(error.value)
    assert error.value.hint


def test_nothing_measured_holds_nothing() -> None:
    """A run without an answer keeps no limit on times or shares: unable to test is not a pass."""
    empty = Totals().document(10)

    assert [it["held"] for it in judge(map(Objective.parse, ["p99<1s", "errors<1%", "rate>=1"]), empty)] == [False] * 3
    assert Objective.parse("p99<1s").observed(empty) is None


def test_the_verdict() -> None:
    """Met only when all hold; an invalid run is never met nor missed; a violation is a violation in any run."""
    judged = judge([Objective.parse("p99<1s")], measured())
    missed = judge([Objective.parse("p99<1s"), Objective.parse("p99<1ms")], measured())

    assert verdict(judged, 0, []) == "met"
    assert verdict([], 0, []) == "met"
    assert verdict(missed, 0, []) == "missed"
    assert verdict(judged, 0, ["a worker died"]) == "invalid"
    assert verdict(missed, 0, ["a worker died"]) == "invalid"
    assert verdict(judged, 1, ["a worker died"]) == "missed"
    assert verdict(judged, 0, [], ["arrivals were dropped"]) == "invalid"
    assert verdict(missed, 0, [], ["arrivals were dropped"], beyond=True) == "missed"
    assert verdict(missed, 0, ["a worker died"], beyond=True) == "invalid"


def test_throttled_requests_are_no_measurement() -> None:
    """Where all were answered 429, no time was measured and no share of errors, so that neither keeps a limit."""
    document = measured(good=0, errors=0, throttled=50)
    texts = ["p99<250ms", "p97<1ms", "max<1s", "mean<1s", "errors<1%", "throttled<=100%"]

    assert [Objective.parse(text).observed(document) for text in texts] == [None] * 5 + [100]
    assert [Objective.parse(text).holds(document) for text in texts] == [False] * 5 + [True]
