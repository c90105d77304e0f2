"""Reads answers of HTTP/1.1 from bytes, however they are cut up (RFC 9110, RFC 9112).

Nothing here knows of sockets. An answer that is complete in one piece is read by `whole`, all
others by a `Parser`.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from rolecall.bounds import BODY_LIMIT, HEAD_LIMIT
from rolecall.fields import seconds_to_wait
from rolecall.foreign_answers import is_foreign
from rolecall.http.coding import Undecodable, decoded

_LINE_LIMIT = 4096  # bytes of a chunk's size with its extensions
_CHUNKING_LIMIT = 1024 * 1024  # bytes that a body's chunks may cost beside what is in them
#: Bytes of the fields that say where an answer ends, and in which coding it is.
_FRAMING_LIMIT = 8 * 1024

_BEGIN = b"HTTP/1."
_FIELDS = rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*"
_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?" + _FIELDS)
_TRAILERS = re.compile(_FIELDS)
_FOLD = re.compile(rb"\r\n[ \t]+")
_CONTINUED = re.compile(rb"[ \t]+[^\r\n\0]*")
#: What no line of a head or of a trailer may hold (RFC 9112 2.2), as soon as it is seen.
_BROKEN_LINE = re.compile(rb"(?<!\r)\n|\r[^\n]|\0")
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|content-encoding):[ \t]*([^\r\n]*)",
    re.IGNORECASE,
)
_LENGTH = re.compile(rb"\d{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?")

#: What stands for the length of a body in a `_Frame` when no number does.
_CHUNKED, _TO_THE_END, _NOT_FINAL = -1, -2, -3

_UNDECODABLE = {
    "coding": "its body is in a content coding that is not understood here: gzip and deflate are",
    "damaged": "its body is not in the content coding that it names",
    "too-large": f"its body is larger than {BODY_LIMIT:,} bytes",
}
Kind = Literal["garbage", "too-large", "closed", "coding"]


class WireError(Exception):
    """Bytes that are not an answer; ``kind`` says why, and the text does not repeat them.

    ``coding`` is not the server's fault: its answer is lawful, in a content coding that is not
    understood here.
    """

    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(what)
        self.kind: Kind = kind


class Response(Struct, eq=False, gc=False):
    """A complete answer; ``head`` begins with the status line, without the empty line."""

    status: int
    head: bytes
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header field; None where it is missing."""
        head = _unfolded(self.head) + b"\r\n"
        start = head.lower().find(b"\r\n%s:" % name.lower())
        if start < 0:
            return None
        start += len(name) + 3
        return head[start : head.find(b"\r\n", start)].strip()

    def text(self, name: str) -> str:
        """The first value of a header field; empty where it is missing."""
        return (self.header(name.encode("ascii")) or b"").decode("latin-1")

    @property
    def is_foreign(self) -> bool:
        """Whether it looks like that of somebody before the server: a redirect, or a web page."""
        return is_foreign(self.status, self.text, self.body)

    def lines(self, name: bytes) -> list[str]:
        """The values of all header fields of this name, one list for a list field (RFC 9110 5)."""
        start = b"%s:" % name.lower()
        fields = _unfolded(self.head).split(b"\r\n")[1:]
        return [
            field[len(start) :].strip().decode("latin-1")
            for field in fields
            if field.lower().startswith(start)
        ]

    @property
    def seconds_to_wait(self) -> float:
        """Seconds that it asks to wait before the next request; one if it does not say."""
        seconds = seconds_to_wait(self.text("retry-after"), self.text("date"))
        return 1.0 if seconds is None else seconds


class _Frame(NamedTuple):
    """What the fields of an answer say of its end."""

    status: int
    length: int
    keep_alive: bool
    coding: bytes  # of the body; empty where it is what it is


#: Heads that have been read. A server sends the same one for a second, until its Date changes.
_known: dict[bytes, _Frame] = {}
_KNOWN_HEADS = 512
_KNOWN_LENGTH = 2048  # bytes of a head that is remembered


class _Latest:
    """The head of the latest answer, mostly also the next one's; ``begin`` has its empty line,
    ``size`` is that of the whole answer, and -1 where a `Parser` has to look.
    """

    __slots__ = ("begin", "head", "keep_alive", "size", "status")

    def __init__(self) -> None:
        self.begin, self.head, self.size, self.status, self.keep_alive = b"\0", b"", -1, 0, False


_latest = _Latest()


def whole(data: bytes) -> Response | None:
    """The answer, where ``data`` is exactly one with a length; None where a `Parser` has to look.

    This is the fast path: 0.5 us where the head is that of the answer before, 1 us where it was
    seen, 3 us where not.

    Raises:
        WireError: its head is not HTTP.
    """
    latest = _latest
    if not data.startswith(latest.begin):
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = data[:end]
        latest.status, length, latest.keep_alive, coding = _known.get(head) or _frame(head)
        latest.head, latest.begin = head, data[: end + 4]
        latest.size = -1 if coding or length < 0 else end + 4 + length
    if len(data) != latest.size:
        return None
    return Response(latest.status, latest.head, data[len(latest.begin) :], latest.keep_alive)


def _frame(head: bytes) -> _Frame:
    """Read a head (RFC 9112 6.3) strictly: where two readings are possible, readers disagree."""
    match = _HEAD.fullmatch(head) or _HEAD.fullmatch(_unfolded(head))
    if not match:
        raise WireError("garbage", "its head is not HTTP")
    fields = _FRAMING.findall(match.string)
    if sum(len(value) for _, value in fields) > _FRAMING_LIMIT:
        raise WireError(
            "too-large",
            f"the fields that say where it ends are longer than {_FRAMING_LIMIT:,} bytes",
        )
    frame = _framing(*match.groups(), *fields)
    if len(head) <= _KNOWN_LENGTH:
        if len(_known) >= _KNOWN_HEADS:
            _known.clear()
        _known[head] = frame
    return frame


@lru_cache(_KNOWN_HEADS)
def _framing(minor: bytes, code: bytes, *fields: tuple[bytes, bytes]) -> _Frame:
    """What a version, a status, and the fields that say where an answer ends come to."""
    lengths, transfers, options, codings = (
        [
            item.strip().lower()
            for name, value in fields
            if name.lower() == kind
            for item in value.split(b",")
        ]
        for kind in (b"content-length", b"transfer-encoding", b"connection", b"content-encoding")
    )
    # Empty elements of a list are ignored (RFC 9110 5.6.1.2); Content-Length is none.
    if transfers and (lengths or [item for item in transfers if item] != [b"chunked"]):
        raise WireError(
            "garbage",
            "it has an unknown Transfer-Encoding, or a Content-Length beside it",
        )
    if len(set(lengths)) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise WireError("garbage", "its Content-Length is not a length")
    status = int(code)
    if status == 101:
        raise WireError("garbage", "it switches to another protocol unasked")
    if status < 200:
        length = _NOT_FINAL
    elif status in (204, 304):
        length = 0
    elif transfers:
        length = _CHUNKED
    else:
        length = int(lengths[0]) if lengths else _TO_THE_END
    # RFC 9112 6.1: not to be relied on
    stays = minor == b"1" or (b"keep-alive" in options and not transfers)
    coding = b",".join(item for item in codings if item not in (b"", b"identity"))
    return _Frame(
        status, length, stays and b"close" not in options and length != _TO_THE_END, coding
    )


def _unfolded(head: bytes) -> bytes:
    """A head, or trailers, each field of which is on one line (RFC 9112 5.2)."""
    return _FOLD.sub(b" ", head) if b"\r\n " in head or b"\r\n\t" in head else head


def _decoded(body: bytes, coding: bytes) -> bytes:
    """A body without its content coding, which a server may choose (RFC 9110 12.5.3).

    Raises:
        WireError: the coding is not understood here, the body is not in it, or it is too large
            without it.
    """
    if not coding:
        return body
    try:
        return decoded(body, coding.decode("latin-1").split(","))
    except Undecodable as error:
        kind: Kind = "garbage" if error.kind == "damaged" else error.kind
        raise WireError(kind, _UNDECODABLE[error.kind]) from None


_Waiting = Generator[None, None, None]


class Parser:
    """Reads one answer from pieces of any size; ``head_only`` says that HEAD was asked."""

    def __init__(self, *, head_only: bool = False) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._answer = self._read(head_only)
        next(self._answer)

    def feed(self, data: bytes) -> Response | None:
        """Take bytes; returns the answer once it is complete. More bytes spoil the connection.

        Raises:
            WireError: this is not an HTTP answer.
        """
        self._buffer += data
        return self._go_on()

    def eof(self) -> Response | None:
        """Take note of the end of the connection, which may be that of the answer.

        Raises:
            WireError: it is not complete.
        """
        self._ended = True
        return self._go_on()

    def _go_on(self) -> Response | None:
        try:
            next(self._answer)
        except StopIteration as end:
            response: Response = end.value
            return response
        return None

    def _read(self, head_only: bool) -> Generator[None, None, Response]:
        """Read an answer; every ``yield`` of this and of what it calls waits for more bytes."""
        status, length, keep_alive, coding, head = 0, _NOT_FINAL, False, b"", b""
        left = HEAD_LIMIT
        yield
        while length == _NOT_FINAL:  # mere announcements are dropped (RFC 9110 15.2)
            yield from self._begin()
            head = yield from self._until(b"\r\n\r\n", left)
            left -= len(head) + 4
            status, length, keep_alive, coding = _frame(head)
        if head_only or length == 0:
            body = b""
        elif length == _CHUNKED:
            body = yield from self._chunks()
        elif length == _TO_THE_END:
            body = yield from self._rest()
        else:
            body = yield from self._exactly(length)
        return Response(
            status,
            head,
            _decoded(body, coding),
            keep_alive and not self._buffer and not self._ended,
        )

    def _more(self) -> _Waiting:
        if self._ended:
            raise WireError("closed", "the connection was closed in the middle of the answer")
        yield

    def _begin(self) -> _Waiting:
        """Wait for the first bytes, and refuse at once what will never be an answer."""
        while len(self._buffer) < len(_BEGIN) and _BEGIN.startswith(bytes(self._buffer)):
            if self._ended and not self._buffer:
                raise WireError("closed", "the connection was closed without an answer")
            yield from self._more()
        if not self._buffer.startswith(_BEGIN):
            raise WireError("garbage", "it does not begin as HTTP/1 does")

    def _until(self, end: bytes, limit: int) -> Generator[None, None, bytes]:
        """The bytes before ``end``, at most ``limit``; a broken line is refused at once."""
        seen = 0
        while (found := self._buffer.find(end, seen)) < 0 and len(self._buffer) <= limit:
            if _BROKEN_LINE.search(self._buffer, seen):
                raise WireError(
                    "garbage", "a line of it does not end as HTTP's do, or holds what no line may"
                )
            seen = max(0, len(self._buffer) - len(end) + 1)
            yield from self._more()
        if not 0 <= found <= limit:
            raise WireError(
                "too-large", "its head, its trailers or the size of a chunk goes on for too long"
            )
        taken = bytes(self._buffer[:found])
        del self._buffer[: found + len(end)]
        return taken

    def _exactly(self, length: int, limit: int = BODY_LIMIT) -> Generator[None, None, bytes]:
        if length > limit:
            raise WireError("too-large", f"its body is larger than {BODY_LIMIT:,} bytes")
        while len(self._buffer) < length:
            yield from self._more()
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def _rest(self) -> Generator[None, None, bytes]:
        """Everything until the connection is closed."""
        while not self._ended:
            if len(self._buffer) > BODY_LIMIT:
                raise WireError("too-large", f"its body is larger than {BODY_LIMIT:,} bytes")
            yield
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def _chunks(self) -> Generator[None, None, bytes]:
        """A chunked body; its trailers are read and dropped (RFC 9112 7.1)."""
        body, left = bytearray(), _CHUNKING_LIMIT
        while True:
            line = yield from self._until(b"\r\n", _LINE_LIMIT)
            match = _CHUNK.fullmatch(line)
            if not match:
                raise WireError("garbage", "the size of a chunk is not a number")
            left -= len(line) + 4
            if left < 0:
                raise WireError(
                    "too-large",
                    f"it is cut into more than {_CHUNKING_LIMIT:,} bytes of chunks' sizes",
                )
            size = int(match[1], 16)
            if size == 0:
                break
            body += yield from self._exactly(size, BODY_LIMIT - len(body))
            if (yield from self._exactly(2)) != b"\r\n":
                raise WireError("garbage", "a chunk is longer than it said")
        yield from self._trailers()
        return bytes(body)

    def _trailers(self) -> _Waiting:
        """Read the fields that follow a chunked body to the empty line, and drop them."""
        left, begun = HEAD_LIMIT, False
        while line := (yield from self._until(b"\r\n", left)):
            if not (_TRAILERS.fullmatch(b"\r\n" + line) or (begun and _CONTINUED.fullmatch(line))):
                raise WireError("garbage", "a trailer is not a header field")
            left, begun = max(0, left - len(line) - 2), True
