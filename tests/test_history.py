"""The history of runs on disk: lines are whole, whoever writes; a torn one costs only itself."""

from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rolecall import history
from rolecall.report.trend import line_of
from tests.support.results import results


def line(number: int = 0) -> dict[str, Any]:
    """A run's line."""
    found = line_of(results(f"20261126-030000-{number:06x}"))
    assert found
    return found


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    """What was appended is read, oldest first; without a file there is nothing."""
    assert history.read(tmp_path) == ([], 0)
    for number in range(3):
        assert history.append(tmp_path, line(number)) == ""
    assert history.read(tmp_path) == ([line(0), line(1), line(2)], 0)


@pytest.mark.parametrize(
    "torn", [b'{"run": "2026', b"null\n", b'{"run": 1}\n', b"\xff\n", b"[" * 9999]
)
def test_a_torn_line_costs_only_itself(torn: bytes, tmp_path: Path) -> None:
    """The line of a process that was killed, or another program's, is counted and passed over."""
    history.append(tmp_path, line(1))
    with (tmp_path / history.HISTORY).open("ab") as file:
        file.write(torn)
    history.append(tmp_path, line(2))
    assert history.read(tmp_path) == ([line(1), line(2)], 1)


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    """Runs that end at the same time all have their line, whole."""
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda number: history.append(tmp_path, line(number)), range(40)))
    lines, torn = history.read(tmp_path)
    assert said == [""] * 40
    assert torn == 0
    assert sorted(entry["run"] for entry in lines) == [line(number)["run"] for number in range(40)]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has become long is cut to its newest lines, and nothing lies beside it."""
    monkeypatch.setattr(history, "MOST_LINES", 5)
    monkeypatch.setattr(history, "KEPT_LINES", 3)
    for number in range(6):
        history.append(tmp_path, line(number))
    assert [entry["run"][-1] for entry in history.read(tmp_path)[0]] == ["2", "3", "4", "5"]
    assert [path.name for path in tmp_path.iterdir()] == [history.HISTORY]


def test_a_history_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is gone or locked by somebody else is a sentence and no end of a run."""
    assert "No such file" in history.append(tmp_path / "nowhere", line())
    monkeypatch.setattr(history, "_PATIENCE", 0.0)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert "this run is not in the history" in history.append(tmp_path, line())
    finally:
        os.close(descriptor)
    assert history.append(tmp_path, line()) == ""
