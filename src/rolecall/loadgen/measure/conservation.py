"""Checks that all that was due or sent has exactly one end, counted once.

Three equations hold for every run that ended in order, over all its workers:

- scheduled = sent + dropped, in an open schedule;
- sent = completed + unanswered: a step comes to an end, whichever, or is given up when the grace is
  over;
- requests sent = answered well + throttled + failed, by kind, + this machine's own failures.

Both sides of each are counted in different places: what is sent where it is sent, what came of it
where that is seen. A run whose accounts do not add up has lost or doubled something, and is no
statement about the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Accounts:
    """What was due, what was sent, and what came of it, over all workers.

    ``scheduled`` to ``unanswered`` count steps (arrivals); the others count requests, of which a
    step may make several: ``requests_sent`` where they were begun, the others where they ended;
    ``by_second`` are those in the timeline.
    """

    scheduled: int
    dropped: int
    sent: int
    completed: int
    unanswered: int
    requests_sent: int
    good: int
    throttled: int
    failed: int
    own_failures: int
    by_second: int

    def broken(self) -> Iterator[str]:
        """The equations that do not hold, each as a sentence with its numbers."""
        if self.scheduled and self.scheduled != self.sent + self.dropped:
            yield (
                f"{self.scheduled:,} arrivals were scheduled, but {self.sent:,} sent and "
                f"{self.dropped:,} dropped: "
                f"{_missing(self.scheduled - self.sent - self.dropped)}"
            )
        if self.sent != self.completed + self.unanswered:
            yield (
                f"{self.sent:,} steps were sent, but {self.completed:,} completed and "
                f"{self.unanswered:,} given up unanswered: "
                f"{_missing(self.sent - self.completed - self.unanswered)}"
            )
        ended = self.good + self.throttled + self.failed
        if self.requests_sent != ended + self.own_failures:
            yield (
                f"{self.requests_sent:,} requests were sent, but {self.good:,} were answered "
                f"well, {self.throttled:,} throttled, "
                f"{self.failed:,} failed and {self.own_failures:,} could not leave: "
                f"{_missing(self.requests_sent - ended - self.own_failures)}"
            )
        if ended != self.by_second:
            yield (
                f"{ended:,} requests ended, but {self.by_second:,} are in the seconds of the "
                "timeline"
            )

    def document(self) -> dict[str, Any]:
        """``conservation`` in ``load.json``."""
        broken = list(self.broken())
        return {**asdict(self), "holds": not broken, "broken": broken}


def _missing(difference: int) -> str:
    return f"{difference:,} have no end" if difference > 0 else f"{-difference:,} too many"
