"""Find the highest rate at which a server keeps its objectives, and is still right."""

from __future__ import annotations

import argparse
from pathlib import Path

from rolecall.commands.load import add_common_arguments, need_locust, say_plan, say_run
from rolecall.errors import UsageError

HELP = "find the highest rate that meets the objectives"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a search.

    Raises:
        UsageError: Locust is not installed.
    """
    need_locust()
    from rolecall.loadgen import options
    from rolecall.loadgen.scenarios import NAMES

    add_common_arguments(parser, "capacity.json", _target_file)
    parser.add_argument(
        "--scenario", choices=NAMES, default="issuance", help="what is sent (default: %(default)s)"
    )
    options.add_some(parser, "first-rate", "most-rate", "most-users", "search-time", "precision")


def _target_file(text: str) -> Path:
    """The path of a target file; a scenario, which `rolecall load` takes here, is refused."""
    from rolecall.loadgen.scenarios import NAMES

    if text in NAMES and not Path(text).exists():
        raise argparse.ArgumentTypeError(
            f"{text!r} is a scenario, not a target file. Write it as --scenario {text}"
        )
    return Path(text)


def run(arguments: argparse.Namespace) -> int:
    """Search, and print what was found.

    Raises:
        RolecallError: an option, the target file or the accounts are wrong, or the search could not
            be begun.
    """
    from rolecall.loadgen import launch, result
    from rolecall.loadgen.scenarios import user_class_name
    from rolecall.report import load_terminal

    argv = [user_class_name(arguments.scenario), "--capacity"]
    if arguments.most_users is not None:
        if arguments.most_users < 1:
            raise UsageError("--most-users", "must be at least 1")
        argv += ["--users", "1", "--spawn-rate", "1"]
    with launch.prepared(arguments, argv) as session:
        if not arguments.json and not arguments.quiet:
            say_plan(session.plan(arguments))
        document = session.run(result.CAPACITY)
    return say_run(
        arguments, document, session.folder, load_terminal.capacity, load_terminal.capacity_verdict
    )
