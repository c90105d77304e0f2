"""Writes a file, or a folder of files, such that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rolecall.errors import RolecallError


@dataclass
class NotWrittenWhole(RolecallError):
    """A file could not be written, and is not there: ``where``, and what the system said (``why``).

    What stood there before is as it was.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where} could not be written: {self.why}"


def write_file(path: Path, text: str) -> None:
    """Write a text, as `replace_file` does. Half characters, which JSON of a target may hold, are
    written as escapes.

    Raises:
        NotWrittenWhole: the file system refused.
    """
    replace_file(path, _encoded(text))


def replace_file(path: Path, data: bytes) -> None:
    """Write bytes beside ``path`` and rename that, so that a reader finds the old file or the new
    one; the new one has the mode of the old. What a symbolic link leads to is replaced, not the
    link; into a device or a pipe, such as ``/dev/stdout``, the bytes are written.

    A file system that is full, or over its quota, may say so only when it is told to store the
    bytes, hence the fsync.

    Raises:
        NotWrittenWhole: the file system refused.
    """
    try:
        if _is_device_or_pipe(path):
            _store(path, data, at_once=False)
            return
        place = Path(os.path.realpath(path)) if path.is_symlink() else path
        new = place.with_name(f".{place.name}.new")
        try:
            _store(new, data, at_once=True)
            if place.exists():
                shutil.copymode(place, new)
            new.replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
    except OSError as error:
        raise NotWrittenWhole(str(path), error.strerror or type(error).__name__) from None


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts by their names as one folder, in place of what stood there.

    Raises:
        NotWrittenWhole: the file system refused.
    """
    new, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    try:
        try:
            shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
            new.mkdir()
            for name, text in files.items():
                _store(new / name, _encoded(text), at_once=False)
            if folder.exists():
                folder.replace(old)
            new.replace(folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise NotWrittenWhole(str(folder), error.strerror or type(error).__name__) from None


def _is_device_or_pipe(path: Path) -> bool:
    """Whether something stands there, also behind a link, that no file may take the place of."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _store(path: Path, data: bytes, *, at_once: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        if at_once:
            file.flush()
            os.fsync(file.fileno())
