"""Workers that come late, leave, come back or report nonsense, and what is said of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.errors import ExitCode
from rolecall.loadgen import coordinator as module
from rolecall.loadgen.checks.denials import Denials
from rolecall.loadgen.coordinator import Coordinator, NotReady
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.messages import Message, Prepare
from rolecall.loadgen.schedule import Phase, Schedule

RATE = Schedule((Phase(10, 10, 1),))


class Led:
    """A coordinator, what it sends, and workers that are there as long as the test says."""

    def __init__(self, *workers: str) -> None:
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.alive = list(workers)
        self.coordinator = Coordinator(self._send, lambda: list(self.alive))

    def _send(self, message: Message, name: str) -> None:
        self.sent.append((message.kind, message.pack(), name))
        if isinstance(message, Prepare):
            self.coordinator.ready(name, {"error": "", "exit_code": 0})

    def go(self, schedule: Schedule | None = None) -> module.Segment:
        """A segment has begun: closed, unless there is a schedule."""
        self.coordinator.prepare("" if schedule is None else "issuance", 0, {})
        return self.coordinator.go(schedule)

    def report(self, worker: str, *, last: bool = False, **changes: Any) -> None:
        """A report of one good request."""
        recorder = Recorder(time.perf_counter() - 1)
        recorder.sent = recorder.completed = recorder.begun = 1
        now = time.perf_counter()
        recorder.entry("POST", "issue").success(now - 0.01, now - 0.01, now, 1)
        message = {
            "number": 1,
            "measured": recorder.take(),
            "violations": {},
            "seen": {"tokens": b"", "refresh_tokens": b"", "users": b""},
            "races": self.coordinator.races.take(),
            "denials": Denials().take(),
            "sampled": None,
            "refused": {},
            "beside": 2,
            "accounts": 1,
            "last": last,
            "away": 0.0,
            "error": "",
        } | changes
        self.coordinator.report(
            worker, {name: value for name, value in message.items() if value is not ...}
        )

    def dismissed(self) -> list[str]:
        """The workers that were told to end at once."""
        return [name for kind, data, name in self.sent if kind == "end" and data == {"grace": 0.0}]

    def pass_by(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look twice, with more time between than an absence may last."""
        self.coordinator.look_after()
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 5)
        self.coordinator.look_after()


def test_a_worker_that_comes_late_to_a_closed_loop() -> None:
    """It takes users from the others, and sends nothing: the run was not what was planned, and it
    is said who came.
    """
    led = Led("one_a", "two_b")
    led.go()
    led.alive.append("late_c")
    led.coordinator.look_after()
    led.alive.remove("late_c")  # it need not stay
    led.coordinator.look_after()

    assert led.coordinator.lost == [
        (
            "worker late_c connected after the run had begun: it was given users of the others, "
            "and sent nothing"
        )
    ]
    assert led.coordinator.died == []


def test_a_worker_that_comes_late_to_an_open_schedule() -> None:
    """A late worker takes no part in an open schedule, and takes nothing away."""
    led = Led("one_a", "two_b")
    led.go(RATE)
    led.alive.append("late_c")
    led.coordinator.look_after()
    led.report("late_c", last=True)

    assert led.coordinator.lost == []
    assert led.coordinator.segment is not None
    assert led.coordinator.segment.totals.document()["requests"] == 0


def test_a_worker_that_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was called dead stays out of the run, and is told to send nothing."""
    led = Led("one_a", "two_b")
    segment = led.go()
    led.report("two_b")
    led.alive.remove("two_b")
    led.pass_by(monkeypatch)
    led.alive.append("two_b")
    left = ["user 5f47d86c51755a001dc41b82"]
    led.report("two_b", last=True, sampled={"left": left}, refused={"ada@example.org": 401})

    assert led.coordinator.lost == ["worker two-2 died"]
    # which is so all the same
    assert led.coordinator.sampled["left"] == {*left}
    assert led.coordinator.refused == {("ada@example.org", 401)}
    assert segment.totals.workers["two-2"].state == "died"
    assert segment.totals.document()["requests"] == 1  # what it had said before
    assert led.dismissed() == ["two_b", "two_b"]
    assert segment.waiting_for == {"one_a"}
    led.report("one_a", last=True)
    assert segment.over.is_set()


def test_a_worker_that_stood_still() -> None:
    """It says so itself: its last figures count, and the run is void."""
    led = Led("one_a")
    segment = led.go()
    led.report("one_a", last=True, away=12.34)

    assert led.coordinator.lost == ["worker one-1 stood still for 12.3 s, and was not waited for"]
    assert segment.totals.document()["requests"] == 1
    assert segment.over.is_set()


@pytest.mark.parametrize(
    "changes",
    [
        {"measured": ...},
        {"measured": {}},
        {"measured": 7},
        {"number": ...},
        {"seen": {}},
        {"seen": {"tokens": b"123", "refresh_tokens": b"", "users": b""}},
        {"races": "none"},
        {"violations": {"samples": [[]]}},
        {"violations": {"counts": {"no-such-kind": 1}}},
        {"violations": {"counts": {"shape": "many"}}},
        {"sampled": {"cells": None}},
        {"sampled": {"secrets": []}},
        {"last": ...},
        {"away": "far"},
        {"beside": "many"},
        {"accounts": -1},
    ],
)
def test_a_report_that_cannot_be_read(changes: dict[str, Any]) -> None:
    """It raises nothing where Locust would print a traceback; its worker is out of the run, and it
    is said why.
    """
    led = Led("one_a", "two_b")
    segment = led.go()
    led.report("two_b", **changes)

    (why,) = led.coordinator.lost
    assert why.startswith("worker two-2 sent a report that cannot be read (")
    assert segment.waiting_for == {"one_a"}
    assert segment.totals.workers["two-2"].state == "died"


def test_a_report_of_a_stranger() -> None:
    """A process that is not a worker of this run is told to send nothing, and is not counted."""
    led = Led("one_a")
    segment = led.go()
    led.report("nobody_x", last=True)
    led.coordinator.report("nobody_x", {})

    assert (led.dismissed(), led.coordinator.lost, segment.waiting_for) == (
        ["nobody_x"] * 2,
        [],
        {"one_a"},
    )


def test_an_answer_that_cannot_be_read() -> None:
    """A worker that is ready in words of its own is one that is not ready."""
    led = Led("one_a")
    ready: Callable[..., None] = led.coordinator.ready
    coordinator: Any = led.coordinator
    coordinator.ready = lambda worker, message: ready(worker, {"mood": "fine"})

    with pytest.raises(NotReady, match="cannot be read") as refused:
        led.go()
    assert refused.value.exit_code == ExitCode.HARNESS_ERROR


def test_no_worker() -> None:
    """A run does not begin before a worker has connected."""
    with pytest.raises(NotReady, match="no worker has connected"):
        Led().go()


def test_what_is_sent_beside_the_load_adds_up() -> None:
    """Requests beside the load are added up over all workers and reports."""
    led = Led("one_a", "two_b")
    led.go()
    for worker in ("one_a", "two_b"):
        led.report(worker)
        led.report(worker, last=True)

    assert led.coordinator.beside == 8


def test_another_run_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of a worker in one run does not affect the next."""
    led = Led("one_a", "two_b")
    led.go()
    led.report(
        "one_a",
        error="KeyError in somewhere.py:1",
        violations={"counts": {"shape": 1}, "samples": []},
    )
    led.alive.remove("two_b")
    led.pass_by(monkeypatch)
    led.go()

    coordinator = led.coordinator
    assert (
        coordinator.lost,
        coordinator.errors,
        coordinator.violations.total,
        coordinator.beside,
    ) == ([], [], 0, 0)
    assert list(coordinator.died) == []
