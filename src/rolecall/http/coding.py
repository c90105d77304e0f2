"""Decodes gzip and deflate bodies within a bound, and no other coding."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Literal

from rolecall.bounds import BODY_LIMIT, MEMBER_LIMIT

_GZIP = frozenset({"gzip", "x-gzip"})  # RFC 9110 8.4.1.3
#: No coding at all; the last two are what some servers write there for want of a better place.
_NONE = frozenset({"identity", "none", "utf-8"})
#: What zlib is told of the header that it is to expect.
_GZIP_HEADER, _ZLIB_HEADER, _NO_HEADER = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Undecodable(ValueError):
    """A body that cannot be decoded to its end, what could be, and whether it is too large,
    damaged, or in an unknown coding.
    """

    def __init__(
        self, kind: Literal["too-large", "damaged", "coding"], why: str, decoded: bytes = b""
    ) -> None:
        super().__init__(why)
        self.kind: Literal["too-large", "damaged", "coding"] = kind
        self.decoded = decoded


def decoded(body: bytes, codings: Iterable[str]) -> bytes:
    """A body without its codings; at most `BODY_LIMIT` bytes, however little it was compressed.

    Raises:
        Undecodable: it is larger, cut off or damaged, or has a coding, or several of them, that is
            not read here.
    """
    applied = [coding for coding in codings if coding not in _NONE]
    if not applied or not body:
        return body
    if len(applied) > 1:
        raise Undecodable(
            "coding",
            f"the body is encoded more than once ({', '.join(applied)}), which is not read here",
        )
    if applied[0] in _GZIP:
        return _gunzipped(body)
    if applied[0] == "deflate":
        try:
            return _inflated(body, _ZLIB_HEADER)[0]
        except zlib.error:  # some leave the header out, so all that read HTTP take that, too
            pass
        try:
            return _inflated(body, _NO_HEADER)[0]
        except zlib.error as error:
            raise Undecodable("damaged", f"the body cannot be decoded: {error}") from None
    raise Undecodable("coding", f"the body is encoded with {applied[0]}, which is not read here")


def _gunzipped(body: bytes) -> bytes:
    """All members of a gzip body, joined (RFC 1952 2.2); what follows them is padding."""
    whole = b""
    for _ in range(MEMBER_LIMIT):
        try:
            member, body = _inflated(body, _GZIP_HEADER, whole)
        except zlib.error as error:
            raise Undecodable("damaged", f"the body cannot be decoded: {error}", whole) from None
        whole += member
        if not body.startswith(b"\x1f\x8b"):
            return whole
    raise Undecodable("damaged", f"the body has more than {MEMBER_LIMIT} members of gzip", whole)


def _inflated(body: bytes, header: int, before: bytes = b"") -> tuple[bytes, bytes]:
    """What one compressed stream unfolds to, and what follows it; ``before`` is what others have
    unfolded to already.

    Raises:
        zlib.error: it is damaged.
        Undecodable: it is too large, or does not come to its end.
    """
    stream = zlib.decompressobj(header)
    data = stream.decompress(body, BODY_LIMIT + 1 - len(before))
    if len(before) + len(data) > BODY_LIMIT:
        raise Undecodable(
            "too-large", f"the body is larger than {BODY_LIMIT:,} bytes", before + data
        )
    if not stream.eof:
        raise Undecodable(
            "damaged", "the body is compressed, and the compressed data is cut off", before + data
        )
    return data, stream.unused_data
