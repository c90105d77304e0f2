"""Judge a finished run again: the same suite over its evidence, without any network."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rolecall.commands import add_run, say_document
from rolecall.screen import say

HELP = "judge a finished run again from its evidence, and print what differs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and how to print."""
    add_run(parser, "folder")
    parser.add_argument(
        "--json", action="store_true", help="print the comparison as JSON and nothing else"
    )


def run(arguments: argparse.Namespace) -> int:
    """Judge again, and print the two verdicts and their differences.

    Raises:
        UsageError: the folder holds nothing that can be judged again.
        RolecallError: the suite could not be run.
    """
    from rolecall.harness.rejudging import rejudge
    from rolecall.report import rejudged

    with tempfile.TemporaryDirectory(prefix="rolecall-") as out:
        comparison = rejudge(arguments.folder, Path(out), sys.stderr, silent=arguments.json)
    if arguments.json:
        say_document(comparison)
    else:
        say(rejudged.text(comparison, str(arguments.folder)))
    return rejudged.exit_code(comparison)
