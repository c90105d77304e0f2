"""The evidence as a HAR 1.2 file, which every browser's developer tools can open."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rolecall import __version__
from rolecall.bounds import ARCHIVE_LIMIT, KEPT
from rolecall.evidence import Exchange

Redact = Callable[[str], str]


def document(exchanges: Sequence[Exchange], redact: Redact) -> dict[str, Any]:
    """The archive; every part of it has passed ``redact``.

    All bodies of answers together have at most `ARCHIVE_LIMIT` characters: where they would have
    more, the longest are cut to one length.
    """
    longest = _longest([len(exchange.body) for exchange in exchanges])
    log = {
        "version": "1.2",
        "creator": {"name": "rolecall", "version": __version__},
        "entries": [_entry(exchange, redact, longest) for exchange in exchanges],
    }
    return {"log": log}


def write(archive: Mapping[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(archive, separators=(",", ":"))


def _longest(lengths: Iterable[int]) -> int:
    """How long a body may be so that all of them together keep within the limit."""
    ordered = sorted(min(length, KEPT) for length in lengths)
    room = ARCHIVE_LIMIT
    for place, length in enumerate(ordered):
        share = room // (len(ordered) - place)
        if length > share:
            return share
        room -= length
    return KEPT


def _entry(exchange: Exchange, redact: Redact, longest: int) -> dict[str, Any]:
    """One exchange: ``startedDateTime`` is when the request left for the last time, ``blocked`` how
    long it had waited for that.
    """
    wait = _milliseconds(exchange.finished - exchange.started)
    blocked = _milliseconds(exchange.started - exchange.queued)
    again = f", sent {exchange.attempts} times" if exchange.attempts > 1 else ""
    return {
        "_number": exchange.number,
        "_caller": exchange.caller,
        "_attack": exchange.attack,
        "_attempts": exchange.attempts,
        "_error": redact(exchange.error),
        "comment": f"exchange {exchange.number}, as {exchange.caller}{again}",
        "startedDateTime": exchange.when,
        "time": round(blocked + wait, 3),
        "request": _request(exchange, redact),
        "response": _response(exchange, redact, longest),
        "cache": {},
        "timings": {"blocked": blocked, "send": 0, "wait": wait, "receive": 0},
        **_for_replay(exchange, redact, longest),
    }


def _milliseconds(seconds: float) -> float:
    return round(max(seconds, 0.0) * 1000, 3)


def _for_replay(exchange: Exchange, redact: Redact, longest: int) -> dict[str, Any]:
    """What a replay needs beside HAR's own: whose exchange it was; when, in monotonic seconds and
    turns of the event loop; how it failed; and the body's bytes where they are no text.
    """
    more: dict[str, Any] = {
        "_test": exchange.test,
        "_at": exchange.at,
        "_queued": exchange.queued,
        "_started": exchange.started,
        "_finished": exchange.finished,
        "_turn": exchange.turn,
        "_resumed": exchange.resumed,
    }
    if exchange.failure:
        more |= {"_failure": exchange.failure, "_begun": exchange.begun}
    if exchange.cut or len(exchange.body) > longest:
        more["_cut"] = (
            exchange.cut or f"{longest:,} of its {exchange.length:,} bytes are in the file"
        )
        return more
    try:
        exchange.body.decode()
    except UnicodeDecodeError:
        text = redact(exchange.body.decode("latin-1"))
        more["_bytes"] = base64.b64encode(text.encode("latin-1", "replace")).decode()
    return more


def _request(exchange: Exchange, redact: Redact) -> dict[str, Any]:
    url = redact(exchange.url)
    headers = _pairs(exchange.request_headers.items(), redact)
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": url,
        "httpVersion": exchange.http_version or "HTTP/1.1",
        "headers": headers,
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "cookies": [
            _cookie(piece)
            for value in _values(headers, "cookie")
            for piece in value.split(";")
            if piece.strip()
        ],
        "headersSize": -1,
        "bodySize": len(exchange.request_body),
    }
    if exchange.request_body:
        text = redact(exchange.request_body.decode("utf-8", "replace"))
        types = _values(headers, "content-type")
        request["postData"] = {"mimeType": next(iter(types), ""), "text": text[:KEPT]}
        if len(text) > KEPT:
            request["postData"]["comment"] = _cut(KEPT, len(exchange.request_body))
    return request


def _response(exchange: Exchange, redact: Redact, longest: int) -> dict[str, Any]:
    text = exchange.shown(redact)[:longest]
    headers = _pairs(exchange.headers, redact)
    return {
        "status": exchange.status,
        "statusText": "",
        "httpVersion": exchange.http_version or "HTTP/1.1",
        "headers": headers,
        "cookies": [_set_cookie(value) for value in _values(headers, "set-cookie")],
        "content": {
            "size": exchange.length,
            "mimeType": next(iter(_values(headers, "content-type")), ""),
            "text": text,
            **_comment(exchange, text, longest),
        },
        "redirectURL": redact(exchange.header("location")),
        "headersSize": -1,
        "bodySize": exchange.length,
    }


def _comment(exchange: Exchange, text: str, longest: int) -> dict[str, str]:
    """What a reader should know of a body that does not stand here whole."""
    if exchange.begun is not None:
        return {
            "comment": "what came of an answer that broke off; its status: "
            f"{exchange.begun or 'none'}"
        }
    if len(text) < longest and not exchange.cut and (text or not exchange.body):
        return {}
    return {"comment": _cut(len(text), exchange.length)}


def _cut(characters: int, length: int) -> str:
    return f"the first {characters:,} characters of a body of {length:,} bytes"


def _pairs(headers: Iterable[tuple[str, str]], redact: Redact) -> list[dict[str, str]]:
    return [{"name": redact(name), "value": redact(value)} for name, value in headers]


def _values(headers: Iterable[Mapping[str, str]], name: str) -> list[str]:
    """The values of all header lines of a name (in lower case)."""
    return [header["value"] for header in headers if header["name"].lower() == name]


def _cookie(piece: str) -> dict[str, Any]:
    """A name and a value (RFC 6265 5.2); without a ``=`` it is all name."""
    name, _, value = piece.partition("=")
    return {"name": name.strip(), "value": value.strip()}


def _set_cookie(value: str) -> dict[str, Any]:
    """A cookie with those of its attributes that HAR knows."""
    first, *rest = value.split(";")
    cookie = _cookie(first)
    for piece in rest:
        attribute = _cookie(piece)
        name, text = attribute["name"].lower(), attribute["value"]
        if name in ("path", "domain"):
            cookie[name] = text
        elif name in ("httponly", "secure"):
            cookie["httpOnly" if name == "httponly" else name] = True
        elif name == "expires" and (moment := _moment(text)):
            cookie["expires"] = moment
    return cookie


def _moment(text: str) -> str:
    """A date of HTTP in ISO 8601; nothing if it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return ""
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()
