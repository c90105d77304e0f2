"""The master, Locust and ``load.json`` say what a worker noted, to the last request.

Longer than 400 lines because every figure of load.json has a test.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.timeline import MOST_BATCHES
from rolecall.loadgen.measure.totals import Totals
from tests.support.recording import NAMES, Known, known

ROOT = Path(__file__).parents[3]


def locust(*arguments: object) -> subprocess.Popen[str]:
    """A process of `tests.support.recording`."""
    command = [sys.executable, "-m", "tests.support.recording", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def printed(process: subprocess.Popen[str]) -> Any:
    """What it printed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def alone() -> Any:
    """One process, and what it recorded."""
    return printed(locust("local")), list(known(0))


@pytest.fixture(scope="module")
def distributed() -> Any:
    """A master and two workers, and what both recorded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    workers = [locust("worker", port) for _ in range(2)]
    try:
        answer = printed(locust("master", port, 2))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    return answer, [*known(0), *known(1)]


@pytest.fixture(params=["alone", pytest.param("distributed", marks=pytest.mark.long)])
def run(request: pytest.FixtureRequest) -> Any:
    """Both ways."""
    return request.getfixturevalue(request.param)


def test_locust_has_every_request(run: tuple[Any, Sequence[Known]]) -> None:
    """Each of Locust's rows has the counts, sums, extremes and failures of what was recorded, and
    so has their total.
    """
    answer, requests = run
    for name in ("Aggregated", *NAMES):
        row = answer["rows"][name]
        mine = [request for request in requests if name in ("Aggregated", request.name)]
        times = sorted(request.response * 1000 for request in mine)

        assert row["requests"] == row["buckets"] == row["per_second"] == len(mine)
        assert (
            row["failures"]
            == row["failed_per_second"]
            == sum(bool(request.kind) for request in mine)
        )
        assert row["size"] == sum(request.size for request in mine)
        assert [row["total"], row["min"], row["max"]] == pytest.approx(
            [sum(times), times[0], times[-1]], rel=1e-6
        )
        assert row["median"] == pytest.approx(times[len(times) // 2], abs=1, rel=0.06)
        assert row["p99"] == pytest.approx(times[len(times) * 99 // 100], rel=0.1)
        assert -30 < row["last"] < 0


def test_locust_has_every_failure_by_kind(run: tuple[Any, Sequence[Known]]) -> None:
    """The table of failures counts each kind of each name; 429 is one of them there."""
    answer, requests = run

    kinds = Counter(
        f"{request.name} {'throttled (429)' if request.kind == 'throttled' else request.kind}"
        for request in requests
        if request.kind
    )
    assert answer["errors"] == kinds


def test_locust_can_chart_the_last_seconds(run: tuple[Any, Sequence[Known]]) -> None:
    """The percentiles of the last ten seconds, which the web UI draws, are there."""
    answer, _ = run

    assert answer["rows"]["Aggregated"]["current"] is not None


def test_the_document_has_every_request(run: tuple[Any, Sequence[Known]]) -> None:
    """Counts, kinds, percentiles, mean, timeline and batches of load.json are those of what was
    recorded.
    """
    # Longer than 40 lines because it holds the whole document.
    answer, requests = run
    document, n = answer["document"], len(requests)
    kinds = Counter(request.kind for request in requests)
    workers = n // 5000
    responses = sorted(
        request.response * 1000 for request in requests if request.kind != "throttled"
    )

    assert {
        name: document[name]
        for name in ("requests", "scheduled", "sent", "completed", "late", "dropped")
    } == {
        "requests": n,
        "scheduled": n,
        "sent": n,
        "completed": n,
        "late": 0,
        "dropped": 0,
    }
    assert document["errors"] == {kind: kinds[kind] for kind in ("status-500", "timeout")}
    assert document["throttled"] == kinds["throttled"]
    assert document["violations"] == {"another-user": workers}
    assert document["rate"] == pytest.approx(kinds[""] / document["duration_s"], rel=1e-3)
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9)):
        assert document["response_ms"][name] == pytest.approx(
            responses[int(percent * len(responses) / 100)], rel=0.02
        )
    assert document["response_ms"]["max"] == pytest.approx(responses[-1], rel=1e-4)
    assert document["response_ms"]["mean"] == pytest.approx(
        sum(responses) / len(responses), rel=1e-4
    )
    assert document["service_ms"]["p50"] < document["response_ms"]["p50"]
    assert 0 < document["dispatch_lag_ms"]["p99"] < 10.1
    for column in ("scheduled", "sent", "completed", "requests"):
        assert sum(document["timeline"][column]) == n
    assert sum(document["timeline"]["throttled"]) == kinds["throttled"]
    assert sum(document["timeline"]["errors"]) == kinds["timeout"] + kinds["status-500"]
    assert sum(document["timeline"]["violations"]) == workers
    assert sum(batch["requests"] for batch in document["batches"]) == n
    assert sum(count for batch in document["batches"] for _, count in batch["response_ms"]) == len(
        responses
    )


#: When the recorders of these tests began: long ago, so that whatever they are told has happened
#: already.
START = time.perf_counter() - 100_000.0


class Clock:
    """A recorder whose requests are received when the test says, in seconds from its start."""

    def __init__(self, width: float = 1.0) -> None:
        self.recorder = Recorder(START, width)
        self.entry = self.recorder.entry("POST", "/")

    def success(self, at: float, response: float = 0.01, count: int = 1) -> None:
        """Some requests, received at the same moment."""
        for _ in range(count):
            self.entry.success(START + at - response, START + at - response, START + at, 1)


def sent(recorder: Recorder) -> dict[str, Any]:
    """What it gives, as it arrives at the master."""
    received: dict[str, Any] = msgpack.unpackb(msgpack.packb(recorder.take()))
    return received


def test_a_run_lasts_until_its_last_request_ends() -> None:
    """A run lasts as planned, or until its last answer, not until its last report."""
    clock, totals = Clock(), Totals()
    for number in range(100):
        clock.success(number / 10)
    totals.merge("a", sent(clock.recorder))

    assert totals.document(10)["duration_s"] == 10
    assert totals.document()["duration_s"] == pytest.approx(9.9, abs=1 / 32)

    clock.success(12.5)
    totals.merge("a", sent(clock.recorder))
    totals.merge("b", sent(Clock().recorder))

    document = totals.document(10)

    assert document["duration_s"] == pytest.approx(12.5, abs=1 / 32)
    assert document["rate"] == pytest.approx(101 / document["duration_s"], rel=1e-3)


def test_requests_stand_in_the_second_in_which_they_ended() -> None:
    """The timeline has each second's requests and percentiles, an empty one included."""
    clock, totals = Clock(), Totals()
    clock.success(0.2, 0.010, count=100)
    clock.success(0.999, 0.010, count=1)
    clock.success(1.0, 0.020, count=50)
    clock.success(3.5, 0.040, count=10)
    totals.merge("a", sent(clock.recorder))

    timeline = totals.document()["timeline"]

    assert timeline["requests"] == [101, 50, 0, 10]
    assert timeline["p50_ms"] == pytest.approx([10, 20, 0, 40], rel=0.005)
    assert timeline["second"] == [0, 1, 2, 3]


def test_a_closer_look_has_shorter_slices() -> None:
    """With a width of a quarter of a second the timeline has four columns a second, and any part of
    it its percentiles.
    """
    clock, totals = Clock(0.25), Totals(0.25)
    for slice_ in range(40):
        clock.success(slice_ / 4 + 0.1, 0.010 if slice_ < 20 else 0.050, count=5)
    totals.merge("a", sent(clock.recorder))

    document = totals.document(10)

    assert document["rate"] == totals.snapshot().rate == 20
    assert document["timeline"]["second"][-1] == 9.75
    assert document["timeline"]["requests"] == [5] * 40
    assert document["batches"][-1]["end_s"] == 10
    assert totals.timeline.response(5, 10).count == 100
    assert totals.timeline.response(5, 10).percentile(1) == pytest.approx(0.050, rel=0.005)
    assert totals.timeline.response(2, 10).percentile(1) == pytest.approx(0.010, rel=0.005)


def test_arrivals_stand_in_the_second_in_which_they_happened() -> None:
    """Arrivals count in the second in which they happened, also without answers."""
    clock, totals = Clock(), Totals()
    for tick in range(30):
        clock.recorder.scheduled += 5
        clock.recorder.tick(START + tick / 10)
    totals.merge("a", sent(clock.recorder))

    assert sum(totals.document()["timeline"]["scheduled"]) == 150
    assert totals.document()["timeline"]["scheduled"] == pytest.approx([50, 50, 50], abs=6)


def test_deltas_add_up_in_any_order() -> None:
    """However often it is taken, from however many workers, in whatever order it arrives: the
    document is the same.
    """
    dice = random.Random(4)
    whole, parts, deltas = Clock(), [Clock(), Clock()], []
    for step in range(4_000):
        at, response = step / 500, dice.expovariate(100)
        whole.success(at, response)
        part = dice.choice(parts)
        part.success(at, response)
        if dice.random() < 0.01:
            deltas.append(sent(part.recorder))
    deltas += [sent(part.recorder) for part in parts]
    dice.shuffle(deltas)
    one, many = Totals(), Totals()
    one.merge("a", sent(whole.recorder))
    for delta in deltas:
        many.merge("a", delta)

    cpu = {"workers": None}  # which is of this process, and not of the test
    assert {**many.document(), **cpu} == {**one.document(), **cpu}


def test_a_second_is_open_for_late_workers() -> None:
    """A worker that reports seconds later still changes the percentiles; one that is far too late
    only the counts.
    """
    clock, late, totals = Clock(), Clock(), Totals()
    for second in range(9):
        clock.success(second + 0.5, 0.010)
    totals.merge("a", sent(clock.recorder))
    late.success(3.5, 0.500, count=9)
    totals.merge("b", sent(late.recorder))
    for second in range(9, 40):
        clock.success(second + 0.5, 0.010)
    totals.merge("a", sent(clock.recorder))
    late.success(5.5, 0.500, count=9)
    totals.merge("b", sent(late.recorder))

    document = totals.document()

    assert document["timeline"]["requests"][3] == document["timeline"]["requests"][5] == 10
    assert document["timeline"]["p50_ms"][3] == pytest.approx(500, rel=0.005)
    assert document["timeline"]["p50_ms"][5] == pytest.approx(10, rel=0.005)
    assert document["response_ms"]["max"] == 500
    assert sum(count for batch in document["batches"] for _, count in batch["response_ms"]) == 58


@pytest.mark.long
def test_a_long_run_has_few_batches() -> None:
    """Two hours have at most 64 batches of equal length, with every request in one of them, and a
    point for each second.
    """
    clock, totals = Clock(), Totals()
    for second in range(7200):
        clock.success(second + 0.1, 0.01)
        if second % 3 == 0:
            totals.merge("a", sent(clock.recorder))
    totals.merge("a", sent(clock.recorder))

    document = totals.document()
    batches = document["batches"]

    assert 32 <= len(batches) <= MOST_BATCHES
    assert {batch["end_s"] - batch["begin_s"] for batch in batches[:-1]} == {128}
    assert (
        sum(batch["requests"] for batch in batches) == len(document["timeline"]["second"]) == 7200
    )
    assert len(totals.timeline._open) <= 11


def test_violations_have_their_second() -> None:
    """Those of the workers and those that only the master sees are counted by kind, and on the time
    axis.
    """
    totals = Totals()
    for worker in range(3):
        recorder = Recorder(time.perf_counter() - 1.5)
        recorder.violation("chain-broken")
        recorder.violation("chain-broken", 2)
        totals.merge(str(worker), sent(recorder))
    totals.violation("token-repeated", 2.5)

    document = totals.document()

    assert document["violations"] == {"chain-broken": 9, "token-repeated": 1}
    assert document["timeline"]["violations"] == [0, 9, 1]


def test_workers_say_how_busy_they_were() -> None:
    """A worker's share of a core is that of its own process, and its requests are its own; a state
    is kept.
    """
    recorder, totals = Recorder(time.perf_counter()), Totals()
    while time.perf_counter() - recorder.start < 0.6:
        pass
    recorder.entry("GET", "/").success(recorder.start, recorder.start, time.perf_counter(), 1)
    totals.merge("busy", sent(recorder))
    time.sleep(0.6)
    totals.merge("busy", sent(recorder))
    totals.workers["busy"].state = "died"

    (worker,) = totals.document()["workers"]

    assert (worker["name"], worker["state"], worker["requests"]) == ("busy", "died", 1)
    assert 0 < worker["cpu"] < worker["cpu_most"] <= 1.05


def test_a_request_that_never_left_has_no_service_time() -> None:
    """A refused connection counts in the response times, as waiting, and not in the server's."""
    clock, totals = Clock(), Totals()
    clock.entry.failure("refused", START, 0.0, START + 0.2)
    totals.merge("a", sent(clock.recorder))

    document = totals.document()

    assert document["response_ms"]["max"] == pytest.approx(200)
    assert document["service_ms"]["max"] == 0


def test_the_progress_line_speaks_of_the_last_seconds() -> None:
    """Rate and percentiles are those of now, counts those of the whole run."""
    clock, totals = Clock(), Totals()
    for second in range(20):
        clock.success(
            second + 0.5, 0.010 if second < 10 else 0.050, count=100 if second < 10 else 40
        )
    totals.merge("a", sent(clock.recorder))

    snapshot = totals.snapshot()

    assert (snapshot.rate, snapshot.requests) == (40, 1400)
    assert snapshot.p50 == pytest.approx(0.050, rel=0.005)
    assert Totals().snapshot().rate == 0


@pytest.mark.long
def test_memory_does_not_grow_with_requests() -> None:
    """Hundreds of thousands of requests that are not taken leave no more memory than a thousand,
    once a 32nd of a second is over and they are counted.
    """
    import tracemalloc

    clock = Clock()
    for number in range(1_000):
        clock.success(number / 1000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(300_000):
            clock.success(1 + number / 300_000 * 0.9, 0.001 + number % 100 / 10_000)
        clock.success(1.95)
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "pause", "disturbed"),
    [
        ("timeout", 0.2, False),
        ("unanswered", 0.2, False),
        ("timeout", 1.5, True),
        ("reset", 0.2, True),
    ],
)
def test_a_short_pause_is_not_why_an_answer_never_came(
    kind: str, pause: float, *, disturbed: bool
) -> None:
    """Who waits ten seconds in vain was not kept from an answer by a fifth of one."""
    recorder = Recorder(100.0)
    recorder.paused(pause, 105.0, long=True)
    recorder.entry("GET", "x").failure(kind, 101.0, 101.0, 111.0)

    assert bool(recorder.disturbed_errors) is disturbed
