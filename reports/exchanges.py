"""Exchanges as plain text, as they stood on the wire: what a report shows of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rolecall.evidence import Exchange

_LONGEST_BODY = 4000  # characters; the whole body is in evidence.har


def write(exchanges: Iterable[Exchange], redact: Callable[[str], str]) -> str:
    """All exchanges, one below the other, redacted."""
    return "\n\n".join(_text(exchange, redact) for exchange in exchanges)


def _text(exchange: Exchange, redact: Callable[[str], str]) -> str:
    head = f"### exchange {exchange.number}, {exchange.when}, as {exchange.caller}"
    request = [f"{exchange.method} {exchange.url}", *(f"{name}: {value}" for name, value in exchange.request_headers.items())]
    answer = [
        f"{exchange.status}" if exchange.status else exchange.error,
        *(f"{name}: {value}" for name, value in exchange.headers),
    ]
    # Before bodies are cut: half a secret would not be known any more.
    sent, got = redact(exchange.request_body.decode("utf-8", "replace")), redact(exchange.text)
    parts = (redact("\n".join((head, *request))), _short(sent)), (redact("\n".join(answer)), _short(got))
    return "\n\n".join("\n".join(filter(None, part)) for part in parts)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_BODY else f"{text[:_LONGEST_BODY]} ... ({len(text):,} characters)"
