"""Refuses options of a run that would have no effect: whoever gives one believes that it does.

``--seed`` and ``--in-flight`` are never refused: they promise nothing that a run could lack, and
scripts give them to every run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rolecall.errors import UsageError
from rolecall.loadgen import plan
from rolecall.loadgen.deny_scenario import TimeToDenyScenario
from rolecall.loadgen.race_scenario import RefreshRaceScenario
from rolecall.loadgen.scenarios import AROUND, MIXED

_CLOSED = "Clients in a closed loop send when they have their answers; --rate has a schedule."


def see_that_all_have_an_effect(
    arguments: argparse.Namespace, options: argparse.Namespace, *, is_open: bool
) -> None:
    """Check that each option that was given does something in this run.

    Args:
        arguments: of our command; what was not given is None.
        options: the same as Locust's processes read them.
        is_open: whether a schedule says when requests are due.

    Raises:
        UsageError: one does nothing.
    """
    for name, why, hint in (
        *_of_the_load(arguments, is_open=is_open),
        *_of_the_scenario(arguments, options),
        *_of_the_target(arguments),
    ):
        if getattr(arguments, name, None) not in (None, []):
            raise UsageError(f"--{name.replace('_', '-')}", f"has no effect {why}", hint)


def see_that_the_duration_has_an_effect(duration: str | None, rate: str | None) -> None:
    """Check that a length is not given twice; before the usual one stands in for none.

    Raises:
        UsageError: ``--duration`` does nothing, since each part of ``--rate`` says its own length.
    """
    parts = rate.split(",") if rate else []
    if duration and parts and all(":" in part for part in parts):
        raise UsageError(
            "--duration",
            "has no effect on a --rate that says its own lengths",
            f"Leave it out, or write the rate without {parts[0].partition(':')[2]}.",
        )


def _of_the_load(arguments: argparse.Namespace, *, is_open: bool) -> Iterator[tuple[str, str, str]]:
    """Names of options that do nothing with this kind of load, why, and what would help."""
    if not is_open:
        yield "arrivals", "without a schedule", _CLOSED
    if getattr(arguments, "most_users", None) is not None:
        for name in ("first_rate", "most_rate", "precision"):
            yield name, "beside --most-users", "That search raises clients, and no rate."


def _of_the_scenario(
    arguments: argparse.Namespace, options: argparse.Namespace
) -> Iterator[tuple[str, str, str]]:
    """The same of the scenario."""
    scenario = arguments.scenario
    if RefreshRaceScenario.name not in plan.kinds(options, scenario):
        yield "racers", f"in {scenario}", "Races are in refresh-race."
    if scenario != MIXED:
        yield "weights", f"in {scenario}", "Scenarios are weighed in mixed."
    if scenario not in AROUND:
        yield "guarding", f"in {scenario}", f"It is for {' and '.join(AROUND)}."
    if scenario != TimeToDenyScenario.name:
        yield "deny_within", f"in {scenario}", f"It is for {TimeToDenyScenario.name}."


def _of_the_target(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """The same of where requests go, and of many machines."""
    if arguments.target:
        yield "serve_option", "on TARGET", "It is for the embedded server."
    if not getattr(arguments, "master", False):
        yield "bind_host", "without --master", "It is where a master listens."
    yield "master_host", "without --worker", "It is where a worker finds its master."
