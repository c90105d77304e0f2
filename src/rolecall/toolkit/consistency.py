"""Waits for lists and fetches that lag behind a write (AMB-17)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rolecall.evidence import Exchange, note, waited_in_vain
from rolecall.pausing import sleep, this_moment
from rolecall.toolkit.things import Request

_FIRST_PAUSE = 0.1  # seconds between the first two looks; each further pause is twice as long
# times that one kind of look is given all of the time, by a target that never showed anything late
_IN_VAIN = 3
_BRIEFLY = 0.3  # seconds, after that


@dataclass
class ConsistencyWait:
    """How long a target may take to show a write: ``seconds`` at most, ``lag`` as seen so far.

    ``refused`` are the writes that were refused, and what they were answered: they are looked for
    once more at the end. ``done_later`` are those of them that another test met.
    """

    seconds: float
    lag: float = 0.0
    refused: list[tuple[Request, Exchange]] = field(default_factory=list)
    done_later: list[tuple[Request, Exchange]] = field(default_factory=list)
    _in_vain: Counter[str] = field(default_factory=Counter)

    async def until(
        self, look: Callable[[], Awaitable[bool]], since: float, kind: str = ""
    ) -> bool:
        """Look at least once, until it is so or the patience since a write (monotonic s) is over.

        Looks of one ``kind`` get less time when three of them had all of it in vain, and nothing
        was ever shown late: a server on which something does not work at all would otherwise keep a
        run waiting for each of its tests.
        """
        pause, looks = _FIRST_PAUSE, 0
        while True:
            looks += 1
            if looks > 1:
                begun = this_moment()
            if await look():
                if looks > 1:
                    self.lag = max(self.lag, begun - since)
                    note(f"shown {begun - since:.1f} s after the write was answered")
                return True
            left = since + self._seconds_for(kind) - this_moment()
            if left <= 0:
                if looks > 1 and not self._is_hopeless(kind):
                    waited_in_vain(self.seconds)
                self._in_vain[kind] += looks > 1
                return False
            await sleep(min(pause, left))
            pause *= 2

    async def stays(self, look: Callable[[], Awaitable[bool]], since: float, kind: str) -> bool:
        """Whether something that ought not to be so is so, and still is when the patience since a
        moment (monotonic s) is over: of two replicas one may show what was before.
        """
        looks = 0

        async def is_otherwise() -> bool:
            nonlocal looks
            looks += 1
            return not await look()

        if not await self.until(is_otherwise, since, kind):
            return True
        if looks == 1:
            return False
        await sleep(max(0.0, since + self.seconds - this_moment()))
        return await look()

    async def until_refused(
        self, ask: Callable[[], Awaitable[Exchange]], since: float, kind: str
    ) -> Exchange:
        """The answer to what a write has ended: a refusal, or what comes when the patience since
        that write is over: nothing says how long a server may remember a user or a password.
        """
        answers: list[Exchange] = []

        async def is_refused() -> bool:
            answers.append(await ask())
            return not answers[-1].ok

        await self.until(is_refused, since, kind)
        return answers[-1]

    def _seconds_for(self, kind: str) -> float:
        return min(_BRIEFLY, self.seconds) if self._is_hopeless(kind) else self.seconds

    def _is_hopeless(self, kind: str) -> bool:
        return bool(kind) and not self.lag and self._in_vain[kind] >= _IN_VAIN

    async def settle(self, since: float) -> None:
        """Wait until a write of ``since`` (monotonic s) must be shown, by a target that lags."""
        if self.lag:
            await sleep(max(0.0, since + min(1.5 * self.lag, self.seconds) - time.monotonic()))

    def refused_writes(self, operation: str) -> list[tuple[Request, Exchange]]:
        """What an operation was refused, plainly and in the shapes of its own requirement, and what
        was done later of it.
        """
        known = self.refused_at(operation, "") + self.refused_at(operation, f"PERM-{operation}")
        done = [write for write in self.done_later if write[0].operation.name == operation]
        return known + [write for write in done if write not in known]

    def refused_at(self, operation: str, attack: str) -> list[tuple[Request, Exchange]]:
        """The refused writes of an operation (all, if empty) in tests of ``attack``."""
        return [
            (request, answer)
            for request, answer in self.refused
            if answer.attack == attack
            and operation in ("", request.operation.name)
            and not request.operation.is_self
        ]
