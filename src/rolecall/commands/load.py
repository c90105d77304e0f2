"""Load a server with log-ins and refreshes, by rate or by users, and check every answer."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rolecall.commands import say_result
from rolecall.errors import UsageError
from rolecall.screen import say

HELP = "run a load scenario against a server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a load run.

    Raises:
        UsageError: Locust is not installed.
    """
    # Longer than 40 lines because each option is declared in a few.
    need_locust()
    from rolecall.loadgen.scenarios import NAMES

    _take_options_anywhere(parser)
    parser.add_argument("scenario", choices=NAMES, metavar="SCENARIO", help=", ".join(NAMES))
    add_common_arguments(parser)
    how = parser.add_argument_group("load: an open schedule, or a closed loop")
    how.add_argument(
        "--rate",
        metavar="R",
        help="arrivals per second: 100, 10..100, 10,50,100 or 0..100:30s,100:5m",
    )
    how.add_argument(
        "--users", type=int, metavar="N", help="clients that each wait for their answers"
    )
    how.add_argument(
        "--duration", default="30s", metavar="TIME", help="such as 90s, 5m (default: %(default)s)"
    )
    how.add_argument(
        "--ramp",
        metavar="TIME",
        help="from nothing to the first rate, or to all users, before that",
    )
    how.add_argument(
        "--baseline",
        type=Path,
        metavar="RUN",
        help="an earlier run's folder, to compare this one with",
    )
    machines = parser.add_argument_group("many machines")
    machines.add_argument(
        "--master", action="store_true", help="wait for --workers N on other machines"
    )
    machines.add_argument(
        "--bind-host", metavar="ADDRESS", help="where the master listens (default: loopback)"
    )
    machines.add_argument("--worker", action="store_true", help="work for a master")
    machines.add_argument("--master-host", metavar="HOST", help="where that is")
    machines.add_argument(
        "--master-port", type=int, default=5557, metavar="PORT", help="(default: %(default)s)"
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both `rolecall load` and `rolecall capacity`."""
    # Longer than 40 lines because each option is declared in a few.
    parser.add_argument(
        "target",
        nargs="?",
        type=Path,
        metavar="TARGET",
        help="target file (default: the embedded server)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("reports/runs"),
        metavar="DIR",
        help="where the run's folder is made",
    )
    parser.add_argument(
        "--accounts", type=Path, metavar="CSV", help="users to log in: email,password,role"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that send (default: one, that does all)",
    )
    parser.add_argument(
        "--slo",
        action="append",
        default=[],
        metavar="OBJECTIVE",
        help='such as "p99<250ms"; may be repeated',
    )
    parser.add_argument(
        "--arrivals",
        choices=("constant", "poisson"),
        default="constant",
        help="how arrivals are spread",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which Poisson arrivals")
    parser.add_argument(
        "--in-flight",
        type=int,
        metavar="N",
        help="steps under way at most, per worker (default: 1000)",
    )
    parser.add_argument(
        "--racers", type=int, metavar="K", help="clients in a refresh-race (default: 5)"
    )
    parser.add_argument("--weights", metavar="NAME=N,...", help="of the scenarios in mixed")
    parser.add_argument(
        "--guarding", metavar="SCENARIO", help="what guarded puts under load (default: issuance)"
    )
    parser.add_argument(
        "--prometheus-port",
        type=int,
        metavar="PORT",
        help="serve the figures as they come on 127.0.0.1:PORT",
    )
    parser.add_argument(
        "--serve-option", action="append", default=[], help="an option for the embedded server"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print load.json and nothing else")
    how.add_argument(
        "--quiet", action="store_true", help="print one line with the verdict and nothing else"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the scenario and print what came of it.

    Raises:
        RolecallError: an option, the target file or the accounts are wrong, or the run could not be
            begun.
    """
    from rolecall.loadgen import compare, launch, result
    from rolecall.report import load_terminal

    if arguments.worker:
        return launch.work(arguments)
    words = _locust_words(arguments)
    before = compare.read(arguments.baseline) if arguments.baseline else None
    with launch.prepared(arguments, words) as session:
        if not arguments.json and not arguments.quiet:
            say(session.plan(arguments), stream=sys.stderr)
        document = session.run(result.LOAD)
    if before is not None:
        document = session.compared(document, before)
    folder = str(session.folder)
    summary, verdict = (
        load_terminal.summary(document, folder),
        load_terminal.verdict(document, folder),
    )
    return say_result(arguments, document, summary=summary, verdict=verdict)


def _locust_words(arguments: argparse.Namespace) -> list[str]:
    """The scenario and its load, as options of the locustfile.

    Raises:
        UsageError: not exactly one of ``--rate`` and ``--users`` is given, or it is out of bounds.
    """
    from rolecall.loadgen import launch, plan

    if (arguments.rate is None) == (arguments.users is None):
        raise UsageError(
            "rolecall load",
            "either --rate or --users is wanted",
            "--rate 100 is open, --users 20 is closed.",
        )
    if arguments.users is not None and arguments.users < 1:
        raise UsageError("--users", "at least one user is needed")
    words = [launch.locust_class(arguments.scenario), "--duration", arguments.duration]
    if arguments.rate:
        words += ["--rate", arguments.rate]
    else:
        ramp = plan.seconds(arguments.ramp, "--ramp")
        words += [
            "--users",
            str(arguments.users),
            "--spawn-rate",
            f"{arguments.users / ramp if ramp else arguments.users:g}",
        ]
    if arguments.ramp:
        words += ["--ramp", arguments.ramp]
    return words


def _take_options_anywhere(parser: argparse.ArgumentParser) -> None:
    """Let options stand between SCENARIO and TARGET, where argparse by itself allows none."""
    plain, is_under_way = parser.parse_known_args, False

    def parse(args: Any = None, namespace: Any = None) -> Any:
        nonlocal is_under_way
        if is_under_way:  # it asks for each half by this very name
            return plain(args, namespace)
        is_under_way = True
        try:
            return parser.parse_known_intermixed_args(args, namespace)
        finally:
            is_under_way = False

    parser.parse_known_args = parse  # type: ignore[method-assign]


def need_locust() -> None:
    """Refuse to go on without the packages that load needs.

    Raises:
        UsageError: Locust, or what comes with it, is not installed.
    """
    from rolecall.loadgen import missing

    if names := missing():
        raise UsageError(
            "rolecall load",
            f"{' and '.join(names)} is not installed",
            "pip install 'rolecall[load]'",
        )
