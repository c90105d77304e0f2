"""Runs that are killed, ended by a signal, or not alone: nothing of theirs is left in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rolecall.reference.settings import Settings
from rolecall.reference.target import target_file
from rolecall.schema_validation import validation_errors
from tests.support.command import FILES, Finished, start
from tests.support.strangers import Stranger, listening
from tests.support.watched import watched

#: Lines of a ledger among which a run is killed: a whole run has about as many.
LINES = 1500
PATIENCE = 900.0  # seconds for one command, on a machine that has other things to do
#: Moments of each test, on each server; the environment may ask for others.
FEW, MANY = 3, int(os.environ.get("ROLECALL_MOMENTS", "30"))


@dataclass
class Judged:
    """A server with a census: its target file, its damage, and what was added."""

    text: str
    damage: Callable[[], list[str]]
    left: Callable[[], list[str]]


@contextmanager
def stranger() -> Iterator[Judged]:
    """The awkward server: ids are numbers, creates are answered late or not at all."""
    server = Stranger()
    with listening(server) as url:
        yield Judged(server.target_file(url), server.damage, server.left)


@contextmanager
def reference(*variants: str, clock: bool = True) -> Iterator[Judged]:
    """The reference server with a census."""
    with watched(Settings(clock=clock, scrypt_n=128, variants=variants)) as (server, census):
        text = target_file(server.server, server.base_url)
        yield Judged(text, census.damage, census.left)


def slow() -> AbstractContextManager[Judged]:
    """The same, a little slow, so that requests are under way when a run is killed."""
    return reference("latency-50ms")


SERVERS = {"reference": slow, "stranger": stranger}


def begun(folder: Path, text: str, **options: Any) -> subprocess.Popen[str]:
    """A run in a process of its own, in this folder."""
    folder.mkdir()
    (folder / "target.toml").write_text(text, encoding="utf-8")
    words = ("certify", "target.toml", "--out", "runs", "--quiet")
    return start(*words, cwd=folder, **options)


def finished_by(process: subprocess.Popen[str], folder: Path) -> Finished:
    """A command in this folder when it is over, however busy this machine is."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return Finished(process.returncode, stdout, stderr, 0.0, folder / "runs")


def ended(process: subprocess.Popen[str], folder: Path) -> Finished:
    """The same run when it is over, with results that are what their schema says."""
    finished = finished_by(process, folder)
    assert validation_errors("results", finished.results) == [], finished.said
    assert {path.name for path in finished.folder.iterdir()} >= FILES, finished.said
    return finished


def lines_of(folder: Path) -> int:
    """How many lines the ledger of the run in a folder has."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("runs/*/ledger.jsonl"))


def wait_for_lines(process: subprocess.Popen[str], folder: Path, lines: int) -> None:
    """Wait until the ledger has so many lines, or the run has ended."""
    until = time.monotonic() + PATIENCE
    while lines_of(folder) < lines and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def killed(folder: Path, text: str, lines: int, then: float = 0.0) -> None:
    """A run that is killed when its ledger has so many lines, and some seconds later."""
    process = begun(folder, text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_lines(process, folder, lines)
    time.sleep(then)
    process.kill()
    process.wait(30)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(range(FEW), marks=pytest.mark.long, id="few"),
        pytest.param(range(FEW, MANY), marks=pytest.mark.nightly, id="many"),
    ],
)
def test_nothing_is_left_of_a_run_that_was_killed(
    moments: range, name: str, tmp_path: Path
) -> None:
    """At random moments the run is killed; after one clean-up nothing of it is on the server, and
    accounts, things and clock are as they were.
    """
    for moment in moments:
        chance = random.Random(f"{name} {moment}")
        folder = tmp_path / str(moment)
        lines, then = chance.randrange(5, LINES), chance.uniform(0.0, 0.2)
        with SERVERS[name]() as server:
            killed(folder, server.text, lines, then)
            before = len(server.left())
            cleanup = start("cleanup", *(folder / "runs").iterdir(), cwd=folder)
            cleaned = finished_by(cleanup, folder)

            when = f"moment {moment} ({lines} lines): {before} things before; {cleaned.said}"
            assert (server.damage(), server.left()) == ([], []), when
            assert cleaned.code == 0, when


def _without_ctrl_c() -> None:
    """As a script starts what it does not wait for; a test run may be under ``nohup`` itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_in_order_where_ctrl_c_is_ignored(name: str, tmp_path: Path) -> None:
    """As a script's ``&`` starts it; SIGHUP follows, as systemd and shells send it: the server is
    as it was, the folder is whole, and the exit code is 130.
    """
    chance = random.Random(name)
    with reference("latency-50ms") as server:
        process = begun(
            tmp_path / "run",
            server.text,
            preexec_fn=_without_ctrl_c,
        )
        wait_for_lines(process, tmp_path / "run", chance.randrange(50, 900))
        process.send_signal(getattr(signal, name))
        time.sleep(0.1)
        process.send_signal(signal.SIGHUP)
        finished = ended(process, tmp_path / "run")

        assert finished.code == finished.results["exit_code"] == 130, finished.said
        assert finished.results["left_behind"] == [], finished.said
        assert (server.damage(), server.left()) == ([], [])


@pytest.mark.long
def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """On one target, whose clock neither moves: every cell is decided as by a run that is alone,
    nothing is found, and both delete their own things.
    """
    with reference(clock=False) as server:
        processes = [begun(tmp_path / name, server.text) for name in "ab"]
        runs = [
            ended(process, tmp_path / name) for process, name in zip(processes, "ab", strict=True)
        ]

        for run in runs:
            assert run.results["findings"] == run.results["left_behind"] == [], run.said
            assert run.results["counts"]["cells"]["passed"] == 376, run.said
            assert run.results["counts"]["tests"]["inconclusive"] == 0, run.said
            assert run.results["counts"]["tests"]["error"] == 0, run.said
        assert (server.damage(), server.left()) == ([], [])
