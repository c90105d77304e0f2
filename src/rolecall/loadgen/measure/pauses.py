"""Notices pauses of this process, in which its hub did not come round in time.

A process that is stopped, swapped out or not given a core reads no answer and sends no request
meanwhile. What it measures then is its own delay. A timer that is due every few milliseconds knows:
how late it is, is how long everything else had to wait. libev calls timers that are due before it
hands out what has arrived, so that the pause is known before the answers that have waited for it
are read.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from gevent.hub import get_hub

from rolecall.loadgen.measure.recorder import Recorder

#: Seconds between two looks.
_PERIOD = 0.02
#: Seconds from which on a pause may have changed what is measured; shorter ones are what any busy
#: machine has.
LONG = 0.1


class Pauses:
    """Watches the hub of this process while something is measured.

    Args:
        recorder: is told of every pause that matters, and of the longest.
        seconds: who stands still for so long is ``away``, which is called with how long it was,
            once.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        seconds: float = float("inf"),
        away: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._recorder = recorder
        self._limit = seconds
        self._away = away
        self._last = perf_counter()
        self._longest = 0.0
        self._timer: Any = get_hub().loop.timer(_PERIOD, _PERIOD, ref=False)
        self._timer.start(self.look)

    def look(self, period: float = _PERIOD) -> None:
        """In the hub: measure the time since the last look; a timer's owner gives ``period``."""
        now = perf_counter()
        gap, self._last = now - self._last - period, now
        if gap <= self._longest and gap < LONG:
            return
        self._longest = max(self._longest, gap)
        self._recorder.paused(gap, now, long=gap >= LONG)
        if gap >= self._limit:
            self._limit = float("inf")
            self._away(gap)

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
