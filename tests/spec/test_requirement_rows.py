"""requirements.toml is read strictly: a mistake is told with its place, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.spec import loading
from rolecall.spec.requirement_rows import check_dependencies, requirement

ROW = {
    "level": "must",
    "feature": "Time",
    "clause": "Time-based Tokens",
    "statement": "Tokens end.",
    "cases": ["SEC-T01"],
}


def test_a_row_becomes_a_requirement() -> None:
    """A sound row has its members, lists as tuples."""
    entry = requirement("X-1", ROW, "table.toml")

    assert (entry.id, entry.level, entry.cases, entry.depends) == ("X-1", "must", ("SEC-T01",), ())


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        ({"level": "most"}, "level", "Did you mean 'must'?"),
        ({"capability": "signing-kay"}, "capability", "Did you mean 'signing-key'?"),
        ({"clouse": "x"}, "clouse", "Did you mean 'clause'?"),
        ({"statement": ""}, "statement", "this is missing"),
        ({"feature": 5}, "feature", "this must be a string"),
        ({"cases": "SEC-T01"}, "cases", "this must be an array of strings"),
        ({"depends": [5]}, "depends", "this must be an array of strings"),
    ],
)
def test_a_mistake_is_told_with_its_place(change: dict[str, Any], where: str, says: str) -> None:
    """A wrong word, a misspelt member, a missing one and a wrong type each have one message."""
    with pytest.raises(UsageError) as told:
        requirement("X-1", ROW | change, "table.toml")

    assert told.value.where == f"table.toml, [X-1] {where}"
    assert says in str(told.value)


def test_a_row_is_a_table() -> None:
    """A value where a row should be is told of, too."""
    with pytest.raises(UsageError, match=r"Begin it with \[X-1\]"):
        requirement("X-1", "text", "table.toml")  # type: ignore[arg-type]  # it is the mistake


@pytest.mark.parametrize("other", ["X-2", "X-1"])
def test_a_dependency_that_there_is_not(other: str) -> None:
    """A requirement depends neither on one that is missing nor on itself."""
    row = requirement("X-1", ROW | {"depends": [other]}, "table.toml")

    with pytest.raises(UsageError, match="it depends on"):
        check_dependencies({"X-1": row}, "table.toml")


def test_a_table_that_is_no_toml(tmp_path: Path) -> None:
    """The file and the line are named."""
    (tmp_path / "readings.toml").write_text("x = = 1\n", encoding="utf-8")

    with pytest.raises(UsageError, match=r"readings.toml: this is not TOML: .* line 1"):
        loading._toml(tmp_path, "readings.toml")
