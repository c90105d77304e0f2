"""What may lie in a run's folder, and what is said of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rolecall.allure_cli import HISTORY
from rolecall.commands import report
from rolecall.errors import UsageError
from rolecall.finished_run import EVIDENCE, REPLAY, RESULTS
from rolecall.report import allure
from rolecall.report.artefacts import FORMATS
from rolecall.report.certificate import CERTIFICATE
from rolecall.verification import folder
from tests.conftest import Watched


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder with the files of a run."""
    for name in (
        RESULTS,
        EVIDENCE,
        REPLAY,
        CERTIFICATE,
        "junit.xml",
        "ledger.jsonl",
        "report.html",
    ):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "allure-results").mkdir()
    (tmp_path / "allure-results" / "1-result.json").write_text("{}", encoding="utf-8")
    return tmp_path


def test_the_files_of_a_run_are_read_or_named(run_folder: Path) -> None:
    """What the certificate speaks of is read; the other files of a run are named as unchecked."""
    found = folder.read(run_folder)

    assert [] == found.faults
    assert {name: name.encode() for name in (RESULTS, EVIDENCE, REPLAY, CERTIFICATE)} == found.files
    assert ["allure-results/", "junit.xml", "ledger.jsonl", "report.html"] == found.others


def test_what_a_report_adds_later_is_of_a_run(run_folder: Path) -> None:
    """What `rolecall report` makes for a finished run is no stranger in its folder."""
    for name in set(FORMATS.values()) - {*folder.CHECKED}:
        (run_folder / name).write_text("", encoding="utf-8")
    for name in (allure.FOLDER, report.PAGE, HISTORY):
        (run_folder / name).mkdir(exist_ok=True)

    assert [] == folder.read(run_folder).faults


@pytest.mark.parametrize(
    "name",
    [
        "evidence2.har",
        "EVIDENCE.HAR",
        "notes.txt",
        ".evidence.har",
        "allure-results/more.har",
        "evidence/x.har",
        "results.json.new",
    ],
)
def test_an_added_file_is_a_fault(name: str, run_folder: Path) -> None:
    """A file that is not of a run is named, above all one that claims to be evidence."""
    added = run_folder / name
    added.parent.mkdir(exist_ok=True)
    added.write_text("{}", encoding="utf-8")
    (fault,) = folder.read(run_folder).faults

    assert name.split("/", maxsplit=1)[0] in fault


def test_links_and_devices_are_not_followed(run_folder: Path) -> None:
    """A link in the place of a file, to a device or to another file, is a fault and is not read."""
    for name, goal in ((RESULTS, "/dev/zero"), (EVIDENCE, "junit.xml"), ("report.html", "/etc")):
        (run_folder / name).unlink()
        (run_folder / name).symlink_to(goal)
    (run_folder / CERTIFICATE).unlink()
    os.mkfifo(run_folder / CERTIFICATE)
    found = folder.read(run_folder)

    assert {REPLAY} == set(found.files)
    assert 4 == len(found.faults)


def test_a_huge_file_is_not_read(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the bound is a fault that says both sizes."""
    monkeypatch.setattr(folder, "LARGEST", 4)
    faults = folder.read(run_folder).faults

    assert "results.json has 12 bytes; more than 4 are not read" in faults


def test_a_name_does_not_act_on_a_terminal(run_folder: Path) -> None:
    """The name of an added file is printed with its controls visible."""
    (run_folder / "a\x1b[2J\n.txt").write_text("", encoding="utf-8")
    (fault,) = folder.read(run_folder).faults

    assert fault.startswith("a\\x1b[2J\\n.txt is not a file of a run")


def test_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    """A folder that is not there is said in a sentence."""
    with pytest.raises(UsageError, match="No such file"):
        folder.read(tmp_path / "none")


def test_every_file_of_a_real_run_is_known(certified: Watched) -> None:
    """A run leaves no file that `rolecall verify` would call a stranger's: a new writer's file has
    to be in its list.
    """
    found = folder.read(certified.finished.folder)

    assert [] == found.faults
    assert {RESULTS, EVIDENCE, REPLAY, CERTIFICATE} == set(found.files)
