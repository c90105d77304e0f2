"""Runs the tests in as many processes as there are cores: ``-p tests.unit.forks``.

With pytest-xdist so many short tests take half as long again as they need: each of its processes
imports and collects all of them, and tells of each five times. Here one process collects them, its
forks run their share, and tell at the end how it went.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Generator
from typing import Any

import pytest

#: More processes than these take longer to begin than they save.
MOST = 4


class _Reports:
    """How the tests of this process went, in words that another one understands."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.told: list[dict[str, Any] | None] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report."""
        tell = self._config.hook.pytest_report_to_serializable
        self.told.append(tell(config=self._config, report=report))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Run a share of the tests in this process, and the others in its forks."""
    items, count = session.items, min(os.cpu_count() or 1, MOST)
    gc.freeze()  # of what was collected there is no rubbish to be found
    forks = []
    for number in range(1, count):
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            os.close(reading)
            session.items = items[number::count]
            return (yield from _telling(session.config, writing))
        os.close(writing)
        forks.append((process, reading))
    session.items = items[::count]
    result = yield
    for process, pipe in forks:
        _hear(session.config, process, pipe)
    return result


def _telling(config: pytest.Config, pipe: int) -> Generator[None, Any, Any]:
    """Run the tests of a fork without a word on the terminal, and then tell how they went."""
    reports = _Reports(config)
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(reports)
    result = yield
    with os.fdopen(pipe, "w", encoding="utf-8") as file:
        json.dump(reports.told, file)
    return result


def _hear(config: pytest.Config, process: int, pipe: int) -> None:
    """Wait for a fork's end, and report its tests as if they had run in this process.

    Raises:
        ChildProcessError: it broke off, so that tests of it are missing.
    """
    with os.fdopen(pipe, encoding="utf-8") as file:
        text = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if not text or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise ChildProcessError(f"a fork broke off, and ended with {code}")
    for data in json.loads(text):
        report = config.hook.pytest_report_from_serializable(config=config, data=data)
        config.hook.pytest_runtest_logreport(report=report)
