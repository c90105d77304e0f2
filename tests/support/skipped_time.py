"""An event loop that waits for nothing: where all tasks sleep, its clock is put forward."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Skipping(selectors.SelectSelector):
    """Waits for no timer: it notes how long it would have waited."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0 if timeout else timeout)
        if timeout and not ready:
            self.skipped += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """Its time is what was skipped, and nothing else: a slow machine is as late as a fast one."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


def run(story: Coroutine[Any, Any, Result]) -> Result:
    """Run a story whose pauses take no time, and which nothing outside of it answers."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(story)
