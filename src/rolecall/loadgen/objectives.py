"""Objectives of a load run, as people write them (``p99<250ms``), judged against ``load.json``."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rolecall.errors import UsageError
from rolecall.histogram import Histogram
from rolecall.loadgen.measure.totals import PERCENTS

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
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
#: What is counted, and the whole of which it is a share.
_WHOLE = {
    "errors": "let in",
    "throttled": "requests",
    "violations": "requests",
    "late": "scheduled",
    "dropped": "scheduled",
}
_KNOWN = (
    "known: p50 (or any percentile), mean, max in us, ms, s; rate in /s; errors, throttled, "
    "violations, late, dropped as a number or in %; of the requests of one name: "
    '"issue:p99<250ms"'
)


@dataclass(frozen=True)
class Objective:
    """A measure and its limit; times are in ms, from when a request was due to its answer.

    ``rate`` is the good answers a second; the others are counts, or shares in per cent: ``errors``
    of the requests that were not throttled, ``throttled`` and ``violations`` of all requests,
    ``late`` and ``dropped`` of all that were scheduled. With a ``request`` it is asked of the
    requests of that name alone.
    """

    text: str
    measure: str
    comparison: str
    limit: float
    unit: Literal["ms", "%", "/s", ""]
    request: str = ""

    @classmethod
    def parse(cls, text: str, where: str = "--slo") -> Objective:
        """The objective that a person wrote; UsageError where it cannot be read."""
        request, named, rest = text.rpartition(":")
        plain, request = re.sub(r"\s", "", rest.lower()), request.strip()
        match = _FORM.fullmatch(plain)
        if match is None or (named and not request):
            raise UsageError(
                where, f"{text!r} is not an objective", f'Write it as "p99<250ms"; {_KNOWN}'
            )
        measure, comparison, number, unit = match.groups()
        shown = f"{request}:{plain}" if request else plain
        if request:
            _see_that_a_row_has_it(measure, text, where)
        limit = float(number)
        if measure in ("mean", "max") or _PERCENTILE.fullmatch(measure):
            if unit not in _UNITS:
                raise UsageError(
                    where,
                    f"{text!r}: a time needs a unit, one of {', '.join(_UNITS)}",
                    f"{measure}{comparison}{number}{'m' if unit.startswith('m') else 'ms'}?",
                )
            return cls(shown, measure, comparison, limit * _UNITS[unit], "ms", request)
        if measure == "rate" and unit in ("", "/s"):
            return cls(shown, measure, comparison, limit, "/s", request)
        if measure in _WHOLE and unit in ("", "%"):
            return cls(shown, measure, comparison, limit, "%" if unit else "", request)
        what = "unit" if measure == "rate" or measure in _WHOLE else "measure"
        raise UsageError(
            where, f"{text!r}: unknown {what} {unit if what == 'unit' else measure!r}", _KNOWN
        )

    def observed(self, document: Mapping[str, Any]) -> float | None:
        """What ``load.json`` says of the measure, in this unit; None where nothing was measured."""
        if not self.request:
            return self._of(document)
        rows = [self._of(row) for row in rows_of(document, self.request)]
        known = [value for value in rows if value is not None]
        worst = min if self.comparison.startswith(">") else max
        return worst(known, default=None)

    def _of(self, document: Mapping[str, Any]) -> float | None:
        """What a document, or one of its rows, says of the measure."""
        if self.unit == "ms":
            return _time(self.measure, document) if _let_in(document) else None
        if self.unit == "/s":
            return float(document["rate"])
        value = document[self.measure]
        count = float(sum(value.values()) if isinstance(value, Mapping) else value)
        if not self.unit:
            return count
        of = _WHOLE[self.measure]
        whole = _let_in(document) if of == "let in" else document[of]
        return 100 * count / whole if whole else None

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether the limit is kept; what was not measured keeps none."""
        observed = self.observed(document)
        return observed is not None and _COMPARE[self.comparison](observed, self.limit)


def rows_of(document: Mapping[str, Any], request: str) -> list[dict[str, Any]]:
    """The rows of ``load.json`` that have this name, each with its rate of good answers."""
    seconds = document["duration_s"]
    return [
        {
            **row,
            "rate": (_let_in(row) - sum(row["errors"].values())) / seconds if seconds else 0.0,
        }
        for row in document["entries"]
        if row["name"] == request
    ]


def _see_that_a_row_has_it(measure: str, text: str, where: str) -> None:
    """Check that a measure can be asked of the requests of one name."""
    known = (*PERCENTS, "mean", "max", "rate", "errors", "throttled")
    if measure not in known:
        raise UsageError(
            where,
            f"{text!r}: {measure} is not known of the requests of one name",
            f"Known: {', '.join(known)}.",
        )


def judge(objectives: Iterable[Objective], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``objectives`` of ``load.json``: each with what was observed, and whether it held."""
    return [
        {
            "objective": objective.text,
            "measure": objective.measure,
            "unit": objective.unit,
            "limit": objective.limit,
            "observed": objective.observed(document),
            "held": objective.holds(document),
            **({"request": objective.request} if objective.request else {}),
        }
        for objective in objectives
    ]


def verdict(
    judged: Sequence[Mapping[str, Any]],
    violations: int,
    void: Sequence[str],
    limited: Sequence[str] = (),
    *,
    beyond: bool = False,
) -> Verdict:
    """The verdict of a run.

    Args:
        violations: how many; one is a violation however the run went.
        void: what broke, on our side; such a run proves no more.
        limited: how this side was not able to offer the load, or to measure what it did.
        beyond: whether an objective is missed beyond doubt, even if all that ``limited`` is about
            had been perfect (`at_best`).
    """
    if violations:
        return "missed"
    if void:
        return "invalid"
    if beyond:
        return "missed"
    if limited:
        return "invalid"
    return "met" if all(row["held"] for row in judged) else "missed"


def beyond_doubt(
    objectives: Iterable[Objective],
    document: Mapping[str, Any],
    *,
    slow: bool = False,
    rest: int = 0,
) -> list[Objective]:
    """The objectives that the server missed even if this side's own faults are all excused.

    A limit from below, as that of ``rate``, is never missed beyond doubt: what was not sent might
    have been answered.

    Args:
        slow: whether all times may be this side's own.
        rest: requests that are still to come, which are all answered well and at once.
    """
    chosen = [objective for objective in objectives if objective.comparison in _FROM_ABOVE]
    best = at_best(document, slow=slow, rest=rest)
    # which of the rows those faults are in is not known
    is_excused = slow or best["requests"] > document["requests"] or document["pauses"]["requests"]
    has_rows = is_excused and any(objective.request for objective in chosen)
    rows = _rows_at_best(document, slow=slow, rest=rest) if has_rows else best
    return [
        objective
        for objective in chosen
        if _is_beyond(objective, rows if objective.request else best)
    ]


_FROM_ABOVE = {"<": operator.ge, "<=": operator.gt, "==": operator.gt}


def _is_beyond(objective: Objective, best: Mapping[str, Any]) -> bool:
    observed = objective.observed(best)
    return observed is not None and bool(
        _FROM_ABOVE[objective.comparison](observed, objective.limit)
    )


def at_best(document: Mapping[str, Any], *, slow: bool = False, rest: int = 0) -> dict[str, Any]:
    """What ``load.json`` would have said of the best server that could have left what was measured.

    What was dropped or could not be sent is taken to be answered well, and at once; so is what was
    due before this process went on after a pause. Where the generator was ``slow`` altogether, all
    times may be its own. The ``rest`` is still to come.
    """
    unsent = _unsent(document) + rest
    pauses = document["pauses"]
    best = {
        **document,
        "requests": document["requests"] + unsent,
        "errors": _undisturbed(document["errors"], pauses["errors"]),
        "dropped": 0,
        "late": 0,
    }
    if slow:
        return best | _times({0.0: _let_in(best)})
    at_once = unsent + pauses["requests"]
    if not at_once:
        return best
    times: Counter[float] = Counter({0.0: at_once})
    for batch in document["batches"]:
        times.update(dict(batch["response_ms"]))
    times.subtract(dict(pauses["response_ms"]))
    return best | _times(+times)


def _rows_at_best(document: Mapping[str, Any], *, slow: bool, rest: int) -> dict[str, Any]:
    """``load.json`` with those of its rows whose times are all known (`Totals.so_far`), as
    `at_best` has it: what is excused may all have been of this name, and so may the rest.
    """
    more, pauses = _unsent(document) + rest, document["pauses"]
    rows = []
    for row in document["entries"]:
        if (known := row.get("times_ms")) is None:
            continue
        times: Counter[float] = Counter() if slow else Counter(dict(known))
        times.subtract(dict(pauses["response_ms"]))
        times = +times
        best = {
            **row,
            "requests": row["requests"] + more,
            "errors": _undisturbed(row["errors"], pauses["errors"]),
        }
        times[0.0] += _let_in(best) - times.total()
        rows.append(best | _times(times))
    return {**document, "entries": rows}


def _unsent(document: Mapping[str, Any]) -> int:
    return int(document["dropped"] + sum(document["own_failures"].values()))


def _undisturbed(errors: Mapping[str, int], by_pauses: Mapping[str, int]) -> dict[str, int]:
    """The errors that neither a pause of this side explains, nor what it cannot read."""
    left = Counter(errors)
    left.subtract(by_pauses)
    left.pop("coding", None)  # of such an answer nothing is known
    return dict(+left)


def _times(counts: Mapping[float, int]) -> dict[str, Any]:
    """The response times of ``load.json``, from how many requests took how many milliseconds."""
    pairs = sorted(counts.items())
    histogram = Histogram.of((ms / 1000, count) for ms, count in pairs)
    return {
        "batches": [{"response_ms": pairs}],
        "response_ms": {"mean": histogram.mean * 1000, "max": histogram.maximum * 1000},
    }


def _let_in(document: Mapping[str, Any]) -> int:
    """The requests that the server did not turn away at the door."""
    return int(document["requests"] - document["throttled"])


def _time(measure: str, document: Mapping[str, Any]) -> float:
    times = document["response_ms"]
    if measure in times:
        return float(times[measure])
    return Histogram.of_load(document).percentile(float(measure[1:])) * 1000
