"""What a CI system shows of a job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rolecall.screen import say


def append_file_to_job_page(file: Path) -> None:
    """Append what is in a file, if it is there: it is not where it could not be written."""
    if file.exists():
        append_to_job_page(file.read_text(encoding="utf-8"))


def append_to_job_page(summary: str) -> None:
    """Append a run's summary to what GitHub shows of a job, where there is one.

    A page that cannot be written is said on standard error. It takes no verdict away, nor the exit
    code: the run's folder has the summary, too.
    """
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return
    try:
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(f"{summary}\n")
    except OSError as error:
        why = error.strerror or type(error).__name__
        text = f"rolecall: the summary is not on the job's page: {page} could not be written: {why}"
        say(text, stream=sys.stderr, wraps=True)
