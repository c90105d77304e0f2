"""What all workers measured, merged: on the master, or beside the one recorder of a run without workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rolecall.load.measure.histogram import Histogram
from rolecall.load.measure.recorder import Second, Sums
from rolecall.load.measure.timeline import Timeline

_PERCENTS = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "p99.99": 99.99}
_ARRIVALS = ("scheduled", "sent", "completed", "late", "dropped")
#: The progress line speaks of so many seconds: workers report every three.
_RECENT = 5


@dataclass(frozen=True)
class Snapshot:
    """How the run goes now: per second over the last few seconds, times in seconds, counts since the start."""

    second: int
    rate: float
    p50: float
    p99: float
    requests: int
    errors: int
    throttled: int
    violations: int


@dataclass
class Worker:
    """What is known of one worker: how it ended, for whoever sees that to say; CPU time, over the run and in its worst report."""

    state: Literal["running", "finished", "died"] = "running"
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    cpu_most: float = 0.0
    requests: int = 0

    @property
    def cpu(self) -> float:
        """The share of one core that it used."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


class Totals:
    """The sum of all deltas, whatever their order; ``width`` is that of the recorders."""

    def __init__(self, width: float = 1.0) -> None:
        self.timeline = Timeline(width)
        self.workers: dict[str, Worker] = {}
        self.entries: dict[tuple[str, str], Sums] = {}
        self.lag = Histogram()
        self.violations: Counter[str] = Counter()
        #: Seconds from the start until the last request ended, to a thirtieth.
        self.ended = 0.0
        self._arrivals = [0] * len(_ARRIVALS)

    def merge(self, worker: str, delta: Mapping[str, Any]) -> None:
        """Add what a worker's `Recorder.take` gave."""
        state = self.workers.setdefault(worker, Worker())
        cpu, seconds = delta["cpu"]
        state.cpu_seconds += cpu
        state.seconds += seconds
        if seconds >= 0.5:  # a share of less says more of the moment than of the worker
            state.cpu_most = max(state.cpu_most, cpu / seconds)
        self._arrivals = [old + new for old, new in zip(self._arrivals, delta["arrivals"], strict=True)]
        self.ended = max(self.ended, delta["ended"])
        self.lag.merge(Histogram.unpack(delta["lag"]))
        for method, name, packed in delta["entries"]:
            sums = Sums.unpack(packed)
            state.requests += sums.count
            self.entries.setdefault((method, name), Sums()).merge(sums)
        for number, packed in delta["seconds"]:
            self.timeline.add(number, Second.unpack(packed))
        self.violations.update(delta["violations"])

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
        """The measured part of ``load.json``; the run was to last ``duration`` seconds, and lasts until its last request ends."""
        all_ = self._all()
        seconds = max(duration, self.ended)
        good = all_.response.count - all_.errors.total()
        return {
            "duration_s": round(seconds, 3),
            **dict(zip(_ARRIVALS, self._arrivals, strict=True)),
            "requests": all_.count,
            "throttled": all_.throttled.count,
            "errors": dict(sorted(all_.errors.items())),
            "violations": dict(sorted(self.violations.items())),
            "rate": round(good / seconds, 3) if seconds else 0.0,
            "response_ms": _times(all_.response),
            "service_ms": _times(all_.service),
            "dispatch_lag_ms": _times(self.lag),
            "workers": [
                {
                    "name": name,
                    "state": worker.state,
                    "requests": worker.requests,
                    "cpu": round(worker.cpu, 3),
                    "cpu_most": round(worker.cpu_most, 3),
                }
                for name, worker in sorted(self.workers.items())
            ],
            "entries": [
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
                for (method, name), sums in sorted(self.entries.items())
            ],
            "timeline": self.timeline.document(),
            "batches": list(self.timeline.batches()),
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


def _times(histogram: Histogram) -> dict[str, float]:
    values = histogram.percentiles(list(_PERCENTS.values()))
    times = dict(zip(_PERCENTS, values, strict=True))
    times.update(max=histogram.maximum, min=histogram.minimum, mean=histogram.mean)
    return {name: round(seconds * 1000, 4) for name, seconds in times.items()}
