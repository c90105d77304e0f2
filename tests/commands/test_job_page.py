"""What a run leaves on the page of a CI job."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolecall.commands.job_page import append_file_to_job_page, append_to_job_page
from rolecall.whole_files import NotWrittenWhole

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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the file, with exit code 6: a reader of the page misses the verdict."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))

    with pytest.raises(NotWrittenWhole, match="could not be written: Is a directory") as caught:
        append_to_job_page(SUMMARY)

    assert caught.value.exit_code == 6


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
