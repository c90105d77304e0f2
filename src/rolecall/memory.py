"""What a test learns beside its exchanges, for a replay."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any


class Memory:
    """What a test learns that stands in no exchange: what chance drew, what a file or a program
    said, what a secret showed. It is kept, so that a replay of the run is told the same.
    """

    def __init__(self, recorded: Iterable[tuple[str, Any]] | None = None) -> None:
        #: What was learnt, in order: what it is, and its value (JSON).
        self.kept: list[tuple[str, Any]] = []
        self.is_replayed = recorded is not None
        self._recorded: dict[str, deque[Any]] = defaultdict(deque)
        for what, value in recorded or ():
            self._recorded[what].append(value)

    def recorded(self, what: str) -> Any:
        """What was learnt then, each piece once; None where there is nothing (more)."""
        return self._recorded[what].popleft() if self._recorded.get(what) else None

    def keep(self, what: str, value: Any) -> None:
        """Keep what was learnt now."""
        self.kept.append((what, value))

    def recall(self, what: str, learn: Callable[[], Any]) -> Any:
        """Learn something now; in a replay, what was learnt then."""
        value = self.recorded(what)
        if value is None:
            value = learn()
            self.keep(what, value)
        return value
