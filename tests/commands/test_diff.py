"""The command ``rolecall diff``: two folders in, what changed out, and what the exit code says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rolecall.__main__ import main
from rolecall.harness.earlier import note_run
from tests.support.results import cell, results

NAME = "list-users guest token"
GOOD = results("20261126-030000-aaaaaa", cells=[cell(NAME)])
BAD = results("20261127-030000-bbbbbb", cells=[cell(NAME, "failed", 403)])
PART = results("20261128-030000-cccccc", cells=[cell(NAME)], selected=True)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with three runs."""
    for document in (GOOD, BAD, PART):
        folder = tmp_path / document["run"]
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [(GOOD, GOOD, 0), (GOOD, BAD, 1), (BAD, GOOD, 0), (GOOD, PART, 3), (PART, BAD, 1)],
)
def test_the_exit_code_says_whether_something_got_worse(
    before: dict[str, Any], after: dict[str, Any], code: int, out: Path
) -> None:
    """0 nothing got worse, 1 something did, 3 nothing did as far as the runs can be compared."""
    assert main(["diff", str(out / before["run"]), after["run"], "--out", str(out)]) == code


def test_json_is_the_comparison(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the comparison is one document."""
    main(["diff", GOOD["run"], BAD["run"], "--out", str(out), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["run"] == GOOD["run"]
    assert [change["name"] for change in document["changes"]] == ["list-users-guest-token"]


def test_what_is_no_run_is_a_usage_error(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is said in one sentence."""
    assert main(["diff", GOOD["run"], "nowhere", "--out", str(out)]) == 2
    assert "nowhere: there is no such folder" in capsys.readouterr().err


def test_history_is_every_targets_trend(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --history the runs under --out are told as a whole, as text or as JSON."""
    for document in (GOOD, BAD):
        assert note_run(out, document) == ""
    assert main(["diff", "--history", "--out", str(out)]) == 0
    assert "new     cell" in capsys.readouterr().out
    assert main(["diff", "--history", "--out", str(out), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["runs"] == [GOOD["run"], BAD["run"]]


def test_a_history_of_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is no empty history."""
    assert main(["diff", "--history", "--out", str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["one"], ["one", "two", "three"], ["--history", "one"]])
def test_the_number_of_runs_is_checked(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs are compared; a history has none."""
    assert main(["diff", *words]) == 2
    assert "diff: give " in capsys.readouterr().err
