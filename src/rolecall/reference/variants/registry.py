"""What a variant is, and the list of them.

`legal`: the specification allows it. `trouble`: what networks and overloaded machines do. `lint`: a
server that looks at its client instead. `load`: a server to measure, which the suite has nothing to
say about. `under-load`: legal, or trouble, and met under load: the load scenarios are run against
it in place of the suite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rolecall.reference.app import Server

Kind = Literal["legal", "trouble", "lint", "load", "under-load"]
Apply = Callable[[Server], None]


@dataclass(frozen=True)
class Variant:
    """One difference."""

    name: str
    kind: Kind
    description: str
    apply: Apply


VARIANTS: dict[str, Variant] = {}


def variant(name: str, kind: Kind = "legal") -> Callable[[Apply], Apply]:
    """Enter the decorated function into the list; its docstring is what readers see."""

    def enter(apply: Apply) -> Apply:
        if name in VARIANTS:
            raise ValueError(f"two variants are called {name}")
        VARIANTS[name] = Variant(name, kind, " ".join((apply.__doc__ or "").split()), apply)
        return apply

    return enter
