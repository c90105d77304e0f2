"""The self-test's tables on a terminal, narrow and wide."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report import kill_table, mutation_table

LONG = "a-server-with-a-name-of-forty-characters"
MUTATION: dict[str, Any] = {
    "name": "expect_denied_as_usual-finds-nothing-later",
    "killed": False,
    "seen_at": [],
    "looked_at": [LONG, "another-server", "a-third-one"],
    "spoiled": [],
    "breaks": "what a control looks at once more, when the server has had time to think about it",
    "seconds": 12.3,
}
CASE: dict[str, Any] = {
    "case": {"name": LONG, "planted": "PERM-list-organization-groups"},
    "as_expected": True,
    "findings": ["PERM-list-organization-groups"],
    "advice": [],
    "verdict": "not conformant",
    "seconds": 4.0,
    "without": {"api-keys": "NO: nothing was found, and no test says that it lacks an API key"},
}


def lines(width: int | None) -> list[str]:
    """What all tables print about a case and a mutation."""
    texts = [
        kill_table.header(width),
        kill_table.line(CASE, width),
        kill_table.line_without(CASE, "api-keys", width),
        mutation_table.header(width),
        mutation_table.line(MUTATION, width),
        mutation_table.line({**MUTATION, "killed": True, "seen_at": MUTATION["looked_at"]}, width),
    ]
    return [line for text in texts for line in text.split("\n")]


@pytest.mark.parametrize("width", [80, 60])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    """On a narrow terminal each line fits, and what was said is there to its last word."""
    printed = lines(width)

    assert [line for line in printed if len(line) > width] == []
    assert "lacks an API key" in " ".join(" ".join(printed).split())
    assert "time to think about it" in " ".join(" ".join(printed).split())


def test_a_file_has_whole_lines() -> None:
    """In a file each case and each mutation is one line, with all its columns."""
    printed = lines(None)

    assert len(printed) == 7  # with that about a mutation that survived
    assert CASE["case"]["planted"] in printed[1]
    assert "another-server, a-third-one" in printed[-1]
