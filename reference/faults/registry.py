"""What a fault is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rolecall.reference.app import Server

Apply = Callable[[Server], None]


@dataclass(frozen=True)
class Fault:
    """One change of behaviour that violates the specification and that a client could see."""

    name: str
    finding: str
    """The requirement that has to be the first finding."""
    description: str
    apply: Apply
    needs: tuple[str, ...] = ()
    """What a tester needs to see it: "signing-key", "clock", "intrusive"; with "load", the suite does not see it at all."""


FAULTS: dict[str, Fault] = {}


def fault(name: str, *, finding: str, needs: tuple[str, ...] = ()) -> Callable[[Apply], Apply]:
    """Enter the decorated function into the catalogue; its docstring is what readers of the list see."""

    def enter(apply: Apply) -> Apply:
        add(Fault(name, finding, " ".join((apply.__doc__ or "").split()), apply, needs))
        return apply

    return enter


def add(entry: Fault) -> None:
    """Enter a fault; no name twice."""
    if entry.name in FAULTS:
        raise ValueError(f"two faults are called {entry.name}")
    if not entry.description:
        raise ValueError(f"{entry.name} has no description")
    FAULTS[entry.name] = entry
