"""Show an exchange of a finished run, or a cell of the permission table with its evidence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from rolecall.commands import add_run

_DIGITS = 18  # of an exchange's number; no run has so many
HELP = "show an exchange of a run, or a cell with its evidence"
_WHAT = "Give an exchange's number, or operation-role-credential: list-users-guest-token."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and what of it."""
    add_run(parser, "folder")
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="the number of an exchange (987), or a cell (list-users-guest-token)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked for.

    Raises:
        UsageError: there is no such run, or nothing of that name in it.
    """
    from rolecall.errors import UsageError
    from rolecall.finished_run import EVIDENCE, FinishedRun
    from rolecall.screen import say, width_of

    finished = FinishedRun.read(arguments.folder)
    try:
        text = _text(finished.results, finished.evidence, arguments.what)
        say("\n".join(_fitted(text.split("\n"), width_of(sys.stdout))))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(
            str(arguments.folder / EVIDENCE), "it is not as rolecall writes it", "Run it again."
        ) from None
    return 0


def _fitted(lines: Iterable[str], width: int | None) -> Iterator[str]:
    """Lines no wider than a terminal; what was sent stays as it was, and what may be sent again."""
    from rolecall.screen import wrapped_line

    for line in lines:
        is_kept = line.startswith((">", "<", "try "))
        yield from wrapped_line(line, None if is_kept else width, "", " " * 12)


def _text(results: dict[str, Any], evidence: dict[str, Any], what: str) -> str:
    """What was asked for, as text.

    Raises:
        UsageError: there is no such thing.
    """
    from rolecall.errors import UsageError, suggest
    from rolecall.finished_run import cell_name
    from rolecall.report import shown

    if what.isdecimal():
        entries = shown.entries(evidence)
        number = int(what) if len(what) <= _DIGITS else 0  # `int` does not read any number of them
        if number in entries:
            return shown.exchange(entries[number])
        last = max(entries, default=0)
        raise UsageError(what, "the run has no such exchange", f"Their numbers are 1 to {last}.")
    found = shown.cell(results, what)
    if found is None:
        names = map(cell_name, results["cells"])
        raise UsageError(what, "the run has no such cell", suggest(what, names, _WHAT))
    return shown.cell_text(results, evidence, found)
