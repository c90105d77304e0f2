"""The run that another one is compared with, and the history that it is added to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rolecall import history
from rolecall.finished_run import find_run, newest_run, read_results
from rolecall.report import trend
from rolecall.report.comparison import is_whole, same_target
from rolecall.target import Target

#: What stands for the newest run of the same target.
LAST = "last"


def named_run(since: str | None, out: Path) -> dict[str, Any] | None:
    """The results of the run that ``--since`` names; None where it names none.

    Raises:
        UsageError: there is no such run.
    """
    return None if since in (None, LAST) else read_results(find_run(since, out))


def last_run(out: Path, target: Target) -> dict[str, Any] | None:
    """The results of the newest whole, finished run of this target, if there is one."""
    ours = {"name": target.name, "base_url": target.base_url}
    return newest_run(
        out,
        lambda results: same_target(ours, results["target"]) and is_whole(results),
    )


def note_run(out: Path, results: dict[str, Any]) -> str:
    """Add a finished run to the history; a sentence where that cannot be done."""
    line = trend.line_of(results)
    return history.append(out, line) if line else ""
