"""How far a run is: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from typing import TextIO

import pytest

from rolecall.harness.results import TestResult
from rolecall.harness.run import Run
from rolecall.outcomes import Outcome
from rolecall.screen import is_terminal, over, say, width_of

_WIDTH = 20  # of the bar
#: Seconds between two lines where no terminal is watching: the log of a nightly job shows that the
#: run is alive, and not more.
_SELDOM = 60.0
_LONG = 1.0  # seconds of a pause that are worth a word


class Progress:
    """A pytest plugin that tells how far the run is, and remembers the run."""

    def __init__(self, stream: TextIO | None, *, silent: bool) -> None:
        self.run: Run | None = None
        self._stream = stream
        self._silent = silent or stream is None
        self._is_watched = is_terminal(stream)
        self._done = self._total = 0
        self._failed = self._advice = self._inconclusive = 0
        self._begun = time.monotonic()
        self._next = self._begun + _SELDOM

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Listen to the results."""
        suite = config.pluginmanager.get_plugin("rolecall-suite")
        if suite is not None:
            self.run = suite.run
            suite.on_result, suite.while_waiting = self.advance, self.look

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many tests there will be."""
        self._total = len(session.items)

    def advance(self, result: TestResult) -> None:
        """One more test is done."""
        self._done += 1
        if result.outcome is Outcome.INCONCLUSIVE:
            self._inconclusive += 1
        elif result.outcome is Outcome.FAILED:
            assert self.run is not None
            decides = self.run.context.spec.requirements[result.requirement].decides
            self._failed += decides
            self._advice += not decides
        self.look()

    def look(self) -> None:
        """Show how far the run is, where that is due."""
        if self._silent:
            return
        now = time.monotonic()
        if self._is_watched:
            filled = _WIDTH * self._done // max(self._total, 1)
            bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"
            self._write(f"{bar} {self._done}/{self._total}  {self._state()}")
        elif now >= self._next:
            self._next += _SELDOM
            done = f"{self._done} of {self._total} tests after {now - self._begun:.0f} s"
            say(f"rolecall: {done}: {self._state()}", stream=self._stream)

    def clear(self) -> None:
        """Take the bar away."""
        if self._is_watched and not self._silent:
            self._write("", "\r")

    def _state(self) -> str:
        state = f"{self._failed} failed, {self._inconclusive} inconclusive"
        if self._advice:
            state += f", {self._advice} advice"
        pause = (
            self.run.context.world.client.layers.pause_left
            if self.run and self.run.is_open
            else 0.0
        )
        return f"{state}, told to wait {pause:.0f} s" if pause >= _LONG else state

    def _write(self, line: str, end: str = "") -> None:
        """Write over the line before on the terminal, unless it hung up."""
        assert self._stream is not None
        try:
            self._stream.write(over(line, width_of(self._stream), passing=True) + end)
            self._stream.flush()
        except OSError:
            self._silent = True
