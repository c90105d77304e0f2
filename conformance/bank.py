"""The token bank: tonight's tokens are kept, to be presented when they have really expired."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rolecall.conformance.tokens import Caller
from rolecall.errors import UsageError

_MOST_PER_ROLE = 3


@dataclass(frozen=True)
class Deposit:
    """A token of an earlier run; ``expires`` is its exp, in seconds since the epoch."""

    base_url: str
    role: str
    user: str
    email: str
    expires: float
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class Bank:
    """A folder with one file that only its owner can read (mode 0600)."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._path = folder / "tokens.json"
        self._base_url = base_url

    def deposits(self) -> list[Deposit]:
        """What earlier runs put in for this target.

        Raises:
            UsageError: the file is there and is no bank, or others may read it.
        """
        return [deposit for deposit in self._read() if deposit.base_url == self._base_url]

    def deposit(self, callers: Iterable[Caller], presented: Iterable[Deposit] = ()) -> None:
        """Put in the tokens of these callers; only the newest of each role are kept.

        The refresh tokens of what was ``presented`` may be spent by now: they are not kept for another night.

        Raises:
            UsageError: as for `deposits`, or the bank cannot be written.
        """
        spent = set(presented)
        everything = [replace(d, refresh_token="") if d in spent else d for d in self._read()] + [
            Deposit(
                self._base_url,
                caller.role,
                caller.user,
                caller.email,
                float(claims["exp"]),
                caller.token,
                caller.grant.refresh_token,
            )
            for caller in callers
            if isinstance((claims := caller.grant.claims).get("exp"), int | float)
        ]
        kept: dict[tuple[str, str], list[Deposit]] = {}
        for deposit in everything:
            kept.setdefault((deposit.base_url, deposit.role), []).append(deposit)
        rows = [asdict(deposit) for deposits in kept.values() for deposit in deposits[-_MOST_PER_ROLE:]]
        new = self._path.with_suffix(f".{os.getpid()}.new")  # two runs may end at the same time
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(rows, file)
            new.replace(self._path)
        except OSError as error:
            raise UsageError(str(self._path), f"the token bank cannot be written: {error.strerror}") from None

    def _read(self) -> list[Deposit]:
        if self._path.parent.exists() and not self._path.parent.is_dir():
            raise UsageError(str(self._path.parent), "this is no token bank: a bank is a folder", "Name another one.")
        if not self._path.exists():
            return []
        if self._path.stat().st_mode & 0o077:
            raise UsageError(str(self._path), "others may read this token bank", f"chmod 600 {self._path}")
        try:
            rows: list[dict[str, Any]] = json.loads(self._path.read_text(encoding="utf-8"))
            return [Deposit(**row) for row in rows]
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(str(self._path), f"this is no token bank: {error}", "Move it away; a new one is begun.") from None
