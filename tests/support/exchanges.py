"""Exchanges as the HTTP stack records them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

from rolecall.evidence import Exchange


def exchange(
    method: str = "GET", url: str = "http://target.example/v2/users", **facts: Any
) -> Exchange:
    """An exchange that was answered with an empty 200, except for ``facts``."""
    given: dict[str, Any] = {
        "number": 1,
        "request_headers": {},
        "request_body": b"",
        "caller": "guest (token)",
        "status": 200,
    }
    return Exchange(method=method, url=url, **given | facts)
