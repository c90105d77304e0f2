"""What a history says: new, broken, flaky or mended, of each target by itself."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report import trend
from rolecall.schema_validation import validation_errors
from tests.support.results import cell, requirement, results

ID = "PERM-list-users"
OUTCOMES = {".": "passed", "X": "failed", "?": "inconclusive", "w": "waived", "-": "not-tested"}


def lines(marks: str, **more: Any) -> list[dict[str, Any]]:
    """A line for each mark: what the requirement's outcome was in that run."""
    documents = [
        results(
            f"202611{number:02}-030000-aaaaaa",
            requirements=[requirement(ID, OUTCOMES[mark])],
            **more,
        )
        for number, mark in enumerate(marks, 1)
    ]
    return [line for document in documents if (line := trend.line_of(document))]


@pytest.mark.parametrize(
    ("marks", "kind", "since"),
    [
        ("X", "new", 1),
        ("...X", "new", 4),
        ("...XX", "broken", 4),
        ("XXXX", "broken", 1),
        ("..XwX", "broken", 3),
        ("..X?X", "broken", 3),
        ("..XX..", "mended", 5),
        ("X.", "mended", 2),
        ("X-?.", "mended", 4),
        ("..X..", "flaky", 4),
        ("XX.X", "flaky", 4),
        (".X.X", "flaky", 4),
        ("..XX..XX", "flaky", 7),
    ],
)
def test_flaky_is_told_from_broken(marks: str, kind: str, since: int) -> None:
    """What fails and stays is broken; what comes and goes is flaky; runs that could not decide
    count for neither.
    """
    (found,) = trend.trends(lines(marks))
    (failure,) = found["failures"]
    assert (failure["kind"], failure["since"]) == (kind, f"202611{since:02}-030000-aaaaaa")
    assert failure["marks"] == marks
    assert failure["failed"] == marks.count("X") + marks.count("w")


def test_another_suite_makes_nothing_flaky() -> None:
    """What changes where the suite or the dialect changes is not the server's."""
    suite = {**results()["suite"], "version": "2"}
    runs = [*lines("."), *lines("X", suite=suite), *lines(".")]
    (failure,) = trend.trends(runs)[0]["failures"]
    assert failure["kind"] == "mended"


def test_a_new_suite_does_not_make_what_is_flaky_new() -> None:
    """What came and went often enough on its own is flaky, though it failed at an update, too."""
    suite = {**results()["suite"], "version": "2"}
    (found,) = trend.trends([*lines(".X.X."), *lines("X", suite=suite)])
    assert {"flaky"} == {failure["kind"] for failure in found["failures"]}


def test_targets_are_told_apart() -> None:
    """Each target has its own trend, the one of the newest run last."""
    live = {"name": "live", "base_url": "https://live.example.org"}
    found = trend.trends([*lines("X"), *lines(".", target=live), *lines("X")])
    assert [entry["target"]["name"] for entry in found] == ["live", "staging"]
    assert [len(entry["runs"]) for entry in found] == [1, 2]


def test_parts_are_counted_and_say_nothing() -> None:
    """A run of a selected part proves no trend."""
    (found,) = trend.trends([*lines(".."), *lines("X", selected=True)])
    assert (len(found["runs"]), found["parts"], found["failures"]) == (2, 1, [])
    assert "2 whole runs, and 1 of a part" in trend.text([found])
    (only,) = trend.trends(lines("X", selected=True))
    assert trend.text([only]).endswith("0 whole runs, and 1 of a part")


def test_only_the_newest_runs_count() -> None:
    """What failed long ago is no news."""
    assert trend.trends([*lines("X"), *lines("." * trend.WINDOW)])[0]["failures"] == []


def test_a_line_names_what_did_not_pass() -> None:
    """A run's line is small, and as its schema says; cells are in it as well."""
    names = ["list-users guest token", "list-users bot token", "list-users admin token"]
    document = results(
        cells=[cell(names[0], "failed"), cell(names[1]), cell(names[2], "not-tested", None)],
        requirements=[requirement("A", "waived"), requirement("B", "not-applicable")],
    )
    line = trend.line_of(document)
    assert line
    assert line["cells"] == {
        "failed": ["list-users-guest-token"],
        "not-tested": ["list-users-admin-token"],
    }
    assert line["requirements"] == {"waived": ["A"]}
    assert validation_errors("history", line) == []
    part = trend.line_of({**document, "selected": True})
    assert part
    assert part["cells"] == {"failed": ["list-users-guest-token"]}


def test_a_run_that_was_broken_off_has_no_line() -> None:
    """It did not come to its end."""
    assert trend.line_of(results(requirements=[requirement("A", tests={})])) is None


def test_the_text_names_the_worst_first() -> None:
    """New failures come before broken, flaky and mended ones, each with its course."""
    documents = [
        results(
            f"202611{number:02}-030000-aaaaaa",
            requirements=[requirement(id, OUTCOMES[marks[number]]) for id, marks in rows.items()],
        )
        for rows in [{"MENDED": "XX..", "FLAKY": ".X.X", "BROKEN": ".XXX", "NEW": "...X"}]
        for number in range(4)
    ]
    text = trend.text(trend.trends(list(filter(None, map(trend.line_of, documents)))), torn=1)
    rows = [line.split() for line in text.splitlines() if "requirement" in line]
    assert [row[0] for row in rows] == ["new", "broken", "flaky", "mended"]
    assert [row[2] for row in rows] == ["NEW", "BROKEN", "FLAKY", "MENDED"]
    assert rows[2][3:] == [".X.X", "failed", "in", "2", "of", "4", "runs"]
    assert text.endswith("1 line of the history could not be read.")


def test_an_empty_history_says_so() -> None:
    """There is a sentence where there are no runs, or no failures."""
    assert trend.text([]) == "There are no finished runs in the history."
    assert "Nothing failed" in trend.text(trend.trends(lines("..")))
