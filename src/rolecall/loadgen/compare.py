"""Two load runs side by side: whether a difference is more than noise.

Noise is what varied within the runs: each is cut into at most 20 blocks of time, and put together
again at random many times over (a block bootstrap, B. Efron 1979, H. R. Künsch 1989). The interval
of the differences is widened for there being few blocks, and for good and bad times that last
longer than a block. What it leaves out is a difference; as five measures are looked at, each
interval has a confidence of 99 %, so that two equal runs are called different about one time in
twenty. What varies only between runs is not seen here: a small difference is worth a second pair of
runs.
"""

from __future__ import annotations

import json
import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any, Literal

from rolecall.errors import UsageError
from rolecall.loadgen.generator_limits import most_lag
from rolecall.loadgen.race_scenario import RefreshRaceScenario
from rolecall.loadgen.scenarios import MIXED, GuardedScenario
from rolecall.schema_validation import validation_errors

CONFIDENCE = 0.99
_MOST_BLOCKS, _LEAST_BLOCKS = 20, 8
_REPETITIONS = 2000
#: A smaller difference counts as none: a histogram cannot resolve it.
_RESOLUTION = 0.01
#: Runs whose lengths differ by more are not compared.
_LENGTH = 0.1
#: Scenarios that are other ones with other options.
_MANY_SHAPES = frozenset({MIXED, GuardedScenario.name, RefreshRaceScenario.name})


@dataclass(frozen=True)
class FigureChange:
    """A measure of both runs; ``change`` is relative, or in percentage points for a share."""

    measure: str
    before: float
    after: float
    change: float | None
    low: float | None
    high: float | None
    confidence: float
    verdict: Literal["better", "worse", "same"]
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """What changed between two runs; ``reasons`` say why they are not ``comparable``."""

    comparable: bool
    reasons: list[str] = field(default_factory=list)
    measures: list[FigureChange] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """``comparison`` in ``load.json``."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.comparable:
            return "not comparable: " + "; ".join(self.reasons)
        return "\n".join([change.sentence for change in self.measures] + self.reasons)


def read(path: Path) -> dict[str, Any]:
    """The ``load.json`` of a run's folder, or at its own path; UsageError where unreadable."""
    file = path / "load.json" if path.is_dir() else path
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise UsageError(
            str(file), f"cannot be read: {why}", "Give the folder of a finished load run."
        ) from None
    if wrong := validation_errors("load", document):
        raise UsageError(
            str(file), f"is not a load.json: {wrong[0]}", "Give the folder of a finished load run."
        )
    return document


def compare(before: Mapping[str, Any], after: Mapping[str, Any], *, seed: int = 0) -> Comparison:
    """Compare two ``load.json``; the same two always give the same answer."""
    if reasons := list(_obstacles(before, after)):
        return Comparison(comparable=False, reasons=reasons)
    old, new = _Run(before), _Run(after)
    dice = random.Random(seed)  # noqa: S311  # repeatable, not secret
    pairs = [(old.again(dice), new.again(dice)) for _ in range(_REPETITIONS)]
    few = _few(min(len(old.blocks), len(new.blocks)))
    changes = [
        measure.change(
            old.observed,
            new.observed,
            pairs,
            few * max(run.lasting(measure.name) for run in (old, new)),
        )
        for measure in _MEASURES
    ]
    return Comparison(comparable=True, reasons=list(_violations(before, after)), measures=changes)


def _obstacles(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name, document in (("the baseline", before), ("this run", after)):
        if document["verdict"] == "invalid":
            yield f"{name} is invalid: {'; '.join(document['reasons']) or 'no reason given'}"
        elif document["requests"] == document["throttled"]:
            yield f"{name} has no answers to compare"
        elif len(document["batches"]) < _LEAST_BLOCKS:
            yield (
                f"{name} is too short: {len(document['batches'])} s, and less than "
                f"{_LEAST_BLOCKS} s says nothing of noise"
            )
        lag, most = document["dispatch_lag_ms"]["p99"], most_lag(document)
        if lag > most:
            yield (
                f"the times of {name} are not the server's alone: its generator was {lag:.0f} ms "
                f"behind its schedule (p99, at most {most:.0f} ms)"
            )
    if before["scenario"] != after["scenario"]:
        yield f"other scenario: {before['scenario']}, and now {after['scenario']}"
    if _load(before) != _load(after):
        yield f"other load: {_load(before)}, and now {_load(after)}"
    yield from _other_shape(before, after)
    if abs(math.log((before["duration_s"] or 1) / (after["duration_s"] or 1))) > _LENGTH:
        yield f"other duration: {before['duration_s']:g} s, and now {after['duration_s']:g} s"


def _other_shape(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """How the same rate, or as many users, are another load (`plan.shape`)."""
    old, new = before.get("options"), after.get("options")
    if old is not None and new is not None:
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield (
                    f"other --{name.replace('_', '-')}: {_said(old.get(name))}, and now "
                    f"{_said(new.get(name))}"
                )
    elif before["scenario"] in _MANY_SHAPES:
        yield (
            f"{'the baseline' if old is None else 'this run'} does not say what it was made of: "
            "an older version wrote it"
        )
    if len(before["workers"]) != len(after["workers"]):
        yield f"other --workers: {len(before['workers'])}, and now {len(after['workers'])}"


def _said(value: object) -> str:
    """An option's value as one writes it."""
    return (
        ",".join(f"{name}={weight}" for name, weight in value.items())
        if isinstance(value, Mapping)
        else f"{value}"
    )


def _load(document: Mapping[str, Any]) -> str:
    if document.get("users"):
        return f"{document['users']} users"
    arrivals = document.get("arrivals") or {"arrivals": "constant", "phases": []}
    phases = ", ".join(
        f"{phase['low']:g}..{phase['high']:g}/s for {phase['seconds']:g} s"
        for phase in arrivals["phases"]
    )
    return f"{arrivals['arrivals']} arrivals, {phases}"


def _violations(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for kind in sorted({*before["violations"], *after["violations"]}):
        old, new = before["violations"].get(kind, 0), after["violations"].get(kind, 0)
        if bool(old) != bool(new):
            yield f"violations ({kind}): {old} -> {new}"


def _even(batches: Sequence[Mapping[str, Any]], seconds: float) -> list[Mapping[str, Any]]:
    """The batches of a run of so many seconds; one that was cut short by its end, by more than a
    half, is part of the one before it.
    """
    *before, last = batches
    last = {**last, "end_s": max(min(last["end_s"], seconds), last["begin_s"])}
    if (
        not before
        or last["end_s"] - last["begin_s"] >= (before[0]["end_s"] - before[0]["begin_s"]) / 2
    ):
        return [*before, last]
    *before, previous = before
    counts = {name: previous[name] + last[name] for name in ("requests", "errors", "throttled")}
    times = [*previous["response_ms"], *last["response_ms"]]
    both = {"begin_s": previous["begin_s"], "end_s": last["end_s"], "response_ms": times}
    return [*before, {**counts, **both}]


@dataclass(frozen=True)
class _Block:
    """Some batches in a row; ``passed`` counts the requests up to each of the run's times."""

    seconds: float
    requests: int
    errors: int
    throttled: int
    passed: Sequence[int]


class _Run:
    """A run cut into blocks."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        batches = _even(document["batches"], document["duration_s"])
        size = math.ceil(len(batches) / _MOST_BLOCKS)
        parts = [batches[at : at + size] for at in range(0, len(batches), size)]
        self._times = sorted({ms for batch in batches for ms, _ in batch["response_ms"]})
        self.blocks = [self._block(part) for part in parts]
        self.observed = self._measure(Counter(range(len(self.blocks))))

    def again(self, dice: random.Random) -> dict[str, float]:
        """The measures of a resampled run: as many of its blocks, drawn with replacement."""
        return self._measure(Counter(dice.choices(range(len(self.blocks)), k=len(self.blocks))))

    def lasting(self, measure: str) -> float:
        """How much an interval widens by the measure's autocorrelation."""
        values = [self._measure({number: 1})[measure] for number in range(len(self.blocks))]
        mean, n = fmean(values), len(values)
        variance = sum((value - mean) ** 2 for value in values)
        if not variance:
            return 1.0
        found = (
            sum((earlier - mean) * (later - mean) for earlier, later in pairwise(values)) / variance
        )
        # From few values it comes out too small (M. G. Kendall 1954); what is negative is not
        # relied upon.
        likely = min(max(found + (1 + 3 * found) / n, 0.0), 0.8)
        return math.sqrt((1 + likely) / (1 - likely))

    def _block(self, batches: Sequence[Mapping[str, Any]]) -> _Block:
        counts: Counter[float] = Counter()
        for batch in batches:
            for ms, count in batch["response_ms"]:
                counts[ms] += count
        return _Block(
            seconds=batches[-1]["end_s"] - batches[0]["begin_s"],
            requests=sum(batch["requests"] for batch in batches),
            errors=sum(batch["errors"] for batch in batches),
            throttled=sum(batch["throttled"] for batch in batches),
            passed=list(accumulate(counts[ms] for ms in self._times)),
        )

    def _measure(self, drawn: Mapping[int, int]) -> dict[str, float]:
        blocks = [(self.blocks[number], times) for number, times in drawn.items()]
        requests = sum(block.requests * times for block, times in blocks)
        errors = sum(block.errors * times for block, times in blocks)
        throttled = sum(block.throttled * times for block, times in blocks)
        seconds = sum(block.seconds * times for block, times in blocks)
        return {
            "p50": self._percentile(50, blocks),
            "p99": self._percentile(99, blocks),
            "rate": (requests - errors - throttled) / seconds,
            "errors": 100 * errors / requests if requests else 0.0,
            "throttled": 100 * throttled / requests if requests else 0.0,
        }

    def _percentile(self, percent: float, blocks: Sequence[tuple[_Block, int]]) -> float:
        columns = [(block.passed, times) for block, times in blocks]
        rank = percent / 100 * sum(passed[-1] * times for passed, times in columns)
        at = bisect_left(
            range(len(self._times)),
            rank,
            key=lambda column: sum(passed[column] * times for passed, times in columns),
        )
        return float(self._times[min(at, len(self._times) - 1)])


@dataclass(frozen=True)
class _Measure:
    """How a measure is compared; ``less`` and ``more`` say whether that is better or worse."""

    name: str
    unit: str
    less: tuple[Literal["better", "worse"], str]
    more: tuple[Literal["better", "worse"], str]

    def change(
        self,
        before: Mapping[str, float],
        after: Mapping[str, float],
        pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]],
        widen: float,
    ) -> FigureChange:
        """The change of the measure, with its interval."""
        share = self.unit == "%"
        distance: Callable[[float, float], float] = _difference if share else _ratio
        old, new = before[self.name], after[self.name]
        middle = distance(old, new)
        spread = sorted(distance(a[self.name], b[self.name]) for a, b in pairs)
        tail = round((1 - CONFIDENCE) / 2 * len(spread))
        low = middle + (spread[tail] - middle) * widen
        high = middle + (spread[-1 - tail] - middle) * widen
        least = 0.0 if share else math.log1p(_RESOLUTION)
        verdict: Literal["better", "worse", "same"] = "same"
        words = "no difference beyond noise"
        if (low > 0 or high < 0) and abs(middle) > least:
            verdict, words = self.more if middle > 0 else self.less
        figures = [value if share else math.expm1(value) for value in (middle, low, high)]
        change, least_likely, most_likely = (
            round(value, 5) if math.isfinite(value) else None for value in figures
        )
        sentence = f"{self._figures(old, new, figures)}: {words}"
        return FigureChange(
            self.name,
            round(old, 4),
            round(new, 4),
            change,
            least_likely,
            most_likely,
            CONFIDENCE,
            verdict,
            sentence,
        )

    def _figures(self, old: float, new: float, figures: Sequence[float]) -> str:
        unit = self.unit if self.unit == "/s" else f" {self.unit}"
        change, low, high = (
            _signed(value if self.unit == "%" else value * 100) for value in figures
        )
        name = " points" if self.unit == "%" else " %"
        values = f"{self.name} {old:.3g} -> {new:.3g}{unit}"
        return (
            values
            if old == new == 0
            else f"{values}, {change}{name} ({100 * CONFIDENCE:g} % interval {low} .. {high}{name})"
        )


_MEASURES = (
    _Measure("p50", "ms", ("better", "faster"), ("worse", "slower")),
    _Measure("p99", "ms", ("better", "faster"), ("worse", "slower")),
    _Measure("rate", "/s", ("worse", "carries less"), ("better", "carries more")),
    _Measure("errors", "%", ("better", "fewer"), ("worse", "more")),
    _Measure("throttled", "%", ("better", "fewer"), ("worse", "more")),
)


def _signed(value: float) -> str:
    """A change to two digits, as people write it."""
    return f"{value:+,.0f}" if abs(value) >= 99.5 else f"{value:+.2g}"


def _ratio(old: float, new: float) -> float:
    if old and new:
        return math.log(new / old)
    return 0.0 if old == new else math.copysign(math.inf, new - old)


def _difference(old: float, new: float) -> float:
    return new - old


def _few(blocks: int) -> float:
    """How much an interval of few blocks widens: Student's t, and the variance's n/(n-1)."""
    z, free = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), blocks - 1
    # Abramowitz and Stegun 26.7.5.
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return t / z * math.sqrt(blocks / free)
