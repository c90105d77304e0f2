"""``rolecall report``: any format again, from a finished run's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rolecall.__main__ import main
from rolecall.finished_run import EVIDENCE, RESULTS
from rolecall.report.artefacts import FORMATS, ON_REQUEST, WRITERS
from tests.conftest import Watched
from tests.harness.test_no_secret_leaves import leaks, secrets_on
from tests.support.published_schemas import junit_errors, sarif_errors
from tests.support.results import results


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run's folder."""
    folder = tmp_path / "20261126-030000-aaaaaa"
    folder.mkdir()
    (folder / RESULTS).write_text(json.dumps(results()), encoding="utf-8")
    log = {"version": "1.2", "creator": {"name": "rolecall", "version": "1"}, "entries": []}
    (folder / EVIDENCE).write_text(json.dumps({"log": log}), encoding="utf-8")
    return folder


def test_every_file_has_a_format() -> None:
    """What a run writes can be made again, and each name stands for a file that can be made."""
    assert set(FORMATS.values()) == {*WRITERS, *ON_REQUEST}


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_written_into_the_runs_folder(
    format: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --out the file lands beside the others, and the command says where."""
    assert main(["report", str(run), "--format", format]) == 0

    path = run / FORMATS[format]
    assert capsys.readouterr().out == f"{path}\n"
    assert path.stat().st_size > 0


def test_to_standard_output(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --out - nothing but the report is printed, and nothing is written."""
    before = sorted(run.iterdir())

    assert main(["report", str(run), "--format", "csv", "--out", "-"]) == 0

    assert capsys.readouterr().out.startswith('"operation","role"')
    assert sorted(run.iterdir()) == before


def test_a_folder_that_is_not_there_is_exit_6(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the file cannot be written, one sentence names it."""
    out = run / "nowhere" / "matrix.csv"

    assert main(["report", str(run), "--format", "csv", "--out", str(out)]) == 6

    said = capsys.readouterr().err
    assert said == f"rolecall: {out} could not be written: No such file or directory\n"


def test_what_is_no_run_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without results is a usage error that names the missing file."""
    assert main(["report", str(tmp_path), "--format", "csv"]) == 2
    assert "results.json: there is no such file" in capsys.readouterr().err


def test_evidence_of_another_tool_is_exit_2(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An archive whose entries have no numbers of ours is a usage error that names the file."""
    (run / EVIDENCE).write_text('{"log": {"entries": [{}]}}', encoding="utf-8")

    assert main(["report", str(run), "--format", "sarif"]) == 2
    assert "evidence.har: it is not as rolecall writes it" in capsys.readouterr().err


def test_allures_results(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Allure's results are a folder, which cannot be printed."""
    assert main(["report", str(run), "--format", "allure"]) == 0
    assert len(list((run / "allure-results").glob("*-result.json"))) == 1

    assert main(["report", str(run), "--format", "allure", "--out", "-"]) == 2
    assert "allure is a folder" in capsys.readouterr().err


def test_no_folder_of_somebody_elses_is_replaced(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder is written anew where it is empty or was made here, and else left as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path / "mine")

    for format in ("allure", "allure-html"):
        for folder in (".", tmp_path / "mine", tmp_path / "file", tmp_path / "link"):
            assert main(["report", str(run), "--format", format, "--out", str(folder)]) == 2
            assert "it is there already, and is not a report" in capsys.readouterr().err
    for folder in (tmp_path / "new", tmp_path / "new", tmp_path / "empty"):
        assert main(["report", str(run), "--format", "allure", "--out", str(folder)]) == 0

    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "link").is_symlink()


def test_without_an_allure_nothing_is_written(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no Allure is installed, its page is a usage error, and the folder stays as it was."""
    monkeypatch.setenv("PATH", "/nonexistent")
    before = sorted(run.iterdir())

    assert main(["report", str(run), "--format", "allure-html"]) == 2

    assert "there is no command `allure`" in capsys.readouterr().err
    assert sorted(run.iterdir()) == before


@pytest.mark.long
def test_a_runs_own_files_are_made_again_to_the_byte(certified: Watched, tmp_path: Path) -> None:
    """A run writes no file of which its two documents do not say everything."""
    folder = tmp_path / "again"
    shutil.copytree(certified.finished.folder, folder)
    for name in WRITERS:
        (folder / name).unlink()

    for format, name in FORMATS.items():
        assert main(["report", str(folder), "--format", format]) == 0
        if name in WRITERS:
            assert (folder / name).read_bytes() == (certified.finished.folder / name).read_bytes()


@pytest.mark.long
def test_every_format_is_what_its_schema_says(
    certified: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files of a whole run are valid by the published schemas."""

    def made(format: str) -> str:
        assert (
            main(["report", str(certified.finished.folder), "--format", format, "--out", "-"]) == 0
        )
        return capsys.readouterr().out

    assert sarif_errors(made("sarif")) == []
    assert junit_errors(made("junit")) == []
    ElementTree.fromstring(made("badge"))
    assert made("csv").count("\r\n") == 1 + len(certified.finished.results["cells"])
    assert len(made("markdown").encode()) < 2**20


@pytest.mark.long
def test_no_report_that_is_made_later_holds_a_secret(certified: Watched, tmp_path: Path) -> None:
    """Of all secrets that crossed the wire none is in a file that is made of documents."""
    secrets = secrets_on([*certified.tap.sent, *certified.tap.answered])
    for format, name in FORMATS.items():
        out = str(tmp_path / name)
        assert (
            main(["report", str(certified.finished.folder), "--format", format, "--out", out]) == 0
        )

    assert len(secrets) > 100
    assert leaks(secrets, tmp_path, "") == []
