"""Adds what a `Recorder` measured to Locust's own statistics.

Locust is told the response time, from when a request was due. A throttled request is a failure
there, as any 429 is, and so is one that this machine could not send, which has no time.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from locust import stats as locust
from locust.env import Environment

from rolecall.loadgen.measure.recorder import Recorder, Sums

THROTTLED = "throttled (429)"


def flush(recorder: Recorder, stats: locust.RequestStats) -> None:
    """Add what is new since the last call, exactly; buckets as Locust rounds."""
    for entry, seconds in recorder.unflushed():
        for row in (stats.entries[entry.name, entry.method], stats.total):
            for second, sums in seconds.items():
                _add(row, second, sums)
        for sums in seconds.values():
            kinds = {
                **sums.errors,
                **{f"{kind} (this machine)": count for kind, count in sums.own.items()},
            }
            _failures(stats, entry.method, entry.name, {**kinds, THROTTLED: sums.throttled.count})


def write_tables(environment: Environment, prefix: str) -> None:
    """Write Locust's CSV files again: its own writer has not seen the run's end."""
    tables = locust.StatsCSV(environment, locust.PERCENTILES_TO_REPORT)
    for name, write in (
        ("stats", tables.requests_csv),
        ("failures", tables.failures_csv),
        ("exceptions", tables.exceptions_csv),
    ):
        unfinished = Path(f"{prefix}_{name}.tmp")
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            rows: Any = csv.writer(file)  # Locust's protocol names what csv leaves unnamed
            write(rows)
        unfinished.replace(f"{prefix}_{name}.csv")


def _add(row: Any, second: int, sums: Sums) -> None:
    # Any, for a StatsEntry: its times are annotated as whole milliseconds, and fractions where its
    # own clients log them.
    now = time.time()
    if (
        row.use_response_times_cache
        and row.last_request_timestamp
        and int(now) > int(row.last_request_timestamp)
    ):
        # As its own log() does: what was there before this second, for the percentiles of the last
        # ten.
        row._cache_response_times(int(now) - 1)  # noqa: SLF001  # there is no other way in
    own = sums.own.total()
    failures = sums.errors.total() + sums.throttled.count + own
    row.num_requests += sums.count + own
    row.num_none_requests += own  # no times
    row.num_failures += failures
    row.total_content_length += sums.size
    row.last_request_timestamp = now
    row.num_reqs_per_sec[second] += sums.count + own
    if failures:
        row.num_fail_per_sec[second] += failures
    for times in (sums.response, sums.throttled):
        if not times.count:
            continue
        row.total_response_time += times.total * 1000
        least = times.minimum * 1000
        row.min_response_time = (
            least if row.min_response_time is None else min(row.min_response_time, least)
        )
        row.max_response_time = max(row.max_response_time, times.maximum * 1000)
        for seconds, count in times.buckets():
            row.response_times[locust.bucket_response_time(seconds * 1000)] += count


def _failures(stats: locust.RequestStats, method: str, name: str, kinds: Mapping[str, int]) -> None:
    for kind, count in kinds.items():
        if not count:
            continue
        key = locust.StatsError.create_key(method, name, kind)
        error = stats.errors.setdefault(key, locust.StatsError(method, name, kind))
        error.occurred()
        error.occurrences += count - 1
