"""The pace of a run: when the next request may leave.

All requests of a run leave through one `Pace`, the repeated ones and those of the clean-up as well:
it is the innermost layer before the network.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from rolecall.http._httpx import httpx

#: Seconds beyond the one in which requests are counted, since two clocks may run differently.
_MARGIN = 0.01
_LATE = 0.02  # seconds that a busy machine wakes up too late, and that are caught up with
LONGEST_BACKOFF = 16.0  # seconds between two looks whether a target still throttles
#: Seconds of pauses after which a run waits no longer than a target's Retry-After says: in one
#: storm, and in all.
_LONGEST_STORM, _PATIENCE = 75.0, 300.0
_SPAN = 10.0  # seconds over which lone 429 are counted
_FEW = 0.05  # of the answers in that time: so many lone 429 slow nothing down


class Pace:
    """Lets requests leave: never more than ``limit`` in any second, and none in a pause.

    A request reaches the target at some moment between its leaving and its answer. It therefore
    keeps one of ``limit`` permits until a second after its answer: requests that arrive in the same
    second all hold a permit at its end, so there are never more of them than permits, however the
    network delays some of them. On top of that they leave evenly, 1 / ``limit`` seconds apart.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit or math.inf
        self._permits = asyncio.Semaphore(max(1, int(limit))) if limit else None
        self._kept = max(1.0, 1 / self._limit) + _MARGIN  # seconds after the answer
        self._turns = asyncio.Lock()
        self._rate = self._limit
        self._next = self._until = 0.0  # when the next request may leave; and the latest pause ends
        self._begun = 0.0
        self._slowed = 0.0
        self._raised = 0.0
        self._growth = 0.0  # of the rate, per second
        self._answered: deque[float] = deque(maxlen=1000)
        self._lone: deque[float] = deque(maxlen=100)  # when a 429 came alone
        self._refused = 0  # 429 since a request was let through, once for each pause
        self._storm = self._paused = 0.0  # seconds that 429 have taken since, and of the run

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; the block is the request from its leaving to its answer.

        While the target lets nothing through, only one request at a time tries whether it does
        again.
        """
        await self._turns.acquire()
        is_alone = True
        try:
            if self._permits:
                await self._permits.acquire()
            try:
                await self._wait()
                is_alone = self._refused > 0
                if not is_alone:
                    self._turns.release()
                yield
            finally:
                if self._permits:
                    asyncio.get_running_loop().call_later(self._kept, self._permits.release)
        finally:
            if is_alone:
                self._turns.release()

    async def _wait(self) -> None:
        """Wait until the next request is due; a pause that begins meanwhile counts."""
        now = time.monotonic()
        while now < self._next:
            await asyncio.sleep(self._next - now)
            now = time.monotonic()
        self._begun = self._begun or now
        self._rate = min(
            self._limit, self._rate * math.exp(self._growth * min(now - self._raised, 60.0))
        )
        self._raised = now
        interval = 1 / self._rate
        is_hardly_late = now - self._next < min(interval / 4, _LATE)
        self._next = (self._next if is_hardly_late else now) + interval

    @property
    def last_answer(self) -> float:
        """When the last request was let through; 0 before the first."""
        return self._answered[-1] if self._answered else 0.0

    @property
    def is_patient(self) -> bool:
        """Whether a storm of 429 is waited out; a run has only so much time for one, and for all
        of them.
        """
        return self._storm < _LONGEST_STORM and self._paused < _PATIENCE

    def answered(self) -> None:
        """Note that a request was let through."""
        self._answered.append(time.monotonic())
        self._refused, self._storm = 0, 0.0

    def pause(self, seconds: float) -> None:
        """Hold every request back for some seconds."""
        self._until = max(self._until, time.monotonic() + seconds)
        self._next = max(self._next, self._until)

    @property
    def pause_left(self) -> float:
        """Seconds for which every request is held back; 0 where none is."""
        return max(0.0, self._until - time.monotonic())

    def throttled_alone(self) -> bool:
        """Note a 429 that does not say how long to wait, and tell whether it came alone: the answer
        before it let a request through. Then only its own request waits.

        Some targets refuse one request in a hundred however seldom they are asked: nothing is
        gained when the run slows down each time. The next request goes alone and shows whether the
        target lets others through; and where lone 429 are many, the run is too fast.
        """
        now = time.monotonic()
        if self._refused:
            return False
        self._refused = 1
        self._lone.append(now)
        lone, answered = (
            self._since(now - _SPAN, moments) for moments in (self._lone, self._answered)
        )
        if lone > 1 and lone > _FEW * (lone + answered):
            self._lone.clear()
            self._slow_down(now, 1.0)
        return True

    @staticmethod
    def _since(before: float, moments: Iterable[float]) -> int:
        return sum(1 for moment in moments if moment > before)

    def throttled(self, asked: float, sent: float) -> None:
        """Pause as a 429 asks, and go on at the rate that was let through; once for all that were
        sent before the pause.

        While nothing is let through, a pause is longer than the one before, whatever the target
        asks for: 1, 2, 4 seconds, up to `LONGEST_BACKOFF`, as long as there is patience. The rate
        rises again, the slower the longer the target asks to wait: a moment's trouble must not make
        a night's run take days, nor a minute's storm that of twenty seconds a quarter of an hour.

        Args:
            asked: seconds that the target asks to wait.
            sent: when the request left (monotonic).
        """
        now = time.monotonic()
        before = self._refused if self.is_patient else 0
        seconds = max(asked, min(2.0 ** (before - 1), LONGEST_BACKOFF) if before else 0.0)
        if sent >= self._slowed:
            self._slow_down(now, asked)
            self._refused += 1
            self._storm += seconds
            self._paused += seconds
        self.pause(seconds)

    def _slow_down(self, now: float, asked: float) -> None:
        window = min(1.0, max(0.1, now - self._begun))
        let_through = self._since(now - window, self._answered)
        if let_through:
            self._rate = min(self._rate, max(1.0, 0.9 * let_through / window))
        self._growth = 0.02 / max(1.0, asked)
        self._slowed = now


class Pacing(httpx.AsyncBaseTransport):
    """Lets each request wait for its turn; the innermost layer before the network."""

    def __init__(self, inner: httpx.AsyncBaseTransport, pace: Pace) -> None:
        self._inner = inner
        self._pace = pace

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send when it is time."""
        async with self._pace.turn():
            return await self._inner.handle_async_request(request)
