"""The errors that end a command, each with its exit code."""

from __future__ import annotations

import difflib
import errno
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from rolecall.wording import counted, shortened

#: Errors of a file system that has no room left, for this user or at all.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LONGEST_PLACE = 1_000  # characters


class ExitCode(IntEnum):
    """The exit codes of every command (a contract with scripts)."""

    CONFORMANT = 0
    FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    UNREACHABLE = 4
    WAIVER = 5
    HARNESS_ERROR = 6
    LEFT_BEHIND = 7
    SECRET_LEAK = 8
    INTERRUPTED = 130


class RolecallError(Exception):
    """An error that is reported as one message, without a traceback."""

    exit_code = ExitCode.HARNESS_ERROR


@dataclass
class UsageError(RolecallError):
    """The command line or a file is wrong: ``where``, ``what`` happened, what to do (``hint``)."""

    where: str
    what: str
    hint: str = ""

    exit_code = ExitCode.USAGE

    def __str__(self) -> str:
        return f"{self._place}: {self.what}" + (f"\n  {self.hint}" if self.hint else "")

    @property
    def line(self) -> str:
        """The same in one line, for a text that is one."""
        return f"{self._place}: {self.what}" + (f". {self.hint.rstrip('.')}" if self.hint else "")

    @property
    def _place(self) -> str:
        """``where``, which may be a word of the command line, and so of any length."""
        return shortened(self.where, _LONGEST_PLACE)


@dataclass
class Interrupted(RolecallError):
    """Ctrl-C or SIGTERM came while the run's files were made, and ``folder`` holds no results; or
    before the run began, where there is no ``folder``.
    """

    folder: str = ""
    left: int = 0

    exit_code = ExitCode.INTERRUPTED

    def __str__(self) -> str:
        if not self.folder:
            return "interrupted before the run began"
        left = (
            f"; {counted(self.left, 'thing')} left on the target: ledger.jsonl there names what"
            if self.left
            else ""
        )
        return f"interrupted while the files were made: {self.folder} holds no results{left}"


@dataclass
class Unreachable(RolecallError):
    """No server answers at the target's address; ``what`` is the rest of the sentence."""

    base_url: str
    what: str

    exit_code = ExitCode.UNREACHABLE

    def __str__(self) -> str:
        return f"{self.base_url} {self.what}"


def suggest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint at the nearest known word; where none is near, ``otherwise``, else all of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return otherwise or f"Known: {', '.join(names)}."


def place_of(error: BaseException) -> str:
    """Where an exception was raised, as ``toolkit/judge.py, line 12``; empty if it was not."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    path = Path(frames[-1].filename)
    return f"{'/'.join(path.parts[-2:])}, line {frames[-1].lineno}"
