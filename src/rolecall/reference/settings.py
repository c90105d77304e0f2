"""What can be set about a server before it starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

Dialect = Literal["spec", "sdk"]

ROLES = ("guest", "agent", "bot", "admin")
"""The scopes, in ascending order of permissions."""

ACCOUNTS = {"guest": "guest", "guest2": "guest", "agent": "agent", "bot": "bot", "admin": "admin"}
"""The accounts made at the first start, and their roles."""

SIGNING_KEY_VARIABLE = "ROLECALL_SIGNING_KEY"
SHORTEST_KEY = 32  # bytes: RFC 7518, section 3.2, asks for as many bits as the hash has
#: Of a password hash, which takes a kibibyte for each: half a gibibyte, as OpenSSL can.
HIGHEST_COST = 2**19


class SettingsError(Exception):
    """The server cannot be started as asked; the text is one sentence for the terminal."""


@dataclass(frozen=True)
class Settings:
    """The switches of one server."""

    host: str = "127.0.0.1"
    port: int = 0
    data: str = ":memory:"
    clock: bool = False
    dialect: Dialect = "spec"
    scrypt_n: int = 2**12
    signing_key: str | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.signing_key is not None and len(self.signing_key.encode()) < SHORTEST_KEY:
            raise SettingsError(f"the signing key has to have at least {SHORTEST_KEY} bytes")
        if self.scrypt_n < 2 or self.scrypt_n & (self.scrypt_n - 1):
            raise SettingsError("the cost of scrypt has to be a power of two above 1")
        if self.scrypt_n > HIGHEST_COST:
            raise SettingsError(f"the cost of scrypt has to be at most {HIGHEST_COST:,}")
        if not 0 <= self.port < 2**16:
            raise SettingsError(f"{self.port} is no port: they go from 0 (a free one) to 65535")


def password_variable(account: str) -> str:
    """The environment variable that may hold an account's password."""
    return f"ROLECALL_{account.upper()}_PASSWORD"


def passwords_from_environment() -> dict[str, str]:
    """The passwords of those accounts whose variable is set."""
    found = {account: os.environ.get(password_variable(account)) for account in ACCOUNTS}
    return {account: password for account, password in found.items() if password}
