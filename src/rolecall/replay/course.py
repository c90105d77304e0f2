"""The course of a run: its requests in their order, which a replay takes again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from rolecall.evidence import Exchange
from rolecall.memory import Memory
from rolecall.replay.recorded import Recorded


@dataclass(frozen=True)
class Departure:
    """Where a replay left the course of its run.

    ``exchange`` is the number of the request; ``test`` asked for what ``now`` says, where the run
    had ``then`` for the test ``test_then``; ``decision`` is what the test decided last by other
    things than its exchanges, ``is_known`` whether the run had decided it as well.
    """

    exchange: int
    test: str
    now: str
    test_then: str
    then: str
    decision: str
    is_known: bool


class Course:
    """Follows a replay, and notes where it leaves the course for the first time."""

    def __init__(self, then: list[Recorded]) -> None:
        self._then = {recorded.number: recorded for recorded in then}
        self._departure: Departure | None = None

    def asked(self, exchange: Exchange, memory: Memory) -> None:
        """Look at the next request of the replay; ``memory`` is that of its test."""
        if self._departure or not exchange.test:  # before and after all tests, nothing is judged
            return
        then = self._then.get(exchange.number)
        if then and (then.test, then.method, then.caller, then.attack) == (
            exchange.test,
            exchange.method,
            exchange.caller,
            exchange.attack,
        ):
            return
        self._departure = Departure(
            exchange=exchange.number,
            test=exchange.test,
            now=_said(exchange),
            test_then=then.test if then else "",
            then=_said(then) if then else "nothing",
            decision=memory.unknown or memory.last,
            is_known=not memory.unknown,
        )

    @property
    def departure(self) -> dict[str, Any] | None:
        """Where the course was left, as JSON; None where it was not."""
        return asdict(self._departure) if self._departure else None


def _said(request: Exchange | Recorded) -> str:
    return f"{request.method} {urlsplit(request.url).path} as {request.caller}"
