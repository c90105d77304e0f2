"""The server's one source of time, which a test may move."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate


class Clock:
    """The computer's time and an offset. Every time that the server uses comes from here."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._date = (0, "")

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the clock; a negative number moves it back."""
        self.offset += seconds

    def instant(self) -> str:
        """Now, as resources show it: ISO 8601 in UTC with milliseconds."""
        return iso(self.now())

    def date(self) -> str:
        """Now, as the Date header shows it; formatted once a second."""
        second = int(self.now())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]


def iso(seconds: float) -> str:
    """An instant in ISO 8601, UTC, with milliseconds."""
    instant = datetime.fromtimestamp(seconds, UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"
