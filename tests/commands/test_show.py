"""``rolecall show``: an exchange or a cell of a finished run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rolecall.__main__ import main
from rolecall.commands.show import _fitted
from rolecall.errors import ExitCode
from rolecall.finished_run import EVIDENCE
from tests.conftest import Watched

CELL = "list-users-guest-token"


@pytest.mark.long
def test_an_exchange_and_a_cell(certified: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """An exchange is shown by its number, a cell by its name with the exchanges of its pieces."""
    folder = certified.finished.folder

    assert main(["show", str(folder), "2"]) == 0
    assert capsys.readouterr().out.startswith("exchange 2, as ")
    assert main(["show", str(folder), CELL]) == 0
    text = capsys.readouterr().out

    assert text.startswith(f"{CELL}: passed (403)\n")
    for piece in ("control: exchange ", "answer: exchange ", "alive: exchange "):
        assert f"\n{piece}" in text


def test_what_was_sent_is_not_wrapped() -> None:
    """On a terminal the words about an exchange are wrapped, and what was sent stays whole."""
    about, sent = (
        "control: " + "exchange " * 20,
        ["> " + "x " * 90, "< " + "y" * 90, "try " + "z " * 90],
    )

    told = list(_fitted([about.strip(), *sent], 80))

    assert max(map(len, told[:-3])) <= 80
    assert len(told) > 4
    assert told[-3:] == sent
    assert list(_fitted([about, *sent], None)) == [about, *sent]


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("0", "Their numbers are 1 to "),
        ("9" * 5000, "Their numbers are 1 to "),
        ("list-users-gest-token", f"Did you mean '{CELL}'?"),
        ("x", "Give an exchange's number, or operation-role-credential"),
    ],
)
def test_what_is_not_there_is_said(
    what: str, said: str, certified: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number or a name that the run does not have is a mistake of the user's, with a hint."""
    code = main(["show", str(certified.finished.folder), what])
    told = capsys.readouterr()

    assert code == ExitCode.USAGE
    assert said in told.err


@pytest.mark.long
def test_an_archive_of_others_is_said(
    certified: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive whose entries are not ours is a usage error, no traceback."""
    folder = tmp_path / "run"
    shutil.copytree(certified.finished.folder, folder)
    (folder / EVIDENCE).write_text(json.dumps({"log": {"entries": [{}]}}), encoding="utf-8")

    assert main(["show", str(folder), "1"]) == ExitCode.USAGE
    assert "it is not as rolecall writes it" in capsys.readouterr().err


@pytest.mark.long
def test_a_run_by_its_id(
    certified: Watched, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run under reports/runs may be named by its id, as it is printed."""
    folder = certified.finished.folder
    monkeypatch.setattr("rolecall.harness.options.DEFAULT_OUT", folder.parent)

    assert main(["show", folder.name, "1"]) == 0
    assert capsys.readouterr().out.startswith("exchange 1, as admin")


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is a usage error."""
    assert main(["show", str(tmp_path / "nowhere"), "1"]) == ExitCode.USAGE
    assert "there is no such folder" in capsys.readouterr().err
