"""What a worker takes from a master: a few options by name and type, never host or accounts.

Locust's wire has no authentication: a program that poses as the master must not get passwords
sent anywhere, or files read.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any

from rolecall.errors import UsageError
from rolecall.loadgen import plan
from rolecall.loadgen.scenarios import NAMES, SCENARIOS
from rolecall.loadgen.transport.outgoing import Origin

_MASTER = "the master"
_SAME_VERSION = "All machines have the same version of Rolecall."
#: The least and the most of each number that a master may name.
_RANGES: Mapping[str, tuple[float, float]] = {
    "in_flight": (1, 1_000_000),
    "answer_timeout": (0, 86_400),
    "racers": (2, 10_000),
    "index": (0, 10_000),
    "workers": (1, 10_000),
    "clients": (0, 10_000_000),
}


def taken(own: argparse.Namespace, job: Mapping[str, Any]) -> argparse.Namespace:
    """A worker's options for a job: its own command line's, and those that a master may name.

    Raises:
        UsageError: the worker's own command line names no host, the master names another
            host, or it names something that a worker does not take.
    """
    for name in ("index", "workers", "clients"):
        _number(name, job.get(name), int)
    if job["index"] >= job["workers"] or job.get("scenario") not in NAMES:
        raise UsageError(_MASTER, "its job cannot be read", _SAME_VERSION)
    said = job.get("options")
    if not isinstance(said, Mapping):
        raise UsageError(_MASTER, "it sends no options", _SAME_VERSION)
    _same_host(plan.chosen_url(own), said.get("host"))
    options = argparse.Namespace(**vars(own))
    for name, value in said.items():
        if name != "host":
            setattr(options, name, _checked(name, value))
    plan.weights(options)
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
        return _number(name, value, kind)
    if type(value) is not kind or (name == "guarding" and value not in SCENARIOS):
        raise UsageError(_MASTER, f"its option {name} has a wrong value", _SAME_VERSION)
    return value


def _number(name: str, value: object, kind: type) -> float:
    """A number of this kind in its range; a whole one is a float, too."""
    least, most = _RANGES[name]
    if type(value) is int or (
        type(value) is kind and isinstance(value, float) and math.isfinite(value)
    ):
        assert isinstance(value, int | float)
        if least <= value <= most:
            return value
    raise UsageError(
        _MASTER, f"its {name} is not a number from {least:g} to {most:g}", _SAME_VERSION
    )
