"""What a worker takes from a master: a few options by name and type, never host or accounts.

Locust's wire has no authentication: a program that poses as the master must not get passwords
sent anywhere, or files read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TypeVar

from rolecall.errors import UsageError
from rolecall.loadgen import plan
from rolecall.loadgen.messages import End, Go, Prepare
from rolecall.loadgen.scenarios import SCENARIOS
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.untrusted import UnreadableValue, number, whole

_MASTER = "the master"
_SAME_VERSION = "Install the same version of Rolecall on all machines."
#: The least and the most of each number that a master may name.
_RANGES: Mapping[str, tuple[int, int]] = {
    "in_flight": (1, plan.MOST["in_flight"]),
    "answer_timeout": (0, 86_400),
    "racers": (2, plan.MOST["racers"]),
}
_Order = TypeVar("_Order", Prepare, Go, End)
_ORDERS = {Prepare: "order to prepare", Go: "order to go", End: "order to end"}


def understood(message: type[_Order], packed: object) -> _Order:
    """A message of the master.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return message.unpack(packed)
    except UnreadableValue as error:
        what = f"its {_ORDERS[message]} cannot be read: {error}"
        raise UsageError(_MASTER, what, _SAME_VERSION) from None


def taken(own: argparse.Namespace, order: Prepare) -> argparse.Namespace:
    """A worker's options for a run: its own command line's, and those that a master may name.

    Raises:
        UsageError: the worker's own command line names no host, the master names another
            host, or it names something that a worker does not take.
    """
    _same_host(plan.chosen_url(own), order.options.get("host"))
    options = argparse.Namespace(**vars(own))
    for name, value in order.options.items():
        if name != "host":
            setattr(options, name, _checked(name, value))
    plan.weights(options)
    plan.think(options)
    plan.deny_within(options)
    return options


def _same_host(own: str, said: object) -> None:
    """Check that a master names the same host as the worker's own command line."""
    if not own:
        hint = (
            "Give it --target FILE, or --host URL; the word of a master, or of a web page, is "
            "not enough to send passwords there."
        )
        raise UsageError("--host", "is missing on this process's own command line", hint)
    if said is None:
        return
    if not isinstance(said, str) or Origin.of(said) != Origin.of(own):
        what = f"it names another host than this worker's own command line does, which is {own}"
        raise UsageError(_MASTER, what, "Give all machines the same target.")


def _checked(name: object, value: object) -> object:
    """The value of an option that a master may name."""
    kind = plan.SHARED.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UsageError(
            _MASTER, f"it sends an option that a worker does not take: {name!r:.40}", _SAME_VERSION
        )
    if isinstance(name, str) and name in _RANGES:
        least, most = _RANGES[name]
        try:
            return (whole if kind is int else number)(name, value, least, most)
        except UnreadableValue as error:
            raise UsageError(_MASTER, f"its option {error}", _SAME_VERSION) from None
    if type(value) is not kind or (name == "guarding" and value not in SCENARIOS):
        raise UsageError(_MASTER, f"its option {name} has a wrong value", _SAME_VERSION)
    return value
