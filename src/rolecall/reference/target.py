"""Writes the target file of a running server."""

from __future__ import annotations

import os

from rolecall.reference.app import Server
from rolecall.reference.settings import SIGNING_KEY_VARIABLE, password_variable


def target_file(server: Server, base_url: str) -> str:
    """TOML, ready to be kept in a file."""
    lines = ["[target]", 'name = "reference"', f"base_url = {quoted(base_url)}"]
    if "lint" in server.settings.variants:
        lines.append("mark_attacks = true")
    for name, account in server.accounts.items():
        lines += ["", f"[accounts.{name}]", f"email = {quoted(account.email)}"]
        if account.password is None:
            lines.append(
                f"password_env = {quoted(password_variable(name))}  # shown when the data was new"
            )
        else:
            lines.append(f"password = {quoted(account.password)}")
    lines += ["", "[api_keys]", 'create_path = "/v2/apikeys"']
    expiry = []
    if server.settings.clock:
        expiry.append(f"clock_url = {quoted(base_url + '/__clock')}")
    if (
        server.forgeable
        and server.settings.signing_key
        and os.environ.get(SIGNING_KEY_VARIABLE) == server.settings.signing_key
    ):
        expiry.append(f"signing_key_env = {quoted(SIGNING_KEY_VARIABLE)}")
    if expiry:
        lines += ["", "[expiry]", *expiry]
    if server.readings:
        lines += [
            "",
            "[dialect]",
            *(f"{name} = {value}" for name, value in server.readings.items()),
        ]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(
        f"\\u{ord(character):04X}" if character < " " or character in '"\\\x7f' else character
        for character in text
    )
    return f'"{escaped}"'
