"""What faults and variants keep for a while, so that it need not be found out again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from rolecall.reference.app import Server
from rolecall.reference.switches import instead_of

Kept = TypeVar("Kept")

FIVE_MINUTES = 300.0
"""Seconds for which most caches keep what they have, by the clock of the process: no hook moves it.
"""


class Cache(Generic[Kept]):
    """Keeps things for some seconds."""

    def __init__(self, seconds: float = FIVE_MINUTES) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[float, Kept]] = {}

    def get(self, key: Hashable) -> Kept | None:
        """What is kept under a key."""
        until, value = self._kept.get(key, (0.0, None))
        return value if time.monotonic() < until else None

    def put(self, key: Hashable, value: Kept) -> Kept:
        """Keep something from now on, in the place of what was there."""
        self._kept[key] = (time.monotonic() + self._seconds, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def clear_at_changes(server: Server, cache: Cache[Kept]) -> Cache[Kept]:
    """Forget everything whenever anything in the store changes; the cache itself."""
    for change in (server.store.add, server.store.replace):
        _clear_at(change, cache)
    remove = server.store.remove

    @instead_of(server.store.remove)
    def removed(resource: str, id: str) -> None:
        cache.clear()
        remove(resource, id)

    return cache


def _clear_at(change: Callable[[str, str, str], None], cache: Cache[Kept]) -> None:
    @instead_of(change)
    def changed(resource: str, id: str, body: str) -> None:
        cache.clear()
        change(resource, id, body)
