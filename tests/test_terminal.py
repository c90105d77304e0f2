"""What a person reads at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.reports import terminal


def cell(operation: str, role: str, outcome: str, *, expected: str = "allow", reason: str = "") -> dict[str, Any]:
    """A cell of results.json."""
    return {
        "operation": operation,
        "role": role,
        "credential": "token",
        "expected": expected,
        "outcome": outcome,
        "reason": reason,
    }


def finding(number: int = 1, **more: Any) -> dict[str, Any]:
    """A finding of results.json."""
    given = {
        "requirement": "PERM-list-users",
        "level": "must",
        "clause": "Permissions",
        "statement": "List users: exactly bot and admin may.",
        "test": f"test_{number}",
        "cell": "list-users-guest-token",
        "expected": "403: guest may not list users",
        "actual": "200: it was allowed",
        "exchange": 17,
        "curl": 'curl -i -H "Authorization: Bearer $TOKEN" http://target.example/v2/users',
    }
    return given | more


def undecided(*reasons: tuple[str, str]) -> dict[str, Any]:
    """A requirement of results.json whose tests could not be decided, each for a reason, with a place to look at."""
    tests = [
        {"name": f"test_{number}", "outcome": "inconclusive", "reason": reason, "look_at": look_at}
        for number, (reason, look_at) in enumerate(reasons)
    ]
    return {"id": "ISSUE-status", "level": "must", "outcome": "inconclusive", "tests": tests}


def results(**parts: Any) -> dict[str, Any]:
    """A results.json with these parts."""
    empty: dict[str, Any] = {
        "verdict": "inconclusive",
        "exit_code": 3,
        "reasons": [],
        "target": {"name": "staging", "base_url": "http://target.example"},
        "dialect": {"departures": {}},
        "requests": 42,
        "counts": {"cells": {"passed": 1, "failed": 0}, "requirements": {"passed": 2}},
        "findings": [],
        "requirements": [],
        "cells": [],
        "left_behind": [],
        "advice": [],
        "observations": [],
    }
    return empty | parts


class TestHeatMap:
    """The cells at a glance."""

    def test_a_mark_for_every_outcome(self) -> None:
        """Allowed and done, refused and rightly, failed, undecided, not tested and broken are told apart in their places."""
        cells = [
            cell("list-users", "guest", "passed", expected="deny"),
            cell("list-users", "admin", "passed"),
            cell("fetch-user", "guest", "failed", expected="deny"),
            cell("fetch-user", "admin", "inconclusive"),
            cell("create-user", "guest", "not-tested", expected="deny", reason="read only"),
            cell("create-user", "admin", "error"),
        ]

        lines = terminal.heat_map(results(cells=cells)).splitlines()

        assert [line.split() for line in lines[1:5]] == [
            ["guest", "admin"],
            ["list-users", "-", "+"],
            ["fetch-user", "X", "?"],
            ["create-user", ".", "!"],
        ]
        column = lines[1].index("guest")
        assert [line[column] for line in lines[2:5]] == ["-", "X", "."]

    def test_nothing_is_drawn_of_what_nobody_saw(self) -> None:
        """A run that never got to the cells does not fill the screen with dots."""
        text = terminal.summary(results(cells=[cell("list-users", "guest", "not-tested", reason="not selected")]), "runs/1")

        assert "list-users" not in text


class TestFindings:
    """What is wrong, and how to see it oneself."""

    def test_a_finding_says_all_that_is_needed(self) -> None:
        """Requirement, cell, clause, expected, actual, the line to paste and the place in the evidence are all there."""
        text = terminal.findings(results(findings=[finding()]))

        for part in finding().values():
            assert str(part) in text or part == "test_1", part

    def test_many_findings(self) -> None:
        """The first ones are shown whole, and the rest is counted."""
        text = terminal.findings(results(findings=[finding(number, cell=None) for number in range(1, 31)]))

        assert "20. PERM-list-users (must): test_20" in text
        assert "test_21" not in text
        assert "10 more findings in results.json" in text

    def test_what_is_undecided_is_grouped_by_reason(self) -> None:
        """Fifty tests that lack the same thing are one line, with the place to look at."""
        reasons = [("missing: a token for guest", "[accounts.guest]")] * 50 + [("missing: a form", "[operations.create-form]")]

        lines = terminal.findings(results(requirements=[undecided(*reasons)])).splitlines()

        assert lines == [
            "Not decided:",
            "   ISSUE-status test_0 and 49 more: missing: a token for guest",
            "      look at [accounts.guest]",
            "   ISSUE-status test_50: missing: a form",
            "      look at [operations.create-form]",
        ]


class TestVerdict:
    """The last lines."""

    def test_everything_that_qualifies_it(self) -> None:
        """Readings in force, reasons, what was left behind and the folder stand above the verdict, which is the last line."""
        lines = terminal.verdict(
            results(
                reasons=["76 requirements not proven"],
                dialect={"departures": {"expired": [401]}},
                left_behind=["user 599e1f (rolecall-1)"],
            ),
            "reports/runs/1",
        ).splitlines()

        assert "reading       expired = [401] (not the default)" in lines
        assert "note          76 requirements not proven" in lines
        assert "left behind   user 599e1f (rolecall-1)" in lines
        assert "files         reports/runs/1" in lines
        assert lines[-1] == "verdict       INCONCLUSIVE: staging at http://target.example (42 requests, exit 3)"

    @pytest.mark.parametrize("colour", [True, False])
    def test_colours(self, colour: bool) -> None:
        """Colours are used only where they were asked for, and are switched off again."""
        text = terminal.summary(results(findings=[finding()], cells=[cell("a", "guest", "failed")]), "runs/1", colour=colour)

        assert ("\033[1;31m" in text) is colour
        assert text.count("\033[0m") * 2 == text.count("\033[")


@pytest.mark.parametrize("bad", ["\033[2J\033[1;1H", "\x9b31m", "\r", "\b\b\b", "\u202e", "\x00", "\x07"])
def test_a_target_does_not_write_on_the_terminal(bad: str) -> None:
    """Control characters in a target's words do not clear the screen, overwrite the verdict or turn the text around."""
    words = f"before{bad}after"
    text = terminal.summary(
        results(findings=[finding(actual=words)], requirements=[undecided((words, words))], left_behind=[words], reasons=[words]),
        "runs/1",
    )

    assert bad not in text
    assert text.count("before") == text.count("after") == 5
