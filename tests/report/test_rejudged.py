"""What comes of judging a run again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rolecall.report import rejudged


def results(verdict: str, **outcomes: str) -> dict[str, Any]:
    """A run's results: a requirement with one test for each outcome."""
    return {
        "run": "20260101-000000-abcdef",
        "verdict": verdict,
        "suite": {"version": "1.0"},
        "requirements": [
            {
                "id": id,
                "outcome": outcome,
                "tests": [{"name": f"test_{id}", "outcome": outcome, "reason": f"{outcome}, why"}],
            }
            for id, outcome in outcomes.items()
        ],
    }


def test_the_same_is_said_in_a_sentence() -> None:
    """Where nothing differs, the exit code is 0."""
    once = results("conformant", ONE="passed", TWO="not-tested")
    comparison = rejudged.comparison(once, once, {})
    assert rejudged.exit_code(comparison) == 0
    assert rejudged.text(comparison, "runs/1").splitlines() == [
        "run        20260101-000000-abcdef in runs/1",
        "then       CONFORMANT (rolecall 1.0)",
        "now        CONFORMANT (rolecall 1.0)",
        "All 2 requirements have the same outcome as then.",
    ]


def test_what_differs_is_named_with_both_reasons() -> None:
    """The exit code is 1, and the requirement, the test and why are printed."""
    comparison = rejudged.comparison(
        results("conformant", ONE="passed", TWO="passed"),
        results("not-conformant", ONE="passed", TWO="failed"),
        {},
    )
    assert rejudged.exit_code(comparison) == 1
    said = rejudged.text(comparison, "runs/1")
    assert "  TWO: passed -> failed\n    test_TWO: passed -> failed" in said
    assert "then: passed, why" in said
    assert "now: failed, why" in said
    assert said.endswith("1 of 2 requirements have another outcome than then.")
    assert json.loads(json.dumps(comparison)) == comparison


@pytest.mark.parametrize(
    ("now", "code"), [("failed", 0), ("inconclusive", 0), ("passed", 1), ("not-tested", 1)]
)
def test_what_was_waived_is_what_it_was_without_the_waiver(now: str, code: int) -> None:
    """A run is judged again without its waivers: a failure that was waived does not differ."""
    comparison = rejudged.comparison(
        results("conformant", ONE="waived", TWO="passed"),
        results("not-conformant", ONE=now, TWO="passed"),
        {},
    )
    assert rejudged.exit_code(comparison) == code


def test_what_cannot_be_judged_again_is_named_and_no_difference() -> None:
    """Where the evidence lacks something, the exit code is 3: nothing is said of that test."""
    comparison = rejudged.comparison(
        results("conformant", ONE="passed", TWO="passed"),
        results("inconclusive", ONE="passed", TWO="inconclusive"),
        {"test_TWO": "GET /v2/users is not in the evidence"},
    )
    assert rejudged.exit_code(comparison) == 3
    said = rejudged.text(comparison, "runs/1")
    assert "  TWO (passed then)\n    test_TWO: GET /v2/users is not in the evidence" in said


DEPARTURE = {
    "exchange": 7,
    "test": "test_TWO",
    "now": "GET /v2/users as guest (token)",
    "test_then": "test_ONE",
    "then": "PUT /v2/users as guest (token)",
    "decision": "a new look",
    "is_known": True,
}


def test_where_the_course_was_left_is_said_beside_what_differs() -> None:
    """The first request that was not that of then, of which test, what that test had learnt last,
    and the command that shows what was sent then.
    """
    comparison = rejudged.comparison(
        results("conformant", ONE="passed"), results("conformant", ONE="failed"), {}, DEPARTURE
    )
    said = rejudged.text(comparison, "runs/1")
    assert "left the run's course at exchange 7:" in said
    assert "now: GET /v2/users as guest (token), for test_TWO" in said
    assert "what it learnt last, beside its answers: a new look\n" in said
    assert "then: PUT /v2/users as guest (token), for test_ONE" in said
    assert "rolecall show runs/1 7" in said


def test_a_decision_that_the_evidence_lacks_is_said_to_be_lacking() -> None:
    """So is that the run sent nothing more."""
    left = {**DEPARTURE, "is_known": False, "then": "nothing", "test_then": ""}
    comparison = rejudged.comparison(
        results("conformant", ONE="passed"),
        results("conformant", ONE="passed"),
        {"test_ONE": "GET /v2/users is not in the evidence"},
        left,
    )
    said = rejudged.text(comparison, "runs/1")
    assert "a new look, which is not in the evidence" in said
    assert "then: nothing\n" in said


def test_another_course_to_the_same_outcomes_is_in_the_document_alone() -> None:
    """Where all requirements are as then, a reader needs no more than that."""
    once = results("conformant", ONE="passed")
    comparison = rejudged.comparison(once, once, {}, DEPARTURE)
    assert comparison["departure"] == DEPARTURE
    assert "course" not in rejudged.text(comparison, "runs/1")


def test_a_requirement_that_the_suite_has_no_more_differs() -> None:
    """It was passed then, and is not tested now."""
    comparison = rejudged.comparison(
        results("conformant", OLD="passed"), results("conformant", NEW="passed"), {}
    )
    assert [entry["requirement"] for entry in comparison["differences"]] == ["OLD"]


def test_a_long_list_is_cut() -> None:
    """Beyond twenty requirements, the rest is counted."""
    many = {f"R{number}": "passed" for number in range(30)}
    comparison = rejudged.comparison(
        results("conformant", **many),
        results("not-conformant", **dict.fromkeys(many, "failed")),
        {},
    )
    assert "  and 10 more (see --json)" in rejudged.text(comparison, "runs/1")
