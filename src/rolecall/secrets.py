"""Redaction by known value: every secret that was ever sent or received, in every usual encoding.

The same secret gets the same label within a run, so that a reader still sees which token went where; a JWT keeps
its header and claims and loses its signature.
"""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rolecall.evidence import Exchange

_SHORTEST = 6  # characters; a spelling that is shorter may stand in any text
#: A text is looked at in words of eight bytes. Of each spelling the last 15 bytes hold one such word whole, wherever they stand;
#: the last ones, because those of a JWT are its signature, and the others stay in the text.
_WORD_LENGTH = 8
_WINDOW = 2 * _WORD_LENGTH - 1
#: A password that may be a word of ours, too: hidden only where the request that carries it says what it is.
_WORD = re.compile(r"^(.{0,5}|[a-z]{6,10})$", re.DOTALL)
_WORD_PLACES = ('"password":"', '"password":["', '"password":{"value":"')
_NAMES = "(?:access_?|refresh_?|id_?)?token|jwt|password|(?:client_?)?secret|api_?key"
#: A member of a body that holds a secret, with its value as it is written there, to the end or to where the body was cut.
_MEMBER = re.compile(rf'"({_NAMES})"\s*:\s*"((?:[^"\\]|\\.)*)'.encode(), re.IGNORECASE)
#: The same in a query, a fragment or a cookie.
_PAIR = re.compile(rf"(?<![\w-])({_NAMES})=([^&;#,\s\"]+)", re.IGNORECASE)
_COOKIE = re.compile(r"^[^=;\s]+=([^;\s]+)")
_KINDS = {"refreshtoken": "refresh-token", "password": "password", "apikey": "key"}  # of such members; others: "token"
_JWT_ANYWHERE = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]{16,}")
_JWT = re.compile(r"^eyJ[\w-]+\.[\w-]+\.[\w-]+$")
_TOKEN_LENGTH = 16  # characters; what is shorter and stands alone is a word
_LABEL = re.compile(r"<[a-z-]+-\d+>")
_HEX_PAIR = re.compile("%[0-9A-F]{2}")


class Secrets:
    """The secrets of one run and the text they are kept out of."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        #: What stands before a token's last dot, the user's id or a JWT's claims: no secret, though an attack may send it as one.
        self._public: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._spellings: dict[bytes, bytes] = {}
        self._words: dict[int, list[tuple[int, bytes]]] = {}  # a word: where it stands in which spellings
        self._short: dict[bytes, re.Pattern[bytes]] = {}  # spellings with no whole window, looked for one by one: they are few
        self._lock = threading.Lock()  # learnt on the run's event loop, asked for on pytest's thread

    def add(self, value: object, kind: str) -> None:
        """Remember a secret of this ``kind`` ("password", "token", "refresh-token", "key"); non-strings are ignored."""
        if isinstance(value, str) and value and value not in self._labels:
            self._add(value, kind, _spellings(value))

    def _add(self, value: str, kind: str, spellings: Iterable[str]) -> None:
        with self._lock:
            if value.rstrip(".") in self._public:
                return
            label = self._labels.get(value)
            if label is None:
                self._counts[kind] += 1
                self._labels[value] = label = f"<{kind}-{self._counts[kind]}>"
            front = value.rpartition(".")[0]
            if front and kind in ("token", "refresh-token"):
                self._public.add(front)
            replacement = f"{value.rsplit('.', 1)[0]}.{label}" if _JWT.match(value) else label
            if kind == "password" and _WORD.match(value):
                for place in _WORD_PLACES:
                    self._add_spelling(f'{place}{value}"', f'{place}{label}"')
                return
            for spelling in spellings:
                if len(spelling) >= _SHORTEST:
                    self._add_spelling(spelling, replacement if spelling == value else label)

    def _add_spelling(self, text: str, replacement: str) -> None:
        spelling = _bytes(text)
        if spelling in self._spellings:
            return
        self._spellings[spelling] = _bytes(replacement)
        begin = len(spelling) - _WINDOW
        if begin < 0:
            self._short = {**self._short, spelling: re.compile(re.escape(spelling))}
            return
        for place in range(begin, begin + _WORD_LENGTH):
            word = int.from_bytes(spelling[place : place + _WORD_LENGTH], sys.byteorder)
            self._words.setdefault(word, []).append((place, spelling))

    def learn(self, exchange: Exchange) -> None:
        """Remember every secret that an exchange carries: credentials sent, and tokens received."""
        self.learn_sent(exchange)
        self.learn_received(exchange)

    def learn_sent(self, exchange: Exchange) -> None:
        """Remember the credentials of a request."""
        for name, value in exchange.request_headers.items():
            if name.lower() == "authorization":
                credential = value.partition(" ")[2].strip() or value
                if credential != value or len(value) >= _TOKEN_LENGTH:  # the scheme alone is no secret
                    self.add(credential, "token")
        self._learn_text(urlsplit(exchange.url).query)
        self._learn_body(exchange.request_body, is_refusal=False)

    def learn_received(self, exchange: Exchange) -> None:
        """Remember the tokens of an answer."""
        for name, value in exchange.headers:
            self._learn_text(value)
            if name.lower() == "set-cookie" and (cookie := _COOKIE.match(value)) and len(cookie[1]) >= _TOKEN_LENGTH:
                self.add(cookie[1], "cookie")
        self._learn_body(exchange.body, is_refusal=not 200 <= (exchange.status or exchange.begun or 0) < 300)

    def _learn_text(self, text: str) -> None:
        if "=" in text:
            for name, written in _PAIR.findall(text):
                self._learn_as_written(unquote(written), written, _kind(name))
        if "eyJ" in text:
            for token in _JWT_ANYWHERE.findall(text):
                self.add(token, "token")

    def _learn_body(self, body: bytes, *, is_refusal: bool) -> None:
        """Every writer of JSON escapes as it likes, and some bodies end in the middle."""
        for name, literal in _MEMBER.findall(body):
            written = literal.decode("utf-8", "replace")
            if is_refusal and (len(written) < _TOKEN_LENGTH or " " in written):
                continue  # it says of a member what is wrong with it
            try:
                value = json.loads(f'"{written}"', strict=False)
            except ValueError:
                value = written
            self._learn_as_written(value, written, _kind(name.decode()))
        if b"eyJ" in body:
            self._learn_text(body.decode("utf-8", "replace"))

    def _learn_as_written(self, value: str, written: str, kind: str) -> None:
        self.add(value, kind)
        if written != value:
            self._add(value, kind, [written])

    def redact(self, text: str) -> str:
        """``text`` with every known secret replaced by its label."""
        data = _bytes(text)
        parts: list[bytes] = []
        done = 0
        for start, end, replacement in self._occurrences(data):
            parts += (data[done:start], replacement)
            done = end
        return b"".join((*parts, data[done:])).decode("utf-8", "surrogatepass") if parts else text

    def redacted(self, document: Any) -> Any:
        """A JSON document with every string in it redacted; the names of members are ours and stay."""
        if isinstance(document, dict):
            return {name: self.redacted(value) for name, value in document.items()}
        if isinstance(document, list | tuple):
            return [self.redacted(value) for value in document]
        return self.redact(document) if isinstance(document, str) else document

    def found_in(self, text: str) -> bool:
        """Whether any known secret stands in ``text``, in any spelling; a label is none, whatever it reads like."""
        return bool(self._occurrences(_bytes(text))) and bool(self._occurrences(_bytes(_LABEL.sub("<>", text))))

    def _occurrences(self, text: bytes) -> list[tuple[int, int, bytes]]:
        """Where secrets stand in a text, in order: begin, end, and what is to stand there instead."""
        found = [(match.start(), spelling) for spelling, pattern in self._short.items() for match in pattern.finditer(text)]
        known = self._words
        words = memoryview(text)[: len(text) // _WORD_LENGTH * _WORD_LENGTH].cast("Q")
        if not known.keys().isdisjoint(words):  # in C: nearly every text is done with here
            for place, word in enumerate(words):
                if word in known:
                    start = place * _WORD_LENGTH
                    found += [
                        (start - offset, spelling)
                        for offset, spelling in known[word]
                        if start >= offset and text.startswith(spelling, start - offset)
                    ]
        occurrences: list[tuple[int, int, bytes]] = []
        done = 0
        for start, spelling in sorted(found, key=lambda each: (each[0], -len(each[1]))):
            if start >= done:
                done = start + len(spelling)
                occurrences.append((start, done, self._spellings[spelling]))
        return occurrences


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _kind(member: str) -> str:
    return _KINDS.get(member.replace("_", "").lower(), "token")


def _spellings(value: str) -> set[str]:
    """The ways in which a secret may stand in a text: as it is, escaped for a URL, JSON or HTML, in base64 of any alignment."""
    raw = _bytes(value)
    percent = {quote(raw, safe=safe) for safe in ("", "/", "!'()*")} | {quote_plus(raw)}
    escaped = {json.dumps(value, ensure_ascii=plain)[1:-1] for plain in (True, False)}
    spellings = {value, html.escape(value), html.escape(value, quote=False), *escaped}
    spellings |= {spelling.replace("/", "\\/") for spelling in escaped}
    spellings |= percent | {_HEX_PAIR.sub(lambda match: match.group().lower(), spelling) for spelling in percent}
    for shift in range(3):
        # Embedded in a longer base64 text, a secret starts at any of three positions; its first and last characters
        # then also carry bits of the neighbours and are left off.
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(raw)) % 3 else 0)]
        spellings |= {inner, inner.replace("+", "-").replace("/", "_")}
    return spellings
