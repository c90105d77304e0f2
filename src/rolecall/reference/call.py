"""A request as the server's parts see it, and the answer they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.strict_json import NotJson, dumps, loads

LARGEST_BODY = 1024 * 1024
#: What is too large is still read, so that the client can hear the answer.
MOST_READ = 64 * LARGEST_BODY
LONGEST_HEADER = 16 * 1024


class Call:
    """One request, its body read."""

    def __init__(self, scope: Scope, receive: Receive, body: bytes) -> None:
        self.scope = scope
        self.receive = receive
        self.body = body
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        parameters = scope.get("path_params") or {}
        self.resource: str = parameters.get("resource", "")
        self.id: str | None = parameters.get("id")
        self.conversation: str | None = None

    @property
    def verb(self) -> str:
        """The method, with HEAD counted as the GET that it is (RFC 9110, section 9.3.2)."""
        return "GET" if self.method == "HEAD" else self.method

    def header(self, name: bytes) -> str | None:
        """The first header of this name; the name in lower case."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def header_values(self, name: bytes) -> list[str]:
        """All headers of this name, in order."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the query, in order."""
        raw: bytes = self.scope["query_string"]
        if not raw:
            return []
        try:
            return parse_qsl(
                raw.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=64
            )
        except ValueError:
            raise bad_request("The query cannot be read") from None

    def json(self) -> Any:
        """The body, which has to be JSON and to say so."""
        kind, _, parameters = (self.header(b"content-type") or "").partition(";")
        if kind.strip().lower() != "application/json":
            raise Refusal(415, "The body has to be application/json")
        charset = parameters.strip().lower()
        if charset and charset.replace('"', "") != "charset=utf-8":
            raise Refusal(415, "The body has to be in UTF-8")
        if self.header(b"content-encoding") not in (None, "identity"):
            raise Refusal(415, "The body must not be compressed")
        try:
            return loads(self.body)
        except NotJson:
            raise bad_request("The body is not valid JSON") from None

    @property
    def base_url(self) -> str:
        """How the client addressed this server; absolute links start with it."""
        host = self.header(b"host") or "localhost"
        return f"{self.scope['scheme']}://{host}{self.scope.get('root_path', '')}"


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"

    @classmethod
    def of(cls, status: int, document: Any, **headers: str) -> Answer:
        """A document as JSON."""
        return cls(status, dumps(document).encode(), dict(headers))


async def read_call(scope: Scope, receive: Receive) -> Call:
    """Wait for the whole request, as far as its size is bearable."""
    announced = False
    for name, value in scope["headers"]:
        if len(value) > LONGEST_HEADER:
            raise Refusal(431, "A header is too long")
        announced |= (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
    return Call(scope, receive, await _read_body(receive) if announced else b"")


async def _read_body(receive: Receive) -> bytes:
    parts, size = [], 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request("The body is incomplete")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        elif size > MOST_READ:
            raise Refusal(413, "The body is too large", {"Connection": "close"})
        more = message.get("more_body", False)
    if size > LARGEST_BODY:
        raise Refusal(413, "The body is too large")
    return b"".join(parts)
