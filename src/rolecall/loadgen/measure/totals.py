"""What all workers measured, merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rolecall.histogram import Histogram
from rolecall.loadgen.checks.violations import KINDS
from rolecall.loadgen.measure.conservation import Accounts
from rolecall.loadgen.measure.machine import MachineTimes
from rolecall.loadgen.measure.recorder import Second, Sums
from rolecall.loadgen.measure.timeline import Timeline, pairs
from rolecall.loadgen.untrusted import MOST, counts, number, sequence, whole

#: The percentiles in each row of ``load.json``.
PERCENTS = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "p99.99": 99.99}
_ARRIVALS = ("scheduled", "sent", "completed", "late", "dropped")
#: What a recorder counts, in the order of its report.
COUNTERS = (*_ARRIVALS, "unanswered", "begun")
#: The progress line speaks of so many seconds: workers report every three.
_RECENT = 5


@dataclass(frozen=True)
class Snapshot:
    """How the run goes now: over the last few seconds; counts since the start."""

    second: int
    rate: float
    p50: float
    p99: float
    requests: int
    errors: int
    throttled: int
    violations: int


@dataclass
class WorkerTotals:
    """One worker's state and CPU time; ``stood_still`` are the seconds of pauses that matter.

    ``stood_still`` is how long it did nothing at all in pauses that matter (`measure.pauses`), in
    seconds.
    """

    state: Literal["running", "finished", "died"] = "running"
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    cpu_most: float = 0.0
    requests: int = 0
    longest_pause: float = 0.0
    stood_still: float = 0.0
    machine: MachineTimes = field(default_factory=MachineTimes)

    @property
    def cpu(self) -> float:
        """The share of one core that it used."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Delta:
    """A worker's report, read as a whole before any of it is added."""

    counters: list[int]
    cpu: tuple[float, float]
    machine: MachineTimes
    ended: float
    lag: Histogram
    longest_pause: float
    stood_still: float
    disturbed: Histogram
    disturbed_errors: dict[str, int]
    entries: list[tuple[str, str, Sums]]
    seconds: list[tuple[int, Second]]
    violations: dict[str, int]

    @classmethod
    def read(cls, delta: Mapping[str, Any]) -> Delta:
        """The report as it came; ValueError, TypeError, KeyError, AttributeError or struct.error
        where it is none.
        """
        longest, stood_still, disturbed, disturbed_errors = delta["pauses"]
        cpu, seconds = delta["cpu"]
        counters = sequence("arrivals", delta["arrivals"], length=len(COUNTERS))
        return cls(
            counters=[whole("arrivals", count) for count in counters],
            cpu=(number("cpu", cpu), number("cpu", seconds)),
            machine=MachineTimes(
                *(
                    number("machine", value)
                    for value in sequence(
                        "machine", delta["machine"], length=len(fields(MachineTimes))
                    )
                )
            ),
            ended=number("ended", delta["ended"], -MOST),
            lag=Histogram.unpack(delta["lag"]),
            longest_pause=number("pauses", longest),
            stood_still=number("pauses", stood_still),
            disturbed=Histogram.unpack(disturbed),
            disturbed_errors=counts("pauses", disturbed_errors),
            entries=[
                (str(method), str(name), _sums(packed)) for method, name, packed in delta["entries"]
            ],
            seconds=[
                (whole("seconds", at, 0, _LAST_SECOND), _second(packed))
                for at, packed in delta["seconds"]
            ],
            violations=counts("violations", delta["violations"], KINDS),
        )


#: The last second that a report may speak of, 46 days after the start: the timeline has a row for
#: each up to it.
_LAST_SECOND = 4_000_000


def _sums(packed: list[Any]) -> Sums:
    sums = Sums.unpack(packed)
    for failures in (sums.errors, sums.own):
        counts("entries", failures)
    whole("entries", sums.size)
    return sums


def _second(packed: list[Any]) -> Second:
    second = Second.unpack(packed)
    for value in (second.errors, second.throttled, second.violations, *second.arrivals):
        whole("seconds", value)
    return second


class Totals:
    """The sum of all deltas, whatever their order; ``width`` is that of the recorders."""

    def __init__(self, width: float = 1.0) -> None:
        self.timeline = Timeline(width)
        self.workers: dict[str, WorkerTotals] = {}
        self.entries: dict[tuple[str, str], Sums] = {}
        self.lag = Histogram()
        self.violations: Counter[str] = Counter()
        #: Seconds from the start until the last request ended, to a thirtieth.
        self.ended = 0.0
        self.disturbed = Histogram()
        self.disturbed_errors: Counter[str] = Counter()
        self._counters = [0] * len(COUNTERS)

    def merge(self, worker: str, delta: Mapping[str, Any]) -> None:
        """Add what a worker's `Recorder.take` gave."""
        self.add(worker, Delta.read(delta))

    def add(self, worker: str, delta: Delta) -> None:
        """Add what has been read of a worker's report."""
        state = self.workers.setdefault(worker, WorkerTotals())
        cpu, seconds = delta.cpu
        state.cpu_seconds += cpu
        state.seconds += seconds
        state.machine += delta.machine
        if seconds >= 0.5:  # a share of less says more of the moment than of the worker
            state.cpu_most = max(state.cpu_most, cpu / seconds)
        state.longest_pause = max(state.longest_pause, delta.longest_pause)
        state.stood_still += delta.stood_still
        self._counters = [
            old + new for old, new in zip(self._counters, delta.counters, strict=True)
        ]
        self.ended = max(self.ended, delta.ended)
        self.lag.merge(delta.lag)
        self.disturbed.merge(delta.disturbed)
        self.disturbed_errors.update(delta.disturbed_errors)
        for method, name, sums in delta.entries:
            state.requests += sums.count
            self.entries.setdefault((method, name), Sums()).merge(sums)
        for at, second in delta.seconds:
            self.timeline.add(at, second)
        self.violations.update(delta.violations)

    def violation(self, kind: str, at: float, count: int = 1) -> None:
        """A violation that is only seen over all workers, ``at`` seconds from the start."""
        self.violations[kind] += count
        self.timeline.violation(max(int(at / self.timeline.width), 0), count)

    def snapshot(self) -> Snapshot:
        """For the progress line: the run as it goes now."""
        response, counts = self.timeline.recent(_RECENT)
        p50, p99 = response.percentiles([50, 99])
        all_ = self._all()
        return Snapshot(
            second=int(len(self.timeline) * self.timeline.width),
            rate=counts["requests"] - counts["errors"] - counts["throttled"],
            p50=p50,
            p99=p99,
            requests=all_.count,
            errors=all_.errors.total(),
            throttled=all_.throttled.count,
            violations=self.violations.total(),
        )

    def document(self, duration: float = 0.0) -> dict[str, Any]:
        """The measured part of ``load.json``; ``duration`` is how long the run was to last."""
        all_ = self._all()
        seconds = max(duration, self.ended)
        good = all_.response.count - all_.errors.total()
        return {
            "duration_s": round(seconds, 3),
            **dict(zip(_ARRIVALS, self._counters[: len(_ARRIVALS)], strict=True)),
            "requests": all_.count,
            "throttled": all_.throttled.count,
            "errors": dict(sorted(all_.errors.items())),
            "own_failures": dict(sorted(all_.own.items())),
            "conservation": self.accounts(all_).document(),
            "violations": dict(sorted(self.violations.items())),
            "rate": round(good / seconds, 3) if seconds else 0.0,
            "response_ms": _times(all_.response),
            "service_ms": _times(all_.service),
            "dispatch_lag_ms": _times(self.lag),
            "pauses": self._pauses(),
            "workers": self._workers(),
            "entries": _rows(self.entries),
            "timeline": self.timeline.document(),
            "batches": list(self.timeline.batches(seconds)),
        }

    def so_far(self, names: Collection[str] = ()) -> dict[str, Any]:
        """What `objectives.beyond_doubt` asks of a document, while the run goes on; no timeline.

        Args:
            names: the rows that are asked for, each with all its times.
        """
        all_ = self._all()
        chosen = {key: self.entries[key] for key in sorted(self.entries) if key[1] in names}
        return {
            "duration_s": round(self.ended, 3),
            **dict(zip(_ARRIVALS, self._counters[: len(_ARRIVALS)], strict=True)),
            "requests": all_.count,
            "throttled": all_.throttled.count,
            "errors": dict(all_.errors),
            "own_failures": dict(all_.own),
            "violations": dict(self.violations),
            "rate": 0.0,
            "response_ms": _times(all_.response),
            "service_ms": _times(all_.service),
            "dispatch_lag_ms": _times(self.lag),
            "pauses": self._pauses(),
            "workers": self._workers(),
            "entries": [
                {**row, "times_ms": pairs(sums.response)}
                for sums, row in zip(chosen.values(), _rows(chosen), strict=True)
            ],
            "batches": [{"response_ms": pairs(all_.response)}],
        }

    def _workers(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "state": worker.state,
                "requests": worker.requests,
                "cpu": round(worker.cpu, 3),
                "cpu_most": round(worker.cpu_most, 3),
                "longest_pause_ms": round(worker.longest_pause * 1000, 1),
                "stood_still_ms": round(worker.stood_still * 1000, 1),
                **worker.machine.shares(worker.seconds),
            }
            for name, worker in sorted(self.workers.items())
        ]

    def accounts(self, all_: Sums | None = None) -> Accounts:
        """What was sent, and what came of it."""
        counted = dict(zip(COUNTERS, self._counters, strict=True))
        all_ = all_ or self._all()
        failed = all_.errors.total()
        return Accounts(
            scheduled=counted["scheduled"],
            dropped=counted["dropped"],
            sent=counted["sent"],
            completed=counted["completed"],
            unanswered=counted["unanswered"],
            requests_sent=counted["begun"],
            good=all_.response.count - failed,
            throttled=all_.throttled.count,
            failed=failed,
            own_failures=all_.own.total(),
            by_second=self.timeline.requests,
        )

    def _pauses(self) -> dict[str, Any]:
        """How this side stood still, and the requests that may have been disturbed."""
        workers = self.workers.values()
        return {
            "longest_ms": round(
                1000 * max((worker.longest_pause for worker in workers), default=0.0), 1
            ),
            "stood_still_ms": round(
                1000 * max((worker.stood_still for worker in workers), default=0.0), 1
            ),
            "requests": self.disturbed.count,
            "errors": dict(sorted(self.disturbed_errors.items())),
            "response_ms": pairs(self.disturbed),
        }

    @property
    def response(self) -> Histogram:
        """The response times of all requests, for the percentile file."""
        return self._all().response

    def _all(self) -> Sums:
        merged = Sums()
        for sums in self.entries.values():
            merged.merge(sums)
        return merged


def _rows(entries: Mapping[tuple[str, str], Sums]) -> list[dict[str, Any]]:
    return [
        {
            "method": method,
            "name": name,
            "requests": sums.count,
            "throttled": sums.throttled.count,
            "errors": dict(sorted(sums.errors.items())),
            "bytes": sums.size,
            "response_ms": _times(sums.response),
            "service_ms": _times(sums.service),
        }
        for (method, name), sums in sorted(entries.items(), key=lambda entry: entry[0])
    ]


def _times(histogram: Histogram) -> dict[str, float]:
    values = histogram.percentiles(list(PERCENTS.values()))
    times = dict(zip(PERCENTS, values, strict=True))
    times.update(max=histogram.maximum, min=histogram.minimum, mean=histogram.mean)
    return {name: round(seconds * 1000, 4) for name, seconds in times.items()}
