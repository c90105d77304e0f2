"""What a run leaves on the page of a CI job."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolecall.commands.job_page import append_file_to_job_page, append_to_job_page
from tests.support.command import rolecall

SUMMARY = "## ❌ Rolecall: not-conformant\n"


def test_the_summary_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other steps wrote on the page stays, and what comes after begins a line."""
    page = tmp_path / "page.md"
    page.write_text("# Build\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))

    append_to_job_page(SUMMARY)

    said = page.read_text(encoding="utf-8")
    assert said == "# Build\n## ❌ Rolecall: not-conformant\n\n"


def test_a_summary_that_is_not_there_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a run's file could not be written, the page stays as it was; else it gets the file."""
    page, file = tmp_path / "page.md", tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))

    append_file_to_job_page(file)
    assert not page.exists()

    file.write_text(SUMMARY, encoding="utf-8")
    append_file_to_job_page(file)
    assert page.read_text(encoding="utf-8") == f"{SUMMARY}\n"


def test_a_page_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the file: a reader of the page misses the summary."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))

    append_to_job_page(SUMMARY)

    said = capsys.readouterr()
    assert f"{tmp_path} could not be written: Is a directory" in " ".join(said.err.split())
    assert said.out == ""


@pytest.mark.long
def test_a_page_that_cannot_be_written_leaves_the_exit_code(tmp_path: Path) -> None:
    """A run says one verdict, in words and as its exit code, whatever became of the page."""
    done = rolecall(
        *("certify", "--select", "list-users and guest"),
        cwd=tmp_path,
        env={"GITHUB_STEP_SUMMARY": str(tmp_path)},
    )

    assert done.code == 0
    assert "exit 0" in done.stdout
    assert "could not be written: Is a directory" in " ".join(done.stderr.split())


@pytest.mark.parametrize("page", ["", None])
def test_without_a_page_nothing_is_written(
    page: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of CI there is no page."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    if page is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", page)

    append_to_job_page(SUMMARY)

    assert [] == list(tmp_path.iterdir())
