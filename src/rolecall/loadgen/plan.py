"""What a load run is asked to do: its options, as Locust's command line takes them, and what they
mean.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError, suggest
from rolecall.loadgen.accounts import LoadAccount, from_target, read_csv
from rolecall.loadgen.checks.expired import ExpiredTokens, Left
from rolecall.loadgen.objectives import Objective
from rolecall.loadgen.scenarios import (
    MIXED,
    SCENARIOS,
    USUAL_WEIGHTS,
    GuardedScenario,
    RefreshRaceScenario,
)
from rolecall.loadgen.schedule import Schedule, duration
from rolecall.loadgen.transport.wire import Origin
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Dialect, Specification
from rolecall.target import ExpiryOptions, Target, load_target
from rolecall.urls import is_loopback

#: What is asked of every run, unless it asks for something else of the same.
USUAL_OBJECTIVES = ("errors<1%",)
IN_FLIGHT = 1000
TIMEOUT = 10.0  # seconds


def add_arguments(parser: argparse.ArgumentParser, **hidden: Any) -> None:
    """The options that are ours, beside Locust's own; ``hidden`` are keywords that Locust's parser
    knows besides.
    """
    parser.add_argument(
        "--target", metavar="FILE", default="", help="target file: where to, and as whom", **hidden
    )
    parser.add_argument(
        "--target-name", metavar="NAME", default="", help="how reports call it", **hidden
    )
    parser.add_argument(
        "--accounts",
        metavar="CSV",
        default="",
        help="users to log in: email,password,role",
        **hidden,
    )
    parser.add_argument(
        "--rate",
        default="",
        help="arrivals per second: 100, 10..100, 10,50,100 or 0..100:30s,100:5m (an open schedule)",
        **hidden,
    )
    parser.add_argument(
        "--duration",
        default="",
        metavar="TIME",
        help="how long, without the ramp: 90s, 5m",
        **hidden,
    )
    parser.add_argument(
        "--ramp",
        default="",
        metavar="TIME",
        help="from nothing to the first rate, or to all users",
        **hidden,
    )
    parser.add_argument(
        "--arrivals",
        default="constant",
        choices=("constant", "poisson"),
        help="how arrivals are spread",
        **hidden,
    )
    parser.add_argument("--seed", type=int, default=0, help="which Poisson arrivals", **hidden)
    parser.add_argument(
        "--in-flight",
        type=int,
        default=IN_FLIGHT,
        metavar="N",
        help="steps under way at most, per worker",
        **hidden,
    )
    parser.add_argument(
        "--answer-timeout",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds for one exchange",
        **hidden,
    )
    parser.add_argument(
        "--slo",
        action="append",
        default=[],
        metavar="OBJECTIVE",
        help='such as "p99<250ms"; may be repeated',
        **hidden,
    )
    parser.add_argument(
        "--racers", type=int, default=5, metavar="K", help="clients in a refresh-race", **hidden
    )
    parser.add_argument(
        "--weights", default="", metavar="NAME=N,...", help="of the scenarios in mixed", **hidden
    )
    parser.add_argument(
        "--guarding",
        default="issuance",
        metavar="SCENARIO",
        help="what guarded puts under load",
        **hidden,
    )
    parser.add_argument(
        "--expired-tokens",
        metavar="FILE",
        default="",
        help="that the moved clock has left, for guarded",
        **hidden,
    )
    parser.add_argument(
        "--run-folder",
        default="",
        metavar="DIR",
        help="where load.json and the others are left",
        **hidden,
    )
    parser.add_argument(
        "--no-invariants",
        action="store_true",
        help="look at no answer's content: for measuring the client",
        **hidden,
    )
    parser.add_argument(
        "--lone-sessions",
        action="store_true",
        help="a log-in ends the user's other sessions",
        **hidden,
    )
    parser.add_argument(
        "--parent",
        type=int,
        default=0,
        metavar="PID",
        help="end when this process is gone",
        **hidden,
    )
    parser.add_argument(
        "--silent", action="store_true", help="say nothing of how the run goes", **hidden
    )
    parser.add_argument(
        "--prometheus-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve the figures on 127.0.0.1",
        **hidden,
    )
    parser.add_argument(
        "--capacity", action="store_true", help="search for the highest rate that holds", **hidden
    )
    parser.add_argument(
        "--most-rate", type=float, default=0.0, metavar="R", help="of a capacity search", **hidden
    )
    parser.add_argument(
        "--most-users",
        type=int,
        default=0,
        metavar="N",
        help="of a search by users in place of rates",
        **hidden,
    )
    parser.add_argument(
        "--first-rate", type=float, default=10.0, metavar="R", help="of a capacity search", **hidden
    )
    parser.add_argument(
        "--search-time",
        type=float,
        default=165.0,
        metavar="S",
        help="of a capacity search",
        **hidden,
    )


@dataclass(frozen=True)
class ResolvedTarget:
    """Where a run goes and as whom; every worker reads it for itself, so that no password crosses
    Locust's wire.
    """

    target: Target | None
    origin: Origin
    base_url: str
    name: str
    spec: Specification
    dialect: Dialect
    accounts: Sequence[LoadAccount]
    timeout: float
    verify: bool | str
    #: Tokens that have expired since the target's clock was moved, or why there are none.
    left: Left = field(default_factory=Left)

    @property
    def expired(self) -> ExpiredTokens:
        """Where expired tokens come from; each process keeps account of its own."""
        return ExpiredTokens(
            self.target.expiry if self.target else ExpiryOptions(), self.base_url, self.left
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> ResolvedTarget:
        """Read the target file and the accounts.

        Raises:
            UsageError: something in them is wrong, or there is nowhere to go.
        """
        tables = load_specification()
        target = load_target(Path(options.target), tables.roles) if options.target else None
        chosen, source = (target.dialect, target.source) if target else ({}, "")
        dialect = tables.dialect(chosen, source)
        spec = tables.for_target(target.operations if target else {}, dialect, source)
        base_url = chosen_url(options, target)
        if target:
            see_that_load_is_allowed(target, base_url)
        if not base_url:
            raise UsageError("--host", "nobody said where to", "Give --host URL, or --target FILE.")
        if options.accounts:
            accounts = read_csv(Path(options.accounts), tables.roles)
        elif target:
            accounts = from_target(target)
        else:
            raise UsageError(
                "--accounts",
                "nobody said as whom",
                "Give --target FILE, or --accounts CSV (email,password,role).",
            )
        return cls(
            target=target,
            origin=Origin.of(base_url),
            base_url=base_url,
            name=options.target_name or (target.name if target else base_url),
            spec=spec,
            dialect=dialect,
            accounts=accounts,
            timeout=options.answer_timeout or (target.timeout if target else TIMEOUT),
            verify=target.verify_tls if target else True,
            left=Left.read(Path(options.expired_tokens)) if options.expired_tokens else Left(),
        )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Our options among Locust's words, without Locust."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-H", "--host", default="")
    parser.add_argument("--users", type=int, dest="num_users")
    add_arguments(parser)
    return parser.parse_known_args(words)[0]


def check(options: argparse.Namespace) -> None:
    """See that all options can be read, before anything is started.

    Raises:
        UsageError: one cannot.
    """
    seconds(options.duration, "--duration")
    seconds(options.ramp, "--ramp")
    schedule(options)
    for objective in objectives(options):
        if options.capacity and objective.measure == "rate":
            hint = "Leave it out; --first-rate and --most-rate say where it looks."
            raise UsageError(
                "--slo",
                f"{objective.text!r} is nothing to search by: the rate is what is found",
                hint,
            )
    weights(options)
    if options.guarding not in SCENARIOS:
        raise UsageError(
            "--guarding",
            f"{options.guarding!r} is no scenario",
            suggest(options.guarding, SCENARIOS),
        )
    for name, least in (("in_flight", 1), ("racers", 2), ("first_rate", 0.1), ("search_time", 10)):
        if not least <= getattr(options, name) < math.inf:
            raise UsageError(f"--{name.replace('_', '-')}", f"at least {least} is needed")
    if not 0 <= options.prometheus_port < 65536:
        raise UsageError("--prometheus-port", f"{options.prometheus_port} is no port")


def seconds(text: str | None, where: str) -> float:
    """A duration in seconds; 0 where none is given.

    Raises:
        UsageError: it is none.
    """
    return duration(text, where) if text else 0.0


def schedule(options: argparse.Namespace) -> Schedule | None:
    """The open schedule that is asked for; None when nobody asks for a rate.

    Raises:
        UsageError: it cannot be read, or never ends.
    """
    if not options.rate:
        return None
    if not options.duration:
        raise UsageError(
            "--duration", "an open schedule has an end", "Give --duration, such as 60s or 5m."
        )
    ramp = duration(options.ramp, "--ramp") if options.ramp else 0.0
    return Schedule.parse(
        options.rate,
        duration(options.duration, "--duration"),
        ramp=ramp,
        arrivals=options.arrivals,
        seed=options.seed,
    )


def objectives(options: argparse.Namespace) -> list[Objective]:
    """What the run has to keep.

    Raises:
        UsageError: one cannot be read.
    """
    chosen = [Objective.parse(text) for text in options.slo]
    measures = {objective.measure for objective in chosen}
    # A server that answers fast, and wrongly, keeps any objective of time.
    return chosen + [
        usual for usual in map(Objective.parse, USUAL_OBJECTIVES) if usual.measure not in measures
    ]


def weights(options: argparse.Namespace) -> Mapping[str, int]:
    """How clients are shared out in ``mixed``.

    Raises:
        UsageError: a scenario is unknown, or a weight is no number.
    """
    if not options.weights:
        return USUAL_WEIGHTS
    chosen: dict[str, int] = {}
    for part in options.weights.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in SCENARIOS or not weight.isdigit() or not int(weight):
            raise UsageError(
                "--weights",
                f"{part!r} is no weight",
                f"Write NAME=N,NAME=N; names: {', '.join(SCENARIOS)}.",
            )
        chosen[name] = int(weight)
    return chosen


def shape(options: argparse.Namespace, scenario: str) -> dict[str, Any]:
    """What beside rate, users and time shapes the load of a scenario; runs in which it differs are
    not comparable.

    Raises:
        UsageError: the weights cannot be read.
    """
    chosen: dict[str, Any] = {}
    kinds = {scenario}
    if scenario == MIXED:
        chosen["weights"] = dict(weights(options))
        kinds |= set(chosen["weights"])
    if scenario == GuardedScenario.name:
        chosen["guarding"] = options.guarding
        kinds.add(options.guarding)
    if RefreshRaceScenario.name in kinds:
        chosen["racers"] = options.racers
    if options.rate or options.capacity:
        chosen["in_flight"] = options.in_flight
    return chosen


#: What a master's command line says for all its workers, and of which kind it is. Where to and as
#: whom, each says for itself.
SHARED: Mapping[str, type] = {
    "in_flight": int,
    "answer_timeout": float,
    "weights": str,
    "guarding": str,
    "racers": int,
    "no_invariants": bool,
    "lone_sessions": bool,
    "capacity": bool,
}


def shared(options: argparse.Namespace) -> dict[str, Any]:
    """The options that all workers are to have; and the host, if one is named, for each to compare
    with its own.
    """
    return {
        name: getattr(options, name)
        for name in ("host", *SHARED)
        if getattr(options, name, None) is not None
    }


def see_that_load_is_allowed(target: Target, base_url: str) -> None:
    """Whoever runs a server that is not this machine's says in the target file that it may be put
    under load.

    Raises:
        UsageError: that is not said.
    """
    if not is_loopback(base_url) and not target.load_allowed:
        hint = "Whoever runs that server allows it with load_allowed = true under [target]."
        raise UsageError(target.source, f"load on {base_url} is not allowed", hint)


def chosen_url(options: argparse.Namespace, target: Target | None = None) -> str:
    """The base URL that a command line names, itself or by its target file; empty where it names
    none.

    Raises:
        UsageError: the target file is wrong.
    """
    if getattr(options, "host", ""):
        return str(options.host)
    if target is None and options.target:
        target = load_target(Path(options.target), load_specification().roles)
    return target.base_url if target else ""


def target_shown(options: argparse.Namespace) -> dict[str, str]:
    """The target's name and URL, as far as they can be known."""
    try:
        aim = ResolvedTarget.of(options)
    except UsageError:
        return {"name": options.target or options.host or "", "base_url": options.host or ""}
    return {"name": aim.name, "base_url": aim.base_url}
