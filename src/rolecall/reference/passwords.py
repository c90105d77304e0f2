"""Passwords, kept as scrypt hashes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets


class Passwords:
    """Makes and checks hashes. The work is done on a thread: scrypt is slow on purpose."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._unknown = self.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """A text to keep in place of the password."""
        salt = secrets.token_bytes(16)
        return f"{self._n}${salt.hex()}${_scrypt(password, salt, self._n).hex()}"

    async def hash_aside(self, password: str) -> str:
        """The same, without holding up other requests."""
        return await asyncio.to_thread(self.hash, password)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the password. Without a hash it takes as long, and the answer is no."""
        equal = await asyncio.to_thread(self.compare, password, kept or self._unknown)
        return equal and kept is not None

    def compare(self, password: str, kept: str) -> bool:
        """Compare in full, in a time that does not depend on where the difference is."""
        n, salt, expected = kept.split("$")
        return hmac.compare_digest(
            _scrypt(password, bytes.fromhex(salt), int(n)), bytes.fromhex(expected)
        )


def _scrypt(password: str, salt: bytes, n: int) -> bytes:
    # surrogatepass: a JSON string may hold half a surrogate pair, which is a wrong password and no
    # crash
    text = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=8, p=1, maxmem=256 * n * 8 + 1024 * 1024)
