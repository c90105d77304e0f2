"""Work in a second process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rolecall.forked import beside


def test_it_is_done_elsewhere_meanwhile(tmp_path: Path) -> None:
    """What is waited for comes from another process, which worked while this one did something
    else.
    """
    done_here = tmp_path / "done"
    began = time.monotonic()

    def work() -> tuple[int, str]:
        while not done_here.exists():
            assert time.monotonic() - began < 60
            time.sleep(0.01)
        return os.getpid(), "half a character: \ud83d"

    wait = beside(work)
    done_here.touch()
    process, text = wait()
    assert process != os.getpid()
    assert text == "half a character: \ud83d"


def test_what_it_raises() -> None:
    """An error of the work is raised where its result is awaited."""

    def work() -> None:
        raise LookupError("there is none")

    with pytest.raises(LookupError, match="there is none"):
        beside(work)()


def test_a_process_that_dies() -> None:
    """Where the other process comes to nothing, the work is done here."""
    here = os.getpid()

    def work() -> int:
        if os.getpid() != here:
            os._exit(9)
        return here

    assert beside(work)() == here


def test_nobody_waits() -> None:
    """A process whose result is not taken, though it is larger than a pipe holds, ends when the one
    that began it does.
    """
    script = """
from rolecall.forked import beside
beside(lambda: 'x' * 1_000_000)
raise SystemExit('interrupted')
"""
    began = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.stderr == "interrupted\n"  # and the pipes, which both have, are closed
    assert time.monotonic() - began < 10


def test_one_that_is_left() -> None:
    """Leaving the block without waiting, as Ctrl-C does, ends the other process, whatever it is
    doing.
    """
    began = time.monotonic()

    with pytest.raises(KeyboardInterrupt), beside(lambda: time.sleep(60)) as wait:
        child = wait._child
        raise KeyboardInterrupt

    assert child
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_one_whose_parent_is_killed() -> None:
    """The other process ends soon after its parent is killed."""
    script = """
import os, signal, time
from rolecall.forked import beside
def work():
    os.write(1, b'working')
    while True:  # until it is stopped
        sum(range(1000))
beside(work)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read(7) == b"working"
        process.kill()
        began = time.monotonic()
        assert process.stdout.read() == b""  # both have closed it

    assert time.monotonic() - began < 10


def test_children_that_are_nobodys_business() -> None:
    """Where the kernel reaps our children itself, the result comes all the same."""
    usual = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert beside(os.getpid)() != os.getpid()
    finally:
        signal.signal(signal.SIGCHLD, usual)


def test_no_process_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be forked, the work is done here."""

    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    assert beside(os.getpid)() == os.getpid()
