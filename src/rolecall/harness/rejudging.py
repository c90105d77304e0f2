"""Runs the suite over a finished run's evidence, and holds what comes of it against the run."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any, TextIO

import pytest

from rolecall.harness.entry import run_without_target
from rolecall.harness.progress import Progress
from rolecall.replay.layers import NOT_RECORDED
from rolecall.replay.recording import RecordedRun
from rolecall.report import rejudged


class _OnlyThose:
    """A pytest plugin that leaves out the tests that were not in a run."""

    def __init__(self, tests: Container[str]) -> None:
        self._tests = tests

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave them out."""
        items[:] = [item for item in items if item.nodeid in self._tests]


def rejudge(folder: Path, out: Path, stream: TextIO, *, silent: bool) -> dict[str, Any]:
    """Judge a run again, as `rejudged.comparison` tells of it.

    Raises:
        UsageError: the folder holds nothing that can be judged again.
        RolecallError: the suite could not be run.
        KeyboardInterrupt: there was one.
    """
    then = RecordedRun.read(folder)
    words = ["--replay", str(folder), "--out", str(out), "--no-reports"]
    run = run_without_target(words, Progress(stream, silent=silent), [_OnlyThose(then.tests)])
    recording = run.context.recording
    assert recording
    missing = {
        test.partition("::")[2]: f"{what} {NOT_RECORDED}"
        for test, what in recording.missing.items()
    }
    for result in run.results:
        if NOT_RECORDED in result.reason:
            missing.setdefault(result.name, result.reason)
    departure = recording.course.departure
    return rejudged.comparison(then.run.results, run.document, missing, departure)
