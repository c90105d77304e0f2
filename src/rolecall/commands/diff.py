"""Compare two finished runs: which cells and requirements changed, and whose doing it was."""

from __future__ import annotations

import argparse
from pathlib import Path

from rolecall.commands import say_document
from rolecall.errors import ExitCode, UsageError
from rolecall.harness.options import DEFAULT_OUT
from rolecall.screen import say

HELP = "compare two finished runs: what changed, and whose doing it was"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two runs, or all of them, and how to print."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="the earlier run, then the later one: their folders, or their ids under --out",
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="instead: what all finished runs under --out say, target by target (exit code 0)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help=f"folder of the runs (default: {DEFAULT_OUT})",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print the comparison as JSON")
    how.add_argument("--all", action="store_true", help="print every change, however many")


def run(arguments: argparse.Namespace) -> int:
    """Print what changed.

    Raises:
        UsageError: there are not two runs, or one of them is no finished run; with ``--history``,
            there is no folder of runs.
    """
    if len(arguments.runs) != (0 if arguments.history else 2):
        wanted = "no run with --history" if arguments.history else "two runs, the earlier one first"
        raise UsageError("diff", f"give {wanted}")
    return _history(arguments) if arguments.history else _diff(arguments)


def _history(arguments: argparse.Namespace) -> int:
    """Print the trend of every target, and what is flaky or broken.

    Raises:
        UsageError: there is no folder of runs.
    """
    from rolecall import history
    from rolecall.report import trend

    if not arguments.out.is_dir():
        raise UsageError(
            f"--out {arguments.out}", "there is no such folder", "Runs are kept there by certify."
        )
    lines, torn = history.read(arguments.out)
    trends = trend.trends(lines)
    if arguments.json:
        say_document(trends)
    else:
        say(trend.text(trends, torn), wraps=True)
    return ExitCode.CONFORMANT


def _diff(arguments: argparse.Namespace) -> int:
    """Print what changed between two runs."""
    from rolecall.finished_run import find_run, read_results
    from rolecall.report import comparison, comparison_text

    before, after = (read_results(find_run(name, arguments.out)) for name in arguments.runs)
    compared = comparison.compare(before, after)
    if arguments.json:
        say_document(compared)
    else:
        most = len(compared["changes"]) if arguments.all else comparison_text.MOST
        say(comparison_text.text(compared, most=most))
    if comparison.is_worse(compared):
        return ExitCode.FAILED
    return ExitCode.CONFORMANT if compared["comparable"] else ExitCode.INCONCLUSIVE
