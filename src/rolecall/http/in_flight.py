"""How many requests may be in flight: as many as the target file says, and fewer while the target
is slower than it was.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from urllib.parse import urlsplit

from rolecall.evidence import Exchange

_ROUND = 32  # answers
_SAMPLE = 8  # answers of one kind
#: An answer is slow when it takes so many times as long as usual, and so many seconds on top.
_TIMES, _SECONDS = 3.0, 0.2


class InFlight:
    """Slots for requests in flight: additive increase, multiplicative decrease, as TCP finds its
    rate (RFC 5681 3.1).

    What is usual is known by kind of request (method and collection: a log-in takes longer than a
    read): the lowest median of eight answers in a row. After each 32 answers the slots are halved
    when more than half of those answers were slow, that is more than three times the usual time and
    0.2 s; otherwise one slot is added, up to the number in the target file. A server on this
    machine answers in less than 0.2 s and is never slowed down to.
    """

    def __init__(self, most: int, base_url: str) -> None:
        self._most = most
        self._base_url = base_url
        self.allowed = most
        self._slots = asyncio.Semaphore(most)
        self._withheld = 0
        self._usual: dict[tuple[str, str], float] = defaultdict(lambda: math.inf)
        self._sample: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._answers = self._slow = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and have it in the block."""
        await self._slots.acquire()
        try:
            yield
        finally:
            if self._withheld < self._most - self.allowed:
                self._withheld += 1
            else:
                self._slots.release()

    def answered(self, exchange: Exchange, seconds: float) -> None:
        """Note that an answer has come, and how long it took."""
        path = urlsplit(exchange.url.removeprefix(self._base_url)).path
        kind = exchange.method, "/".join(path.split("/", 3)[:3])
        self._answers += 1
        self._slow += seconds > max(_TIMES * self._usual[kind], self._usual[kind] + _SECONDS)
        sample = self._sample[kind]
        sample.append(seconds)
        if len(sample) == _SAMPLE:
            self._usual[kind] = min(self._usual[kind], median(sample))
            sample.clear()
        if self._answers == _ROUND:
            self._adjust(is_slow=self._slow > _ROUND / 2)
            self._answers = self._slow = 0

    def _adjust(self, *, is_slow: bool) -> None:
        self.allowed = max(1, self.allowed // 2) if is_slow else min(self._most, self.allowed + 1)
        if self._withheld > self._most - self.allowed:
            self._withheld -= 1
            self._slots.release()
