"""Heads of answers that HTTP lets a client read and llhttp refuses: folded fields, which a client
has to read (RFC 9112 5.2), and one length that is said twice, which it may (RFC 9110 8.6).
"""

from __future__ import annotations

import re

_END = b"\r\n\r\n"
_BEGIN = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n(?![ \t])")
_FOLD = re.compile(rb"[ \t]*\r\n[ \t]+")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:([^\r\n]*)(?=\r\n|$)")
_NUMBER = re.compile(rb"[0-9]+")


def mended(data: bytes) -> bytes | None:
    """What came of an answer, its head as llhttp reads it; empty where the head has not come whole
    yet, and None where there is nothing to mend.

    Args:
        data: from the first byte of the answer on, announcements (1xx) before it included.
    """
    done, came = b"", len(data)
    while begin := _BEGIN.match(data):
        head, end, rest = data.partition(_END)
        if not end:
            is_odd = _FOLD.search(head, begin.end()) or len(_lengths(head)) > 1
            return b"" if is_odd or len(done) + len(data) < came else None
        plain = _one_length(_FOLD.sub(b" ", head))
        if not begin[1].startswith(b"1"):
            whole = done + plain + end + rest
            return whole if len(whole) != came else None
        done, data = done + plain + end, rest
    # an announcement is mended, and the line that is to follow has not come whole
    return b"" if len(done) + len(data) < came and b"\r\n" not in data else None


def _one_length(head: bytes) -> bytes:
    """The head with a length that is said several times said once, if it is always the same."""
    said = _lengths(head)
    if len(said) < 2 or len(set(said)) > 1 or not _NUMBER.fullmatch(said[0]):
        return head
    return _LENGTH.sub(b"", head) + b"\r\nContent-Length: " + said[0]


def _lengths(head: bytes) -> list[bytes]:
    """The elements of all Content-Length fields; the head may be cut in the middle of a line."""
    lines = _LENGTH.findall(head.removesuffix(b"\r"))
    return [value.strip() for line in lines for value in line.split(b",")]
