"""Parts of secrets: what a server gives away that puts half of a token into each of two members.

Whoever cuts a secret in two leaves its beginning and its end. Both are looked for: the halves of a
short secret, and fifteen bytes of a long one. From there the part goes on as far as the text does.
What is shorter may stand in any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Bytes at the beginning and at the end of a long secret.
SEGMENT = 15
#: Bytes of a half of a secret that is not the server's choice; what is shorter is a word.
SHORTEST_HALF = 8
#: Kinds of characters (small, capital, digit, sign) of a short half that is none of ordinary text.
_MIXED = 3
#: What stands between signs, and what it is where it is a word, as ``staging2024``.
_PIECE = re.compile(rb"[A-Za-z0-9]+")
_WORD = re.compile(rb"\d*(?:[a-z]*|[A-Z]*|[A-Z][a-z]*)\d*")
#: Bytes of a secret of which parts are looked for. Longer ones are not tokens but documents, of
#: which a part may be anybody's.
LONGEST = 512


@dataclass(frozen=True)
class Fragment:
    """The beginning or the end of a secret: its owner (a number), the secret, and where it is."""

    owner: int
    secret: bytes
    begin: int
    end: int

    @property
    def segment(self) -> bytes:
        """The segment itself."""
        return self.secret[self.begin : self.end]

    def around(self, text: bytes, start: int) -> tuple[int, int]:
        """Where the part begins and ends of which this segment stands in a text at ``start``."""
        secret, first, last = self.secret, self.begin, self.end
        end = start + last - first
        while first and start and text[start - 1] == secret[first - 1]:
            first, start = first - 1, start - 1
        while last < len(secret) and end < len(text) and text[end] == secret[last]:
            last, end = last + 1, end + 1
        return start, end


def fragments(secret: bytes, owner: int, shortest: int = SEGMENT) -> Iterator[Fragment]:
    """Beginning and end of a secret whose halves have ``shortest`` bytes at least; nothing of what
    has blanks, for that is text, of what is very long, nor what is a word.
    """
    length = len(secret)
    half = length // 2
    if half < shortest or length > LONGEST or any(byte <= 0x20 for byte in secret):
        return
    size = min(half, SEGMENT)
    for begin, end in ((0, size), (length - size, length)):
        if end - begin >= SEGMENT or not _is_word(secret[begin:end]):
            yield Fragment(owner, secret, begin, end)


def _is_word(segment: bytes) -> bool:
    """Whether it may stand in any text, as ``password-of`` does: people make passwords of words."""
    kinds = (bytes.islower, bytes.isupper, bytes.isdigit, lambda byte: not byte.isalnum())
    is_mixed = sum(any(is_kind(bytes([byte])) for byte in segment) for is_kind in kinds) >= _MIXED
    return not is_mixed and all(map(_WORD.fullmatch, _PIECE.findall(segment)))
