"""What a test learns beside its exchanges, for a replay."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any


class Memory:
    """What a test learns that stands in no exchange: what chance drew, what a file or a program
    said, what a secret showed, how late it was. It is kept, so that a replay of the run is told the
    same.

    Args:
        recorded: in a replay, what was learnt then.
    """

    def __init__(self, recorded: Iterable[tuple[str, Any]] | None = None) -> None:
        #: What was learnt, in order: what it is, and its value (JSON).
        self.kept: list[tuple[str, Any]] = []
        self.is_replayed = recorded is not None
        #: What was asked for last, and in a replay the first that was not learnt then.
        self.last = self.unknown = ""
        self._asked: Counter[str] = Counter()
        self._recorded: dict[str, deque[Any]] = defaultdict(deque)
        for what, value in recorded or ():
            self._recorded[what].append(value)

    def recorded(self, what: str) -> Any:
        """What was learnt then, each piece once; None where there is nothing (more)."""
        self.last = what
        if self._recorded.get(what):
            return self._recorded[what].popleft()
        if self.is_replayed:
            self.unknown = self.unknown or what
        return None

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

    def rarely(self, what: str, is_so: bool) -> bool:
        """Whether it is so; in a replay, whether it was so then. Made for what is asked again and
        again and is mostly no: only each yes is kept, by how often it was asked until then.
        """
        self._asked[what] += 1
        if self.is_replayed:
            is_so = self._asked[what] in self._recorded[what]
            if is_so:
                self.recorded(what)
        elif is_so:
            self.keep(what, self._asked[what])
        return is_so
