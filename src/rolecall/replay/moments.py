"""The time of a replay: it stands still while something is done, and jumps to what comes next.

Answers come at the moments of then, in the order of then, and whoever sleeps wakes at the moment of
then: so tests that share things meet each other as they did, and a night's run takes seconds.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from rolecall.counting_loop import CountingLoop, CountingSelector

_TICK = 1e-7  # seconds between two looks at the clock: no two moments are the same


class Moments:
    """A clock that is moved by whoever waits: seconds since 1970, and the monotonic ones."""

    def __init__(self, started: float, monotonic: float) -> None:
        self.now = monotonic
        self._wall = started - monotonic

    def monotonic(self) -> float:
        """As `time.monotonic`, a little later each time."""
        self.now += _TICK
        return self.now

    def time(self) -> float:
        """As `time.time`."""
        return self._wall + self.monotonic()

    def wall(self, moment: float) -> float:
        """The seconds since 1970 of a monotonic moment."""
        return self._wall + moment

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let everything in this process live by this clock."""
        with (
            patch.object(time, "monotonic", self.monotonic),
            patch.object(time, "time", self.time),
        ):
            yield


class _Conductor(CountingSelector):
    """Instead of waiting for a while, lets the while be over; gives the sign to answers in turn."""

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self._moments = moments
        self._waiting: list[tuple[int, float, int, asyncio.Future[None]]] = []
        self._signed_in = 0
        self._then = self._here = 0  # the turn of the last answer, in the run and in the replay

    def sign_in(self, turn: int, moment: float, sign: asyncio.Future[None]) -> None:
        """Give a sign in the turn that this one was in, at its moment."""
        self._signed_in += 1
        heapq.heappush(self._waiting, (turn, moment, self._signed_in, sign))

    def select(self, timeout: float | None = None) -> list[Any]:
        """What is ready; nothing but this process can make anything ready."""
        is_idle = not self.waiting and (timeout is None or timeout > 0)
        ready = super().select(0)
        is_idle = is_idle and not ready
        if is_idle and not self._is_before(timeout):
            if timeout is None:
                return super().select(None)
            self._moments.now += timeout
            return ready
        if is_idle:
            self._give_sign()
        while self._waiting and self.turn - self._here >= self._waiting[0][0] - self._then:
            self._give_sign()
        return ready

    def _is_before(self, timeout: float | None) -> bool:
        """Whether an answer comes before the next who sleeps wakes up."""
        if not self._waiting:
            return False
        return timeout is None or self._waiting[0][1] <= self._moments.now + timeout

    def _give_sign(self) -> None:
        turn, _, _, sign = heapq.heappop(self._waiting)
        self._then, self._here = turn, self.turn
        if not sign.done():
            sign.set_result(None)


class ReplayedLoop(CountingLoop):
    """An event loop that lives by `Moments`; what others do in a thread, it does itself."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._conductor = _Conductor(moments)
        super().__init__(self._conductor)

    async def come_to(self, turn: int, moment: float) -> None:
        """Wait until it is the turn and the moment of then: things that are done in turns between
        two answers are done between them again.
        """
        sign = self.create_future()
        self._conductor.sign_in(turn, moment, sign)
        await sign
        # Not when the sign was given: of one turn, each goes on at a moment of its own.
        self._moments.now = max(self._moments.now, moment)

    def time(self) -> float:
        """The clock of the loop's timers."""
        return self._moments.now

    def run_in_executor(  # type: ignore[override]  # a future is what its callers wait for
        self, executor: object, work: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Do it at once: the time of a replay would not wait for a thread."""
        future = self.create_future()
        try:
            future.set_result(work(*args))
        except Exception as error:  # noqa: BLE001  # whoever waits gets it
            future.set_exception(error)
        return future
