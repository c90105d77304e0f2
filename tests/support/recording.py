"""Processes of a real Locust in which a `Recorder` records known requests; what Locust and `Totals`
then say is printed as JSON.

Run as ``python -m tests.support.recording local`` or ``master PORT WORKERS`` or ``worker PORT``.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

NAMES = ("/v2/auth/token", "/v2/auth/refresh")


class Known(NamedTuple):
    """One request: ``kind`` is "" for a success, "throttled", or that of a failure; times in
    seconds.
    """

    name: str
    kind: str
    response: float
    service: float
    size: int


def known(seed: int, count: int = 5_000) -> Iterator[Known]:
    """The requests that the worker of this seed records."""
    dice = random.Random(seed)
    for _ in range(count):
        kind = dice.choices(("", "throttled", "timeout", "status-500"), (94, 2, 3, 1))[0]
        service = dice.lognormvariate(-5, 1)
        yield Known(
            dice.choice(NAMES),
            kind,
            service + dice.random() * 0.01,
            service,
            0 if kind else dice.randrange(700),
        )


def record(recorder: Any, seed: int, between: Callable[[], None]) -> None:
    """Record them now, over some tenths of a second."""
    for number, request in enumerate(known(seed)):
        entry = recorder.entry("POST", request.name)
        received = time.perf_counter()
        due, sent = received - request.response, received - request.service
        if not request.kind:
            entry.success(due, sent, received, request.size)
        elif request.kind == "throttled":
            entry.throttled(due, sent, received)
        else:
            entry.failure(request.kind, due, sent, received)
        recorder.scheduled += 1
        recorder.sent += 1
        recorder.completed += 1
        recorder.lag.note(request.response - request.service)
        if number % 500 == 0:
            between()
    recorder.violation("another-user")


def report(environment: Any, totals: Any) -> None:
    """Print what both say."""
    stats = environment.stats
    rows = {
        name: {
            "requests": row.num_requests,
            "failures": row.num_failures,
            "total": row.total_response_time,
            "min": row.min_response_time,
            "max": row.max_response_time,
            "size": row.total_content_length,
            "buckets": sum(row.response_times.values()),
            "median": row.median_response_time,
            "p99": row.get_response_time_percentile(0.99),
            "per_second": sum(row.num_reqs_per_sec.values()),
            "failed_per_second": sum(row.num_fail_per_sec.values()),
            "last": row.last_request_timestamp - time.time(),
            "current": row.get_current_response_time_percentile(0.5),
        }
        for name, row in [
            ("Aggregated", stats.total),
            *((name, stats.get(name, "POST")) for name in NAMES),
        ]
    }
    errors = {f"{error.name} {error.error}": error.occurrences for error in stats.errors.values()}
    print(json.dumps({"rows": rows, "errors": errors, "document": totals.document()}))  # noqa: T201  # the answer


def local() -> None:
    """One process, without workers."""
    import gevent
    from locust.env import Environment

    from rolecall.loadgen.measure.locust_stats import flush
    from rolecall.loadgen.measure.recorder import Recorder
    from rolecall.loadgen.measure.totals import Totals

    environment = Environment()
    environment.create_local_runner()
    recorder, totals = Recorder(time.perf_counter()), Totals()

    def between() -> None:
        gevent.sleep(0.12)
        flush(recorder, environment.stats)
        totals.merge("local", recorder.take())

    record(recorder, 0, between)
    between()
    gevent.sleep(2)  # what Locust charts as current begins at least two seconds ago
    report(environment, totals)


def master(port: int, workers: int) -> None:
    """Waits for the workers, starts them, and stops when all have recorded everything."""
    import gevent
    from locust import User
    from locust.env import Environment

    from rolecall.loadgen.measure.totals import Totals

    class Records(User):
        """Named as on the workers."""

    environment, totals = Environment(user_classes=[Records]), Totals()
    events: Any = environment.events  # its listeners have no types
    events.worker_report.add_listener(
        lambda client_id, data: totals.merge(client_id, data["rolecall"])
    )
    runner = environment.create_master_runner("127.0.0.1", port)
    with gevent.Timeout(30):
        while len(runner.clients.ready) < workers:
            gevent.sleep(0.05)
        runner.start(workers, spawn_rate=100)
        gevent.sleep(4)
        runner.quit()
    report(environment, totals)


def worker(port: int) -> None:
    """One user, which records everything once."""
    import gevent
    from locust import User, task
    from locust.env import Environment

    from rolecall.loadgen.measure.locust_stats import flush
    from rolecall.loadgen.measure.recorder import Recorder

    class Records(User):
        """Records, then idles."""

        @task
        def once(self) -> None:
            """All of it."""
            record(recorder, runner.worker_index, lambda: gevent.sleep(0.1))
            gevent.sleep(60)

    environment, recorder = Environment(user_classes=[Records]), Recorder(time.perf_counter())

    # Before the runner exists, and so before Locust's own listener, which empties its statistics
    # into the message.
    events: Any = environment.events  # its listeners have no types

    @events.report_to_master.add_listener  # type: ignore[untyped-decorator]  # as above
    def report_to_master(client_id: str, data: dict[str, Any]) -> None:
        flush(recorder, environment.stats)
        data["rolecall"] = recorder.take()

    runner = environment.create_worker_runner("127.0.0.1", port)
    runner.greenlet.join()


if __name__ == "__main__":
    ways: dict[str, Callable[..., None]] = {"local": local, "master": master, "worker": worker}
    ways[sys.argv[1]](*map(int, sys.argv[2:]))
