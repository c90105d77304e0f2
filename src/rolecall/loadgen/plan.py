"""What the options of a load run mean: target, schedule, objectives, weights."""

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
from rolecall.loadgen.options import OPTIONS, add_arguments
from rolecall.loadgen.race_scenario import RefreshRaceScenario
from rolecall.loadgen.scenarios import AROUND, MIXED, SCENARIOS, USUAL_WEIGHTS
from rolecall.loadgen.schedule import Schedule, duration
from rolecall.loadgen.thinking import Think
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Dialect, Specification
from rolecall.target import ExpiryOptions, Target, load_target
from rolecall.transit import Transit
from rolecall.urls import is_loopback

#: What is asked of every run, unless it asks for something else of the same.
USUAL_OBJECTIVES = ("errors<1%",)
TIMEOUT = 10.0  # seconds
#: The least and the most that some options may ask for.
LEAST: Mapping[str, float] = {
    "in_flight": 1,
    "racers": 2,
    "first_rate": 0.1,
    "search_time": 10,
    "most_users": 0,
}
MOST: Mapping[str, int] = {"in_flight": 1_000_000, "racers": 10_000, "most_users": 1_000_000}


@dataclass(frozen=True)
class ResolvedTarget:
    """The target, its tables and the accounts; each worker reads them, so no password is sent."""

    target: Target | None
    origin: Origin
    base_url: str
    name: str
    spec: Specification
    dialect: Dialect
    accounts: Sequence[LoadAccount]
    timeout: float
    verify: bool | str | Transit
    #: Tokens that have expired since the target's clock was moved, or why there are none.
    left: Left = field(default_factory=Left)

    @property
    def idle_accounts(self) -> list[LoadAccount]:
        """The accounts of the target file that the load does not log in."""
        loaded = {account.email for account in self.accounts}
        named = from_target(self.target) if self.target else []
        return [account for account in named if account.email not in loaded]

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
            UsageError: something in them is wrong, or host or accounts are missing.
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
            raise UsageError("--host", "is missing", "Give --host URL, or --target FILE.")
        if options.accounts:
            accounts = read_csv(Path(options.accounts), tables.roles)
        elif target:
            accounts = from_target(target)
        else:
            raise UsageError(
                "--accounts",
                "is missing",
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
            verify=target.transit if target else True,
            left=Left.read(Path(options.expired_tokens)) if options.expired_tokens else Left(),
        )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Our options in Locust's command line, read without Locust."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-H", "--host", default="")
    parser.add_argument("--users", type=int, dest="num_users")
    add_arguments(parser)
    return parser.parse_known_args(argv)[0]


def check(options: argparse.Namespace) -> None:
    """Check that all options can be read, before anything is started.

    Raises:
        UsageError: one cannot.
    """
    seconds(options.duration, "--duration")
    seconds(options.ramp, "--ramp")
    schedule(options)
    objectives(options)
    think(options)
    deny_within(options)
    weights(options)
    if options.guarding not in SCENARIOS:
        raise UsageError(
            "--guarding",
            f"unknown scenario {options.guarding!r}",
            suggest(options.guarding, SCENARIOS),
        )
    for name, least in LEAST.items():
        if not least <= getattr(options, name) < math.inf:
            raise UsageError(f"--{name.replace('_', '-')}", f"must be at least {least}")
        if getattr(options, name) > (most := MOST.get(name, math.inf)):
            raise UsageError(f"--{name.replace('_', '-')}", f"must be at most {most:,}")
    if not 0 <= options.most_rate < math.inf:
        raise UsageError("--most-rate", "must be 0 (no limit) or more")
    if not 0 < options.precision <= 100:
        raise UsageError("--precision", "must be more than 0 and at most 100 (per cent)")
    for where, port in (("--prometheus-port", options.prometheus_port), ("--live", options.live)):
        if port is not None and not 0 <= port < 65536:
            raise UsageError(where, f"{port} is not a port")
    if options.live == 0 and options.silent:
        raise UsageError(
            "--live",
            "0 takes any port, and with --json and --quiet it is not said which",
            "Name a port, such as --live 8089.",
        )


def seconds(text: str | None, where: str) -> float:
    """A duration in seconds; 0 where none is given.

    Raises:
        UsageError: it is none.
    """
    return duration(text, where) if text else 0.0


def schedule(options: argparse.Namespace) -> Schedule | None:
    """The open schedule that the options name; None where they name no rate.

    Raises:
        UsageError: it cannot be read, or never ends.
    """
    if not options.rate:
        return None
    if not options.duration:
        raise UsageError(
            "--duration", "is missing: --rate needs it", "Give --duration, such as 60s or 5m."
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
    """The objectives of the run, those given and the usual ones.

    Raises:
        UsageError: one cannot be read.
    """
    chosen = [Objective.parse(text) for text in options.slo]
    measures = {objective.measure for objective in chosen if not objective.request}
    # A server that answers fast, and wrongly, keeps any objective of time.
    return chosen + [
        usual for usual in map(Objective.parse, USUAL_OBJECTIVES) if usual.measure not in measures
    ]


def think(options: argparse.Namespace) -> Think | None:
    """How long clients think between two steps; None where they do not.

    Raises:
        UsageError: that cannot be read.
    """
    return Think.parse(options.think, options.think_mean)


def deny_within(options: argparse.Namespace) -> float:
    """Seconds after which time-to-deny calls a credential late that is still let in.

    Raises:
        UsageError: it is no time.
    """
    return duration(options.deny_within, "--deny-within")


def see_that_sessions_suffice(
    options: argparse.Namespace, scenario: str, accounts: int, workers: int = 1
) -> None:
    """Check that an open schedule has as many sessions as it takes if each thinks between steps.

    Raises:
        UsageError: it has fewer, or the scenario holds none.
    """
    thinking, schedule_ = think(options), schedule(options)
    if thinking is None or schedule_ is None:
        return
    held = sessions_held(options, scenario, accounts, workers)
    if held is None:
        raise UsageError(
            "--think", f"{scenario} has no sessions that could think under --rate", "Use --users."
        )
    peak = schedule_.peak
    needed = math.ceil(peak * thinking.mean)
    if held < needed:
        raise UsageError(
            "--think",
            f"at {peak:g}/s, thinking for {thinking}, {needed:,} sessions are needed, and there "
            f"are {held:,}",
            "Give more accounts (--accounts), a higher --in-flight, or a lower rate.",
        )


def weights(options: argparse.Namespace) -> Mapping[str, int]:
    """The weights of the scenarios in ``mixed``.

    Raises:
        UsageError: a scenario is unknown or named twice, or a weight is not a number.
    """
    if not options.weights:
        return USUAL_WEIGHTS
    chosen: dict[str, int] = {}
    for part in options.weights.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in SCENARIOS or not weight.isdigit() or not int(weight):
            raise UsageError(
                "--weights",
                f"{part!r} is not a weight",
                f"Write NAME=N,NAME=N; names: {', '.join(SCENARIOS)}.",
            )
        if name in chosen:
            raise UsageError(
                "--weights", f"{name} is named twice", "Give each scenario one weight."
            )
        chosen[name] = int(weight)
    return chosen


def shape(options: argparse.Namespace, scenario: str) -> dict[str, Any]:
    """What else shapes the load; runs in which it differs are not comparable.

    Raises:
        UsageError: the weights cannot be read.
    """
    chosen: dict[str, Any] = {}
    if scenario == MIXED:
        chosen["weights"] = dict(weights(options))
    if scenario in AROUND:
        chosen["guarding"] = options.guarding
    if RefreshRaceScenario.name in kinds(options, scenario):
        chosen["racers"] = options.racers
    if thinking := think(options):
        chosen["think"] = str(thinking)
    if options.rate or options.capacity:
        chosen["in_flight"] = options.in_flight
    return chosen


def kinds(options: argparse.Namespace, scenario: str) -> set[str]:
    """The scenarios that a scenario is made of."""
    if scenario == MIXED:
        return set(weights(options))
    return {options.guarding if scenario in AROUND else scenario}


def sessions_held(
    options: argparse.Namespace, scenario: str, accounts: int, workers: int = 1
) -> int | None:
    """How many of the accounts hold a session; None where the scenario holds none.

    In a closed loop as many as there are clients, in an open schedule all, if so many steps may be
    under way.
    """
    if not any(SCENARIOS[kind].holds_session for kind in kinds(options, scenario)):
        return None
    is_open = options.rate or (options.capacity and not options.most_users)
    most = options.in_flight * workers if is_open else options.most_users or options.num_users
    return min(accounts, most or accounts)


#: What a master's command line says for all its workers, each with its type. Host and accounts,
#: each worker reads from its own.
SHARED: Mapping[str, type] = {option.dest: option.kind for option in OPTIONS if option.shared}


def shared(options: argparse.Namespace) -> dict[str, Any]:
    """The options that all workers get, and the host, which each compares with its own."""
    chosen = {
        name: getattr(options, name) for name in SHARED if getattr(options, name, None) is not None
    }
    return {"host": url, **chosen} if (url := chosen_url(options)) else chosen


def see_that_load_is_allowed(target: Target, base_url: str) -> None:
    """Check that a target on another machine allows load in its target file.

    Raises:
        UsageError: that is not said.
    """
    if not is_loopback(base_url) and not target.load_allowed:
        hint = "The operator of that server allows it with load_allowed = true under [target]."
        raise UsageError(target.source, f"load on {base_url} is not allowed", hint)


def chosen_url(options: argparse.Namespace, target: Target | None = None) -> str:
    """The base URL of a command line or of its target file; empty where neither names one.

    Raises:
        UsageError: the target file is wrong.
    """
    if getattr(options, "host", ""):
        return str(options.host)
    if target is None and options.target:
        target = load_target(Path(options.target), load_specification().roles)
    return target.base_url if target else ""


def accounts_given(options: argparse.Namespace) -> int:
    """How many accounts there are; 0 where they cannot be read."""
    try:
        return len(ResolvedTarget.of(options).accounts)
    except UsageError:
        return 0


def target_shown(options: argparse.Namespace) -> dict[str, str]:
    """The target's name and URL, as far as they can be known."""
    try:
        resolved = ResolvedTarget.of(options)
    except UsageError:
        return {"name": options.target or options.host or "", "base_url": options.host or ""}
    return {"name": resolved.name, "base_url": resolved.base_url}
