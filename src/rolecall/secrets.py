"""Redaction by known value: every secret that was ever sent or received, in every usual encoding.

The same secret gets the same label within a run, so that a reader still sees which token went where; a JWT keeps
its header and claims and loses its signature.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rolecall.evidence import Exchange

_PREFIX = 6  # characters by which a secret is looked up; what is shorter is no secret worth the false alarms
#: Members of bodies and queries that hold a secret, and what kind of secret.
_SECRET_MEMBERS = {
    "token": "token",
    "access_token": "token",
    "refreshToken": "refresh-token",
    "refresh_token": "refresh-token",
    "password": "password",
}
_JWT_ANYWHERE = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]{16,}")
_JWT = re.compile(r"^[\w-]+\.[\w-]+\.[\w-]+$")


class Secrets:
    """The secrets of one run and the text they are kept out of."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._spellings: dict[str, str] = {}
        self._lengths: dict[str, list[int]] = {}
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()  # learnt on the run's event loop, asked for on pytest's thread

    def add(self, value: object, kind: str) -> None:
        """Remember a secret of this ``kind`` ("password", "token", "refresh-token", "key"); non-strings are ignored."""
        if not isinstance(value, str) or len(value) < _PREFIX or value in self._labels:
            return
        with self._lock:
            self._counts[kind] += 1
            self._labels[value] = label = f"<{kind}-{self._counts[kind]}>"
            for spelling in _spellings(value):
                if spelling not in self._spellings:
                    self._spellings[spelling] = label
                    self._add_length(spelling)
            if _JWT.match(value):
                self._spellings[value] = f"{value.rsplit('.', 1)[0]}.{label}"

    def _add_length(self, spelling: str) -> None:
        prefix, length = spelling[:_PREFIX], len(spelling)
        known = self._lengths.get(prefix, [])
        if not known:
            self._pattern = None
        if length not in known:
            # A new list instead of a longer one: another thread may be going through the old.
            self._lengths[prefix] = sorted((*known, length), reverse=True)

    def learn(self, exchange: Exchange) -> None:
        """Remember every secret that an exchange carries: credentials sent, and tokens received."""
        for name, value in exchange.request_headers.items():
            if name.lower() == "authorization":
                self.add(value.split(" ", 1)[-1].strip(), "token")
        query = urlsplit(exchange.url).query
        if query:
            for name, value in parse_qsl(query):
                if name in _SECRET_MEMBERS:
                    self.add(value, _SECRET_MEMBERS[name])
        for body in (exchange.request_body, exchange.body):
            if b'oken"' in body or b'assword"' in body:
                self._learn_members(_parsed(body))
            if b"eyJ" in body:
                for token in _JWT_ANYWHERE.findall(body.decode("utf-8", "replace")):
                    self.add(token, "token")

    def _learn_members(self, document: object) -> None:
        if isinstance(document, dict):
            for name, value in document.items():
                if name in _SECRET_MEMBERS:
                    self.add(value, _SECRET_MEMBERS[name])
                elif isinstance(value, dict | list):
                    self._learn_members(value)
        elif isinstance(document, list):
            for value in document:
                self._learn_members(value)

    def redact(self, text: str) -> str:
        """``text`` with every known secret replaced by its label."""
        if not self._spellings:
            return text
        pieces: list[str] = []
        done = 0
        for start, end, replacement in self._occurrences(text):
            pieces += (text[done:start], replacement)
            done = end
        return "".join((*pieces, text[done:])) if pieces else text

    def found_in(self, text: str) -> bool:
        """Whether any known secret stands in ``text``, in any spelling."""
        return next(self._occurrences(text), None) is not None

    def _occurrences(self, text: str) -> Iterator[tuple[int, int, str]]:
        with self._lock:
            pattern = self._pattern = self._pattern or re.compile(_trie(sorted(self._lengths)))
        position = 0
        while match := pattern.search(text, position):
            start = match.start()
            for length in self._lengths[match.group()]:
                replacement = self._spellings.get(text[start : start + length])
                if replacement is not None:
                    yield start, start + length, replacement
                    position = start + length
                    break
            else:
                position = start + 1


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _spellings(value: str) -> set[str]:
    """The ways in which a secret may stand in a text: as it is, percent- or JSON-escaped, in base64 of any alignment."""
    spellings = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    raw = value.encode()
    for shift in range(3):
        # Embedded in a longer base64 text, a secret starts at any of three positions; its first and last characters
        # then also carry bits of the neighbours and are left off.
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(raw)) % 3 else 0)]
        spellings |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {spelling for spelling in spellings if len(spelling) >= _PREFIX}


def _trie(prefixes: list[str]) -> str:
    """A regular expression for any of the sorted ``prefixes`` that shares their common beginnings, so it stays fast."""
    if prefixes == [""]:
        return ""
    groups: dict[str, list[str]] = {}
    for prefix in prefixes:
        groups.setdefault(prefix[0], []).append(prefix[1:])
    branches = [re.escape(first) + _trie(rest) for first, rest in groups.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
