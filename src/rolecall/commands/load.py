"""Load a server with log-ins and refreshes, by rate or by users, and check every answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rolecall.commands import add_target, say_result
from rolecall.errors import UsageError
from rolecall.harness.options import DEFAULT_OUT
from rolecall.screen import has_colours, say, width_of

HELP = "run a load scenario against a server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a load run.

    Raises:
        UsageError: Locust is not installed.
    """
    # Longer than 40 lines because each option is declared in a few.
    need_locust()
    from rolecall.loadgen import options
    from rolecall.loadgen.profiles import SHAPES
    from rolecall.loadgen.scenarios import NAMES

    _take_options_anywhere(parser)
    parser.add_argument("scenario", choices=NAMES, metavar="SCENARIO", help=", ".join(NAMES))
    add_common_arguments(parser, "load.json")
    how = parser.add_argument_group("load: an open schedule, or a closed loop")
    options.add_some(how, "rate", "duration", "ramp", "think", "think-mean", "abort-on")
    how.add_argument(
        "--profile",
        metavar="NAME[:NxTIME]",
        help=f"the kind of test, at N times the --rate: {', '.join(SHAPES)}; prints the schedule",
    )
    how.add_argument(
        "--users", type=int, metavar="N", help="clients that each wait for their answers"
    )
    how.add_argument(
        "--baseline",
        type=Path,
        metavar="RUN",
        help="an earlier run's folder, to compare this one with",
    )
    how.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help='with --baseline: slower, worse or a limit such as "baseline:p99<+10%%"; '
        "may be repeated",
    )
    machines = parser.add_argument_group("many machines")
    machines.add_argument(
        "--master", action="store_true", help="lead --workers N on other machines"
    )
    machines.add_argument(
        "--bind-host", metavar="ADDRESS", help="where the master listens (default: loopback)"
    )
    machines.add_argument("--worker", action="store_true", help="send for a master")
    machines.add_argument(
        "--master-host", metavar="HOST", help="with --worker: where the master is"
    )
    machines.add_argument(
        "--master-port",
        type=int,
        default=5557,
        metavar="PORT",
        help="port of the master (default: %(default)s)",
    )


def add_common_arguments(
    parser: argparse.ArgumentParser, document: str, target: Callable[[str], Path] = Path
) -> None:
    """The options of both commands; ``--json`` prints the ``document``, ``target`` reads TARGET."""
    from rolecall.loadgen import options

    add_target(parser, target)
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help=f"where the run's folder is made (default: {DEFAULT_OUT})",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that send (default: 0, one process does all)",
    )
    options.add_some(parser, "accounts", "slo", "arrivals", "seed", "in-flight")
    options.add_some(parser, "racers", "weights", "guarding", "deny-within")
    options.add_some(parser, "live", "prometheus-port")
    parser.add_argument(
        "--serve-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option of rolecall serve for the embedded server, as in "
        "--serve-option=--fault=NAME; may be repeated",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help=f"print {document} and nothing else")
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
    from rolecall.loadgen.gates import BaselineGate
    from rolecall.loadgen.leading import see_that_workers_can_read_the_target
    from rolecall.report import load_terminal

    if arguments.worker:
        return launch.work(arguments)
    if arguments.master:
        see_that_workers_can_read_the_target(arguments.target)
    arguments, profile = _profiled(arguments)
    argv = _locust_argv(arguments)
    gates = [BaselineGate.parse(text) for text in arguments.fail_if]
    if gates and not arguments.baseline:
        raise UsageError("--fail-if", "needs a baseline", "Give --baseline RUN as well.")
    before = compare.read(arguments.baseline) if arguments.baseline else None
    with launch.prepared(arguments, argv) as session:
        if not arguments.json and not arguments.quiet:
            say_plan(f"{profile}{session.plan(arguments)}")
        document = session.run(result.LOAD)
    if before is not None:
        document = session.compared(document, before, gates)
    return say_run(
        arguments, document, session.folder, load_terminal.summary, load_terminal.verdict
    )


def say_run(
    arguments: argparse.Namespace,
    document: Mapping[str, Any],
    folder: Path,
    summary: Callable[..., str],
    verdict: Callable[..., str],
) -> int:
    """Print what came of a run, as wide and as coloured as the terminal is, and show it on a job's
    page; its exit code.
    """
    from rolecall.commands.job_page import append_file_to_job_page
    from rolecall.loadgen import result

    colour = has_colours(sys.stdout)
    code = say_result(
        arguments,
        document,
        summary=summary(document, str(folder), colour=colour, width=width_of(sys.stdout)),
        verdict=verdict(document, str(folder), colour=colour),
        colour=colour,
    )
    append_file_to_job_page(folder / result.SUMMARY)
    return code


def say_plan(text: str) -> None:
    """Print on standard error what is about to be sent, as wide as the terminal is."""
    say(text, stream=sys.stderr, wraps=True)


#: How long a run is where neither an option nor a profile says so.
_USUAL_DURATION = "30s"
_BREAKS = "\n              It stops where an objective can no longer be met (--abort-on slo)."
_NO_TIME = (
    "\n              There is no objective of time, so it does not stop where the server is only "
    'slow: add --slo "p99<250ms".'
)


def _profiled(arguments: argparse.Namespace) -> tuple[argparse.Namespace, str]:
    """The arguments with the schedule that a profile stands for in place of the usual rate, and
    what is said of it.

    Raises:
        UsageError: the profile is unknown, or does not go with another option.
    """
    from rolecall.loadgen.idle_options import see_that_the_duration_has_an_effect
    from rolecall.loadgen.objectives import Objective
    from rolecall.loadgen.profiles import BREAKPOINT, Profile

    if not arguments.profile:
        see_that_the_duration_has_an_effect(arguments.duration, arguments.rate)
        usual = {"duration": arguments.duration or _USUAL_DURATION, "schedule_profile": None}
        return argparse.Namespace(**{**vars(arguments), **usual}), ""
    if not arguments.rate or arguments.users is not None:
        raise UsageError("--profile", "needs the usual rate", "Give --rate R, and no --users.")
    if arguments.ramp:
        raise UsageError("--ramp", "does not go with --profile", "A profile has its own ramps.")
    profile = Profile.parse(arguments.profile, arguments.duration)
    rate = profile.schedule(arguments.rate)
    said = f"profile       {profile.name}: --rate {rate}"
    abort_on = arguments.abort_on
    if profile.name == BREAKPOINT:
        abort_on = [*dict.fromkeys([*abort_on, "slo"])]
        has_time = any(Objective.parse(text).unit == "ms" for text in arguments.slo)
        said += _BREAKS if has_time else _BREAKS + _NO_TIME
    chosen = {"rate": rate, "duration": profile.length, "abort_on": abort_on}
    chosen |= {"schedule_profile": str(profile)}
    return argparse.Namespace(**{**vars(arguments), **chosen}), f"{said}\n"


def _locust_argv(arguments: argparse.Namespace) -> list[str]:
    """The scenario and its load, as options of the locustfile.

    Raises:
        UsageError: not exactly one of ``--rate`` and ``--users`` is given, or it is out of bounds.
    """
    from rolecall.loadgen import plan
    from rolecall.loadgen.scenarios import user_class_name

    if (arguments.rate is None) == (arguments.users is None):
        raise UsageError(
            "the load",
            "needs either --rate or --users",
            "--rate 100 is an open schedule, --users 20 a closed loop.",
        )
    if arguments.users is not None and arguments.users < 1:
        raise UsageError("--users", "must be at least 1")
    if arguments.users is not None and arguments.users > (most := plan.MOST["most_users"]):
        raise UsageError("--users", f"must be at most {most:,}")
    # Each with its option in one word: one that begins with a hyphen is read, and refused, as well.
    argv = [user_class_name(arguments.scenario), f"--duration={arguments.duration}"]
    if arguments.users is None:
        argv += [f"--rate={arguments.rate}"]
    else:
        ramp = plan.seconds(arguments.ramp, "--ramp")
        argv += [
            "--users",
            str(arguments.users),
            "--spawn-rate",
            f"{arguments.users / ramp if ramp else arguments.users:g}",
        ]
    if arguments.ramp:
        argv += [f"--ramp={arguments.ramp}"]
    if arguments.schedule_profile:
        argv += ["--schedule-profile", arguments.schedule_profile]
    return argv


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

    parser.parse_known_args = parse  # type: ignore[method-assign]  # of this parser alone


def need_locust() -> None:
    """Refuse to go on without the packages that load needs.

    Raises:
        UsageError: Locust, or what comes with it, is not installed.
    """
    from rolecall.loadgen import missing

    if names := missing():
        raise UsageError(
            "the extra load",
            f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not installed",
            "In a checkout: pip install --editable '.[load]'; else pip install 'WHEEL[load]'.",
        )
