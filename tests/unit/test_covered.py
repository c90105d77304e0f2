"""What `make unit` says of the coverage of each module."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.covered import report, row


def module(covered: int = 9, branches: int = 9, percent: float = 100.0) -> dict[str, Any]:
    """A module in coverage's JSON report."""
    counts = {"num_branches": branches, "covered_branches": covered, "percent_covered": percent}
    return {"summary": counts, "missing_lines": [], "missing_branches": []}


@pytest.mark.parametrize(
    ("covered", "branches", "percent", "is_too_little"),
    [(19, 20, 95.0, False), (37, 40, 99.0, True), (40, 40, 94.9, True), (0, 0, 100.0, False)],
    ids=["just-enough", "branches", "lines", "no-branches"],
)
def test_each_module_counts(
    covered: int, branches: int, percent: float, is_too_little: bool
) -> None:
    """A module of which too few branches are covered, or too few of its lines and branches
    together, is named, however good the others are.
    """
    modules = {"a.py": module(covered, branches, percent), "b.py": module()}

    assert report(modules, 95.0)[1] == ["a.py"] * is_too_little


def test_what_is_left_out_is_told() -> None:
    """A row has both shares, the lines that did not run, and the jumps between those that did."""
    missing = {"missing_lines": [7], "missing_branches": [[6, 7], [9, 11], [12, -3]]}

    told = row("a.py", {**module(6, 9, 81.25), **missing})

    assert told == f"{'a.py':40}   81.2 %   66.7 %  7, 9->11, 12->exit"
