"""When requests arrived at a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


def busiest(moments: Iterable[float], seconds: float = 1.0) -> int:
    """The most of these moments that lie in any window of so many seconds, its end left out."""
    window: deque[float] = deque()
    most = 0
    for moment in sorted(moments):
        window.append(moment)
        while window[0] <= moment - seconds:
            window.popleft()
        most = max(most, len(window))
    return most
