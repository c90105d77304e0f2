"""Exchanges as plain text, as they stood on the wire: what a report shows of a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rolecall.evidence import Exchange
from rolecall.report import har
from rolecall.wording import shortened

_LONGEST_BODY = 4000  # characters; the whole body is in evidence.har


def write(exchanges: Sequence[Exchange], redact: Callable[[str], str]) -> str:
    """All exchanges, one below the other, redacted."""
    return "\n\n".join(map(text, har.document(exchanges, redact)["log"]["entries"]))


def text(entry: Mapping[str, Any]) -> str:
    """An entry of evidence.har."""
    request, response = entry["request"], entry["response"]
    lines = [
        f"### exchange {entry['_number']}, {entry['startedDateTime']}, as {entry['_caller']}",
        f"{request['method']} {request['url']}",
        *(f"{header['name']}: {header['value']}" for header in request["headers"]),
    ]
    if sent := request.get("postData", {}).get("text", ""):
        lines.append(shortened(sent, _LONGEST_BODY))
    lines += ["", f"{response['status']}" if response["status"] else entry["_error"]]
    lines += (f"{header['name']}: {header['value']}" for header in response["headers"])
    if got := response["content"].get("text", ""):
        lines.append(shortened(got, _LONGEST_BODY))
    return "\n".join(lines)
