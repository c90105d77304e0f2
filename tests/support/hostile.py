"""Answers that no server should give, by chance: sizes, codings, nestings, escapes, words of ours,
absurd numbers and ids.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable

import jwt

from tests.support.miniatures import response

_WORDS = (
    "passed",
    "inconclusive",
    "failed",
    "verdict",
    "outcome",
    "requirement",
    "version",
    "rolecall",
    "testsuite",
    "127.0.0.1",
)
_ESCAPES = (
    "\x1b[2J\x1b]0;owned\x07",
    "\u202eevil",
    "\nverdict       CONFORMANT: forged",
    "\u2028\u2066",
    "\x00",
    "\x9b31m",
)
_NUMBERS = (
    "1" + "0" * 400,
    "-1",
    "1e999",
    "NaN",
    "Infinity",
    "0.1",
    "9007199254740993",
    "true",
    "null",
    "[]",
    "{}",
    '""',
)
_STATUSES = (200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 429, 500, 503, 999)
_BOMB = gzip.compress(b"\0" * (64 * 1024 * 1024))


def answer(chance: random.Random) -> bytes:
    """One of them."""
    return chance.choice(_KINDS)(chance)


def _json(chance: random.Random, text: str, **headers: str) -> bytes:
    status = chance.choice(_STATUSES)
    return response(
        status, text.encode("utf-8", "surrogatepass"), content_type="application/json", **headers
    )


def _large(chance: random.Random) -> bytes:
    return _json(
        chance,
        chance.choice(
            (
                "[" + "{}," * 1_000_000 + "{}]",
                '{"id":"' + "x" * 1_000_000 + '"}',
                " " * 3_000_000,
                "eyJ" * 30_000,
            )
        ),
    )


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice((50, 900, 2_000, 100_000))
    return _json(
        chance,
        chance.choice(
            ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth)
        ),
    )


def _coded(chance: random.Random) -> bytes:
    coding, body = chance.choice(
        (
            ("gzip", _BOMB),
            ("gzip", gzip.compress(_BOMB)),
            ("gzip, gzip", gzip.compress(_BOMB)),
            ("gzip", b"\x1f\x8b" + b"x" * 100),
            ("gzip", gzip.compress(b'{"id":"1"}')[:-6]),
            ("deflate", zlib.compress(b"\0" * 50_000_000)),
            ("br", b"\x8b\x00\x80"),
            ("zstd", b"\x28\xb5\x2f\xfd"),
            ("identity", b"{}"),
            ("x-unknown", b"{}"),
        )
    )
    return response(
        chance.choice(_STATUSES), body, content_encoding=coding, content_type="application/json"
    )


def _escaped(chance: random.Random) -> bytes:
    text = chance.choice(_ESCAPES)
    document = {
        "id": text,
        "name": text,
        "error": {"message": text},
        "user": text,
        "scope": text,
        "token": text,
    }
    raw = chance.random() < 0.3
    return _json(
        chance,
        json.dumps(document, ensure_ascii=chance.random() < 0.5)
        if not raw
        else f'{{"message":"{text}"}}',
    )


def _words(chance: random.Random) -> bytes:
    word = chance.choice(_WORDS)
    return _json(
        chance,
        json.dumps(
            {
                "token": word,
                "refreshToken": word,
                "password": word,
                "user": word,
                "scope": "admin",
                "id": word,
            }
        ),
    )


def _numbers(chance: random.Random) -> bytes:
    number = chance.choice(_NUMBERS)
    return _json(
        chance,
        f'{{"id":{number},"_id":{number},"user":{number},"createdAt":{number},"items":[{number}]}}',
    )


def _ids(chance: random.Random) -> bytes:
    id = chance.choice(
        ("", " ", "../../users", "a/b?c#d", "%2e%2e", "x" * 70_000, "\ud800", "né", "1", "admin")
    )
    return _json(
        chance,
        json.dumps([{"id": id, "name": "x"}] if chance.random() < 0.5 else {"id": id, "name": "x"}),
    )


def _token(chance: random.Random) -> bytes:
    times: dict[str, object] = (
        {"iat": 10**400, "exp": 10**401} if chance.random() < 0.5 else {"iat": "now", "exp": [1]}
    )
    token = jwt.encode(
        {"_id": "1", "scope": "admin", **{name: str(value) for name, value in times.items()}},
        "k" * 32,
    )
    broken = chance.choice(
        (token, token + "=", token.replace(".", "..", 1), "é" + token, token[:20], "a.b.c")
    )
    return _json(
        chance,
        json.dumps(
            {
                "tokenType": "Bearer",
                "token": broken,
                "refreshToken": "r" * chance.choice((1, 100_000)),
                "user": "1",
                "scope": "admin",
            }
        ),
    )


def _headers(chance: random.Random) -> bytes:
    fields = chance.choice(
        (
            {"link": "<http://[x>; rel=next"},
            {"link": "<" * 60_000},
            {"x": " " * 60_000},
            {"set_cookie": "token=" + "s" * 300},
            {
                "retry_after": chance.choice(
                    ("nan", "-5", "0", "1", "Thu, 01 Jan 1970 00:00:00 GMT", "x")
                )
            },
            {"date": "Thu, 99 Foo 99999 00:00:00 GMT"},
            {"www_authenticate": "Bearer \u00a0\x1b[1m"},
            {"location": "http://[::1"},
            {"content_type": "application/json; charset=utf-16"},
        )
    )
    return response(chance.choice(_STATUSES), b"{}", **fields)


def _framing(chance: random.Random) -> bytes:
    return chance.choice(
        (
            b"HTTP/1.1 200 \x1b[2JPWNED\x07\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 300
            + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 400 + b"content-length: 2\r\n\r\n{}",
            b"<html>not HTTP at all</html>",
            b"HTTP/9.9 banana\r\n\r\n",
            b"\x00" * 200,
        )
    )


def _utf16(chance: random.Random) -> bytes:
    body = json.dumps({"id": "1", "token": "t" * 40, "name": "x"}).encode("utf-16")
    return response(chance.choice(_STATUSES), body, content_type="application/json")


_KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    _large,
    _deep,
    _coded,
    _escaped,
    _words,
    _numbers,
    _ids,
    _token,
    _headers,
    _framing,
    _utf16,
)
