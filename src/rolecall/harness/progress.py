"""A progress bar on a stream of its own."""

from __future__ import annotations

from typing import TextIO

import pytest

from rolecall.harness.results import TestResult
from rolecall.harness.run import Run
from rolecall.outcomes import Outcome
from rolecall.screen import is_terminal

_WIDTH = 30


class Progress:
    """A pytest plugin that draws a bar while a terminal is watching, and remembers the run."""

    def __init__(self, stream: TextIO, *, silent: bool) -> None:
        self.run: Run | None = None
        self._stream = stream
        self._silent = silent or not is_terminal(stream)
        self._width = 0  # of the line that stands there
        self._done = self._total = 0
        self._bad = {Outcome.FAILED: 0, Outcome.INCONCLUSIVE: 0}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Listen to the results."""
        suite = config.pluginmanager.get_plugin("rolecall-suite")
        if suite is not None:
            self.run = suite.run
            suite.on_result = self.advance

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many tests there will be."""
        self._total = len(session.items)

    def advance(self, result: TestResult) -> None:
        """One more test is done."""
        self._done += 1
        if result.outcome in self._bad:
            self._bad[result.outcome] += 1
        if self._silent:
            return
        filled = _WIDTH * self._done // max(self._total, 1)
        line = (
            f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {self._done}/{self._total}"
            f"  {self._bad[Outcome.FAILED]} failed, {self._bad[Outcome.INCONCLUSIVE]} inconclusive "
        )
        self._width = max(self._width, len(line))
        self._write(f"\r{line}")

    def clear(self) -> None:
        """Take the bar away."""
        if not self._silent:
            self._write(f"\r{' ' * self._width}\r")

    def _write(self, text: str) -> None:
        """Write on the terminal, unless it hung up."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._silent = True
