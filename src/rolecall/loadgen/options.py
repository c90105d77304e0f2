"""The options of a load run: one table, from which Locust's parser and our commands are made.

``passed`` options are handed from `rolecall load` or `rolecall capacity` to Locust's processes as
they are. ``shared`` ones are sent by a master to its workers; host and accounts never are, each
worker has its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Steps under way at most, for each worker.
IN_FLIGHT = 1000


@dataclass(frozen=True)
class Option:
    """One option: ``kind`` is the type of its value; a bool is a flag, a list may be repeated."""

    name: str
    help: str
    kind: type = str
    default: Any = ""
    metavar: str | None = None
    choices: Sequence[str] | None = None
    passed: bool = False
    shared: bool = False

    @property
    def dest(self) -> str:
        """The attribute of the parsed options."""
        return self.name.replace("-", "_")

    def add(self, parser: argparse._ActionsContainer, **more: Any) -> None:
        """Declare the option; ``more`` are keywords for the parser, or other ones."""
        known: dict[str, Any] = {"help": self.help}
        if self.kind is bool:
            known |= {"action": "store_true"}
        elif self.kind is list:
            known |= {"action": "append", "default": [], "metavar": self.metavar}
            known |= {"choices": self.choices} if self.choices else {}
        else:
            known |= {"type": self.kind, "default": self.default, "metavar": self.metavar}
            known |= {"choices": self.choices} if self.choices else {}
        parser.add_argument(f"--{self.name}", **(known | more))


_RATE = "arrivals per second: 100, 10..100, 10,50,100 or 0..100:30s,100:5m (an open schedule)"
_GUARDING = "scenario that guarded and time-to-deny put under load (default: issuance)"
_MOST_USERS = (
    "raise the number of clients up to this, in place of the rate, and fit the Universal "
    "Scalability Law"
)

OPTIONS = (
    # where requests go, and with which accounts
    Option("target", "target file: URL and accounts", metavar="FILE"),
    Option("target-name", "the target's name in reports", metavar="NAME"),
    Option("accounts", "users to log in: email,password,role", metavar="CSV"),
    Option("answer-timeout", "seconds for one exchange", float, 0.0, "S", shared=True),
    # the load
    Option("rate", _RATE, metavar="R"),
    Option(
        "duration",
        "how long, without the ramp, such as 90s or 5m (rolecall load: 30s)",
        metavar="TIME",
    ),
    Option(
        "ramp", "time to rise to the first rate, or to all users, before --duration", metavar="TIME"
    ),
    Option(
        "arrivals",
        "how arrivals are spread (default: constant)",
        default="constant",
        choices=("constant", "poisson"),
        passed=True,
    ),
    Option(
        "think",
        "how long a client thinks between two steps: 1..5s (evenly), or 2s",
        metavar="TIME",
        passed=True,
        shared=True,
    ),
    Option(
        "think-mean",
        "the same as an average: the times are spread exponentially",
        metavar="TIME",
        passed=True,
        shared=True,
    ),
    Option("seed", "draws other Poisson arrivals (default: 0)", int, 0, "N", passed=True),
    Option(
        "in-flight",
        f"steps under way at most, per worker (default: {IN_FLIGHT})",
        int,
        IN_FLIGHT,
        "N",
        passed=True,
        shared=True,
    ),
    # the scenarios
    Option(
        "racers",
        "clients that refresh at once in refresh-race (default: 5)",
        int,
        5,
        "K",
        passed=True,
        shared=True,
    ),
    Option(
        "weights",
        "how many of each scenario in mixed, such as issuance=1,session=6",
        metavar="NAME=N,...",
        passed=True,
        shared=True,
    ),
    Option("guarding", _GUARDING, default="issuance", metavar="SCENARIO", passed=True, shared=True),
    Option(
        "deny-within",
        "in time-to-deny: how long a revoked credential may be let in until it is called late "
        "(default: 5s)",
        default="5s",
        metavar="TIME",
        passed=True,
        shared=True,
    ),
    Option("expired-tokens", "expired tokens for guarded, left by a moved clock", metavar="FILE"),
    Option(
        "no-invariants",
        "look at no answer's content: for measuring the client",
        bool,
        default=False,
        shared=True,
    ),
    Option(
        "lone-sessions",
        "a log-in ends the user's other sessions",
        bool,
        default=False,
        shared=True,
    ),
    # the result
    Option(
        "slo",
        'objective to keep, such as "p99<250ms"; may be repeated',
        list,
        metavar="OBJECTIVE",
        passed=True,
    ),
    Option(
        "abort-on",
        "stop early: at a violation, or once an objective (slo) can no longer be met; "
        "may be repeated",
        list,
        metavar="violation|slo",
        choices=("violation", "slo"),
        passed=True,
    ),
    Option("run-folder", "where load.json and the others are left", metavar="DIR"),
    Option("command", "the command line that is said in the result", metavar="TEXT"),
    Option("schedule-profile", "the profile that the rate stands for, as the result has it"),
    Option("parent", "end when this process is gone", int, 0, "PID"),
    Option("silent", "say nothing of how the run goes", bool, default=False),
    Option(
        "prometheus-port",
        "serve the figures as they come on 127.0.0.1:PORT",
        int,
        0,
        "PORT",
        passed=True,
    ),
    Option(
        "live",
        "show the run as it goes, and a button to stop it, on http://127.0.0.1:PORT/ (0: any "
        "port that is free)",
        int,
        None,
        "PORT",
        passed=True,
    ),
    # the search for the capacity
    Option("capacity", "search for the highest rate that holds", bool, default=False, shared=True),
    Option("first-rate", "rate to begin with (default: 10/s)", float, 10.0, "R", passed=True),
    Option("most-rate", "never ask for a higher rate", float, 0.0, "R", passed=True),
    Option("most-users", _MOST_USERS, int, 0, "N", passed=True),
    Option(
        "search-time",
        "seconds that the search may take (default: 165)",
        float,
        165.0,
        "S",
        passed=True,
    ),
    Option(
        "precision",
        "how well the capacity has to be known, in per cent (default: 5)",
        float,
        5.0,
        "PERCENT",
        passed=True,
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS}


def add_arguments(parser: argparse.ArgumentParser, **hidden: Any) -> None:
    """Declare all options beside Locust's own; ``hidden`` are keywords of Locust's parser alone."""
    for option in OPTIONS:
        option.add(parser, **hidden)


def add_some(parser: argparse._ActionsContainer, *names: str) -> None:
    """Declare some options for a command of ours: what is not given is None, and not passed on."""
    for name in names:
        option = _BY_NAME[name]
        option.add(parser, **({} if option.kind in {bool, list} else {"default": None}))
