"""The open loop: each arrival is sent when it is due, whatever became of those before.

A timer in the hub looks twice in a millisecond who is due and switches to a client that is free; a
client is a greenlet that waits in the hub between its steps. Where all clients are busy, who is due
waits for one, and the waiting counts as response time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import get_hub
from gevent.pool import Pool
from greenlet import getcurrent, greenlet

from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.scenario import Scenario

_TICK = 0.0005  # seconds
#: Seconds after which an arrival that is sent counts as late.
LATE = 0.010
_AT_ONCE = 16  # clients that log in at the same time, beforehand


class OpenLoop:
    """The clients of one process, and when they are due.

    Args:
        make: makes one client.
        most: how many there are at most, which is as many steps as are under way at a time.
        patience: seconds that who is due waits for a client that is free; then the step is dropped.
    """

    def __init__(self, make: Callable[[], Scenario], *, most: int, patience: float) -> None:
        self._make = make
        self._most = most
        self._patience = patience
        self._hub = get_hub()
        self._clients: list[Scenario] = []
        self._idle: list[greenlet] = []
        self._waiting: deque[float] = deque()
        self._recorder = Recorder(0.0)
        self._times: Iterator[float] = iter(())
        self._due = math.inf
        self._over = Event()
        self._grace = math.inf
        self._look: Callable[[float], None] = lambda period: None
        self._broken: Exception | None = None
        self._timer: Any = None

    def provide(self, count: int) -> None:
        """Make clients beforehand, each ready for its first step.

        Raises:
            Exception: what one of them broke with.
        """
        clients = [self._make() for _ in range(min(count, self._most))]
        for broken in filter(None, Pool(_AT_ONCE).map(_prepared, clients)):
            raise broken
        for client in clients:  # in the hub, to which they give way
            self._hub.loop.run_callback(self._employ(client).switch)
        gevent.sleep(0)

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
            abandon: whether arrivals that wait for a client by then are dropped at once; else they
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
        for client in self._clients:
            client.close()

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
        while self._due <= now:
            due = self._due
            self._due = recorder.start + next(self._times, math.inf)
            recorder.scheduled += 1
            recorder.lag.note(now - due)
            if self._idle:
                self._send(self._idle.pop(), due, now)
            elif len(self._clients) < self._most:
                client = self._employ(self._make())
                client.switch()
                self._send(self._idle.pop(), due, now)
            else:
                self._waiting.append(due)
            now = perf_counter()
        while self._waiting and self._waiting[0] < now - self._patience:
            self._waiting.popleft()
            recorder.dropped += 1
        recorder.tick(now)
        if self._broken or (self._due == math.inf and not recorder.under_way and not self._waiting):
            self._over.set()

    def _send(self, client: greenlet, due: float, now: float) -> None:
        self._count(due, now)
        client.switch(due)

    def _count(self, due: float, now: float) -> None:
        recorder = self._recorder
        recorder.sent += 1
        recorder.under_way += 1
        recorder.late += now - due > LATE

    def _employ(self, client: Scenario) -> greenlet:
        """A greenlet that waits in the hub, takes a step when one is due, then those that wait."""
        self._clients.append(client)
        return greenlet(lambda: self._work(client), self._hub)

    def _work(self, client: Scenario) -> None:
        me = getcurrent()
        try:
            while True:
                self._idle.append(me)
                due = self._hub.switch()
                while True:
                    recorder = (
                        self._recorder
                    )  # a step counts where it was sent, however long it takes
                    client.step(due)
                    if recorder.under_way:  # else it was given up
                        recorder.completed += 1
                        recorder.under_way -= 1
                    if not self._waiting:
                        break
                    due = self._waiting.popleft()
                    self._count(due, perf_counter())
        except Exception as error:  # noqa: BLE001  # the hub would swallow it
            self._broken = error


def _prepared(client: Scenario) -> Exception | None:
    """Prepare a client; what it broke with, which gevent would print."""
    try:
        client.prepare()
    except Exception as error:  # noqa: BLE001  # it is raised where the others are known, too
        return error
    return None
