"""Objectives: read as people write them, judged by what was measured, never met by what was not."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.histogram import Histogram
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective, at_best, beyond_doubt, judge, verdict


@cache
def measured(
    *, good: int = 990, errors: int = 5, throttled: int = 5, violations: int = 0
) -> dict[str, Any]:
    """What totals say of ten seconds with times of 1 to 100 ms in turn, and late arrivals."""
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
        ("fast", "not an objective"),
        (":p99<250ms", "not an objective"),
        ("p99", "not an objective"),
        ("p99=250ms", "not an objective"),
        ("p99<-1ms", "not an objective"),
        ("p99<250", "needs a unit"),
        ("p99<1%", "needs a unit"),
        ("p100<1ms", "unknown measure"),
        ("latency<1ms", "unknown measure"),
        ("errors<1ms", "unknown unit"),
        ("rate>5%", "unknown unit"),
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

    assert [
        row["held"]
        for row in judge(map(Objective.parse, ["p99<1s", "errors<1%", "rate>=1"]), empty)
    ] == [False] * 3
    assert Objective.parse("p99<1s").observed(empty) is None


def test_the_verdict() -> None:
    """A run is met when all hold; an invalid one neither met nor missed; a violation is missed."""
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
    """Requests that are all answered 429 have no time and no share, so no limit holds."""
    document = measured(good=0, errors=0, throttled=50)
    texts = ["p99<250ms", "p97<1ms", "max<1s", "mean<1s", "errors<1%", "throttled<=100%"]

    assert [Objective.parse(text).observed(document) for text in texts] == [None] * 5 + [100]
    assert [Objective.parse(text).holds(document) for text in texts] == [False] * 5 + [True]


# --- Words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("fast", "'fast' is not an objective", 'Write it as "p99<250ms"; known: p50'),
        ("P99 < 250", "'P99 < 250': a time needs a unit, one of us, ms, s, m", "p99<250ms?"),
        ("max<=1.5%", "'max<=1.5%': a time needs a unit, one of us, ms, s, m", "max<=1.5ms?"),
        ("mean<3min", "'mean<3min': a time needs a unit, one of us, ms, s, m", "mean<3m?"),
        ("rate>5%", "'rate>5%': unknown unit '%'", "known: p50"),
        ("errors<1ms", "'errors<1ms': unknown unit 'ms'", "known: p50"),
        ("latency<1ms", "'latency<1ms': unknown measure 'latency'", "known: p50"),
        ("p100<1ms", "'p100<1ms': unknown measure 'p100'", "known: p50"),
    ],
)
def test_a_mistake_is_told_where_it_was_made(text: str, message: str, hint: str) -> None:
    """The sentence begins with the place and ends with what would be right."""
    with pytest.raises(UsageError) as here:
        Objective.parse(text)
    with pytest.raises(UsageError) as there:
        Objective.parse(text, "compare.toml, slo")

    assert str(here.value).startswith(f"--slo: {message}")
    assert str(there.value).startswith(f"compare.toml, slo: {message}")
    assert here.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("P99.9 <= 2s", ("p99.9<=2s", "p99.9", "<=", 2000.0, "ms")),
        ("mean<90us", ("mean<90us", "mean", "<", 0.09, "ms")),
        ("max<1m", ("max<1m", "max", "<", 60_000.0, "ms")),
        ("rate>=50", ("rate>=50", "rate", ">=", 50.0, "/s")),
        ("rate>12.5/s", ("rate>12.5/s", "rate", ">", 12.5, "/s")),
        ("errors==0", ("errors==0", "errors", "==", 0.0, "")),
        ("throttled<1%", ("throttled<1%", "throttled", "<", 1.0, "%")),
    ],
)
def test_the_parts_of_an_objective(text: str, fields: tuple[object, ...]) -> None:
    """Times are in milliseconds in any unit; the text has no spaces or capitals."""
    found = Objective.parse(text)

    assert (
        found.text,
        found.measure,
        found.comparison,
        pytest.approx(found.limit),
        found.unit,
    ) == fields


def test_the_rows_of_a_document() -> None:
    """Each objective with its measure, limit, unit, what was observed, and whether it held."""
    assert judge([Objective.parse("rate>=99"), Objective.parse("errors<=4")], measured()) == [
        {
            "objective": "rate>=99",
            "measure": "rate",
            "unit": "/s",
            "limit": 99.0,
            "observed": 99.0,
            "held": True,
        },
        {
            "objective": "errors<=4",
            "measure": "errors",
            "unit": "",
            "limit": 4.0,
            "observed": 5.0,
            "held": False,
        },
    ]


@pytest.mark.parametrize("text", ["errors<5", "errors<=4", "errors==5.5", "errors>5", "errors>=6"])
def test_each_comparison_is_strict_or_not_as_it_is_written(text: str) -> None:
    """An objective that five errors break does not hold, with each comparison."""
    assert not Objective.parse(text).holds(measured())


@pytest.mark.parametrize("text", ["errors<5.1", "errors<=5", "errors==5", "errors>4", "errors>=5"])
def test_each_comparison_holds_as_it_is_written(text: str) -> None:
    """An objective that five errors keep holds, with each comparison."""
    assert Objective.parse(text).holds(measured())


# --- The best that could have been -------------------------------------------------------------


def document(times: dict[float, int], **changes: Any) -> dict[str, Any]:
    """What a run says of these response times in milliseconds, with how often each; all in order
    unless ``changes`` say otherwise.
    """
    histogram = Histogram.of((ms / 1000, count) for ms, count in times.items())
    return {
        "requests": sum(times.values()),
        "throttled": 0,
        "errors": {},
        "own_failures": {},
        "dropped": 0,
        "late": 0,
        "batches": [{"response_ms": sorted(times.items())}],
        "response_ms": {"mean": histogram.mean * 1000, "max": histogram.maximum * 1000},
        "pauses": {"requests": 0, "errors": {}, "response_ms": []},
        **changes,
    }


def observed(text: str, best: dict[str, Any]) -> float | None:
    """A measure of a document."""
    return Objective.parse(text).observed(best)


@pytest.mark.parametrize("ms", [2.0, 250.0, 8000.0])
def test_a_percentile_is_of_the_times_that_stand_there(ms: float) -> None:
    """Within the histogram's own precision, and in milliseconds."""
    assert (
        observed("p50<1s", document({ms: 10}))
        == Histogram.of([(ms / 1000, 10)]).percentile(50) * 1000
    )


def test_a_percentile_is_over_all_batches() -> None:
    """A run is written in batches: the slow half may stand in another one than the fast half."""
    both = document({10.0: 50, 100.0: 50})
    both["batches"] = [{"response_ms": [(10.0, 50)]}, {"response_ms": [(100.0, 50)]}]

    assert observed("p40<1s", both) == pytest.approx(10, rel=0.01)
    assert observed("p60<1s", both) == pytest.approx(100, rel=0.01)


def test_what_was_not_sent_is_taken_as_answered_at_once() -> None:
    """Dropped arrivals and failed attempts of this side count as good, and took no time."""
    best = at_best(
        document(
            {100.0: 100},
            dropped=60,
            late=7,
            own_failures={"local": 30, "withdrawn": 10},
            errors={"500": 4},
        )
    )

    assert (best["requests"], best["dropped"], best["late"], best["errors"]) == (
        200,
        0,
        0,
        {"500": 4},
    )
    assert dict(best["batches"][0]["response_ms"]) == {0.0: 100, 100.0: 100}
    histogram = Histogram.of([(0.0, 100), (0.1, 100)])
    assert best["response_ms"] == {"mean": histogram.mean * 1000, "max": histogram.maximum * 1000}
    assert best["response_ms"]["mean"] == pytest.approx(50, rel=0.01)
    assert observed("max<1s", best) == best["response_ms"]["max"]


def test_what_a_pause_disturbed_is_taken_as_answered_at_once() -> None:
    """Their times and errors are taken out, and they count as answered without any time."""
    pauses = {"requests": 20, "errors": {"timeout": 5, "500": 1}, "response_ms": [(900.0, 20)]}
    best = at_best(document({100.0: 80, 900.0: 20}, errors={"timeout": 5, "500": 3}, pauses=pauses))

    assert (best["requests"], best["errors"]) == (100, {"500": 2})
    assert dict(best["batches"][0]["response_ms"]) == {0.0: 20, 100.0: 80}
    assert best["response_ms"]["max"] == pytest.approx(100, rel=0.01)


def test_unsent_and_disturbed_add_up() -> None:
    """Both are taken as answered at once."""
    pauses = {"requests": 20, "errors": {}, "response_ms": [(900.0, 20)]}
    best = at_best(document({100.0: 80, 900.0: 20}, dropped=30, pauses=pauses))

    assert best["requests"] == 130
    assert dict(best["batches"][0]["response_ms"]) == {0.0: 50, 100.0: 80}


def test_a_slow_generator_may_have_made_all_times() -> None:
    """All that was let in is taken as answered at once; throttled requests have no time."""
    best = at_best(document({100.0: 90}, requests=100, throttled=10, dropped=5), slow=True)

    assert best["batches"] == [{"response_ms": [(0.0, 95)]}]
    assert best["response_ms"] == {"mean": 0.0, "max": 0.0}
    assert best["requests"] == 105


def test_only_a_limit_from_above_is_missed_beyond_doubt() -> None:
    """A least rate or count is never missed for sure: unsent requests might have met it."""
    seen = document({100.0: 100}, rate=5.0, errors={"500": 10}, dropped=1)
    texts = [
        "p50<50ms",
        "errors<=9",
        "errors==9",
        "errors<10",
        "errors<=10",
        "errors==10",
        "rate>50",
        "errors>=11",
    ]

    assert [row.text for row in beyond_doubt(map(Objective.parse, texts), seen)] == [
        "p50<50ms",
        "errors<=9",
        "errors==9",
        "errors<10",
    ]


def test_times_are_beyond_doubt_unless_the_generator_was_slow() -> None:
    """Where it was, no time is the server's for sure; by default it was not."""
    seen = document({100.0: 100})
    limit = [Objective.parse("p50<50ms")]

    assert beyond_doubt(limit, seen) == beyond_doubt(limit, seen, slow=False) == limit
    assert beyond_doubt(limit, seen, slow=True) == []


def test_nothing_measured_is_not_beyond_doubt() -> None:
    """Without a request no share is missed."""
    assert (
        beyond_doubt([Objective.parse("errors<1%"), Objective.parse("p50<1ms")], document({})) == []
    )
