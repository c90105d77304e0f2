"""The tables of the specification; each requirement has tests, and each test a requirement."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from rolecall.reference.permissions import LOWEST_SCOPE
from rolecall.spec.loading import load_specification
from rolecall.spec.model import CREDENTIALS
from rolecall.spec.permissions import PermissionTable
from tests.support.command import ROLES, environment
from tests.support.servers import ROOT

SPEC = load_specification()
PAGE = Path(__file__).parents[1] / "data" / "permissions.txt"

LISTED = (
    "organizations",
    "organization-groups",
    "users",
    "conversations",
    "messages",
    "contacts",
    "knowledge-items",
    "forms",
    "services",
)
SINGLE = tuple(name.removesuffix("s") for name in LISTED)
#: The names that other programs rely on.
OPERATIONS = {
    *(f"list-{name}" for name in LISTED),
    *(f"{verb}-{name}" for verb in ("fetch", "create", "update", "delete") for name in SINGLE),
    "fetch-user-self",
    "update-user-self",
}

#: The rows of the catalogue of negative cases.
CASES = {
    f"SEC-{letter}{number:02}"
    for letter, last in {
        "J": 20,
        "T": 11,
        "H": 12,
        "I": 20,
        "R": 22,
        "A": 18,
        "E": 19,
        "K": 6,
    }.items()
    for number in range(1, last + 1)
}
#: Rows that no requirement of the suite proves, and why.
EXEMPT = {
    "SEC-A17": "denied cells while the server is under load belong to the load scenarios",
}


def page_rows() -> dict[str, tuple[str, ...]]:
    """The permission rows of the specification's page, as it has them."""
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines()[1:]:
        if not line.startswith("---"):
            name, *marks = line.rsplit(" ", 4)
            rows[name] = tuple(marks)
    return rows


# --- Permissions and operations ----------------------------------------------------------------


def test_the_table_is_the_pages() -> None:
    """The permission table says, row by row and in the same order, what the specification's page
    says.
    """
    table = {
        row: tuple("+" if may else "-" for may in marks.values())
        for row, marks in SPEC.permissions.rows.items()
    }

    assert list(table.items()) == list(page_rows().items())
    assert (
        SPEC.roles
        == tuple(PAGE.read_text(encoding="utf-8").splitlines()[0].lower().split()[1:])
        == ROLES
    )


def test_the_page_has_40_rows_and_160_cells() -> None:
    """The table has 40 rows and 160 cells, 82 of them allowed and 78 denied."""
    marks = Counter(may for row in SPEC.permissions.rows.values() for may in row.values())

    assert len(SPEC.permissions.rows) == 40
    assert marks == {True: 82, False: 78}


def test_the_operations_have_their_names() -> None:
    """There are 47 operations, with exactly the names that others rely on."""
    assert set(SPEC.operations) == OPERATIONS
    assert len(OPERATIONS) == 47


def test_every_row_has_operations_and_every_operation_a_row() -> None:
    """Each row of the table is used, once but for "Delete other resource", which stands for eight
    operations.
    """
    used = Counter(operation.row for operation in SPEC.operations.values())

    assert used == {
        row: 8 if row == "Delete other resource" else 1 for row in SPEC.permissions.rows
    }


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_an_operation_belongs_to_the_row_of_its_name(operation: str) -> None:
    """An operation's row speaks of the same verb and the same resource."""
    verb, _, thing = operation.partition("-")
    row = SPEC.operations[operation].row
    words = (
        row.lower()
        .replace("organizationgroup", "organization group")
        .replace(" details", "")
        .replace("(self)", "self")
    )
    if row == "Delete other resource":
        assert verb == "delete"
        assert thing != "knowledge-item"
    else:
        assert words.rstrip("s") == operation.replace("-", " ").rstrip("s")


def test_there_are_188_cells_per_credential() -> None:
    """47 operations, 4 roles and 2 kinds of credentials make 376 different cells."""
    assert len(SPEC.cells) == len({str(cell) for cell in SPEC.cells}) == 376
    assert Counter(cell.credential for cell in SPEC.cells) == dict.fromkeys(CREDENTIALS, 188)
    assert {(cell.operation, cell.role) for cell in SPEC.cells} == {
        (op, role) for op in OPERATIONS for role in ROLES
    }


def test_the_reference_server_reads_the_page_alike() -> None:
    """The server's own lowest scope of each operation, made from the page, allows the same
    cells.
    """
    assert set(LOWEST_SCOPE) == OPERATIONS
    for cell in SPEC.cells:
        assert cell.allowed == (
            ROLES.index(cell.role) >= ROLES.index(LOWEST_SCOPE[cell.operation])
        ), f"{cell}"


@pytest.mark.parametrize(
    "row",
    ["List users | - | - | +", "List users | - | - | + | x", "List users | - | - | + | + | +"],
)
def test_a_broken_row_is_refused(row: str) -> None:
    """A row with too few or too many cells, or another mark than + and -, is an error and not a
    guess.
    """
    table = f"| Permission | guest | agent | bot | admin |\n|:---|:-:|:-:|:-:|:-:|\n| {row} |\n"

    with pytest.raises(ValueError, match="List users"):
        PermissionTable.parse(table)


def test_the_cells_follow_the_table() -> None:
    """What an edited table says is what is read: nothing is repeated in Python."""
    text = "| Permission | low | high |\n|:--|:-:|:-:|\n| List users | + | - |\n"

    assert PermissionTable.parse(text) == PermissionTable(
        ("low", "high"), {"List users": {"low": True, "high": False}}
    )


# --- Requirements and their tests --------------------------------------------------------------


@pytest.fixture(scope="module")
def tests() -> list[dict[str, Any]]:
    """All tests of the suite, as pytest collects them."""
    command = [sys.executable, "-m", "tests.support.suite_items"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collected: list[dict[str, Any]] = json.loads(done.stdout)
    return collected


def test_every_requirement_has_a_test_and_every_test_a_requirement(
    tests: list[dict[str, Any]],
) -> None:
    """No requirement stands there without being proven, and no test proves what is nowhere
    required.
    """
    assert {test["requirement"] for test in tests} == set(SPEC.requirements)


def test_every_cell_has_exactly_one_test(tests: list[dict[str, Any]]) -> None:
    """The 376 cells are 376 tests with ids that a person would type, each under its operation's
    requirement.
    """
    cells = [test for test in tests if test["cell"]]
    ids = {test["name"].partition("[")[2].rstrip("]"): test["requirement"] for test in cells}

    assert ids == {str(cell): f"PERM-{cell.operation}" for cell in SPEC.cells}
    assert len(cells) == 376
    assert "list-organizations-guest-token" in ids


def test_ids_are_typed_by_people(tests: list[dict[str, Any]]) -> None:
    """No test's id has anything that pytest made up, or that cannot be typed between two quotes; no
    two are alike.
    """
    for test in tests:
        _, bracket, id = test["name"].partition("[")
        assert not bracket or re.fullmatch(r"[a-zA-Z0-9.$_-]+", id.rstrip("]")), test["id"]
    assert len({test["id"] for test in tests}) == len(tests)


def test_every_test_tells_its_story(tests: list[dict[str, Any]]) -> None:
    """Each test of the suite says in its docstring what it looks at."""
    assert [test["id"] for test in tests if not test["doc"].strip()] == []


@pytest.mark.parametrize("id", SPEC.requirements)
def test_a_requirement_is_complete(id: str) -> None:
    """A requirement has a level, a clause, a sentence of its own and only dependencies and cases
    that exist.
    """
    entry = SPEC.requirements[id]

    assert entry.id == id
    assert entry.level in {"must", "derived", "hardening", "observe"}
    assert entry.clause
    assert entry.feature
    assert entry.statement.endswith(".")
    assert set(entry.depends) <= set(SPEC.requirements) - {id}
    assert set(entry.cases) <= CASES
    # A requirement that is named after a case is about that case: SEC-I09, and SEC-I09-status
    # beside it.
    assert not id.startswith("SEC-") or id[: len("SEC-I09")] in entry.cases


def test_dependencies_have_no_cycle() -> None:
    """The order of findings is defined: nothing depends on itself in the end."""
    order = TopologicalSorter(
        {id: entry.depends for id, entry in SPEC.requirements.items()}
    ).static_order()

    assert set(order) == set(SPEC.requirements)


@pytest.mark.parametrize("case", sorted(CASES - set(EXEMPT)))
def test_a_negative_case_is_covered(case: str) -> None:
    """Each row of the catalogue of negative cases is proven by some requirement, unless there is a
    reason why not.
    """
    assert [id for id, entry in SPEC.requirements.items() if case in entry.cases]


@pytest.mark.parametrize("case", sorted(EXEMPT))
def test_an_exempt_case_is_really_exempt(case: str) -> None:
    """No requirement claims a row that is said to be proven elsewhere, and the reason is written
    down.
    """
    assert EXEMPT[case]
    assert [id for id, entry in SPEC.requirements.items() if case in entry.cases] == []


def test_statuses_and_choices_of_the_readings_are_valid() -> None:
    """Every reading's default is one that a target file may choose, too."""
    defaults = {
        name: reading.default
        for name, reading in SPEC.readings.items()
        if reading.default is not None
    }

    assert SPEC.dialect(defaults, "the defaults").departures == {}
    assert all(reading.statement.endswith(".") for reading in SPEC.readings.values())


def test_each_derived_requirement_says_how_it_follows() -> None:
    """A derived requirement has the one step by which it follows from the page, and only a derived
    one has.
    """
    assert [
        id
        for id, entry in SPEC.requirements.items()
        if (entry.level == "derived") != bool(entry.step)
    ] == []


def test_every_gap_that_the_code_names_is_in_the_table() -> None:
    """Whoever meets the number of a gap in the code finds it among the readings."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "conformance").rglob("*.py")]
    named = {gap for file in files for gap in re.findall(r"AMB-\d\d", file.read_text("utf-8"))}
    assert named
    assert named <= {reading.ambiguity for reading in SPEC.readings.values()}
