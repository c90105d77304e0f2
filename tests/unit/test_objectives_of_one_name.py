"""Objectives of the requests of one name: the fast ones do not hide the slow ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import PERCENTS, Totals
from rolecall.loadgen.objectives import Objective, beyond_doubt, judge, rows_of


def recorded() -> Totals:
    """Fast log-ins, and slow refreshes of which one in ten failed."""
    recorder, totals = Recorder(0.0), Totals()
    for name, ms in (("issue", 10), ("refresh-get", 300)):
        entry = recorder.entry("POST", name)
        for number in range(100):
            at = 0.5 + number / 11
            if name == "refresh-get" and number % 10 == 0:
                entry.failure("500", at - ms / 1000, at - ms / 1000, at)
            else:
                entry.success(at - ms / 1000, at - ms / 1000, at, 1)
    totals.merge("a", recorder.take())
    return totals


@cache
def two_names() -> dict[str, Any]:
    """A run of ten seconds."""
    return recorded().document(10)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("p50<250ms", True),
        ("issue:p99<250ms", True),
        ("refresh-get: p99 < 250ms", False),
        ("refresh-get:p99<350ms", True),
        ("issue:errors<1%", True),
        ("refresh-get:errors<1%", False),
        ("refresh-get:rate>8.9", True),
        ("refresh-get:rate>9.1", False),
        ("refresh-post:p99<250ms", False),  # none was sent
    ],
)
def test_an_objective_of_the_requests_of_one_name(text: str, held: bool) -> None:
    """It is asked of those alone: the fast ones do not hide the slow ones."""
    assert Objective.parse(text).holds(two_names()) is held


@pytest.mark.parametrize("text", ["issue:late<1%", "issue:p97<1ms", "issue:dropped<1"])
def test_what_is_not_known_of_one_name(text: str) -> None:
    """What only the whole run has is refused for one name: where it was written, and with what
    there is.
    """
    with pytest.raises(UsageError) as error:
        Objective.parse(text, "compare.toml, slo")

    measure = text.removeprefix("issue:").partition("<")[0]
    assert str(error.value).startswith(
        f"compare.toml, slo: '{text}': {measure} is not known of the requests of one name"
    )
    known = ", ".join((*PERCENTS, "mean", "max", "rate", "errors", "throttled"))
    assert error.value.hint == f"Known: {known}."


@pytest.mark.parametrize(
    ("text", "observed"),
    [
        ("refresh-get:p50<1s", 300),
        ("refresh-get:mean<1s", 300),
        ("refresh-get:max<1s", 300),
        ("refresh-get:rate>1", 9),
        ("refresh-get:errors<100", 10),
        ("refresh-get:throttled<5%", 0),
    ],
)
def test_what_is_known_of_one_name(text: str, observed: float) -> None:
    """Times, the rate of good answers, errors and 429s: what load.json has in each row."""
    assert Objective.parse(text).observed(two_names()) == pytest.approx(observed, rel=0.01)


def test_the_worst_of_two_rows_of_one_name() -> None:
    """Where two methods have one name, a limit from above is asked of the slower, and one from
    below of the rarer.
    """
    document = {
        **two_names(),
        "entries": [{**row, "name": "issue"} for row in two_names()["entries"]],
    }

    assert Objective.parse("issue:max<1s").observed(document) == pytest.approx(300, rel=0.01)
    assert Objective.parse("issue:rate>1").observed(document) == pytest.approx(9)
    assert Objective.parse("issue:rate>=1").observed(document) == pytest.approx(9)
    assert Objective.parse("issue:rate<99").observed(document) == pytest.approx(10)


def test_a_run_of_no_time_has_no_rate() -> None:
    """A run that was stopped at once has no good answer a second, of any name."""
    rows = rows_of({**two_names(), "duration_s": 0.0}, "issue")

    assert [row["rate"] for row in rows] == [0.0]


def test_what_is_written_of_an_objective_of_one_name() -> None:
    """Its row in load.json says which requests it is about; that of the whole run says nothing."""
    rows = judge(map(Objective.parse, ["issue:p99<250ms", "p50<250ms"]), two_names())

    assert [row.get("request") for row in rows] == ["issue", None]
    assert ["request" in row for row in rows] == [True, False]


def test_of_one_name_what_this_side_may_have_done_is_not_beyond_doubt() -> None:
    """Which row a pause disturbed is not known, so that no row is blamed where there was one."""
    objective = Objective.parse("refresh-get:p99<250ms")

    assert beyond_doubt([objective], two_names()) == [objective]
    assert beyond_doubt([objective], two_names(), slow=True) == []
    assert beyond_doubt([objective], {**two_names(), "own_failures": {"local": 1}}) == []


@pytest.mark.parametrize(
    ("text", "rest", "is_beyond"),
    [
        ("p90<250ms", 800, True),  # one in nine was slow
        ("p90<250ms", 1_000, False),
        ("p50<0.5ms", 800, False),  # those to come are answered at once
        ("errors<1%", 800, True),
        ("errors<1%", 1_000, False),
    ],
)
def test_the_rest_may_all_be_of_one_name(text: str, rest: int, is_beyond: bool) -> None:
    """What is still to come is taken as of the name that is asked of, and as answered at once; a
    row whose times are not known is passed over.
    """
    document = {**recorded().so_far(["refresh-get"]), "duration_s": 10.0}
    document["entries"] = [two_names()["entries"][0], *document["entries"]]
    objective = Objective.parse(f"refresh-get:{text}")

    assert beyond_doubt([objective], document, rest=rest) == [objective] * is_beyond


def test_what_was_answered_at_once_stays_so() -> None:
    """Times of nothing that were measured count beside those that are excused."""
    document = {**recorded().so_far(["refresh-get"]), "duration_s": 10.0}
    (row,) = document["entries"]
    row["times_ms"] = [(0.0, 60), (300.0, 40)]

    assert not beyond_doubt([Objective.parse("refresh-get:p50<250ms")], document, rest=10)


def test_an_objective_of_the_whole_run_beside_one_of_a_name() -> None:
    """What this side dropped is excused, whatever else is asked of the run."""
    document = {**recorded().so_far(["issue"]), "duration_s": 10.0, "dropped": 10}
    objectives = [Objective.parse("issue:p99<1ms"), Objective.parse("dropped<1")]

    assert beyond_doubt(objectives, document) == objectives[:1]
