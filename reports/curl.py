"""An exchange as a ``curl`` line that a person can paste; the token is left out."""

from __future__ import annotations

import shlex

from rolecall.evidence import Exchange

_NOT_SHOWN = ("accept", "user-agent", "x-rolecall-attack")


def command(exchange: Exchange) -> str:
    """The request of ``exchange``; a bearer token becomes ``$TOKEN``. Redact the rest before it is shown."""
    words = ["curl", "-i"]
    if exchange.method == "HEAD":
        words.append("-I")
    elif exchange.method != "GET":
        words += ["-X", exchange.method]
    line = shlex.join(words)
    for name, value in exchange.request_headers.items():
        if name.lower() == "authorization":
            scheme = value.split(" ", 1)[0]
            line += f' -H "Authorization: {scheme} $TOKEN"'
        elif name.lower() not in _NOT_SHOWN:
            line += f" -H {shlex.quote(f'{name}: {value}')}"
    if exchange.request_body:
        line += f" -d {shlex.quote(exchange.request_body.decode('utf-8', 'replace'))}"
    return f"{line} {shlex.quote(exchange.url)}"
