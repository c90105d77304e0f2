"""``matrix.csv``: read by spreadsheets, to which a target's words must be text."""

from __future__ import annotations

import csv
import io

import pytest

from rolecall.report import matrix_csv
from tests.support.results import cell, results


def rows(text: str) -> list[dict[str, str]]:
    """The file as a reader of CSV has it."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_line_for_every_cell() -> None:
    """Each cell stands in a line of its own, with what was expected and what came of it."""
    text = matrix_csv.write(
        results(
            cells=[
                cell("list-users admin token"),
                cell("list-users guest api-key", "failed", None, reason='said "no", twice'),
            ]
        )
    )

    assert rows(text) == [
        {
            "operation": "list-users",
            "role": "admin",
            "credential": "token",
            "expected": "allow",
            "outcome": "passed",
            "status": "200",
            "reason": "",
        },
        {
            "operation": "list-users",
            "role": "guest",
            "credential": "api-key",
            "expected": "allow",
            "outcome": "failed",
            "status": "",
            "reason": 'said "no", twice',
        },
    ]
    assert text.endswith("\r\n")


@pytest.mark.parametrize(
    "said",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"],  # noqa: RUF001
)
def test_no_word_of_a_target_is_a_formula(said: str) -> None:
    """What would be a formula begins with an apostrophe, and stays in one line."""
    text = matrix_csv.write(results(cells=[cell("list-users admin token", "failed", reason=said)]))

    (row,) = rows(text)
    assert row["reason"].startswith("'")
    assert len(text.splitlines()) == 2
