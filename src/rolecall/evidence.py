"""The record of a run: every request and its response, in the order they were sent."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

#: The exchanges that belong to the test now running in this task; shared set-up belongs to whoever awaited it first.
_current: ContextVar[Pieces | None] = ContextVar("current", default=None)


@dataclass(slots=True, eq=False)
class Exchange:
    """One recorded request and its response.

    ``attempts`` counts how often it was sent until it was answered (429 and 503 are tried again where that is safe).
    ``status`` is 0 and ``error`` says why when no complete response came. Times are seconds; ``started`` and
    ``finished`` are on the monotonic clock, ``at`` is wall-clock time.
    """

    number: int
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes
    caller: str
    attack: str = ""
    attempts: int = 1
    at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    finished: float = 0.0
    status: int = 0
    http_version: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    error: str = ""
    _json: Any = field(default=..., repr=False)

    def __str__(self) -> str:
        """Method, path without its query (a refresh token may be in it), caller and status."""
        answer = f"{self.status}" if self.status else self.error
        return f"{self.method} {urlsplit(self.url).path} as {self.caller} -> {answer} (exchange {self.number})"

    @property
    def ok(self) -> bool:
        """Whether the response is a success (2xx)."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        """The first response header of this name (any case), or an empty string."""
        lowered = name.lower()
        return next((value for key, value in self.headers if key.lower() == lowered), "")

    @property
    def json(self) -> Any:
        """The response body as JSON, or None when it is not JSON."""
        if self._json is ...:
            try:
                self._json = _whole(json.loads(self.body), self.body) if self.body else None
            except (ValueError, RecursionError):
                self._json = None
        return self._json

    @property
    def document(self) -> dict[str, Any]:
        """The response body as a JSON object, or an empty one when it is anything else."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def text(self) -> str:
        """The response body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def when(self) -> str:
        """The time of sending, ISO 8601 in UTC with milliseconds."""
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Pieces:
    """The evidence of one test: its exchanges in order, and by name those that its judgement rests on."""

    exchanges: list[Exchange] = field(default_factory=list)
    named: dict[str, Exchange] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Evidence:
    """All exchanges of a run."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def record(self, **facts: Any) -> Exchange:
        """Start the record of one exchange; its response is filled in when it has come."""
        exchange = Exchange(number=len(self.exchanges) + 1, **facts)
        self.exchanges.append(exchange)
        cite(exchange)
        return exchange

    @staticmethod
    @contextmanager
    def collect() -> Iterator[Pieces]:
        """The exchanges that are sent, or cited, inside the block."""
        pieces = Pieces()
        token = _current.set(pieces)
        try:
            yield pieces
        finally:
            _current.reset(token)


def _whole(document: Any, body: bytes) -> Any:
    """A document without the halves of characters that JSON can write and no encoding can (RFC 8259 8.2)."""
    if not re.search(rb"\\u[dD][89a-fA-F]", body):
        return document
    return json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))


def cite(exchange: Exchange, piece: str = "") -> Exchange:
    """Count an exchange among the evidence of the test now running, under the name of the piece that it is."""
    pieces = _current.get()
    if pieces is not None:
        if exchange not in pieces.exchanges:
            pieces.exchanges.append(exchange)
        if piece:
            pieces.named[piece] = exchange
    return exchange


def note(text: str) -> None:
    """Write something down beside the evidence of the test now running."""
    pieces = _current.get()
    if pieces is not None:
        pieces.notes.append(text)
