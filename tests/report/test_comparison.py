"""What changed between two runs, whose doing it was, and which runs cannot be compared."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report import comparison, comparison_text
from rolecall.schema_validation import validation_errors
from tests.support.results import DIGEST, cell, requirement, results

OTHER_SUITE = {**results()["suite"], "version": "1.1.0"}
LENIENT = {"values": {"denied": [403, 404]}, "departures": {"denied": [403, 404]}}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Whose each change was, and whether it was for the worse, by name."""
    return {
        change["name"]: (change["whose"], change["worse"])
        for change in comparison.compare(before, after)["changes"]
    }


def of_cell(old: dict[str, Any], new: dict[str, Any], **after: Any) -> tuple[str, bool]:
    """As `changes`, for the only cell."""
    (change,) = changes(results(cells=[old]), results(cells=[new], **after)).values()
    return change


NAME = "list-users guest token"


@pytest.mark.parametrize(
    ("old", "new", "after", "whose", "worse"),
    [
        ((), ("failed", 403), {}, "server", True),
        (("failed", 403), (), {}, "server", False),
        (("failed", 403), ("failed", 500), {}, "server", False),
        ((), ("failed", 403), {"suite": OTHER_SUITE}, "unclear", True),
        (("passed", 404), ("failed", 404), {"dialect": LENIENT}, "dialect", True),
        (("passed", 404), ("failed", 500), {"dialect": LENIENT}, "server", True),
        ((), ("failed", 200), {"dialect": LENIENT}, "server", True),
        (("failed", 403), ("waived", 403), {}, "waiver", False),
        (("waived", 403), ("failed", 403), {}, "waiver", True),
        ((), ("waived", 403), {}, "server", True),
        (("waived", 403), (), {}, "server", False),
        ((), ("inconclusive", None), {}, "run", True),
        (("not-tested", None), (), {}, "run", False),
        ((), ("error", None), {}, "run", True),
    ],
)
def test_whose_doing_a_cell_is(
    old: tuple[Any, ...], new: tuple[Any, ...], after: dict[str, Any], whose: str, worse: bool
) -> None:
    """The answer, the readings, a waiver or missing evidence explain a cell; the server is blamed
    only where nothing else is left.
    """
    assert of_cell(cell(NAME, *old), cell(NAME, *new), **after) == (whose, worse)


def test_an_expectation_that_turned_is_the_suites() -> None:
    """A cell of which the table says something else now is the table's change."""
    old, new = cell(NAME), cell(NAME, "failed", expected="deny")
    assert of_cell(old, new) == ("suite", True)
    (change,) = comparison.compare(results(cells=[old]), results(cells=[new]))["changes"]
    assert change["note"] == "was to allow, is to deny"


def test_what_was_not_selected_is_the_selections() -> None:
    """What only one of the runs looked at got neither better nor worse."""
    left_out = cell(NAME, "not-tested", None, reason="not selected")
    assert of_cell(cell(NAME), left_out, selected=True) == ("selection", False)


def test_what_a_broken_off_run_did_not_reach_is_no_change() -> None:
    """On a night without a run nothing got worse, and what failed before did not get better."""
    reached, not_reached = (
        results(
            cells=[cell(NAME, *outcome[:2], reason=outcome[2])],
            requirements=[requirement("SEC-X01", outcome[0], tests)],
        )
        for outcome, tests in (
            (("failed", 200, ""), {"a": "failed"}),
            (("not-tested", None, "not selected"), {}),
        )
    )

    for one, other in ((reached, not_reached), (not_reached, reached)):
        compared = comparison.compare(one, other)
        assert not compared["comparable"]
        assert compared["changes"] == []


def of_requirement(old: dict[str, Any], new: dict[str, Any], **after: Any) -> tuple[str, bool]:
    """As `changes`, for the only requirement."""
    before = results(requirements=[old])
    (change,) = changes(before, results(requirements=[new], **after)).values()
    return change


@pytest.mark.parametrize(
    ("old", "new", "after", "whose", "worse"),
    [
        ({"a": "passed"}, {"a": "failed"}, {}, "server", True),
        ({"a": "passed"}, {"a": "failed"}, {"suite": OTHER_SUITE}, "unclear", True),
        ({"a": "passed"}, {"a": "failed"}, {"dialect": LENIENT}, "unclear", True),
        ({"a": "passed"}, {"a": "passed", "b": "failed"}, {"suite": OTHER_SUITE}, "suite", True),
        ({"a": "failed", "b": "passed"}, {"b": "passed"}, {"selected": True}, "selection", False),
        ({"a": "failed"}, {"a": "waived"}, {}, "waiver", False),
        ({"a": "passed"}, {"a": "inconclusive"}, {}, "run", True),
        ({"a": "passed", "b": "passed"}, {"a": "failed", "b": "inconclusive"}, {}, "server", True),
        ({"a": "passed"}, {}, {"selected": True}, "selection", False),
    ],
)
def test_whose_doing_a_requirement_is(
    old: dict[str, str], new: dict[str, str], after: dict[str, Any], whose: str, worse: bool
) -> None:
    """A requirement's change is that of the tests that made it."""
    ranks = ("failed", "inconclusive", "waived", "passed")

    def of(tests: dict[str, str]) -> dict[str, Any]:
        worst = next((rank for rank in ranks if rank in tests.values()), "not-tested")
        return requirement("SEC-X01", worst, tests)

    assert of_requirement(of(old), of(new), **after) == (whose, worse)


def test_a_requirement_of_cells_is_judged_by_its_cells() -> None:
    """Where a cell's answer is read otherwise, its requirement is the dialect's change as well."""
    test = "test_a_refused_read_shows_nothing[list-users-guest-token]"
    before = results(
        cells=[cell(NAME, "passed", 404)],
        requirements=[requirement("PERM-list-users", "passed", {test: "passed"})],
        dialect=LENIENT,
    )
    after = results(
        cells=[cell(NAME, "failed", 404)],
        requirements=[requirement("PERM-list-users", "failed", {test: "failed"})],
    )
    assert changes(before, after) == {
        "list-users-guest-token": ("dialect", True),
        "PERM-list-users": ("dialect", True),
    }


def test_advice_is_never_worse() -> None:
    """A requirement that decides nothing is named, and nothing got worse by it."""
    old, new = (
        requirement("SEC-I20", outcome, level="hardening") for outcome in ("passed", "failed")
    )
    assert of_requirement(old, new) == ("server", False)


def test_requirements_come_and_go_with_the_suite() -> None:
    """A requirement that only one of the suites has is the suite's change; a new one that fails is
    for the worse.
    """
    before, after = requirement("OLD"), requirement("NEW", "failed")
    found = changes(results(requirements=[before]), results(requirements=[after]))
    assert found == {"OLD": ("suite", False), "NEW": ("suite", True)}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"target": {"name": "live", "base_url": "https://example.org"}}, "another target"),
        ({"suite": {**OTHER_SUITE, "specification": "v3"}}, "another specification"),
        ({"selected": True}, "the later run is of a selected part"),
        (
            {"requirements": [requirement("PERM-list-users", tests={})]},
            "the later run was broken off",
        ),
        ({"read_only": True}, "only the later run was read-only"),
    ],
)
def test_runs_that_cannot_be_compared_say_so(after: dict[str, Any], said: str) -> None:
    """Another target, a part, or a run that was broken off is said, with its reason."""
    compared = comparison.compare(results(), results(**after))
    assert not compared["comparable"]
    assert said in compared["reasons"][0]
    assert f"not comparable {compared['reasons'][0]}" in comparison_text.text(compared)


def test_another_target_gets_nothing_worse() -> None:
    """Of two servers none got worse, however they differ."""
    other = {"name": "live", "base_url": "https://example.org"}
    assert of_cell(cell(NAME), cell(NAME, "failed", 403), target=other) == ("target", False)
    compared = comparison.compare(
        results(cells=[cell(NAME)]), results(cells=[cell(NAME, "failed", 403)], target=other)
    )
    assert "Changed, another target answers so (1):" in comparison_text.text(compared)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://127.0.0.1:4000", "http://127.0.0.1:5000", True),
        ("http://127.0.0.1:4000/a", "http://127.0.0.1:5000/b", False),
        ("https://a.example.org", "https://a.example.org/", True),
        ("https://a.example.org", "https://b.example.org", False),
        ("http://[", "http://127.0.0.1", False),
    ],
)
def test_what_is_the_same_target(one: str, other: str, same: bool) -> None:
    """A server of this machine is the same at another port; elsewhere the URL says it."""
    found = comparison.same_target({"name": "x", "base_url": one}, {"name": "x", "base_url": other})
    assert found is same


def test_what_else_changed_is_noted() -> None:
    """A new version, other tables, other readings and other evidence on expiry are named."""
    after = results(
        suite={**OTHER_SUITE, "permissions": "sha256:" + "1" * 64},
        dialect=LENIENT,
        expiry_evidence="B",
        started="2026-01-01T00:00:00.000Z",
    )
    assert comparison.compare(results(), after)["notes"] == [
        "the run that is compared with is the later one",
        f"the suite's permissions changed: {DIGEST[:19]}, then sha256:111111111111",
        "the suite's version changed: 1.0.0, then 1.1.0",
        "the dialect's denied changed: [403], then [403, 404]",
        "the evidence on expiry changed: A, then B",
    ]


def test_the_text_names_the_bad_first_and_is_bounded() -> None:
    """Changes for the worse come first, requirements before cells, and a long group is cut."""
    names = [f"list-users role{number} token" for number in range(30)]
    better = "fetch-user guest token"
    compared = comparison.compare(
        results(
            cells=[*map(cell, names), cell(better, "failed")],
            requirements=[requirement("PERM-list-users")],
        ),
        results(
            cells=[*(cell(name, "failed", 500) for name in names), cell(better)],
            requirements=[requirement("PERM-list-users", "failed")],
            verdict="not-conformant",
        ),
    )
    lines = comparison_text.text(compared).splitlines()

    assert lines[1] == "verdict        conformant, then not-conformant"
    assert lines[2] == "Worse, the server's doing (31):"
    assert lines[3] == "   requirement PERM-list-users: passed, then failed  (why)"
    assert "   ... and 20 more cells" in lines
    assert lines[-2:] == [
        "Better, the server's doing (1):",
        "   cell        fetch-user-guest-token: failed, then passed",
    ]
    assert len(comparison_text.text(compared, most=100).splitlines()) == len(lines) + 19


def test_the_words_of_a_target_do_nothing_on_a_terminal() -> None:
    """Controls in a reason are shown as escapes."""
    compared = comparison.compare(
        results(cells=[cell(NAME)]), results(cells=[cell(NAME, "failed", reason="\x1b[2J\n")])
    )
    assert "\x1b" not in comparison_text.text(compared)


def test_nothing_changed() -> None:
    """Two equal runs say that nothing changed."""
    compared = comparison.compare(results(), results())
    assert compared["comparable"]
    assert not comparison.is_worse(compared)
    assert "No cell and no requirement changed." in comparison_text.text(compared)


@pytest.mark.parametrize(
    "after",
    [
        {},
        {"cells": [cell(NAME, "failed", None)], "requirements": []},
        {"suite": OTHER_SUITE, "selected": True, "cells": []},
        {"target": {"name": "live", "base_url": "https://example.org"}, "requirements": []},
    ],
)
def test_a_comparison_is_as_the_schema_says(after: dict[str, Any]) -> None:
    """What `compare` returns can stand as ``since`` in results.json."""
    document = results(**after)
    document["since"] = comparison.compare(results(), document)
    assert validation_errors("results", document) == []
