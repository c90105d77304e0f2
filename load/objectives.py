"""Objectives: what a load run must hold, as people write it (``p99<250ms``), judged against what ``load.json`` says."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rolecall.errors import UsageError
from rolecall.load.measure.histogram import Histogram

Verdict = Literal["met", "missed", "invalid"]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_FORM = re.compile(r"([a-z]+[0-9.]*)(<=|>=|==|<|>)([0-9]+(?:\.[0-9]+)?)([a-z%/]*)")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
#: Units of a time, in milliseconds.
_TIMES = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
#: What is counted, and the whole of which it is a share.
_WHOLE = {"errors": "requests", "throttled": "requests", "violations": "requests", "late": "scheduled", "dropped": "scheduled"}
_KNOWN = "known: p50 (or any percentile), mean, max in us, ms, s; rate in /s; errors, throttled, violations, late, dropped as a number or in %"


@dataclass(frozen=True)
class Objective:
    """A measure, and the limit that it must keep: times in milliseconds of response time, from when a request was due.

    ``rate`` is the good answers a second; the others are counts, or shares in per cent: of all requests, and ``late`` and
    ``dropped`` of all that were scheduled.
    """

    text: str
    measure: str
    comparison: str
    limit: float
    unit: Literal["ms", "%", "/s", ""]

    @classmethod
    def parse(cls, text: str, where: str = "--slo") -> Objective:
        """The objective that a person wrote; UsageError, with what is known, when it cannot be read."""
        plain = re.sub(r"\s", "", text.lower())
        match = _FORM.fullmatch(plain)
        if match is None:
            raise UsageError(where, f"{text!r} is no objective", f'write it as "p99<250ms"; {_KNOWN}')
        measure, comparison, number, unit = match.groups()
        limit = float(number)
        if measure in ("mean", "max") or _PERCENTILE.fullmatch(measure):
            if unit not in _TIMES:
                raise UsageError(
                    where, f"{text!r}: a time needs a unit, one of {', '.join(_TIMES)}", f"{measure}{comparison}{number}ms?"
                )
            return cls(plain, measure, comparison, limit * _TIMES[unit], "ms")
        if measure == "rate" and unit in ("", "/s"):
            return cls(plain, measure, comparison, limit, "/s")
        if measure in _WHOLE and unit in ("", "%"):
            return cls(plain, measure, comparison, limit, "%" if unit else "")
        what = "unit" if measure == "rate" or measure in _WHOLE else "measure"
        raise UsageError(where, f"{text!r}: no such {what} as {unit if what == 'unit' else measure!r}", _KNOWN)

    def observed(self, document: Mapping[str, Any]) -> float | None:
        """What ``load.json`` says of the measure, in this objective's unit; None when nothing was measured."""
        if self.unit == "ms":
            return _time(self.measure, document) if document["requests"] else None
        if self.unit == "/s":
            return float(document["rate"])
        value = document[self.measure]
        count = float(sum(value.values()) if isinstance(value, Mapping) else value)
        if not self.unit:
            return count
        whole = document[_WHOLE[self.measure]]
        return 100 * count / whole if whole else None

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether the limit is kept; what was not measured keeps none."""
        observed = self.observed(document)
        return observed is not None and _COMPARE[self.comparison](observed, self.limit)


def judge(objectives: Iterable[Objective], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``objectives`` of ``load.json``: each with what was observed, in its unit, and whether it held."""
    return [
        {
            "objective": it.text,
            "measure": it.measure,
            "unit": it.unit,
            "limit": it.limit,
            "observed": it.observed(document),
            "held": it.holds(document),
        }
        for it in objectives
    ]


def verdict(judged: Sequence[Mapping[str, Any]], violations: int, invalid: Sequence[str]) -> Verdict:
    """The verdict of a run: a violation is a violation however the run went; a run with a reason in ``invalid`` proves no more."""
    if violations:
        return "missed"
    if invalid:
        return "invalid"
    return "met" if all(it["held"] for it in judged) else "missed"


def _time(measure: str, document: Mapping[str, Any]) -> float:
    times = document["response_ms"]
    if measure in times:
        return float(times[measure])
    merged = Histogram.of((ms / 1000, count) for batch in document["batches"] for ms, count in batch["response_ms"])
    return merged.percentile(float(measure[1:])) * 1000
