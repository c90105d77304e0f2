"""A server that has so many connections and no more."""

from __future__ import annotations

from time import perf_counter
from typing import Any, ClassVar

import gevent

from rolecall.loadgen.measure.recorder import Recorder
from tests.loadgen.test_open_loop import Client, Run


class Slot:
    """A connection to a server that takes eight of them."""

    taken: ClassVar[set[Slot]] = set()

    def __init__(self) -> None:
        self.failed = False

    def close(self) -> None:
        """Leave it to another one."""
        self.taken.discard(self)


class Limited(Client):
    """A client of such a server."""

    failures: ClassVar[list[float]] = []

    def use(self, connections: list[Any]) -> None:
        """It has one."""
        if not connections:
            connections.append(Slot())
        self._slot: Slot = connections[0]

    def step(self, due: float) -> None:
        """Wait for an answer, where there is a connection for it."""
        slot = self._slot
        if slot not in Slot.taken and len(Slot.taken) >= 8:
            slot.failed = True
            self.failures.append(due)
            return
        Slot.taken.add(slot)
        gevent.sleep(self._seconds)


def test_who_failed_is_not_sent_before_who_has_a_connection() -> None:
    """A server that has so many connections and no more recovers from a rush: those that are open
    from it are used, and not others that it has no place for.
    """
    Slot.taken.clear()
    Limited.failures.clear()
    rush, after = Run(200, 0.3, step=0.1, kind=Limited), Run(60, 1, step=0.0, kind=Limited)
    rush()
    assert Limited.failures
    after.open_loop = rush.open_loop
    after.recorder = Recorder(perf_counter() + 0.05)
    after()

    quiet = after.recorder.start + 0.3
    assert not [due for due in Limited.failures if due > quiet]
