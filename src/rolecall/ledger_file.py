"""A file of lines: with room reserved ahead, stored on demand, held by one process.

A disk that fills up while a run is under way must not keep the ledger from telling what became of
things: the room for that is taken before they are made.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from functools import cache
from pathlib import Path
from typing import Any

from rolecall.errors import NO_ROOM
from rolecall.file_lock import lock

_CHUNK = 16 * 1024  # bytes that are reserved at once, where there is room
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of fallocate(2): a reader sees no more than what was written
#: What fsync says of something that cannot be stored, as /dev/null.
_NOTHING_TO_STORE = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})


class LedgerFile:
    """One file; its lines end with a newline, whatever broke off before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(path, flags, 0o666)
        about = os.fstat(self._descriptor)
        self._is_regular = stat.S_ISREG(about.st_mode)
        self._size = self._reserved = about.st_size
        self._can_reserve = self._is_regular
        self.is_held = self._hold()
        if self._is_regular and not self._size:  # of one with lines the name is stored
            for folder in (path.absolute().parent, path.absolute().parent.parent):
                _store_folder(folder)

    def _hold(self) -> bool:
        """Lock the file as long as this process has it open; whether no other process has."""
        if os.name == "nt" or not self._is_regular:  # Windows would let nobody read it any more
            return True
        try:
            return lock(self._descriptor)
        except OSError:  # a file system without locks
            return True

    def reserve(self, size: int) -> None:
        """Take the room for ``size`` more bytes, where the file system can.

        Raises:
            OSError: there is none.
        """
        if not self._can_reserve or self._size + size <= self._reserved:
            return
        for wanted in (max(size, _CHUNK), size):
            try:
                self._can_reserve = _allocate(self._descriptor, self._size, wanted)
            except OSError:
                if wanted == size:
                    raise
                continue
            self._reserved = self._size + wanted
            return

    def append(self, line: str) -> None:
        """Write a line whole, or nothing of it.

        Raises:
            OSError: it could not be written.
        """
        data = f"{line}\n".encode()
        if os.write(self._descriptor, data) < len(data):
            self.cut(self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(data)

    def cut(self, size: int) -> None:
        """Cut the file off after ``size`` bytes: what follows was not written to its end."""
        os.ftruncate(self._descriptor, size)  # which gives back what was reserved behind it
        self._size = self._reserved = size

    def store(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            OSError: the disk did not take it.
        """
        try:
            getattr(os, "fdatasync", os.fsync)(self._descriptor)
        except OSError as error:
            if error.errno not in _NOTHING_TO_STORE:
                raise

    def close(self) -> None:
        """Give back what was reserved and not used, and close the file."""
        with contextlib.suppress(OSError):
            if self._is_regular and self.is_held:
                os.ftruncate(self._descriptor, self._size)
                self._put_back()
            os.close(self._descriptor)

    def _put_back(self) -> None:
        """Write the file anew where somebody deleted it meanwhile, alone or with its folder: what
        it tells is still known to who has it open, and nowhere else.
        """
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(os.pread(self._descriptor, self._size, 0))


def _store_folder(folder: Path) -> None:
    """Let the names in a folder survive a power cut; where that cannot be done, nothing is lost by
    trying.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _allocate(descriptor: int, offset: int, size: int) -> bool:
    """Reserve room behind the end of a file; whether the file system can.

    Raises:
        OSError: there is no room.
    """
    fallocate = _fallocate()
    if fallocate is None:
        return False
    if fallocate(descriptor, _KEEP_SIZE, offset, size) == 0:
        return True
    number = ctypes.get_errno()
    if number in NO_ROOM:
        raise OSError(number, os.strerror(number))
    return False


@cache
def _fallocate() -> Any:
    """Linux's fallocate(2), which os.posix_fallocate is not: that one makes the file longer."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int
    return function
