"""Gates of a run with a baseline: which differences from it fail the run (``--fail-if``).

The interval of the difference decides, and not its middle. ``slower`` and ``worse`` fail a run
whose difference is beyond noise. ``baseline:p99<+10%`` is a claim that has to be proven: where the
interval is on both sides of the limit, the two runs do not decide it, and the run is invalid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolecall.errors import ExitCode, UsageError

_FORM = re.compile(r"baseline:(p50|p99|rate|errors|throttled)(<|>)([+-]?[0-9]+(?:\.[0-9]+)?)%")
_SLOWER = frozenset({"p50", "p99"})
_KNOWN = (
    'Known: slower (p50 or p99), worse (any measure), and limits such as "baseline:p99<+10%", '
    '"baseline:rate>-5%", of p50, p99 and rate in per cent of the baseline, of errors and '
    "throttled in percentage points."
)


@dataclass(frozen=True)
class BaselineGate:
    """A condition on the comparison with the baseline.

    Attributes:
        measure: of `compare`; empty where any measure of ``measures`` that is worse fails the run.
        limit: as a share of the baseline's figure, or in percentage points of a share.
    """

    text: str
    measures: frozenset[str] = frozenset()
    measure: str = ""
    is_upper: bool = True
    limit: float = 0.0

    @classmethod
    def parse(cls, text: str, where: str = "--fail-if") -> BaselineGate:
        """The gate that a person wrote; UsageError where it cannot be read."""
        plain = re.sub(r"\s", "", text.lower())
        if plain in ("slower", "worse"):
            return cls(plain, measures=_SLOWER if plain == "slower" else frozenset())
        match = _FORM.fullmatch(plain)
        if match is None:
            raise UsageError(where, f"{text!r} is not a condition on a baseline", _KNOWN)
        measure, sign, number = match.groups()
        _see_that_it_asks_for_no_harm(measure, sign, number, text, where)
        limit = float(number) / (100 if measure in ("p50", "p99", "rate") else 1)
        return cls(plain, measure=measure, is_upper=sign == "<", limit=limit)

    def judge(self, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The gate as ``comparison.gates`` of ``load.json`` has it; ``held`` is None where the two
        runs do not decide it.
        """
        if not self.measure:
            worse = [
                change
                for change in changes
                if change["verdict"] == "worse"
                and (not self.measures or change["measure"] in self.measures)
            ]
            said = "; ".join(change["sentence"] for change in worse)
            return {
                "gate": self.text,
                "held": not worse,
                "sentence": f"--fail-if {self.text}: {said or 'nothing is, beyond noise'}",
            }
        change = next(change for change in changes if change["measure"] == self.measure)
        held = self._decide(change)
        word = {True: "it holds", False: "it does not hold", None: _UNDECIDED}[held]
        sentence = f"{self.text}: {word} ({change['sentence']})"
        return {"gate": self.text, "held": held, "sentence": sentence}

    def _decide(self, change: Mapping[str, Any]) -> bool | None:
        """Whether the whole interval is on the good side, or on the bad one."""
        # None is a change without end: of nothing to something
        unknown = math.inf if change["after"] > change["before"] else -math.inf
        low, high = (
            unknown if change[end] is None else float(change[end]) for end in ("low", "high")
        )
        if self.is_upper:
            return True if high < self.limit else False if low >= self.limit else None
        return True if low > self.limit else False if high <= self.limit else None


def _see_that_it_asks_for_no_harm(
    measure: str, sign: str, number: str, text: str, where: str
) -> None:
    """Check that a run as good as its baseline could keep it: who writes ``p99>+10%`` means when to
    fail, and not what has to hold, and would have each good run failed and each bad one passed.
    """
    good = "<" if measure != "rate" else ">"
    limit = float(number)
    if sign != good and (limit >= 0 if sign == ">" else limit <= 0):
        raise UsageError(
            where,
            f"{text!r} would fail each run that is as good as its baseline: write what has to hold",
            f"baseline:{measure}{good}{number}%?",
        )


_NOT_COMPARED = "not decided, the runs cannot be compared"
_UNDECIDED = "the two runs do not decide it, run for longer"


def decided(document: Mapping[str, Any], gates: Sequence[BaselineGate]) -> dict[str, Any]:
    """The document of a run with its comparison, and the verdict that the gates leave of it.

    A run that is missed or invalid stays so.
    """
    comparison = document["comparison"]
    if not gates:
        return dict(document)
    if comparison["comparable"]:
        judged = [gate.judge(comparison["measures"]) for gate in gates]
        failed = [row["sentence"] for row in judged if row["held"] is False]
        reasons = failed or [row["sentence"] for row in judged if row["held"] is None]
    else:
        why = "; ".join(comparison["reasons"])
        # why not, the comparison says
        judged = [
            {"gate": gate.text, "held": None, "sentence": f"{gate.text}: {_NOT_COMPARED}"}
            for gate in gates
        ]
        failed, reasons = [], [f"the runs cannot be compared: {why}"]
    found = {**document, "comparison": {**comparison, "gates": judged}}
    if document["verdict"] != "met" or not reasons:
        return found
    verdict, code = ("missed", ExitCode.FAILED) if failed else ("invalid", ExitCode.INCONCLUSIVE)
    return {
        **found,
        "verdict": verdict,
        "exit_code": int(code),
        "reasons": [*document["reasons"], *reasons],
    }
