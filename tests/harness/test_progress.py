"""How far a run is: a bar for who watches, a line a minute for a log."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.harness import progress
from rolecall.harness.progress import Progress
from rolecall.harness.results import TestResult
from rolecall.http.pacing import Pace
from rolecall.outcomes import Outcome
from rolecall.spec.loading import load_specification


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def under_way(stream: io.StringIO, *, pause: float = 0.0, silent: bool = False) -> Progress:
    """The progress of a run of four tests, two of which are done; one of them failed."""
    pace = Pace(0)
    pace.pause(pause)
    client = SimpleNamespace(layers=pace)
    shown = Progress(stream, silent=silent)
    run: Any = SimpleNamespace(is_open=True, context=SimpleNamespace(spec=load_specification()))
    run.context.world = SimpleNamespace(client=client)
    shown.run = run
    shown.pytest_collection_finish(SimpleNamespace(items=[None] * 4))  # type: ignore[arg-type]  # the part that is read
    for outcome in (Outcome.PASSED, Outcome.FAILED):
        shown.advance(TestResult("a test", "PERM-list-users", outcome))
    return shown


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns, whatever the one of who runs this is."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def test_a_bar_on_a_terminal() -> None:
    """The bar says how many tests are done and how many of them are bad, and goes away."""
    stream = Terminal()
    shown = under_way(stream)
    *_, last = stream.getvalue().split("\r")
    assert last.rstrip() == "[##########..........] 2/4  1 failed, 0 inconclusive"
    shown.clear()
    assert stream.getvalue().endswith(f"\r{' ' * len(last)}\r")


def test_advice_is_no_failure() -> None:
    """What decides nothing is counted apart from what fails a server."""
    stream = Terminal()
    under_way(stream).advance(TestResult("another test", "SEC-T08", Outcome.FAILED))

    last = stream.getvalue().split("\r")[-1].rstrip()
    assert last == "[###############.....] 3/4  1 failed, 0 inconclusive, 1 advice"


def test_a_bar_says_why_it_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the target holds every request back, the bar says for how long, within the width."""
    stream = Terminal()
    under_way(stream, pause=30.4)
    assert stream.getvalue().rstrip().endswith("inconclusive, told to wait 30 s")
    monkeypatch.setenv("COLUMNS", "60")
    narrow = Terminal()
    under_way(narrow, pause=30.4)
    assert max(map(len, narrow.getvalue().split("\r"))) == 59


def test_a_log_has_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody watches, nothing is written in the first minute, and then a line for each."""
    log = io.StringIO()
    shown = under_way(log)
    for _ in range(3):
        shown.look()
    assert log.getvalue() == ""
    now = shown._begun
    for seconds in (59.0, 61.0, 62.0, 119.0, 121.0):
        monkeypatch.setattr("time.monotonic", lambda at=now + seconds: at)
        shown.look()
    assert log.getvalue().splitlines() == [
        "rolecall: 2 of 4 tests after 61 s: 1 failed, 0 inconclusive",
        "rolecall: 2 of 4 tests after 121 s: 1 failed, 0 inconclusive",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["log", "terminal"])
def test_silence(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked for silence gets no bar and no line."""
    monkeypatch.setattr(progress, "_SELDOM", 0.0)
    under_way(stream, pause=30.0, silent=True).clear()
    assert stream.getvalue() == ""
