"""What a worker measures; differences go to the master and into Locust's statistics.

Noting a request is two appends and an addition: everything else is done for many requests together,
32 times a second for the buckets of the histograms and once a second for the rest. All times are
`time.perf_counter` seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rolecall.histogram import Histogram
from rolecall.loadgen.measure import machine

#: How often a second noted durations are counted: seldom enough to be cheap, often enough that
#: nothing waits for it.
_TURNS = 32
#: Kinds of failures that are this machine's own: it had no file, port or memory left, or broke an
#: exchange off before the end of the run. They are neither errors of the server nor response times.
OWN = frozenset({"files", "ports", "memory", "local", "withdrawn"})
#: Kinds of failures where an answer was waited for in vain; and the share of that time that pauses
#: have to be to be why.
_WAITED, _MUCH = frozenset({"timeout", "unanswered"}), 0.1


class Sums:
    """What is known of some requests.

    ``response`` and ``service`` are their times from when they were due and from when they were
    sent, whether they succeeded or failed: who waited for an answer in vain waited too. Throttled
    ones, which a server turns away at the door, are kept apart, and so are those that failed by
    this machine's ``own`` doing.
    """

    __slots__ = ("errors", "own", "response", "service", "size", "throttled")

    def __init__(self) -> None:
        self.response = Histogram()
        self.service = Histogram()
        self.throttled = Histogram()
        self.errors: Counter[str] = Counter()
        self.own: Counter[str] = Counter()
        self.size = 0

    @property
    def count(self) -> int:
        """How many requests: succeeded, failed and throttled."""
        return self.response.count + self.throttled.count

    @property
    def is_empty(self) -> bool:
        """Whether there was none, not even one that failed by this machine's own doing."""
        return not self.count and not self.own

    def settle(self) -> bool:
        """Count what was noted: whether anything was."""
        self.service.settle()
        return self.response.settle() | self.throttled.settle()

    def merge(self, other: Sums) -> None:
        """Add all that the other one knows."""
        self.response.merge(other.response)
        self.service.merge(other.service)
        self.throttled.merge(other.throttled)
        self.errors.update(other.errors)
        self.own.update(other.own)
        self.size += other.size

    def clear(self) -> None:
        """Forget everything."""
        self.response.clear()
        self.service.clear()
        self.throttled.clear()
        self.errors.clear()
        self.own.clear()
        self.size = 0

    def pack(self) -> list[Any]:
        """All of it, for a message."""
        times = [times.pack() for times in (self.response, self.service, self.throttled)]
        return [*times, dict(self.errors), dict(self.own), self.size]

    @classmethod
    def unpack(cls, packed: list[Any]) -> Sums:
        """The sums that `pack` wrote."""
        sums = cls()
        *times, errors, own, sums.size = packed
        sums.response, sums.service, sums.throttled = map(Histogram.unpack, times)
        sums.errors.update(errors)
        sums.own.update(own)
        return sums


class Entry:
    """Requests of one method and name; ``due``, ``sent``, ``received`` are moments."""

    __slots__ = (
        "_now",
        "_recorder",
        "_response",
        "_service",
        "method",
        "name",
        "to_locust",
        "to_master",
    )

    def __init__(self, recorder: Recorder, method: str, name: str) -> None:
        self.method = method
        self.name = name
        #: What the master, and what Locust's statistics, were not told yet; the current second is
        #: in neither.
        self.to_master = Sums()
        self.to_locust: dict[int, Sums] = {}
        self._recorder = recorder
        self._now = Sums()
        self._response = self._now.response.note
        self._service = self._now.service.note

    def success(self, due: float, sent: float, received: float, size: int) -> None:
        """A request that was answered as it should be."""
        recorder = self._recorder
        if received >= recorder.turn:
            recorder.tick(received)
        self._response(received - due)
        self._service(received - sent)
        self._now.size += size
        if due < recorder.resumed:
            recorder.disturbed.record(received - due)

    def failure(self, kind: str, due: float, sent: float, received: float) -> None:
        """A request without a good answer; ``sent`` is 0 when it never left."""
        recorder = self._recorder
        if received >= recorder.turn:
            recorder.tick(received)
        if kind in OWN:
            self._now.own[kind] += 1
            return
        self._response(received - due)
        if sent:
            self._service(received - sent)
        self._now.errors[kind] += 1
        if due < recorder.resumed and not recorder.outlasted(kind, received - due):
            recorder.disturbed.record(received - due)
            recorder.disturbed_errors[kind] += 1

    def throttled(self, due: float, sent: float, received: float) -> None:
        """A request that was answered with 429."""
        if received >= self._recorder.turn:
            self._recorder.tick(received)
        self._now.throttled.note(received - due)

    def settle(self) -> bool:
        """Count what was noted: whether anything was."""
        return self._now.settle()

    def close(self, second: int) -> Sums | None:
        """Hand out what this second has; None without any. Valid until something is noted again."""
        now = self._now
        if now.is_empty:
            return None
        self.to_master.merge(now)
        self.to_locust.setdefault(second, Sums()).merge(now)
        return now

    def clear(self) -> None:
        """Begin anew with what is noted from now on."""
        self._now.clear()


class Second:
    """One second of the run, over all requests; the arrivals are those of the engine."""

    __slots__ = ("arrivals", "errors", "response", "throttled", "violations")

    def __init__(self) -> None:
        self.response = Histogram()
        self.errors = 0
        self.throttled = 0
        self.violations = 0
        self.arrivals = [0, 0, 0]  # scheduled, sent, completed

    def pack(self) -> list[Any]:
        """All of it, for a message."""
        return [self.response.pack(), self.errors, self.throttled, self.violations, self.arrivals]

    @classmethod
    def unpack(cls, packed: list[Any]) -> Second:
        """The second that `pack` wrote."""
        second = cls()
        packed_response, second.errors, second.throttled, second.violations, second.arrivals = (
            packed
        )
        second.response = Histogram.unpack(packed_response)
        return second


class Recorder:
    """Everything that one worker measures in a run that began at ``start``.

    The open loop counts its arrivals here: how many were ``scheduled`` until now, ``sent`` to an
    actor, ``completed`` by it, sent ``late``, ``dropped`` because no actor was free; and notes in
    ``lag`` how long after it was due each one was given to an actor (``lag.note(seconds)``); its
    request leaves at once, or with a few others (`transport.client`). It calls `tick` several times
    a second, so that a second without an answer ends too. Seconds may be of another
    ``width``: the search for the capacity looks closer. A closed loop counts its steps as ``sent``
    and ``completed``.

    What was sent and what came of it are counted apart, so that they can be held against each other
    in the end (`measure.conservation`): ``under_way`` are the steps that have no end yet, and
    become ``unanswered`` when the run stops waiting for them; ``begun`` are the requests that were
    begun, whatever came of them.

    Where this process stood still (`paused`), requests that were due before it went on and ended
    after it are ``disturbed``: what they took, and how they failed, may be this machine's fault.
    """

    def __init__(self, start: float, width: float = 1.0) -> None:
        self.start = start
        self.width = width
        self.scheduled = self.sent = self.completed = self.late = self.dropped = 0
        self.under_way = self.unanswered = self.begun = 0
        self.lag = Histogram()
        self.disturbed = Histogram()
        self.disturbed_errors: Counter[str] = Counter()
        #: When this process went on after it last stood still.
        self.resumed = 0.0
        self._longest = self._stood_still = 0.0
        #: When the next `tick` is due.
        self.turn = start
        self._wall = time.time() - (time.perf_counter() - start)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._ended = 0.0
        self._second = 0
        self._seconds: dict[int, Second] = {}
        self._told = [0] * len(self._counters())
        self._arrived = [0, 0, 0]
        self._violations: Counter[str] = Counter()
        self._cpu = time.process_time()
        self._taken = time.perf_counter()
        self._machine = machine.now()

    def entry(self, method: str, name: str) -> Entry:
        """The entry of a method and a name, which holds no secret: one row in every table."""
        found = self._entries.get((method, name))
        if found is None:
            found = self._entries[method, name] = Entry(self, method, name)
        return found

    def violation(self, kind: str, count: int = 1) -> None:
        """Count violations in this second; `Violations` keeps their exchanges."""
        self.tick(time.perf_counter())
        self._violations[kind] += count
        self._current().violations += count

    def paused(self, seconds: float, now: float, *, long: bool) -> None:
        """Note a pause until now; a ``long`` one may have changed what is measured."""
        self._longest = max(self._longest, seconds)
        if long:
            self._stood_still += seconds
            self.resumed = now

    def outlasted(self, kind: str, seconds: float) -> bool:
        """Whether all pauses together were too short to be why an answer did not come in time:
        what came meanwhile is read before anything times out.
        """
        return kind in _WAITED and self._stood_still < _MUCH * seconds

    def give_up(self) -> None:
        """Give up the steps under way."""
        self.unanswered += self.under_way
        self.under_way = 0

    def tick(self, now: float) -> None:
        """Count what was noted; when a second has ended, close it."""
        if now < self.turn:
            return
        since = max(now - self.start, 0.0)
        second = int(since / self.width)
        if second != self._second:
            self._close()
            self._second = second
        else:
            self._settle()
        self.lag.settle()
        self.turn = self.start + (int(since * _TURNS) + 1) / _TURNS

    def take(self) -> dict[str, Any]:
        """What is new since the last call, for `Totals.merge`; it adds up exactly."""
        self._close()
        now, cpu, busy = time.perf_counter(), time.process_time(), machine.now()
        counters = self._counters()
        delta = {
            "arrivals": [new - old for new, old in zip(counters, self._told, strict=True)],
            "lag": self.lag.pack(),
            "pauses": [
                self._longest,
                self._stood_still,
                self.disturbed.pack(),
                dict(self.disturbed_errors),
            ],
            "entries": [
                [entry.method, entry.name, entry.to_master.pack()]
                for entry in self._entries.values()
                if not entry.to_master.is_empty
            ],
            "seconds": [[number, second.pack()] for number, second in self._seconds.items()],
            "violations": dict(self._violations),
            "ended": self._ended,
            "cpu": [cpu - self._cpu, now - self._taken],
            "machine": (busy - self._machine).pack(),
        }
        self._told = counters
        self._stood_still = 0.0
        self.lag.clear()
        self.disturbed.clear()
        self.disturbed_errors.clear()
        for entry in self._entries.values():
            entry.to_master.clear()
        self._seconds = {}
        self._violations.clear()
        self._cpu, self._taken, self._machine = cpu, now, busy
        return delta

    def unflushed(self) -> Iterator[tuple[Entry, dict[int, Sums]]]:
        """What is new since the last call, by entry and wall-clock second."""
        self._close()
        for entry in self._entries.values():
            if entry.to_locust:
                wall = {
                    int(self._wall + second * self.width): sums
                    for second, sums in entry.to_locust.items()
                }
                entry.to_locust = {}
                yield entry, wall

    def _counters(self) -> list[int]:
        """As `totals.COUNTERS` names them."""
        return [
            self.scheduled,
            self.sent,
            self.completed,
            self.late,
            self.dropped,
            self.unanswered,
            self.begun,
        ]

    def _current(self) -> Second:
        return self._seconds.setdefault(self._second, Second())

    def _settle(self) -> None:
        for entry in self._entries.values():
            if entry.settle():
                # A request that ended at the next turn, or after it, would have brought it about.
                self._ended = min(self.turn, time.perf_counter()) - self.start

    def _close(self) -> None:
        """Settle this second; it may be settled several times."""
        self._settle()
        for entry in self._entries.values():
            if sums := entry.close(self._second):
                second = self._current()
                second.response.merge(sums.response)
                second.errors += sums.errors.total()
                second.throttled += sums.throttled.count
                entry.clear()
        arrived = [self.scheduled, self.sent, self.completed]
        if arrived != self._arrived:
            second = self._current()
            second.arrivals = [
                so_far + new - old
                for so_far, new, old in zip(second.arrivals, arrived, self._arrived, strict=True)
            ]
            self._arrived = arrived
