"""Encrypts bytes with a passphrase.

scrypt (RFC 7914) makes a key of it, and Fernet (AES-128-CBC with HMAC-SHA256) encrypts and
authenticates, so that an altered byte is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_SALT = 16  # bytes
#: The cost of one try: 32 MiB, and a tenth of a second. A file does not name it: it is not trusted
#: before it is decrypted.
_COST, _BLOCK, _LANES, _MEMORY = 2**15, 8, 1, 64 * 2**20


class NotDecrypted(ValueError):
    """The passphrase is another one, or the bytes were altered: nothing tells which."""


def encrypted(data: bytes, passphrase: str) -> bytes:
    """The salt, and then a Fernet token."""
    salt = os.urandom(_SALT)
    return salt + _fernet(passphrase, salt).encrypt(data)


def decrypted(data: bytes, passphrase: str) -> bytes:
    """What `encrypted` was given.

    Raises:
        NotDecrypted: it cannot be had.
    """
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  # only where there is a passphrase

    try:
        plain: bytes = _fernet(passphrase, data[:_SALT]).decrypt(data[_SALT:])
    except InvalidToken:
        raise NotDecrypted("it was encrypted with another key, or it was altered") from None
    return plain


@lru_cache(maxsize=4)  # a bank is read a few times in a run
def _fernet(passphrase: str, salt: bytes) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415

    secret = passphrase.encode("utf-8", "surrogateescape")
    key = hashlib.scrypt(secret, salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=_MEMORY, dklen=32)
    return Fernet(base64.urlsafe_b64encode(key))
