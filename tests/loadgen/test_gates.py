"""A baseline decides: by the interval of a difference, and never by its middle alone."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.compare import compare
from rolecall.loadgen.gates import BaselineGate, decided
from rolecall.schema_validation import validation_errors
from tests.support.load_documents import load_document


def slower(factor: float, seed: int = 2) -> dict[str, Any]:
    """A run whose times are that many times those of the baseline."""
    return load_document(seed, times=lambda dice, at: dice.lognormvariate(-5, 0.5) * factor)


BEFORE = load_document(1)


def judged(after: dict[str, Any], *conditions: str, before: Any = BEFORE) -> dict[str, Any]:
    """The document with its comparison, and what the gates made of it."""
    compared = {**after, "comparison": compare(before, after).document()}
    document = decided(compared, [BaselineGate.parse(text) for text in conditions])
    assert validation_errors("load", document) == []
    return document


@pytest.mark.parametrize(
    ("condition", "factor", "came_to"),
    [
        ("slower", 1.0, ("met", 0)),
        ("slower", 0.5, ("met", 0)),
        ("slower", 2.0, ("missed", 1)),
        ("worse", 2.0, ("missed", 1)),
        ("baseline:p99<+50%", 1.0, ("met", 0)),
        ("baseline:p99<+50%", 2.0, ("missed", 1)),
        ("baseline: p50 < +10 %", 2.0, ("missed", 1)),
        ("baseline:p99<+100%", 2.0, ("invalid", 3)),
        ("baseline:p50>-20%", 0.5, ("missed", 1)),
        ("baseline:rate>-5%", 1.0, ("met", 0)),
        ("baseline:errors<+0.1%", 1.0, ("met", 0)),
    ],
)
def test_the_interval_decides(condition: str, factor: float, came_to: tuple[str, int]) -> None:
    """A whole interval on one side is met or missed; one around the limit proves neither, and the
    run is invalid.
    """
    document = judged(slower(factor), condition)

    assert (document["verdict"], document["exit_code"]) == came_to
    assert bool(document["reasons"]) is (came_to[0] != "met")
    (gate,) = document["comparison"]["gates"]
    assert gate["held"] is {"met": True, "missed": False, "invalid": None}[came_to[0]]


def test_without_a_gate_nothing_is_decided() -> None:
    """A comparison alone leaves the verdict as it is."""
    assert judged(slower(2.0))["verdict"] == "met"


def test_runs_that_cannot_be_compared_decide_nothing() -> None:
    """A gate on runs of two scenarios is neither kept nor broken: the run is invalid."""
    document = judged({**slower(1.0), "scenario": "session"}, "slower")

    assert (document["verdict"], document["exit_code"]) == ("invalid", 3)
    assert "other scenario" in document["reasons"][0]
    (gate,) = document["comparison"]["gates"]
    assert gate["sentence"] == "slower: not decided, the runs cannot be compared"


def test_a_run_that_was_missed_stays_missed() -> None:
    """No gate makes a verdict better, or another one than it was."""
    missed = {**slower(1.0), "verdict": "missed", "exit_code": 1, "reasons": ["p99"]}

    document = judged(missed, "slower", "baseline:p99<+50%")

    assert (document["verdict"], document["reasons"]) == ("missed", ["p99"])


def test_errors_where_there_were_none() -> None:
    """A change from nothing has no ratio, and decides all the same."""
    assert judged(load_document(2, errors=0.05), "baseline:errors<+1%")["verdict"] == "missed"


@pytest.mark.parametrize(
    "text", ["faster", "baseline:p95<10%", "p99<+10%", "baseline:p99<10", "baseline:p99=10%", ""]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    """The message names the option and what there is."""
    with pytest.raises(UsageError, match=r"(?s)--fail-if.*baseline:p99"):
        BaselineGate.parse(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("baseline:p99>+10%", "baseline:p99<+10%"),
        ("baseline:p50>0%", "baseline:p50<0%"),
        ("baseline:errors>+1%", "baseline:errors<+1%"),
        ("baseline:rate<-5%", "baseline:rate>-5%"),
    ],
)
def test_a_condition_the_wrong_way_round_is_refused(text: str, meant: str) -> None:
    """Who writes when to fail, in place of what has to hold, does not get each worse run passed."""
    with pytest.raises(UsageError) as refused:
        BaselineGate.parse(text)

    assert refused.value.hint == f"{meant}?"
