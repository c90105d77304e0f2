"""What a CI system shows of a job."""

from __future__ import annotations

import os
from pathlib import Path

from rolecall.whole_files import NotWrittenWhole


def append_file_to_job_page(file: Path) -> None:
    """Append what is in a file, if it is there: it is not where it could not be written.

    Raises:
        NotWrittenWhole: the file that $GITHUB_STEP_SUMMARY names cannot be written.
    """
    if file.exists():
        append_to_job_page(file.read_text(encoding="utf-8"))


def append_to_job_page(summary: str) -> None:
    """Append a run's summary to what GitHub shows of a job, where there is one.

    Raises:
        NotWrittenWhole: the file that $GITHUB_STEP_SUMMARY names cannot be written.
    """
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return
    try:
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(f"{summary}\n")
    except OSError as error:
        raise NotWrittenWhole(page, error.strerror or type(error).__name__) from None
