"""An exchange as a ``curl`` line that a person can paste; the token is left out."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from rolecall.evidence import Exchange

_NOT_SHOWN = ("accept", "user-agent", "x-rolecall-attack")


def command(exchange: Exchange, redact: Callable[[str], str]) -> str:
    """The request of ``exchange``; a bearer token becomes ``$TOKEN``, every other secret its label.

    Redacted piece by piece, since the quotes of a shell are one more way to write a secret.
    """
    words = ["curl", "-i"]
    if exchange.method == "HEAD":
        words.append("-I")
    elif exchange.method != "GET":
        words += ["-X", exchange.method]
    line = shlex.join(words)
    for name, value in exchange.request_headers.items():
        if name.lower() == "authorization":
            scheme = f"{value.split(' ', 1)[0]} " if " " in value else ""
            line += f' -H "Authorization: {scheme}$TOKEN"'
        elif name.lower() not in _NOT_SHOWN:
            line += f" -H {shlex.quote(f'{name}: {redact(value)}')}"
    if exchange.request_body:
        line += f" -d {shlex.quote(redact(exchange.request_body.decode('utf-8', 'replace')))}"
    return f"{line} {shlex.quote(redact(exchange.url))}"
