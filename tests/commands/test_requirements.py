"""``rolecall requirements``: what a requirement says, its tests, and the faults that break it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolecall.__main__ import main
from rolecall.harness.entry import list_tests
from rolecall.reference.faults import FAULTS
from rolecall.spec.loading import load_specification


def test_one_requirement_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Level, clause, statement, tests and faults of the requirement that was asked for stand there,
    and no other requirement.
    """
    assert main(["requirements", "ISSUE-status"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "ISSUE-status  (must; Create an access token)",
        "  POST /v2/auth/token with a user's email and password is answered 200 OK.",
        "  test: test_issuance.py::test_a_token_is_issued",
        "  faults: login-202",
    ]


def test_all_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Without ids, all requirements are printed in the table's order, each with its tests, and with
    them all faults that the suite sees.
    """
    assert main(["requirements", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["requirements"]

    assert [row["id"] for row in rows] == list(load_specification().requirements)
    assert all(row["tests"] for row in rows)
    assert {fault for row in rows for fault in row["faults"]} == {
        fault.name for fault in FAULTS.values() if "load" not in fault.needs
    }


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("ISSUE-statsu", "Did you mean 'ISSUE-status'?"),
        ("nonsense", "Without an ID, all are printed."),
    ],
)
def test_an_unknown_requirement_is_refused(
    id: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown id is a usage error with the nearest one, and not with a list of 190."""
    assert main(["requirements", id]) == 2

    assert capsys.readouterr().err.splitlines()[1:] == [f"  {hint}"]


def test_nothing_is_run_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list the tests makes no run and no file."""
    monkeypatch.chdir(tmp_path)

    assert list_tests()
    assert not list(tmp_path.iterdir())
