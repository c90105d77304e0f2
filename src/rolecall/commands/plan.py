"""Print what a run would send, and how long it would take; nothing is sent to the target."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.commands import add_select, add_target, say_document
from rolecall.harness.options import OPTIONS, Options
from rolecall.screen import harmless, say

HELP = "print what a run would send, and send nothing"
_OPTIONS = ("--rate", "--concurrency", "--read-only", "--intrusive")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run that change what it sends."""
    add_target(parser)
    add_select(parser)
    for name in _OPTIONS:
        parser.add_argument(name, **OPTIONS[name])
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan.

    Raises:
        UsageError: an option or the target file is wrong, or nothing is selected.
        RolecallError: the rehearsal could not be brought to its end.
    """
    from rolecall.harness.planning import plan
    from rolecall.harness.progress import Progress

    progress = Progress(sys.stderr, silent=arguments.json)
    document = plan(Options.of(arguments), arguments.select or "", progress)
    if arguments.json:
        say_document(document)
    else:
        say("\n".join(_lines(document)), wraps=True)
    return 0


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    rate = document["rate_limit"]
    pace = f"at most {rate:g} requests a second" if rate else "no rate limit"
    yield f"target        {harmless(document['target'])}"
    yield f"requests      {document['requests']:,}, of which {document['writes']:,} write"
    for account, count in document["log_ins"].items():
        refused = f", {count['refused']} refused" if count["refused"] else ""
        yield f"log-ins       {count['granted']:>4} {harmless(account)}{refused}"
    yield f"duration      {_time(document['duration_s'])} ({pace})"
    for assumption in document["assumptions"]:
        yield f"assumed       {harmless(assumption)}"


def _time(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
