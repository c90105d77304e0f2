"""Runs that may move one clock take turns."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import pytest

from rolecall.errors import UsageError
from rolecall.harness import clock_turn as module
from rolecall.harness.clock_turn import clock_turn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock(2) is POSIX's")
URL = "http://target.example/__clock"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where locks are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_second_waits_for_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on when the first is over, and leaves no file behind."""
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    order: list[str] = []
    waiting = threading.Event()
    monkeypatch.setattr(module, "say", lambda text, stream: waiting.set())

    def second() -> None:
        with clock_turn(URL):
            order.append("second")

    thread = threading.Thread(target=second)
    with clock_turn(URL):
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)

    assert order == ["first", "second"]
    assert list(folder.iterdir()) == []


def test_other_clocks_and_none_are_not_waited_for(folder: Path) -> None:
    """Another target's run goes on, and one that names no clock makes no file."""
    with clock_turn(URL), clock_turn("http://other.example/__clock"), clock_turn(""):
        assert len(list(folder.iterdir())) == 2


def test_the_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that hangs does not keep the others for ever."""
    monkeypatch.setattr(module, "_PATIENCE", -1.0)

    with clock_turn(URL), pytest.raises(UsageError, match="held this clock"), clock_turn(URL):
        pass


def test_where_no_lock_can_be_had_nothing_waits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there is no reason not to run."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))

    with clock_turn(URL), clock_turn(URL):
        pass
