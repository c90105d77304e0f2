"""A run that is killed: `rolecall cleanup` deletes what it left, and puts back what it changed."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rolecall.reference.app import Server
from rolecall.reference.census import Census
from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.target import target_file
from tests.support.command import rolecall, start
from tests.support.strangers import Stranger, listening

#: Lines of a ledger among which a run is killed: a whole run has about as many.
LINES = 1500
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
def reference() -> Iterator[Judged]:
    """The reference server, a little slow, so that requests are under way when a run is killed."""
    census: list[Census] = []

    def prepare(server: Server) -> None:
        census.append(Census(server))
        server.app = census[0].watched(server.app)

    with running(Settings(clock=True, scrypt_n=128, variants=("latency-50ms",)), prepare) as server:
        text = target_file(server.server, server.base_url)
        yield Judged(text, census[0].damage, census[0].left)


SERVERS = {"reference": reference, "stranger": stranger}


def begun(folder: Path, text: str, *options: str) -> subprocess.Popen[str]:
    """A run in a process of its own, in this folder."""
    (folder / "target.toml").write_text(text, encoding="utf-8")
    words = ("certify", "target.toml", "--out", "runs", "--quiet", *options)
    return start(*words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lines_of(folder: Path) -> int:
    """How many lines the ledger of the run in a folder has."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("runs/*/ledger.jsonl"))


def wait_for_lines(process: subprocess.Popen[str], folder: Path, lines: int) -> None:
    """Wait until the ledger has so many lines, or the run has ended."""
    until = time.monotonic() + 120
    while lines_of(folder) < lines and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def killed(folder: Path, text: str, lines: int, then: float = 0.0) -> None:
    """A run that is killed when its ledger has so many lines, and some seconds later."""
    process = begun(folder, text)
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
        folder.mkdir()
        lines, then = chance.randrange(5, LINES), chance.uniform(0.0, 0.2)
        with SERVERS[name]() as server:
            killed(folder, server.text, lines, then)
            before = len(server.left())
            cleaned = rolecall("cleanup", *(folder / "runs").iterdir(), cwd=folder)

            when = f"moment {moment} ({lines} lines): {before} things before; {cleaned.said}"
            assert (server.damage(), server.left()) == ([], []), when
            assert cleaned.code == 0, when
