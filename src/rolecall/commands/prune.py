"""Remove the folders of old runs, and keep what somebody still needs.

Of each target the newest runs stay, and so do the one that --since last compares with, runs that
are still at work, and runs whose ledger names things that `rolecall cleanup` has not deleted yet.
history.jsonl and all other files stay.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rolecall.errors import RolecallError
from rolecall.harness.options import DEFAULT_OUT
from rolecall.screen import harmless, say

HELP = "remove the folders of old runs"
_KEEP = 30


class NotRemoved(RolecallError):
    """Folders could not be removed; the text says which, and why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the runs are, and how many stay."""
    parser.add_argument(
        "out",
        nargs="?",
        type=Path,
        default=DEFAULT_OUT,
        metavar="OUT",
        help=f"the folder of the runs' folders (default: {DEFAULT_OUT})",
    )
    parser.add_argument(
        "--keep",
        type=_count,
        default=_KEEP,
        metavar="N",
        help=f"how many runs of each target stay, at least 1 (default: {_KEEP})",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs, which is 1 or more")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Remove what is old.

    Raises:
        UsageError: the folder cannot be read.
        NotRemoved: the file system refused.
    """
    from rolecall.harness.retention import leftovers, remove, sorted_out

    out: Path = arguments.out
    going, special = sorted_out(out, arguments.keep)
    for kept in special:
        say(f"kept          {harmless(str(kept.folder))}: {kept.because}")
    if arguments.dry_run:
        for folder in going:
            say(f"would remove  {harmless(str(folder))}")
        return 0
    for half in leftovers(out):
        shutil.rmtree(half, ignore_errors=True)
    failed = dict(remove(going))
    for folder in going:
        if folder not in failed:
            say(f"removed       {harmless(str(folder))}")
    if failed:
        folder, why = next(iter(failed.items()))
        raise NotRemoved(
            f"{len(failed)} of {len(going)} runs could not be removed: {folder}: {why}"
        )
    return 0
