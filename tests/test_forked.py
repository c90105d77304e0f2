"""Work in a second process."""

from __future__ import annotations

import os
import time

import pytest

from rolecall.forked import beside


def test_it_is_done_elsewhere_meanwhile() -> None:
    """What is waited for comes from another process, which worked while this one did something else."""
    began = time.monotonic()

    def work() -> tuple[int, str]:
        time.sleep(0.5)
        return os.getpid(), "half a character: \ud83d"

    wait = beside(work)
    assert time.monotonic() - began < 0.4
    process, text = wait()
    assert process != os.getpid()
    assert text == "half a character: \ud83d"


def test_what_it_raises() -> None:
    """An error of the work is an error of whoever waits for it."""

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


def test_no_process_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be forked, the work is done here."""

    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    assert beside(os.getpid)() == os.getpid()
