"""Compare two finished runs: which cells and requirements changed, and whose doing it was."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rolecall.errors import ExitCode
from rolecall.screen import say

HELP = "compare two finished runs: what changed, and whose doing it was"
_EPILOG = (
    "exit code: 0 nothing got worse, 1 something did, 2 usage, 3 nothing got worse as far as "
    "the runs can be compared"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two runs, and how to print."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "before", metavar="BEFORE", help="the earlier run: its folder, or its id under --out"
    )
    parser.add_argument("after", metavar="AFTER", help="the later run, likewise")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("reports/runs"),
        metavar="DIR",
        help="where runs are (default: reports/runs)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print the comparison as JSON")
    how.add_argument("--all", action="store_true", help="print every change, however many")


def run(arguments: argparse.Namespace) -> int:
    """Print what changed.

    Raises:
        UsageError: one of the two is no finished run.
    """
    from rolecall.finished_run import find_run, read_results
    from rolecall.report import comparison, comparison_text

    before, after = (
        read_results(find_run(name, arguments.out)) for name in (arguments.before, arguments.after)
    )
    compared = comparison.compare(before, after)
    if arguments.json:
        say(json.dumps(compared, indent=1))
    else:
        most = len(compared["changes"]) if arguments.all else comparison_text.MOST
        say(comparison_text.text(compared, most=most))
    if comparison.is_worse(compared):
        return ExitCode.FAILED
    return ExitCode.CONFORMANT if compared["comparable"] else ExitCode.INCONCLUSIVE
