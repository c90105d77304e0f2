"""The lock on a file, by which processes wait for each other.

The system frees that of a process that died.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # asked before each use


def lock(descriptor: int) -> bool:
    """Take the lock on an open file, if it is free; whether it was."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _windows("LK_NBLCK", descriptor)
    except (BlockingIOError, PermissionError):  # the second is how Windows says that it is taken
        return False
    return True


def wait_for_lock(descriptor: int, seconds: float, pause: float) -> bool:
    """Take the lock as soon as it is free, looking every ``pause`` seconds; False if it is not
    within ``seconds``.
    """
    until = time.monotonic() + seconds
    while not lock(descriptor):
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True


def unlock(descriptor: int) -> None:
    """Give the lock back; closing the file does, too."""
    with contextlib.suppress(OSError):
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        else:
            _windows("LK_UNLCK", descriptor)


def _windows(mode: str, descriptor: int) -> None:
    """Lock or unlock the first byte of a file as Windows does it."""
    import msvcrt  # noqa: PLC0415  # is only there

    locking: Any = msvcrt
    os.lseek(descriptor, 0, os.SEEK_SET)
    locking.locking(descriptor, getattr(locking, mode), 1)
