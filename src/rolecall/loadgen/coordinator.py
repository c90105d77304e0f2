"""Leads the workers: begins and ends a run, and adds up what they report.

A run is one segment of load; a search for the capacity is many. A segment: all workers are told to
`go`, each reports every second, and the segment is over when each has sent its last report, or is
dead.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from gevent.event import Event

from rolecall.errors import ExitCode, RolecallError
from rolecall.loadgen.checks.across_workers import AcrossWorkers
from rolecall.loadgen.checks.denials import Denials
from rolecall.loadgen.checks.races import Races
from rolecall.loadgen.checks.violations import Violations, decide
from rolecall.loadgen.client_context import SAMPLED
from rolecall.loadgen.measure.totals import Delta, Totals, WorkerTotals
from rolecall.loadgen.messages import End, Go, Message, Prepare, Ready, Report
from rolecall.loadgen.schedule import Schedule
from rolecall.loadgen.unexpected import described
from rolecall.loadgen.untrusted import UnreadableValue

#: Seconds that workers have to log their clients in.
_PREPARATION = 120.0
#: Seconds between the word to go and the start, so that all workers have it by then.
_DELAY = 0.2

#: Seconds after which an absent worker is dead. Locust's master forgets each worker that stops,
#: until it is ready again.
_ABSENT = 1.0

_OTHER_VERSION = "is it of another version?"

Send = Callable[[Message, str], None]


class NotReady(RolecallError):
    """A worker cannot begin; the text says why."""

    def __init__(self, why: str, exit_code: ExitCode = ExitCode.HARNESS_ERROR) -> None:
        super().__init__(why)
        self.exit_code = exit_code


@dataclass
class Segment:
    """A period of load, and its results."""

    number: int
    totals: Totals
    began: float
    waiting_for: set[str]
    closed: bool = False
    over: Event = field(default_factory=Event)
    errors: list[str] = field(default_factory=list)


class Coordinator:
    """Leads the workers.

    Args:
        send: sends a message to the worker of this name.
        alive: the names of the workers that are there now.
    """

    def __init__(self, send: Send, alive: Callable[[], list[str]]) -> None:
        self._send = send
        self._alive = alive
        self._workers: list[str] = []
        self._answers: dict[str, Ready] = {}
        self._ready = Event()
        self._segments = 0
        self.segment: Segment | None = None
        self.violations = Violations()
        self._across = AcrossWorkers(self.violations)
        self.races = Races(self.violations)
        self.denials = Denials()
        self.sampled: dict[str, set[str]] = {name: set() for name in SAMPLED}
        #: E-mails of accounts that were never let in at a worker, and the statuses that said so.
        self.refused: set[tuple[str, int]] = set()
        self.died: list[str] = []
        self.errors: list[str] = []
        #: Requests beside the load: of set-up and of tidying up.
        self.beside = 0
        self._accounts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._absent: dict[str, float] = {}
        self._why: dict[str, str] = {}
        self._strangers: list[str] = []

    @property
    def lost(self) -> list[str]:
        """Sentences on workers that failed, or came too late to a closed loop."""
        gone = [f"worker {self._names[client]} {self._why[client]}" for client in self.died]
        return gone + [
            f"worker {client} connected after the run had begun: it was given users of the "
            "others, and sent nothing"
            for client in self._strangers
        ]

    @property
    def accounts_used(self) -> int:
        """How many accounts took part; one that two workers share counts twice."""
        return sum(self._accounts.values())

    def prepare(self, scenario: str, clients: int, options: Mapping[str, Any]) -> None:
        """Let the workers get ready.

        Args:
            clients: number made beforehand, over all workers; 0 in a closed loop.
            options: the same for all workers.

        Raises:
            NotReady: a worker cannot begin.
        """
        self._workers = self._alive()
        if not self._workers:
            raise NotReady("no worker has connected", ExitCode.INCONCLUSIVE)
        self._forget()
        self._answers, self._ready = {}, Event()
        count = len(self._workers)
        self._names = {
            client: f"{client.rpartition('_')[0] or client}-{index}"
            for index, client in enumerate(self._workers, 1)
        }
        for index, name in enumerate(self._workers):
            self._send(Prepare(scenario, -(-clients // count), index, count, dict(options)), name)
        self._await(self._ready, _PREPARATION, self._are_ready)
        silent = sorted(set(self._workers) - set(self._answers))
        for answer in self._answers.values():
            if answer.error:
                raise NotReady(answer.error, answer.exit_code)
        if silent:
            raise NotReady(
                f"{len(silent)} of {count} workers did not get ready within {_PREPARATION:g} s: "
                f"{', '.join(silent)}"
            )

    def _are_ready(self) -> bool:
        """Whether all workers that are alive have answered."""
        return set(self._answers) >= set(self._workers) - set(self.died)

    def _forget(self) -> None:
        """Begin anew: on Locust's web page one run may follow another."""
        self.violations = Violations()
        self._across, self.races = AcrossWorkers(self.violations), Races(self.violations)
        self.denials = Denials()
        self.sampled, self.refused = {name: set() for name in SAMPLED}, set()
        self.died, self.errors, self.beside = [], [], 0
        self._absent, self._why, self._strangers = {}, {}, []
        self._accounts = {}

    def ready(self, worker: str, packed: object) -> None:
        """On `Ready`: a worker is, or says why it cannot be."""
        try:
            answer = Ready.unpack(packed)
        except UnreadableValue as error:
            why = f"the answer of worker {worker} cannot be read ({error}): {_OTHER_VERSION}"
            answer = Ready(why, ExitCode.HARNESS_ERROR)
        self._answers[worker] = answer
        if set(self._answers) >= set(self._workers):
            self._ready.set()

    def go(
        self,
        schedule: Schedule | None,
        *,
        width: float = 1.0,
        grace: float = 10.5,
        abandon: bool = False,
    ) -> Segment:
        """Begin a segment; without a schedule it lasts until `end`.

        Args:
            width: of the slices of time in which it is measured, in seconds.
            grace: seconds that those under way have after the last arrival.
            abandon: whether those who wait for a client then are given up; else they are sent.
        """
        self._segments += 1
        began = perf_counter() + _DELAY
        self.violations.started = began
        waiting_for = set(self._workers) - set(self.died)
        self.segment = segment = Segment(
            self._segments, Totals(width), began, waiting_for, closed=schedule is None
        )
        for index, name in enumerate(self._workers):
            order = Go(
                number=segment.number,
                delay=_DELAY,
                width=width,
                schedule=schedule,
                grace=grace,
                abandon=abandon,
                index=index,
                workers=len(self._workers),
            )
            self._send(order, name)
        return segment

    def end(self, grace: float = math.inf) -> None:
        """Let the workers send no more; steps under way have at most ``grace`` seconds."""
        for name in self._workers:
            self._send(End(grace), name)

    def wait(self, segment: Segment, seconds: float) -> bool:
        """Wait for the last reports: whether they came."""
        self._await(segment.over, seconds, lambda: not segment.waiting_for)
        return not segment.waiting_for

    def report(self, worker: str, packed: object) -> None:
        """On `Report`: add it; a worker whose report cannot be read leaves the run."""
        is_dismissed = worker in self.died or worker not in self._names
        if is_dismissed:
            self._dismiss(worker)
        try:
            report = Report.unpack(packed)
            if is_dismissed:
                self._note_left(report)
            elif self.segment and report.number == self.segment.number:
                self._add(self.segment, worker, report)
        except Exception as error:  # noqa: BLE001  # it comes from another machine
            why = str(error) if isinstance(error, UnreadableValue) else described(error)
            self._lose(worker, f"sent a report that cannot be read ({why}): {_OTHER_VERSION}")

    def _add(self, segment: Segment, worker: str, report: Report) -> None:
        name, alone = self._names[worker], len(self._workers) == 1
        if report.measured is not None:
            delta = Delta.read(report.measured)
            self.violations.merge(report.violations or {})
            if not alone:
                self._compare(segment, report)
            segment.totals.add(name, delta)
        if report.denials is not None:
            self.denials.merge(report.denials)
        self.beside += report.beside
        self._accounts[worker] = max(self._accounts.get(worker, 0), report.accounts)
        self._note_left(report)
        if report.error:
            segment.errors.append(report.error)
            if report.error not in self.errors:
                self.errors.append(report.error)
        if report.away:
            self._lose(worker, f"stood still for {report.away:,.1f} s, and was not waited for")
        elif report.last:
            segment.totals.workers.setdefault(name, WorkerTotals()).state = "finished"
            self._await_no_more(worker)

    def _note_left(self, report: Report) -> None:
        """Note what a worker tried and left at the target, and whom that never let in, even if the
        worker has left the run.
        """
        self.refused.update(report.refused.items())
        for what, found in (report.sampled or {}).items():
            self.sampled[what].update(found)

    def _compare(self, segment: Segment, report: Report) -> None:
        """What is only seen over all workers."""
        assert report.seen is not None  # both come with what was measured
        assert report.races is not None
        before = self.violations.total
        self._across.merge(report.seen)
        self.races.merge(report.races)
        found = self.violations.take().get("counts", {}) if self.violations.total > before else {}
        for kind, count in decide(found).items():
            segment.totals.violation(kind, perf_counter() - segment.began, count)

    def _await(self, event: Event, seconds: float, enough: Callable[[], bool]) -> None:
        """Wait for an event, and look every moment which workers are alive."""
        until = time.monotonic() + seconds
        while not event.wait(0.25) and time.monotonic() < until and not enough():
            self.look_after()

    def look_after(self) -> None:
        """Notice workers that have died, and workers that came too late."""
        alive, now = set(self._alive()), time.monotonic()
        for name in self._workers:
            if name in alive:
                self._absent.pop(name, None)
            elif name not in self.died and now - self._absent.setdefault(name, now) > _ABSENT:
                self._lose(name, "died")
        if self.segment and self.segment.closed and self.segment.waiting_for:
            self._strangers += sorted(alive - set(self._workers) - set(self._strangers))

    def _lose(self, worker: str, why: str) -> None:
        """Drop a worker from the run; what it has reported stays."""
        if worker in self.died or worker not in self._names:
            return
        self.died.append(worker)
        self._why[worker] = why
        self._dismiss(worker)
        if self.segment:
            self.segment.totals.workers.setdefault(
                self._names[worker], WorkerTotals()
            ).state = "died"
            self._await_no_more(worker)

    def _await_no_more(self, worker: str) -> None:
        segment = self.segment
        if segment:
            segment.waiting_for.discard(worker)
            if not segment.waiting_for:
                segment.over.set()

    def _dismiss(self, worker: str) -> None:
        """Let a worker that has left the run send no more."""
        self._send(End(0.0), worker)
