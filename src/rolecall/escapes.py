r"""Reads escaped text: the escapes of JSON, URLs and HTML, also on top of each other.

Every writer escapes as it likes: Go writes ``\u0026`` for ``&``, .NET ``\u002B`` for ``+``, PHP
``&#039;`` for ``'``. So a text is not compared with all the ways to write a secret, but read, level
by level, and each level compared with the secret.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache

#: Levels that are read: JSON in a JSON text in a form in a JSON text has four.
DEPTH = 4

_HEX = rb"[0-9a-fA-F]"
#: One escape. A NUL is the half of a character in UTF-16, of which a reader of UTF-8 makes two.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB]%(x)b{2}\\u[dD][c-fC-F]%(x)b{2}|\\u%(x)b{4}|\\x%(x)b{2}|\\[\\/\"'bfnrt]|%%%(x)b{2}"
    rb"|&(?:\#[0-9]{1,7}|\#[xX]%(x)b{1,6}|[a-zA-Z]{2,8});|\x00" % {b"x": _HEX}
)
_SHORT = {"b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t"}


class Level:
    """What a text says when its escapes are read once, and where that stands in the text."""

    def __init__(self, text: bytes, before: Level | None) -> None:
        self._before = before
        parts: list[bytes] = []
        # Where plain text and escapes begin in turn, plain text first: in what was read, and in the
        # text.
        self._read, self._written = [0], [0]
        length = done = 0
        for escape in _ESCAPE.finditer(text):
            start, end = escape.span()
            meaning = _meaning(escape.group())
            parts += (text[done:start], meaning)
            length += start - done
            self._read += (length, length + len(meaning))
            self._written += (start, end)
            length += len(meaning)
            done = end
        self.is_new = bool(parts)
        self.text = b"".join((*parts, text[done:]))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a piece of the read text stands in the text before reading; escapes count whole."""
        first, last = bisect_right(self._read, start) - 1, bisect_left(self._read, end) - 1
        begin = self._written[first] + (0 if first % 2 else start - self._read[first])
        finish = (
            self._written[last + 1] if last % 2 else self._written[last] + end - self._read[last]
        )
        return self._before.span(begin, finish) if self._before else (begin, finish)


def levels(text: bytes) -> Iterator[Level]:
    """What UTF-8 text says when its escapes are read once, twice, and so on, to the last."""
    level: Level | None = None
    for _ in range(DEPTH):
        # in C: nearly every text has none
        if not (b"\\" in text or b"%" in text or b"&" in text or b"\0" in text):
            return
        level = Level(text, level)
        if not level.is_new:
            return
        yield level
        text = level.text


@lru_cache(4096)
def _meaning(escape: bytes) -> bytes:
    """What one escape stands for, in UTF-8; a byte of it where a URL says so."""
    text = escape.decode("ascii")
    match text[0], text[1:2]:
        case "%", _:
            return bytes.fromhex(text[1:])
        case "&", _:
            meant = html.unescape(text)
        case "\\", "u":
            # Two halves of a character are made one, a half alone stays what it is (RFC 8259 7).
            halves = b"".join(
                int(number, 16).to_bytes(2, "big") for number in text.split("\\u")[1:]
            )
            meant = halves.decode("utf-16-be", "surrogatepass")
        case "\\", "x":
            meant = chr(int(text[2:4], base=16))
        case "\0", _:
            return b""
        case _, short:
            return _SHORT.get(short, short.encode())
    return meant.encode("utf-8", "surrogatepass")
