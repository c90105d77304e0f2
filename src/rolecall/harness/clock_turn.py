"""Runs of one target take turns on this machine where they may move its clock.

A clock that moves is moved for every run: a token of the others has expired at once, and what they
prove of it is void. Runs of which neither knows the other's machine cannot be told.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rolecall.errors import UsageError
from rolecall.file_lock import lock
from rolecall.screen import say

_PATIENCE, _PAUSE = 3600.0, 0.2  # seconds: for another run, and between two looks


@contextmanager
def clock_turn(clock_url: str) -> Iterator[None]:
    """Be the only run on this machine that may move this clock; wait for the one that is.

    Raises:
        UsageError: another run has not ended within an hour.
    """
    if not (clock_url and hasattr(os, "getuid")):  # on Windows runs do not wait for each other
        yield
        return
    descriptor = _wait_for(clock_url)
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                _path(clock_url).unlink()
            os.close(descriptor)


def _path(clock_url: str) -> Path:
    digest = hashlib.sha256(clock_url.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"rolecall-clock-{os.getuid()}-{digest}.lock"


def _wait_for(clock_url: str) -> int | None:
    """The lock's descriptor; None where no lock can be had, as on some network file systems."""
    until, has_said = time.monotonic() + _PATIENCE, False
    while True:
        try:
            descriptor = _locked(_path(clock_url))
        except OSError:
            return None
        if descriptor is not None:
            return descriptor
        if time.monotonic() > until:
            raise UsageError(
                clock_url,
                "another run on this machine has held this clock for an hour",
                "Wait for its end, or leave clock_url out of the target file.",
            )
        if not has_said:  # on the real one: pytest's is thrown away
            say("rolecall: waiting for another run of this target", stream=sys.__stderr__)
            has_said = True
        time.sleep(_PAUSE)


def _locked(path: Path) -> int | None:
    """The descriptor of a locked file; None where another process has it.

    Raises:
        OSError: it cannot be made, or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        is_taken = not lock(descriptor)
        if not is_taken and path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None  # taken, or given back and removed meanwhile
