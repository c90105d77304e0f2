"""The token bank: tonight's tokens are kept, to be presented when they have really expired.

What is in it is as good as a password for a day, and its refresh tokens for longer: only its owner
may read the file, and only its owner may write to the folder; with a key it is encrypted as well.
Runs may use it at the same time: they read and write one after the other, and a refresh token is
given to one of them.

The file is a list of deposits in JSON, each with a digest of itself, or, with a key, an object
whose ``encrypted`` holds that list. It is written beside its place and renamed: a run that is
killed leaves the old one.
"""

from __future__ import annotations

import base64
import hashlib
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

from rolecall.encryption import decrypted, encrypted
from rolecall.errors import UsageError
from rolecall.file_lock import unlock, wait_for_lock
from rolecall.spec.claims import numeric_date
from rolecall.target import ExpiryOptions
from rolecall.tokens import Caller

_MOST_PER_ROLE = 3  # that have expired, and as many that have not
#: Seconds after their end at which tokens are forgotten, and those of other targets as well.
_FORGOTTEN = 60 * 86400
_LARGEST = 16 * 2**20  # bytes of the file: thousands of targets
_PREFIX, _SUFFIX = ".tokens.", ".new"  # of a file that is being written
_ENCRYPTED, _DIGEST = "encrypted", "sha256"
_BEGIN_ANEW = "Move it away; a new one is begun."
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


class SpoiledBank(UsageError):
    """What is in the file cannot be used: it is cut off, altered, encrypted with another key, or
    something else. A run goes on without it, and leaves it as it is.
    """


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
        row = dict(row)
        digest = row.pop(_DIGEST, None)
        if row.keys() != set(names):
            raise ValueError(f"a deposit must have the members {', '.join(names)} and no others")
        for name in names:
            if name != "expires" and not isinstance(row[name], str):
                raise ValueError(f"a deposit's {name} must be a text")
        if numeric_date(row, "expires") is None:
            raise ValueError("a deposit's expires must be seconds since the epoch")
        deposit = cls(**row)
        if digest is not None and digest != deposit._digest:
            raise ValueError("a deposit was altered: its digest is another one")
        return deposit

    @property
    def _digest(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_row(self) -> dict[str, Any]:
        """As `of` reads it."""
        return {**asdict(self), _DIGEST: self._digest}


class TokenBank:
    """A folder with one file that only its owner can read (mode 0600).

    Args:
        base_url: the target's; what belongs to others is left alone.
        key: a passphrase; the file is encrypted with it.
    """

    def __init__(self, folder: Path, base_url: str, key: str = "") -> None:
        self._folder = folder
        self._path = folder / "tokens.json"
        self._base_url = base_url
        self._key = key

    @classmethod
    def of(cls, options: ExpiryOptions, base_url: str) -> TokenBank:
        """The bank of a target file, which names one."""
        assert options.bank is not None, "the target file names a bank"
        return cls(options.bank, base_url, options.bank_key)

    def deposits(self) -> list[BankedToken]:
        """What earlier runs put in for this target.

        Raises:
            SpoiledBank: what is in it cannot be used.
            UsageError: others may read it, or write to its folder, or it cannot be read.
        """
        return [deposit for deposit in self._read() if deposit.base_url == self._base_url]

    def others(self) -> list[str]:
        """The URLs of the other targets that have something in it.

        Raises:
            SpoiledBank, UsageError: as for `deposits`.
        """
        return sorted({deposit.base_url for deposit in self._read()} - {self._base_url})

    def deposit(self, callers: Iterable[Caller], now: float) -> None:
        """Put in the tokens of these callers, and forget old ones.

        Args:
            now: the target's time, in seconds since the epoch.

        Raises:
            SpoiledBank, UsageError: as for `deposits`, or the bank cannot be written, or another
                run does not leave it.
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
        with self._at_the_bank():
            self._write(self._read() + tonight, now)

    def take_expired(self, before: float, now: float) -> list[BankedToken]:
        """Take the deposits of this target that expired before a moment, to be presented by this
        run alone: their refresh tokens may be spent by that, so they do not stay in the bank.

        Raises:
            SpoiledBank, UsageError: as for `deposit`.
        """

        def is_taken(deposit: BankedToken) -> bool:
            return deposit.base_url == self._base_url and deposit.expires < before

        with self._at_the_bank():
            deposits = self._read()
            taken = [deposit for deposit in deposits if is_taken(deposit)]
            if any(deposit.refresh_token for deposit in taken):
                self._write(
                    [replace(d, refresh_token="") if is_taken(d) else d for d in deposits], now
                )
        return taken

    def _write(self, deposits: Iterable[BankedToken], now: float) -> None:
        """Put a new file in the old one's place: a reader sees either of them whole."""
        groups: dict[tuple[str, str], list[BankedToken]] = {}
        for deposit in deposits:
            groups.setdefault((deposit.base_url, deposit.role), []).append(deposit)
        rows = [
            deposit.as_row()
            for (base_url, _), group in groups.items()
            for deposit in _kept(group, now if base_url == self._base_url else time.time())
        ]
        document: Any = rows
        if self._key:
            sealed = encrypted(json.dumps(rows).encode(), self._key)
            document = {_ENCRYPTED: base64.b64encode(sealed).decode()}
        self._forget_killed_writers()
        # A name that could not be known before, which must be new and no link, for its owner alone.
        descriptor, new = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=self._folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(descriptor)
            Path(new).replace(self._path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise

    def _forget_killed_writers(self) -> None:
        """Delete what runs that were killed had begun to write: whoever holds the lock is the only
        one who writes.
        """
        for left in self._folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            left.unlink(missing_ok=True)

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
            with os.fdopen(descriptor, "rb") as file:
                self._check_file(os.fstat(descriptor))
                data = file.read(_LARGEST + 1)
            return [BankedToken.of(row) for row in self._rows(data)]
        except (OSError, ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            raise SpoiledBank(
                str(self._path), f"this is not a token bank: {why}", _BEGIN_ANEW
            ) from None

    def _rows(self, data: bytes) -> list[Any]:
        """The deposits in a file's bytes.

        Raises:
            ValueError: there are none to be had, and why.
            RecursionError: it is nested too deep.
        """
        if len(data) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST:,} bytes")
        document: Any = json.loads(data.decode())
        if isinstance(document, dict) and isinstance(document.get(_ENCRYPTED), str):
            if not self._key:
                raise ValueError("it is encrypted: name its key by [expiry] bank_key_env")
            sealed = base64.b64decode(document[_ENCRYPTED], validate=True)
            document = json.loads(decrypted(sealed, self._key))
        if not isinstance(document, list):
            raise ValueError("it must be a list of deposits")  # noqa: TRY004
        return document

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
                _BEGIN_ANEW,
            )
        if not _HAS_MODES:
            return
        if about.st_uid != os.getuid():
            raise UsageError(
                str(self._path),
                "this token bank belongs to another user",
                _BEGIN_ANEW,
            )
        if about.st_mode & 0o077:
            raise UsageError(
                str(self._path), "others may read this token bank", f"chmod 600 {self._path}"
            )

    @contextmanager
    def _at_the_bank(self) -> Iterator[None]:
        """The folder, locked.

        Raises:
            UsageError: it cannot be made or written, or another run does not leave it.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                yield
        except OSError as error:
            raise UsageError(
                str(self._path), f"the token bank cannot be written: {error.strerror}"
            ) from None

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
            if not wait_for_lock(descriptor, _PATIENCE, _MOMENT):
                raise UsageError(
                    str(self._folder),
                    "another run keeps this token bank locked",
                    "Wait for its end.",
                )
            try:
                yield
            finally:
                unlock(descriptor)
        finally:
            os.close(descriptor)


def _kept(group: list[BankedToken], now: float) -> list[BankedToken]:
    """Which deposits of one role of one target are kept: of those that have expired the newest, and
    of the others the newest and the one that expires first. Where runs follow each other by the
    hour, there would be none that gets old without it.
    """
    expired = [d for d in group if now - _FORGOTTEN <= d.expires < now]
    valid = sorted((d for d in group if d.expires >= now), key=lambda d: d.expires)
    return expired[-_MOST_PER_ROLE:] + valid[:1] + valid[1:][-(_MOST_PER_ROLE - 1) :]
