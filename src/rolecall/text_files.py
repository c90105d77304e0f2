"""Reads a text file that a user names, up to a bound: it may be a device without an end."""

from __future__ import annotations

import errno
from pathlib import Path

#: Bytes of a file that somebody writes by hand, such as a target file.
BY_HAND = 4 * 1024 * 1024
#: Bytes of a file of accounts: millions of them.
ACCOUNTS = 256 * 1024 * 1024


def read_text(path: Path, most: int = BY_HAND) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; lines end as they stand.

    Raises:
        OSError: it cannot be read, or is larger than ``most`` bytes.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return data.decode("utf-8-sig")
