"""The evidence as a HAR 1.2 file, which every browser's developer tools can open."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rolecall import __version__
from rolecall.bounds import KEPT
from rolecall.evidence import Exchange


def document(exchanges: Iterable[Exchange], redact: Callable[[str], str]) -> dict[str, Any]:
    """The archive; every part of it has passed ``redact``."""
    log = {
        "version": "1.2",
        "creator": {"name": "rolecall", "version": __version__},
        "entries": [_entry(exchange, redact) for exchange in exchanges],
    }
    return {"log": log}


def write(archive: Mapping[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(archive, separators=(",", ":"))


def _entry(exchange: Exchange, redact: Callable[[str], str]) -> dict[str, Any]:
    milliseconds = round(max(exchange.finished - exchange.started, 0.0) * 1000, 3)
    return {
        "_number": exchange.number,
        "_caller": exchange.caller,
        "_attack": exchange.attack,
        "_attempts": exchange.attempts,
        "_error": redact(exchange.error),
        "startedDateTime": exchange.when,
        "time": milliseconds,
        "request": _request(exchange, redact),
        "response": _response(exchange, redact),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        **_for_replay(exchange, redact),
    }


def _for_replay(exchange: Exchange, redact: Callable[[str], str]) -> dict[str, Any]:
    """What a replay needs beside HAR's own: whose exchange it was; when, in monotonic seconds and
    turns of the event loop; how it failed; and the body's bytes where they are no text.
    """
    more: dict[str, Any] = {
        "_test": exchange.test,
        "_started": round(exchange.started, 7),
        "_finished": round(exchange.finished, 7),
        "_turn": exchange.turn,
        "_resumed": round(exchange.resumed, 7),
    }
    if exchange.failure:
        more |= {"_failure": exchange.failure, "_begun": exchange.begun}
    if exchange.cut or len(exchange.body) > KEPT:
        more["_cut"] = exchange.cut or f"{KEPT:,} of its {exchange.length:,} bytes are in the file"
        return more
    try:
        exchange.body.decode()
    except UnicodeDecodeError:
        text = redact(exchange.body.decode("latin-1"))
        more["_bytes"] = base64.b64encode(text.encode("latin-1", "replace")).decode()
    return more


def _request(exchange: Exchange, redact: Callable[[str], str]) -> dict[str, Any]:
    url = redact(exchange.url)
    request = {
        "method": exchange.method,
        "url": url,
        "httpVersion": exchange.http_version or "HTTP/1.1",
        "headers": _headers(exchange.request_headers.items(), redact),
        "queryString": [
            {"name": name, "value": value} for name, value in parse_qsl(urlsplit(url).query)
        ],
        "cookies": [],
        "headersSize": -1,
        "bodySize": len(exchange.request_body),
    }
    if exchange.request_body:
        headers: Mapping[str, str] = {
            name.lower(): value for name, value in exchange.request_headers.items()
        }
        text = redact(exchange.request_body.decode("utf-8", "replace"))
        request["postData"] = {"mimeType": redact(headers.get("content-type", "")), "text": text}
    return request


def _response(exchange: Exchange, redact: Callable[[str], str]) -> dict[str, Any]:
    text = exchange.shown(redact)
    return {
        "status": exchange.status,
        "statusText": "",
        "httpVersion": exchange.http_version or "HTTP/1.1",
        "headers": _headers(exchange.headers, redact),
        "cookies": [],
        "content": {
            "size": exchange.length,
            "mimeType": redact(exchange.header("content-type")),
            "text": text,
            **_comment(exchange, text),
        },
        "redirectURL": redact(exchange.header("location")),
        "headersSize": -1,
        "bodySize": exchange.length,
    }


def _comment(exchange: Exchange, text: str) -> dict[str, str]:
    """What a reader should know of a body that does not stand here whole."""
    if exchange.begun is not None:
        return {
            "comment": "what came of an answer that broke off; its status: "
            f"{exchange.begun or 'none'}"
        }
    if len(text) < KEPT and not exchange.cut:
        return {}
    return {"comment": f"the first {len(text):,} characters of a body of {exchange.length:,} bytes"}


def _headers(
    headers: Iterable[tuple[str, str]], redact: Callable[[str], str]
) -> list[dict[str, str]]:
    return [{"name": redact(name), "value": redact(value)} for name, value in headers]
