"""How long is waited for what was given on one connection and is not known on another one yet."""

from __future__ import annotations

from collections.abc import Iterator

#: Times that a late token was waited for in vain, until the time for that is short.
_IN_VAIN, BRIEFLY = 3, 0.3  # the latter in seconds
#: Seconds between the first two looks; each pause is twice as long as the one before.
_FIRST_PAUSE = 0.02


def pauses() -> Iterator[float]:
    """Seconds between two looks, without an end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause *= 2


class Lag:
    """For how long what was given on one connection may be unknown on another one.

    Nothing is said of replicas (AMB-17): what is refused there is asked for again before that
    is held against the server. Where three waits were in vain, and nothing was ever known late, the
    others are short: else a server whose processes know nothing of each other would have its
    clients wait, and little load.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._in_vain = 0
        self._was_seen = False

    @property
    def seconds(self) -> float:
        """How long that is."""
        if self._in_vain < _IN_VAIN or self._was_seen:
            return self._seconds
        return min(BRIEFLY, self._seconds)

    def note(self, *, came: bool) -> None:
        """Note whether what was waited for was known in the end."""
        self._was_seen = self._was_seen or came
        self._in_vain += not came
