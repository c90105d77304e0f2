"""``history.jsonl``: a line for each finished run, in the folder that holds the runs' folders.

Lines are appended whole, under a lock of that folder; a line that was torn all the same is passed
over by who reads. The file is cut to its newest lines when it has become long.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rolecall.file_lock import wait_for_lock
from rolecall.schema_validation import validation_errors
from rolecall.whole_files import NotWrittenWhole, replace_file

HISTORY = "history.jsonl"
#: Lines that the file may have, and those that are kept when there are more. A line has a few
#: hundred bytes, or some 20,000 where everything failed.
MOST_LINES, KEPT_LINES = 500, 400
_PATIENCE, _PAUSE = 5.0, 0.05  # seconds: for the lock, and between two tries


def append(out: Path, line: dict[str, Any]) -> str:
    """Add a run's line; a sentence where that cannot be done, since no verdict depends on it."""
    path = out / HISTORY
    data = (json.dumps(line, separators=(",", ":")) + "\n").encode()
    try:
        with _locked(out):
            before = path.read_bytes() if path.exists() else b""
            if before.count(b"\n") >= MOST_LINES:
                before = _cut(path, before)
            torn = b"\n" if before and not before.endswith(b"\n") else b""
            with path.open("ab", buffering=0) as file:
                file.write(torn + data)
    except OSError as error:
        return f"{path}: this run is not in the history: {error.strerror}"
    except NotWrittenWhole as error:
        return f"{path}: this run is not in the history: {error.why}"
    return ""


def read(out: Path) -> tuple[list[dict[str, Any]], int]:
    """The lines, oldest first, and how many could not be read."""
    path = out / HISTORY
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError:
        return [], 0
    lines = [_line(text) for text in texts if text.strip()]
    found = [line for line in lines if line is not None]
    return found, len(lines) - len(found)


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if validation_errors("history", line, 1) else line


def _cut(path: Path, before: bytes) -> bytes:
    """Keep the newest lines: the old file or the new one is whole at every moment."""
    after = b"".join(before.splitlines(keepends=True)[-KEPT_LINES:])
    replace_file(path, after)
    return after


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which leaves no file behind and ends with the process.

    Raises:
        OSError: somebody else holds it all the time, or there is no such folder.
    """
    if os.name == "nt":  # a folder cannot be opened there; a line is still one write
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not wait_for_lock(descriptor, _PATIENCE, _PAUSE):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        yield
    finally:
        os.close(descriptor)
