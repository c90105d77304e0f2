"""The open loop: each arrival is sent when it is due, whatever became of those before.

A timer in the hub looks twice in a millisecond who is due and switches to a sender that is free; a
sender is a greenlet that waits in the hub between two steps. Where all senders are busy, who is due
waits for one, and the waiting counts as response time.

A sender has connections, a client has an account and tokens. The senders that were used last take
turns, so that connections stay warm and none is used just when the server ends it for being idle,
and yet the load reaches each process of a server that shares out connections. Clients are taken
first in, first out, so that the load is spread over all of their accounts, and over the scenarios
of a mix by their weights.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import get_hub
from gevent.pool import Pool
from greenlet import getcurrent, greenlet

from rolecall.loadgen.client_context import LoadConnection
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.scenario import Scenario
from rolecall.loadgen.thinking import ThinkingClients

_TICK = 0.0005  # seconds
#: Seconds after which an arrival that is sent counts as late.
LATE = 0.010
#: Seconds after which the hub comes round, however many are due: else answers would not be read at
#: a rate that this machine cannot keep, nor a word to end.
_LONGEST_TICK = 0.05
#: Senders that take turns, as long as each of them has sent within so many seconds.
_IN_TURN, _WARM = 16, 1.0
_AT_ONCE = 16  # clients that log in at the same time, beforehand
#: Seconds after which no more sessions are begun beforehand than there are senders.
_LONG_ENOUGH = 30.0


class OpenLoop:
    """The clients of one process, and when they are due.

    Args:
        make: makes one client.
        most: how many steps are under way at a time, at most, each with a sender.
        patience: seconds that who is due waits for a sender that is free; then the step is dropped.
        think: gives the seconds that a client thinks after a step, if it does. Another one takes
            the next step then; where all think, it is the one that has thought for longest.
    """

    def __init__(
        self,
        make: Callable[[], Scenario],
        *,
        most: int,
        patience: float,
        think: Callable[[], float] | None = None,
    ) -> None:
        self._make = make
        self._most = most
        self._patience = patience
        self._hub = get_hub()
        # those that take no step just now
        self._clients: deque[Scenario] | ThinkingClients = (
            ThinkingClients(think) if think else deque()
        )
        self._made: list[Scenario] = []
        self._senders: list[list[LoadConnection]] = []
        self._idle: list[tuple[greenlet, float]] = []  # each since when
        self._failed: list[greenlet] = []  # idle, too; the last step brought no answer
        self._waiting: deque[float] = deque()
        self._recorder = Recorder(0.0)
        self._times: Iterator[float] = iter(())
        self._due = math.inf
        self._over = Event()
        self._grace = math.inf
        self._look: Callable[[float], None] = lambda period: None
        self._broken: Exception | None = None
        self._timer: Any = None

    def provide(self, count: int, sessions: int = 0) -> None:
        """Make clients beforehand, each ready for its first step, and as many senders.

        Args:
            sessions: clients that hold a session, where the scenario has such: more than ``count``
                if there are so many accounts. Those beyond it are made as long as each log-in
                succeeds and it does not take too long.

        Raises:
            Exception: what one of them broke with.
        """
        count = min(count, self._most)
        clients = [self._make() for _ in range(count)]
        holders = sum(client.holds_session for client in clients)
        while holders and holders < sessions and len(clients) < self._most:
            clients.append(self._make())
            holders += clients[-1].holds_session
        free: deque[list[LoadConnection]] = deque([] for _ in range(count))
        self._prepare(clients, count, free)
        for connections in free:  # in the hub, to which they give way
            self._hub.loop.run_callback(self._employ(connections).switch)
        gevent.sleep(0)

    def _prepare(
        self, clients: Sequence[Scenario], least: int, free: deque[list[LoadConnection]]
    ) -> None:
        """Prepare ``least`` clients, and the others while that goes well; keep those that are ready
        if any are.
        """
        until = perf_counter() + _LONG_ENOUGH
        goes_well = True

        def prepare(numbered: tuple[int, Scenario]) -> Exception | None:
            nonlocal goes_well
            number, client = numbered
            if number >= least and not (goes_well and perf_counter() < until):
                return None
            connections = free.popleft()
            try:
                client.use(connections)
                client.prepare()
            except Exception as error:  # noqa: BLE001  # gevent would print it
                return error
            finally:
                free.append(connections)
            goes_well = goes_well and client.is_ready
            return None

        found = Pool(min(_AT_ONCE, max(least, 1))).map(prepare, enumerate(clients))
        for broken in filter(None, found):
            raise broken
        ready = [client for client in clients if client.is_ready]
        self._made += clients
        self._clients.extend(ready or clients[:least])

    def run(
        self,
        recorder: Recorder,
        times: Iterator[float],
        *,
        grace: float,
        abandon: bool = False,
        look: Callable[[float], None] = lambda period: None,
    ) -> None:
        """Send all arrivals when they are due, and wait for their answers; blocks the greenlet.

        Args:
            times: when they are due, in seconds after ``recorder.start``, ascending.
            grace: seconds for steps under way after the last arrival; then they are given up.
            abandon: whether arrivals that wait for a sender by then are dropped at once; else they
                are sent until the grace is over.
            look: called with its period in seconds, before what is due is sent: may `stop` this.

        Raises:
            Exception: what a client broke with, which is not the server's fault.
        """
        self._recorder, self._times, self._grace, self._look = recorder, times, grace, look
        self._over.clear()
        self._due = recorder.start + next(times, math.inf)
        self._timer = self._hub.loop.timer(_TICK, _TICK)
        self._timer.start(self._tick)
        try:
            while self._due < math.inf and not self._broken:
                self._over.wait(0.1)
            if abandon:
                self._drop_waiting()
            self._wait_for_answers()
        finally:
            self._timer.close()
            self._timer = None
            self.stop()
            self._drop_waiting()
            recorder.give_up()
        if self._broken:
            raise self._broken

    def _wait_for_answers(self) -> None:
        """Wait until the grace is over, which `stop` may shorten."""
        began = perf_counter()
        while not self._over.is_set() and (left := began + self._grace - perf_counter()) > 0:
            self._over.wait(min(left, 0.1))

    def _drop_waiting(self) -> None:
        self._recorder.dropped += len(self._waiting)
        self._waiting.clear()

    @property
    def is_running(self) -> bool:
        """Whether an arrival is still due, or a step under way."""
        return self._timer is not None

    def stop(self, grace: float = math.inf) -> None:
        """Send no more; steps under way have at most so many seconds."""
        self._times, self._due = iter(()), math.inf
        self._grace = min(self._grace, grace)

    def close(self) -> None:
        """Close all connections."""
        for client in self._made:
            client.close()
        for connections in self._senders:
            for connection in connections:
                connection.close()

    def _tick(self) -> None:
        """In the hub: send what is due; an exception ends the run, the hub would only print it."""
        try:
            self._send_due()
        except Exception as error:  # noqa: BLE001  # it was on this side: the run is over
            self._broken = error
            self._over.set()

    def _send_due(self) -> None:
        """Send all arrivals that are due."""
        self._look(_TICK)
        recorder = self._recorder
        now = perf_counter()
        end = now + _LONGEST_TICK
        while self._due <= now < end:
            due = self._due
            self._due = recorder.start + next(self._times, math.inf)
            recorder.scheduled += 1
            recorder.lag.note(now - due)
            if self._idle or self._failed:
                self._send(self._next_sender(now), due, now)
            elif len(self._senders) < self._most:
                self._employ([]).switch()
                self._send(self._next_sender(now), due, now)
            else:
                self._waiting.append(due)
            now = perf_counter()
        while self._waiting and self._waiting[0] < now - self._patience:
            self._waiting.popleft()
            recorder.dropped += 1
        recorder.tick(now)
        if self._broken or (self._due == math.inf and not recorder.under_way and not self._waiting):
            self._over.set()

    def _next_sender(self, now: float) -> greenlet:
        """One that is idle: the first of those that were used last, else the very last.

        One that failed is taken where there is no other: a server that has so many connections and
        no more counts those that are open and not used, and would not be seen to recover.
        """
        if not self._idle:
            return self._failed.pop()
        first = max(len(self._idle) - _IN_TURN, 0)
        is_warm = now - self._idle[first][1] < _WARM
        return self._idle.pop(first if is_warm else -1)[0]

    def _send(self, sender: greenlet, due: float, now: float) -> None:
        self._count(due, now)
        sender.switch(due)

    def _count(self, due: float, now: float) -> None:
        recorder = self._recorder
        recorder.sent += 1
        recorder.under_way += 1
        recorder.late += now - due > LATE

    def _employ(self, connections: list[LoadConnection]) -> greenlet:
        """A greenlet that waits in the hub, takes a step when one is due, then those that wait."""
        self._senders.append(connections)
        return greenlet(lambda: self._work(connections), self._hub)

    def _work(self, connections: list[LoadConnection]) -> None:
        me, clients = getcurrent(), self._clients
        try:
            while True:
                if connections and connections[0].failed:
                    connections[0].failed = False
                    self._failed.append(me)
                else:
                    self._idle.append((me, perf_counter()))
                due = self._hub.switch()
                while True:
                    # a step counts where it was sent, however long it takes
                    recorder = self._recorder
                    client = clients.popleft() if clients else self._one_more()
                    client.use(connections)
                    client.step(due)
                    clients.append(client)
                    if recorder.under_way:  # else it was given up
                        recorder.completed += 1
                        recorder.under_way -= 1
                    if not self._waiting:
                        break
                    due = self._waiting.popleft()
                    self._count(due, perf_counter())
        except Exception as error:  # noqa: BLE001  # the hub would swallow it
            self._broken = error

    def _one_more(self) -> Scenario:
        """A client for a moment in which all others take a step."""
        client = self._make()
        self._made.append(client)
        return client
