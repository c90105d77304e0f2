"""The result of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rolecall.loadgen.capacity.state import State
from rolecall.loadgen.capacity.steps import StepJudgement, knee, milliseconds, significant
from rolecall.loadgen.objectives import Objective


class SearchOutcome(StrEnum):
    """How a search ended."""

    FOUND = "found"
    AT_LEAST = "at-least"  # the ceiling held
    NOTHING_HELD = "nothing-held"
    UNSTABLE = "unstable"  # the server did not carry the same all the time
    VIOLATED = "violated"
    GENERATOR = "generator"  # this machine ran out before the server did
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Capacity:
    """What a search found: the capacity lies between ``low`` and ``high`` with a probability of
    ``confidence``.

    ``rate`` is one that was seen to hold, in the last step. ``held`` is the highest rate that
    clearly held, ``failed`` the lowest above it that clearly failed. Where the server was unstable
    there is no rate, and ``low`` and ``high`` are the least and the most that it carried;
    ``states`` says when.
    """

    outcome: SearchOutcome
    because: str
    rate: float | None
    low: float | None
    high: float | None
    held: float | None
    failed: float | None
    steps: Sequence[StepJudgement]
    seconds: float
    confidence: float = 0.95
    states: Sequence[State] = ()

    def document(self) -> dict[str, Any]:
        """The findings of ``capacity.json``."""
        # where no rate failed, what is slower beyond one may be chance
        best = None if self.failed is None else knee(self.steps)
        return {
            "axis": "rate",
            "outcome": str(self.outcome),
            "because": self.because,
            "capacity": {
                **{
                    name: significant(getattr(self, name))
                    for name in ("rate", "low", "high", "held", "failed")
                },
                "confidence": self.confidence,
            },
            "states": [state.document() for state in self.states],
            "knee": best
            and {
                "rate": significant(best.rate),
                "p50_ms": milliseconds(best.p50),
                "p99_ms": milliseconds(best.p99),
            },
            "steps": [judged.document() for judged in self.steps],
            "seconds": round(self.seconds, 1),
        }


def broken(objectives: Iterable[Objective], findings: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on objectives of the rate that the capacity in ``findings`` does not hold."""
    rate = findings["capacity"]["rate"]
    for objective in objectives:
        if objective.measure == "rate" and (rate is None or not objective.holds({"rate": rate})):
            more = (
                ", the most that it was to try"
                if findings["outcome"] == SearchOutcome.AT_LEAST
                else ""
            )
            yield f"{objective.text} did not hold: the capacity is {rate}/s{more}"


def imprecise(findings: Mapping[str, Any], precision: float) -> Iterator[str]:
    """A sentence where a capacity that was found is known less well than to ``precision`` per
    cent; of a search by users the throughput is measured, and not searched for.
    """
    if findings["outcome"] != SearchOutcome.FOUND or findings["axis"] != "rate":
        return
    low, high = (findings["capacity"][end] for end in ("low", "high"))
    off = 100 * math.log(high / low) / 2 if low and high else math.inf
    if off > precision:
        known = f"to \u00b1{off:.0f} % only" if math.isfinite(off) else "from one side only"
        yield (
            f"the capacity is known {known}, and --precision asks for \u00b1{precision:g} %: "
            "search for longer (--search-time), on a quieter machine, or ask for less"
        )
