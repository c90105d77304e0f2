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
    """What a tester needs to see it: "signing-key", "clock", "api-keys", "intrusive"; with "load",
    the suite does not see it at all.
    """
    report: str = ""
    """The public report that it is modelled on: an advisory, an issue, a post-mortem."""


FAULTS: dict[str, Fault] = {}
_MODELLED_ON = "Modelled on "


def fault(name: str, *, finding: str, needs: tuple[str, ...] = ()) -> Callable[[Apply], Apply]:
    """Enter the decorated function into the catalogue; readers of the list see its docstring.

    A last paragraph of the docstring that begins with "Modelled on" names the public report.
    """

    def enter(apply: Apply) -> Apply:
        description, _, report = " ".join((apply.__doc__ or "").split()).partition(_MODELLED_ON)
        add(
            Fault(
                name, finding, description.strip(), apply, needs, report.strip().removesuffix(".")
            )
        )
        return apply

    return enter


def add(entry: Fault) -> None:
    """Enter a fault; no name twice."""
    if entry.name in FAULTS:
        raise ValueError(f"two faults are called {entry.name}")
    if not entry.description:
        raise ValueError(f"{entry.name} has no description")
    FAULTS[entry.name] = entry
