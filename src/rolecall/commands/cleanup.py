"""Delete what runs that were killed have left on a target, and put back what they changed.

A run that ends, however it ends, cleans up by itself; this is for one that could not: its process
was killed, or its machine went away. It may be called as often as one likes.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rolecall.commands import say_document
from rolecall.errors import ExitCode, UsageError
from rolecall.harness.options import DEFAULT_OUT
from rolecall.screen import harmless, say
from rolecall.wording import counted

if TYPE_CHECKING:
    from rolecall.harness.killed_runs import Cleaned, KilledRun
    from rolecall.target import Target

HELP = "delete what a run that was killed left on the target"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_SHOWN = 20  # things that are named on the screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, or the target and the age; and how to print."""
    parser.add_argument(
        "run_folder",
        nargs="?",
        metavar="RUN",
        help="the run to be finished: its folder, or its id under --out",
    )
    parser.add_argument(
        "--target",
        type=Path,
        metavar="FILE",
        help="target file (default: the one that RUN was started with)",
    )
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        help="instead of RUN, with --target: every run that began, and last made something, "
        "longer ago than this (24h, 90m, 7d)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help=f"folder of the runs (default: {DEFAULT_OUT}); a run at work there is left alone",
    )
    what = "requests per second, instead of the target file's"
    parser.add_argument("--rate", type=float, metavar="N", help=what)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="list what would be deleted; send only log-ins and reads",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print what came of it as JSON")
    how.add_argument("--quiet", action="store_true", help="print one line and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Clean up, and print what was deleted and what is left.

    Raises:
        UsageError: it is not clear of which run or target, or that is not what it should be.
        Unreachable: the target does not answer.
    """
    if bool(arguments.run_folder) == bool(arguments.older_than):
        raise UsageError("cleanup", "give a RUN, or --target with --older-than", "See --help.")
    if arguments.older_than:
        cleaned, where = _older(arguments)
    else:
        cleaned, where = _one(arguments)
    there = cleaned.left or (arguments.dry_run and cleaned.deleted)
    code = ExitCode.LEFT_BEHIND if there else ExitCode.CONFORMANT
    if arguments.json:
        say_document(
            {
                "target": where,
                "dry_run": arguments.dry_run,
                "runs": cleaned.runs,
                "deleted": [] if arguments.dry_run else cleaned.deleted,
                "left_behind": (cleaned.deleted if arguments.dry_run else []) + cleaned.left,
                "notes": cleaned.notes,
                "exit_code": int(code),
            }
        )
    else:
        _say(arguments, cleaned, where)
    return code


def _one(arguments: argparse.Namespace) -> tuple[Cleaned, str]:
    """Finish one run."""
    from rolecall.finished_run import find_run
    from rolecall.harness.killed_runs import Cleaned, KilledRun, finish_run

    killed = KilledRun.open(find_run(arguments.run_folder, arguments.out))
    try:
        if killed.is_of_the_embedded_server:
            return Cleaned([killed.id]), "the embedded server, which ended with the run"
        target = _target(arguments, _file_of(killed, arguments.target))
        killed.check(target)
    except BaseException:
        killed.ledger.close()
        raise
    return asyncio.run(finish_run(killed, target, dry_run=arguments.dry_run)), target.base_url


def _file_of(killed: KilledRun, given: Path | None) -> Path:
    """The target file: the one that is given, else the one that the run was given.

    Raises:
        UsageError: it is not known, or not there.
    """
    path = given or Path(killed.source)
    if given is None and not path.is_file():
        what = (
            f"the run's target file, {killed.source}, is not there"
            if killed.source
            else "its ledger does not say which target file it had"
        )
        hint = "Give it with --target FILE, and the passwords in the environment as it had them."
        raise UsageError(str(killed.ledger.path.parent), what, hint)
    return path


def _older(arguments: argparse.Namespace) -> tuple[Cleaned, str]:
    """Finish all runs of an age."""
    from rolecall.harness.killed_runs import finish_older

    if not arguments.target:
        raise UsageError("--older-than", "--target FILE is missing", "Say on which target.")
    age, target = _seconds(arguments.older_than), _target(arguments, arguments.target)
    work = finish_older(target, age, arguments.out, dry_run=arguments.dry_run)
    return asyncio.run(work), target.base_url


def _target(arguments: argparse.Namespace, path: Path) -> Target:
    from rolecall.spec.loading import load_specification
    from rolecall.target import load_target

    target = load_target(path, load_specification().roles)
    if arguments.rate is None:
        return target
    if not 0 <= arguments.rate < float("inf"):
        raise UsageError("--rate", f"{arguments.rate:g} is not a rate")
    return replace(target, rate_limit=arguments.rate)


def _seconds(age: str) -> float:
    """An age in seconds.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])", age.strip())
    if not found:
        raise UsageError(
            "--older-than", f"{age!r} is not an age", "Give a number and s, m, h or d: 24h."
        )
    return float(found[1]) * _UNITS[found[2]]


def _say(arguments: argparse.Namespace, cleaned: Cleaned, where: str) -> None:
    """Print lines for a person; the last one says how it stands."""
    from rolecall.harness.killed_runs import by_kind

    kinds = by_kind(line.partition(" ")[0] for line in cleaned.deleted)
    runs = f"run{'' if len(cleaned.runs) == 1 else 's'} {', '.join(cleaned.runs)}"
    lines = [f"note          {note}" for note in cleaned.notes]
    if arguments.dry_run:
        lines += _few("there", cleaned.deleted)
    elif cleaned.deleted:
        lines.append(f"deleted       {kinds}")
    lines += _few("left behind", cleaned.left)
    if arguments.dry_run and cleaned.deleted:
        last = (
            f"{_things(cleaned.deleted, f' of {runs}')} on {where}: {kinds} (nothing was deleted)"
        )
    elif cleaned.left:
        last = f"{_things(cleaned.left, '')} left on {where}, or may be"
    elif cleaned.runs:
        last = f"nothing of {runs} is left on {where}"
    else:
        last = f"nothing of runs that are older than {arguments.older_than} is on {where}"
    say("\n".join(map(harmless, [last] if arguments.quiet else [*lines, last])), wraps=True)


def _things(lines: list[str], whose: str) -> str:
    return f"{counted(len(lines), 'thing')}{whose} {'is' if len(lines) == 1 else 'are'}"


def _few(word: str, things: list[str]) -> list[str]:
    """A line for each of the first things, and how many more there are."""
    lines = [f"{word:<14}{thing}" for thing in things[:_MOST_SHOWN]]
    more = len(things) - _MOST_SHOWN
    return [*lines, f"{word:<14}{more} more (--json names all)"] if more > 0 else lines
