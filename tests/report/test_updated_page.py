"""A page of the self-test takes the rows of a few cases as a whole run would write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rolecall.report import kill_table, mutation_table
from rolecall.report.updated_page import NotUpdatable, updated_kill_table, updated_mutations

DOCS = Path(__file__).parents[2] / "docs"
ORDER = ["first", "second", "third", "lawful"]
PLANTED = {"first": "PERM-list-users", "second": "RESPONSE-json", "third": "RESPONSE-json"}


def case(name: str, *findings: str, kind: str = "fault", **members: Any) -> dict[str, Any]:
    """A case as the self-test describes it, caught as it should be."""
    planted = PLANTED.get(name, "")
    about = {
        "name": name,
        "kind": kind,
        "planted": planted,
        "description": f"The {name} one.",
        "report": "",
    }
    found = list(findings or filter(None, [planted]))
    rest = {
        "findings": found,
        "advice": [],
        "verdict": "CONFORMANT",
        "as_expected": True,
        "crash": "",
        "seconds": 1.0,
    }
    return {"case": about, **rest, "without": {"api-keys": "yes"} if planted else {}, **members}


def page(*cases: dict[str, Any]) -> str:
    """The kill table of a self-test of these cases, and of the baseline."""
    faults = sum(bool(case["case"]["planted"]) for case in cases)
    counts = {
        "faults": faults,
        "caught": faults,
        "localised": faults,
        "innocent": 1 + len(cases) - faults,
    }
    return kill_table.write(
        cases,
        dict.fromkeys(
            ("silent", "false_alarms", "wrong_accusations", "troubled", "crashes", "harmed"), 0
        )
        | counts,
    )


def test_a_fault_that_only_load_shows_is_not_asked_what_it_sees_without_something() -> None:
    """Its row has a dash in the columns that other faults have."""
    other, loaded = case("first"), case("second", without={})
    loaded["case"]["description"] += " (needs load)"

    assert updated_kill_table(page(other), page(loaded), ORDER) == page(other, loaded)


@pytest.mark.parametrize(
    "missing", [{"first"}, {"second"}, {"third"}, {"lawful"}, {"first", "lawful"}], ids=sorted
)
def test_a_new_row_comes_to_its_place(missing: set[str]) -> None:
    """A row that was missing stands where the catalogue has it, and the sentences count it."""
    faults = [case("first", "PERM-list-users", "RESPONSE-json"), case("second"), case("third")]
    cases = [*faults, case("lawful", kind="legal"), case("other", kind="legal")]
    before = page(*(case for case in cases if case["case"]["name"] not in missing))
    fresh = page(*(case for case in cases if case["case"]["name"] in missing))

    assert page(*cases) == updated_kill_table(before, fresh, ORDER)


def test_a_row_that_is_there_is_replaced() -> None:
    """What a fault tripped before and does not any more is no longer said."""
    before = page(case("first", "PERM-list-users", "RESPONSE-json"), case("second"))

    after = updated_kill_table(before, page(case("first")), ORDER)

    assert page(case("first"), case("second")) == after


def test_what_was_not_as_expected_is_refused() -> None:
    """A page that says that all is well does not take a row that is not."""
    with pytest.raises(NotUpdatable, match="not as expected: second"):
        updated_kill_table(
            page(case("first"), case("second")), page(case("second", as_expected=False)), ORDER
        )


def test_other_columns_are_refused() -> None:
    """Rows without what the page has a column for are refused, and the option that is missing is
    named.
    """
    with pytest.raises(NotUpdatable, match="--without"):
        updated_kill_table(page(case("first")), page(case("first", without={})), ORDER)


def test_nothing_else_of_the_real_page_moves() -> None:
    """docs/kill-table.md with a row of its own put in once more is docs/kill-table.md."""
    whole = (DOCS / "kill-table.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| (\S+) \|", whole, re.MULTILINE)
    row = next(line for line in whole.splitlines() if line.startswith("| lists-as-text |"))
    heading = whole[whole.index("\n## Faults") : whole.index("\n| ", whole.index("|---"))]
    fresh = (
        f"# x\n{heading}\n{row}\n\n## Requirements\n\n| requirement | tripped by "
        "|\n|---|---|\n| RESPONSE-json | lists-as-text |\n"
    )

    assert whole == updated_kill_table(
        whole, fresh, [line for line in names if line not in {"case", "requirement"}]
    )


def test_a_mutation_comes_to_its_place() -> None:
    """The page of mutations takes new ones, in both of its tables."""
    about = {"breaks": "Something.", "seen_at": ["a-fault"], "killed": True}
    rows = [
        {"name": name, "requirement": id, **about}
        for name, id in (("one", ""), ("two", ""), ("unchecked-X", "X"), ("unchecked-Y", "Y"))
    ]
    whole, order = mutation_table.write(rows), ["one", "two", "X", "Y"]

    for new in rows:
        before = mutation_table.write([row for row in rows if row != new])
        assert whole == updated_mutations(before, mutation_table.write([new]), order)


def test_a_mutation_that_survived_is_refused() -> None:
    """The page keeps what it had."""
    row = {"name": "one", "requirement": "", "breaks": "Something.", "seen_at": [], "killed": False}

    with pytest.raises(NotUpdatable, match="not as expected: one"):
        updated_mutations(
            mutation_table.write([row | {"killed": True}]), mutation_table.write([row]), ["one"]
        )
