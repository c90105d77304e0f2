"""Exchanges as plain text, as they stood on the wire: what a report shows of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rolecall.evidence import Exchange

_LONGEST_BODY = 4000  # characters; the whole body is in evidence.har


def write(exchanges: Iterable[Exchange], redact: Callable[[str], str]) -> str:
    """All exchanges, one below the other, redacted."""
    return "\n\n".join(_text(exchange, redact) for exchange in exchanges)


def _text(exchange: Exchange, redact: Callable[[str], str]) -> str:
    lines = [
        f"### exchange {exchange.number}, {exchange.when}, as {exchange.caller}",
        f"{exchange.method} {redact(exchange.url)}",
        *(f"{name}: {redact(value)}" for name, value in exchange.request_headers.items()),
    ]
    # Before bodies are cut: half a secret would not be known any more.
    if sent := redact(exchange.request_body.decode("utf-8", "replace")):
        lines.append(_short(sent))
    lines += ["", f"{exchange.status}" if exchange.status else redact(exchange.error)]
    lines += (f"{redact(name)}: {redact(value)}" for name, value in exchange.headers)
    if got := exchange.shown(redact):
        lines.append(_short(got))
    return "\n".join(lines)


def _short(text: str) -> str:
    return (
        text
        if len(text) <= _LONGEST_BODY
        else f"{text[:_LONGEST_BODY]} ... ({len(text):,} characters)"
    )
