"""The origin that requests go to, and requests as bytes (RFC 9110, RFC 9112)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from rolecall.errors import UsageError
from rolecall.urls import ascii_host, check_url

_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"/[!-~]*")
#: A field that cannot end its line, nor the head (RFC 9110 5.5).
_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")

#: Methods whose missing body is said to be empty (RFC 9110 8.6).
_BODILY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class Origin:
    """Where requests go: ``prefix`` is the base URL's path, ``host_header`` the field's value."""

    scheme: str
    host: str
    port: int
    prefix: str
    host_header: str

    @classmethod
    def of(cls, base_url: str) -> Self:
        """The origin of a base URL.

        Raises:
            UsageError: it is not ``http[s]://host[:port][/prefix]``.
        """
        check_url(base_url, "the target's URL")
        parts = urlsplit(base_url)
        host, port = ascii_host(parts.hostname or ""), parts.port
        prefix = parts.path.rstrip("/")
        if parts.query or parts.fragment or (prefix and not _TARGET.fullmatch(prefix)):
            raise UsageError(
                "the target's URL",
                f"{base_url!r} is not a URL a server can have",
                "Write it as https://host[:port].",
            )
        usual = 443 if parts.scheme == "https" else 80
        named = f"[{host}]" if ":" in host else host
        return cls(
            parts.scheme,
            host,
            port or usual,
            prefix,
            named if port in (None, usual) else f"{named}:{port}",
        )

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{self.scheme}://{self.host_header}{self.prefix}"


def request(
    origin: Origin,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> bytes:
    """A request as it stands on the wire, ready to be sent any number of times.

    Args:
        path: begins with ``/``, already quoted; the origin's prefix goes before it.
        headers: added to Host, Accept, User-Agent and Content-Length, or sent instead (``{"accept":
            "text/html"}``).

    Raises:
        ValueError: a part would end a line, or is not HTTP. The message does not repeat it: it may
            be a token.
    """
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(path):
        raise ValueError("the method or the path cannot stand in a request line")
    fields = {"host": origin.host_header, "accept": "application/json", "user-agent": "rolecall"}
    if body is not None or method in _BODILY:
        fields["content-length"] = str(len(body or b""))
    fields |= {name.lower(): value for name, value in (headers or {}).items()}
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if not all(map(_FIELD.fullmatch, lines)):
        raise ValueError("a header field of the request cannot stand on a line")
    head = "\r\n".join([f"{method} {origin.prefix}{path} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + (body or b"")


def json_request(
    origin: Origin,
    method: str,
    path: str,
    body: Any = None,
    token: str = "",
    headers: Mapping[str, str] = {},
) -> bytes:
    """The same with a body of JSON, unless it is None, and a bearer token, unless it is empty.

    Raises:
        ValueError: as for `request`.
    """
    fields = {**headers, **({"authorization": f"Bearer {token}"} if token else {})}
    if body is None:
        return request(origin, method, path, fields)
    typed = {"content-type": "application/json", **fields}
    return request(origin, method, path, typed, json.dumps(body).encode())
