"""Room for API keys on a target that lets a user have so many and no more.

Nothing in the specification sets a limit, and many services do. Where a key is refused that may be
made, one that no test needs any more is deleted, and it is asked for again: if it is given then,
there is a limit, and from then on keys are made one after the other, each in the room of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rolecall.error_words import ABSENT
from rolecall.evidence import Exchange, TestEvidence, recalled
from rolecall.ledger import LedgerEntry
from rolecall.pausing import sleep, this_moment

_LONGEST_WAIT, _PAUSE = 10.0, 0.1  # seconds: for a test to end that has a key, between two looks
_TRIES = 3  # of one key, each with a key less
_OVER = TestEvidence(is_over=True)


@dataclass(frozen=True)
class _Key:
    entry: LedgerEntry
    #: Whose key it is; None where the whole run needs it.
    test: TestEvidence | None

    @property
    def is_spare(self) -> bool:
        return self.test is not None and self.test.is_over


class SpareKeys:
    """The keys of a run, and how many of them there may be at once, once that is known.

    Args:
        delete: deletes a key.
    """

    def __init__(self, delete: Callable[[LedgerEntry], Awaitable[Exchange]]) -> None:
        self._delete = delete
        self._keys: list[_Key] = []
        self._most: int | None = None
        self._under_way = 0  # requests for keys, while no limit is known
        self._turn = asyncio.Lock()
        self._meant: set[str] = set()  # what was refused though there was room

    def made(self, entry: LedgerEntry, test: TestEvidence | None) -> None:
        """Note a key; ``test`` is None where the whole run needs it."""
        self._keys.append(_Key(entry, test))

    def let_go(self, name: str) -> None:
        """Note that the whole run needs this key no more."""
        self._keys = [
            _Key(key.entry, _OVER) if key.entry.name == name else key for key in self._keys
        ]

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Inside the block a key may be made: where there is a limit, by one test at a time."""
        if self._most is None:
            self._under_way += 1
            try:
                yield
            finally:
                self._under_way -= 1
            return
        async with self._turn:
            if self._most is not None:
                await self._make_room(self._most)
            yield

    async def after(
        self, refusal: Exchange, what: str, ask: Callable[[], Awaitable[Exchange]]
    ) -> Exchange:
        """What becomes of a key that was refused: the answer once there is room, or the refusal.

        Args:
            what: who asked for which scopes.
            ask: asks once more.
        """
        what = f"{what} {refusal.status}"
        if what in self._meant or not 400 <= refusal.status < 500 or refusal.status in ABSENT:
            return refusal
        answer, many = refusal, len(self._living())
        async with self._turn:
            known, most = self._most, 0
            try:
                if known is None:
                    await self._stop_others()
                most = known or max(1, many, len(self._living()))
                for _ in range(_TRIES):
                    if not await self._make_room(most):
                        break
                    answer = await ask()
                    if answer.ok:
                        break
                    if not self._living():
                        self._meant.add(what)
                        break
                    # keys that others made may count as well, and one that was under way
                    most = min(most, len(self._living()))
                else:
                    self._meant.add(what)
            finally:  # whatever became of it: who comes now need not wait for nothing
                self._most = most if answer.ok else known
        return answer

    async def _stop_others(self) -> None:
        """Let whoever wants a key from now on wait, and wait for those who asked already."""
        self._most = 0
        while recalled("keys that are asked for just now", lambda: self._under_way):
            await sleep(_PAUSE)

    async def _make_room(self, most: int) -> bool:
        """Delete the keys that no test needs any more, and wait for one where there is none;
        whether there are fewer than ``most`` now.
        """
        until = this_moment() + _LONGEST_WAIT
        while len(self._living()) >= most:
            spare = recalled(
                "keys that no test needs any more",
                lambda: [key.entry.number for key in self._living() if key.is_spare],
            )
            for key in self._living():
                if key.entry.number in spare and not (await self._delete(key.entry)).ok:
                    return False
            if not spare:
                has_hope = any(key.test is not None for key in self._living())
                if not has_hope or this_moment() > until:
                    return False
                await sleep(_PAUSE)
        return True

    def _living(self) -> list[_Key]:
        return [key for key in self._keys if not key.entry.gone]
