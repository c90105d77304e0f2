"""A hostile or broken server costs a run neither its memory, nor its files, nor its words."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from rolecall.schema_validation import validation_errors
from tests.support import hostile
from tests.support.command import finish, start, target_text
from tests.support.miniatures import Connection, Miniature, Received, response
from tests.support.servers import certify, forwarded, serving, target

MOST_MEMORY = 1024  # megabytes
HONEST = 12  # answers before the first hostile one: a run that cannot log in has nothing to do
_READY, _RUNS = 500, 6  # hostile answers; a run may end early, for good reason


class Memory(threading.Thread):
    """The most memory that a process and those that it started had together, in megabytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.most = 0.0
        self.start()

    def run(self) -> None:
        """Look ten times a second."""
        while (now := sum(map(_resident, _family(self._pid)))) > 0:
            self.most = max(self.most, now)
            time.sleep(0.1)


def _family(pid: int) -> list[int]:
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid, *(member for word in words for member in _family(int(word)))]


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20
    except OSError:
        return 0.0


def relay(url: str, every: int, seed: int) -> Any:
    """Every so-many-th answer is hostile, the others are those of the server at ``url``; and how
    many were.
    """
    numbers, lock, chance = itertools.count(1), threading.Lock(), random.Random(seed)
    told = [0]

    def answer(request: Received, connection: Connection) -> None:
        with lock:
            number = next(numbers)
            bad = hostile.answer(chance) if number > HONEST and number % every == 0 else b""
            told[0] += bool(bad)
        if not bad:
            connection.send(_honest(url, request))
            return
        connection.send(bad)
        connection.cut()

    return answer, told


def _honest(url: str, request: Received) -> bytes:
    try:
        return forwarded(url, request)
    except (httpx.HTTPError, ValueError):
        # a case sent what no client of ours may pass on: a header with a NUL
        return response(400)


def expect_harmless(text: str) -> None:
    """Nothing in it acts on a terminal, and no line is forged."""
    acting = {
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    } - {"\n"}
    assert acting == set()
    assert text.count("verdict  ") <= 1


@pytest.mark.long
@pytest.mark.skipif(
    "ROLECALL_HOSTILE" not in os.environ, reason="it takes ten minutes: set ROLECALL_HOSTILE=1"
)
def test_certify_is_unmoved(tmp_path: Path) -> None:
    """Of five hundred hostile answers in runs of certify none breaks one: whole files, an honest
    exit code, bounded memory.
    """
    with serving("--scrypt-n", "2") as server:
        answer, told = relay(server.url, 4, 1)
        with Miniature(answer) as front:
            file = server.target_file(tmp_path, url=front.url, under_target="timeout = 1")
            for number in range(_RUNS):
                if told[0] < _READY:
                    expect_whole_run(file, tmp_path / str(number))

    assert told[0] >= _READY


def expect_whole_run(file: str | Path, out: Path) -> None:
    """A run of certify against a hostile target ends in order and leaves whole files."""
    process = start("certify", file, "--out", str(out), cwd=out.parent)
    memory = Memory(process.pid)
    stdout, stderr = process.communicate(timeout=400)

    (folder,) = filter(Path.is_dir, out.iterdir())
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert validation_errors("results", results) == []
    assert process.returncode == results["exit_code"] and process.returncode in (0, 1, 3, 4, 7), (
        stdout + stderr
    )
    assert json.loads((folder / "evidence.har").read_text(encoding="utf-8"))["log"]["entries"]
    assert ElementTree.parse(folder / "junit.xml").getroot() is not None
    for line in (folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line)
    expect_harmless(stdout + stderr)
    assert memory.most < MOST_MEMORY


@pytest.mark.long
@pytest.mark.parametrize("number", [0, 2, 13, 14])
def test_from_the_first_answer_on(number: int, tmp_path: Path) -> None:
    """Where the very first log-in gets a hostile answer the run ends with one message, and neither
    a bug of the harness nor a traceback: nobody could tell by them what to do.
    """
    chance, turn = random.Random(number), threading.Lock()

    def answer(request: Received, connection: Connection) -> None:
        with turn:
            data = hostile.answer(chance)
        connection.send(data)

    with Miniature(answer) as server:
        file = target(tmp_path, target_text(server.url, under_target="timeout = 1"))
        finished = certify(file, "ISSUE or list-users")

    assert finished.code in (1, 2, 3, 4), finished.said
    assert (finished.code == 1) == bool(finished.results["findings"])
    assert finished.stderr.count("rolecall: ") <= 1, finished.stderr
    assert "Traceback" not in finished.said
    expect_harmless(finished.said)


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param("issuance", marks=pytest.mark.nightly),
        pytest.param("mixed", marks=pytest.mark.long),
    ],
)
def test_load_is_unmoved(scenario: str, tmp_path: Path) -> None:
    """The same for a load run: every other answer is hostile, and what it leaves is whole."""
    with serving("--scrypt-n", "2") as server:
        answer, told = relay(server.url, 2, 2)
        with Miniature(answer) as front:
            file = server.target_file(tmp_path, url=front.url, under_target="timeout = 1")
            process = start(
                "load",
                scenario,
                file,
                "--rate",
                "60",
                "--duration",
                "20s",
                "--out",
                "runs",
                cwd=tmp_path,
            )
            memory = Memory(process.pid)
            finished = finish(process, tmp_path / "runs", time.monotonic())

    document = json.loads((finished.folder / "load.json").read_text(encoding="utf-8"))
    assert told[0] >= _READY
    assert validation_errors("load", document) == []
    assert finished.code == document["exit_code"] and finished.code in (0, 1, 3), finished.said
    expect_harmless(finished.said)
    assert memory.most < MOST_MEMORY
