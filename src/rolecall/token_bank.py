"""The token bank: tonight's tokens are kept, to be presented when they have really expired.

What is in it is as good as a password for a day, and its refresh tokens for longer: only its owner
may read the file, and only its owner may write to the folder. Two runs may end at the same time:
they read and write one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError
from rolecall.spec.claims import numeric_date
from rolecall.tokens import Caller

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # asked before each use

_MOST_PER_ROLE = 3
_PATIENCE = 20.0  # seconds for the other run that is at the bank: it needs milliseconds
_MOMENT = 0.02  # seconds between two looks whether it is done
#: Whether owners and modes mean what they say: on Windows every file's mode is 0666, and access is
#: ruled otherwise.
_HAS_MODES = os.name == "posix"
#: Flags of a file that is not opened through a link nor inherited by another process; Windows has
#: no such links, and asks for binary files.
_SAFELY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


@dataclass(frozen=True)
class BankedToken:
    """A token of an earlier run; ``expires`` is its exp, in seconds since the epoch."""

    base_url: str
    role: str
    user: str
    email: str
    expires: float
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @classmethod
    def of(cls, row: object) -> BankedToken:
        """A row of the file.

        Raises:
            ValueError: it is none, and what is wrong with it; no value is in the text.
        """
        if not isinstance(row, dict):
            raise ValueError("a deposit must be an object")  # noqa: TRY004  # the file is wrong
        names = [field.name for field in fields(cls)]
        if row.keys() != set(names):
            raise ValueError(f"a deposit must have the members {', '.join(names)} and no others")
        for name in names:
            if name != "expires" and not isinstance(row[name], str):
                raise ValueError(f"a deposit's {name} must be a text")
        if numeric_date(row, "expires") is None:
            raise ValueError("a deposit's expires must be seconds since the epoch")
        return cls(**row)


class TokenBank:
    """A folder with one file that only its owner can read (mode 0600)."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._folder = folder
        self._path = folder / "tokens.json"
        self._base_url = base_url

    def deposits(self) -> list[BankedToken]:
        """What earlier runs put in for this target.

        Raises:
            UsageError: the file is not a token bank, or others may read it, or write to its
                folder.
        """
        return [deposit for deposit in self._read() if deposit.base_url == self._base_url]

    def deposit(self, callers: Iterable[Caller], presented: Iterable[BankedToken] = ()) -> None:
        """Put in the tokens of these callers; only the newest of each role are kept.

        The refresh tokens of what was ``presented`` may be spent by now: they are not kept for
        another night.

        Raises:
            UsageError: as for `deposits`, or the bank cannot be written, or another run does not
                leave it.
        """
        tonight = [
            BankedToken(
                self._base_url,
                caller.role,
                caller.user,
                caller.email,
                expires,
                caller.token,
                caller.grant.refresh_token,
            )
            for caller in callers
            if (expires := numeric_date(caller.grant.claims, "exp")) is not None
        ]
        spent = set(presented)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                before = [replace(d, refresh_token="") if d in spent else d for d in self._read()]
                self._write(before + tonight)
        except OSError as error:
            raise UsageError(
                str(self._path), f"the token bank cannot be written: {error.strerror}"
            ) from None

    def _write(self, deposits: Iterable[BankedToken]) -> None:
        """Put a new file in the old one's place: a reader sees either of them whole."""
        kept: dict[tuple[str, str], list[BankedToken]] = {}
        for deposit in deposits:
            kept.setdefault((deposit.base_url, deposit.role), []).append(deposit)
        rows = [asdict(deposit) for group in kept.values() for deposit in group[-_MOST_PER_ROLE:]]
        # A name that could not be known before, which must be new and no link, for its owner alone.
        descriptor, new = tempfile.mkstemp(prefix="tokens.", suffix=".new", dir=self._folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(rows, file)
                file.flush()
                os.fsync(descriptor)
            Path(new).replace(self._path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise

    def _read(self) -> list[BankedToken]:
        try:
            self._check_folder()
            descriptor = os.open(self._path, os.O_RDONLY | _SAFELY)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UsageError(
                str(self._path), f"the token bank cannot be read: {error.strerror}"
            ) from None
        try:
            with os.fdopen(descriptor, encoding="utf-8") as file:
                self._check_file(os.fstat(descriptor))
                rows: Any = json.load(file)
            if not isinstance(rows, list):
                raise ValueError("it must be a list of deposits")  # noqa: TRY004
            return [BankedToken.of(row) for row in rows]
        except (OSError, ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            raise UsageError(
                str(self._path),
                f"this is not a token bank: {why}",
                "Move it away; a new one is begun.",
            ) from None

    # --- Who else gets at it --------------------------------------------------------------------

    def _check_folder(self) -> None:
        """Refuse a folder to which others may write: they could put a file of theirs in the bank's
        place, and read what comes.

        Raises:
            UsageError: somebody may.
            OSError: it is not there, or cannot be looked at.
        """
        about = self._folder.stat()
        if not stat.S_ISDIR(about.st_mode):
            raise UsageError(
                str(self._folder),
                "this is not a token bank: a bank is a folder",
                "Name another one.",
            )
        if not _HAS_MODES:
            return
        # In a container that is run by root the folder often is its user's, who cannot read what
        # root puts there.
        if about.st_uid not in (os.getuid(), 0) and os.getuid() != 0:
            raise UsageError(
                str(self._folder),
                "this token bank's folder belongs to another user",
                "Name one of your own.",
            )
        if about.st_mode & 0o022:
            raise UsageError(
                str(self._folder),
                "others may write to this token bank's folder",
                f"chmod go-w {self._folder}",
            )

    def _check_file(self, about: os.stat_result) -> None:
        if not stat.S_ISREG(about.st_mode):
            raise UsageError(
                str(self._path),
                "this is not a token bank: it is not a regular file",
                "Move it away; a new one is begun.",
            )
        if not _HAS_MODES:
            return
        if about.st_uid != os.getuid():
            raise UsageError(
                str(self._path),
                "this token bank belongs to another user",
                "Move it away; a new one is begun.",
            )
        if about.st_mode & 0o077:
            raise UsageError(
                str(self._path), "others may read this token bank", f"chmod 600 {self._path}"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other runs out while one reads and writes; the system frees the lock of a process
        that died.

        Raises:
            UsageError: somebody keeps it.
            OSError: there can be no lock here.
        """
        self._check_folder()
        descriptor = os.open(self._folder / "tokens.lock", os.O_RDWR | os.O_CREAT | _SAFELY, 0o600)
        try:
            until = time.monotonic() + _PATIENCE
            while not _lock(descriptor):
                if time.monotonic() > until:
                    raise UsageError(
                        str(self._folder),
                        "another run keeps this token bank locked",
                        "Wait for its end.",
                    )
                time.sleep(_MOMENT)
            try:
                yield
            finally:
                _unlock(descriptor)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock on an open file, if it is free."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _windows("LK_NBLCK", descriptor)
    except (BlockingIOError, PermissionError):  # the second is how Windows says that it is taken
        return False
    return True


def _unlock(descriptor: int) -> None:
    """Give it back."""
    with contextlib.suppress(OSError):  # closing the file gives it back, too
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
