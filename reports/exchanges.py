"""Exchanges as plain text, as they stood on the wire: what a report shows of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rolecall.evidence import Exchange

_LONGEST_BODY = 4000  # characters; the whole body is in evidence.har


def write(exchanges: Iterable[Exchange], redact: Callable[[str], str]) -> str:
    """All exchanges, one below the other, redacted."""
    return redact("\n\n".join(map(_text, exchanges)))


def _text(exchange: Exchange) -> str:
    head = f"### exchange {exchange.number}, {exchange.when}, as {exchange.caller}"
    request = [f"{exchange.method} {exchange.url}", *(f"{name}: {value}" for name, value in exchange.request_headers.items())]
    answer = [f"{exchange.status}" if exchange.status else exchange.error, *(f"{name}: {value}" for name, value in exchange.headers)]
    return "\n".join(
        filter(None, [head, *request, _short(exchange.request_body.decode("utf-8", "replace")), "", *answer, _short(exchange.text)])
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_BODY else f"{text[:_LONGEST_BODY]} ... ({len(text):,} characters)"
