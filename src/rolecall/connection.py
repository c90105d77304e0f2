"""One HTTP/1.1 connection as an httpx transport: asyncio's own streams below, llhttp's parser (httptools) above.

httpx's own transport takes three times the processor time for a request, most of it for choices that a run never makes:
other event loops, other protocols, a pool. A run has thousands of requests and two cores.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

import httptools

from rolecall._httpx import httpx

#: The extension of a request that is sent as these bytes, whatever else it says.
VERBATIM = "rolecall.verbatim"
_HEAD_LIMIT = 64 * 1024  # bytes of header fields; no answer of this API is anywhere near
_HEAD_TOO_LONG = f"the header fields are longer than {_HEAD_LIMIT:,} bytes"
#: What must not stand in a request line or a header field (RFC 9110 5.5, RFC 9112 2.2): it would end them.
_UNSENDABLE = re.compile(rb"[\x00\r\n]")


class Unreadable(httpx.ReadError):
    """An answer came that cannot be read, and would not be another one if it was asked for again."""


class Connection(httpx.AsyncBaseTransport):
    """Carries one request at a time, connecting when it has to: anew for another server; ``tls`` is None for plain HTTP.

    An answer's body is read to its end, up to ``limit`` bytes on the wire, and is still encoded as it was sent.
    """

    def __init__(self, tls: ssl.SSLContext | None, limit: int) -> None:
        self._tls = tls
        self._limit = limit
        self._wire: _Wire | None = None
        self._leads_to: object = None
        self.is_connecting = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its complete answer.

        Raises:
            httpx.ConnectError: no connection.
            httpx.LocalProtocolError: the request cannot be written as HTTP.
            httpx.ReadError, httpx.WriteError: the connection broke.
            Unreadable: the answer is too long.
            httpx.RemoteProtocolError: the answer is cut off, or is no HTTP.
        """
        message = _written(request)
        there = (request.url.scheme, request.url.raw_host, request.url.port)
        if self._wire and self._wire.reusable and self._leads_to == there:
            wire = self._wire
        else:
            await self.aclose()
            wire, self._leads_to = await self._connect(request.url), there
        self._wire = None  # until the answer is complete, the connection is nobody else's
        try:
            answer = await wire.exchange(message, head_only=request.method == "HEAD")
        finally:
            if wire.reusable:
                self._wire = wire
            else:
                wire.close()
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(bytes(answer.body)),
            extensions={"http_version": b"HTTP/" + answer.version.encode()},
        )

    async def _connect(self, url: httpx.URL) -> _Wire:
        host = url.raw_host.decode()
        port = url.port or (443 if url.scheme == "https" else 80)
        tls = (self._tls or True) if url.scheme == "https" else None
        self.is_connecting = True
        try:
            _, wire = await asyncio.get_running_loop().create_connection(lambda: _Wire(self._limit), host, port, ssl=tls)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(getattr(error, "strerror", None) or str(error)) from error
        self.is_connecting = False
        return wire

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._wire:
            self._wire.close()
            self._wire = None


def _written(request: httpx.Request) -> bytes:
    """The request as it stands on the wire."""
    if VERBATIM in request.extensions:
        verbatim: bytes = request.extensions[VERBATIM]
        return verbatim
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % pair for pair in request.headers.raw]
    if any(_UNSENDABLE.search(line) for line in lines):
        raise httpx.LocalProtocolError("a line of it holds a line break or a NUL")
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.content


class _Surplus(Exception):
    """An answer that nobody asked for has begun."""


class _Answer:
    """What has come of an answer; also the parser's callbacks."""

    def __init__(self, limit: int, *, head_only: bool) -> None:
        self._limit = limit
        self._head_only = head_only
        self._head = 0
        self._received = 0
        self._has_head = False
        self._parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
        self.keep_alive = False

    def feed(self, data: bytes) -> None:
        """Bytes that came in; what comes after the end is nobody's answer, and spoils the connection.

        Raises:
            Unreadable: there are too many of them, though the parser may still wait for the end of a line.
            httptools.HttpParserError: they are no HTTP.
        """
        self._received += len(data)
        if self._received > self._limit + _HEAD_LIMIT:
            raise Unreadable(f"the answer is larger than {self._limit:,} bytes")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.keep_alive = False
        if not self._has_head and self._received > _HEAD_LIMIT:
            raise Unreadable(_HEAD_TOO_LONG)

    def on_message_begin(self) -> None:
        """The first byte of this answer, of one that follows a mere announcement, or of one that nobody asked for."""
        if self.complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field."""
        self._head += len(name) + len(value) + 4
        if self._head > _HEAD_LIMIT:
            raise Unreadable(_HEAD_TOO_LONG)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the header fields."""
        self._has_head = True
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        if self._head_only and self.status >= 200:
            # The parser does not know what was asked, and would wait for a body.
            self.complete = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._head_only:
            return
        self.body += body
        if len(self.body) > self._limit:
            raise Unreadable(f"the body is larger than {self._limit:,} bytes")

    def on_message_complete(self) -> None:
        """The end of an answer; those that only announce another are dropped (RFC 9110 15.2)."""
        if 100 <= self.status < 200:
            self.headers.clear()
            self._head = 0
            self._has_head = False
            return
        self.keep_alive = not self._head_only and self._parser.should_keep_alive()
        self.complete = True

    @property
    def ends_with_the_connection(self) -> bool:
        """Whether the end of the connection is the end of the body (RFC 9112 6.3)."""
        names = {name.lower() for name, _ in self.headers}
        return self.status >= 200 and not names & {b"content-length", b"transfer-encoding"}


class _Wire(asyncio.Protocol):
    """A connection: hands what arrives to the answer that is being waited for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._transport: asyncio.Transport | None = None
        self._answer: _Answer | None = None
        self._waiting: asyncio.Future[_Answer] | None = None
        self.reusable = False

    async def exchange(self, message: bytes, *, head_only: bool) -> _Answer:
        """Write a request and wait for its answer."""
        assert self._transport is not None, "connected before it is used"
        self.reusable = False
        self._answer = _Answer(self._limit, head_only=head_only)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        answer = await self._waiting
        self.reusable = answer.keep_alive and not self._transport.is_closing()
        self._waiting = None
        return answer

    def close(self) -> None:
        """Close it, without waiting for what is still to come."""
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._answer is None or self._waiting is None or self._waiting.done():
            self.reusable = False  # nobody asked for this
            self.close()
            return
        try:
            self._answer.feed(data)
        except httpx.ReadError as error:
            self._fail(error)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, httpx.TransportError) else httpx.RemoteProtocolError(str(error)))
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("it changes to another protocol that nobody asked for"))
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(str(error)))
        if self._answer.complete and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.reusable = False
        if self._waiting is None or self._waiting.done() or self._answer is None:
            return
        if exc is not None:
            self._fail(httpx.ReadError(getattr(exc, "strerror", None) or str(exc)))
        elif self._answer.ends_with_the_connection:
            self._waiting.set_result(self._answer)
        else:
            begun = "in the middle of the answer" if self._answer.status else "without an answer"
            self._fail(httpx.RemoteProtocolError(f"the connection was closed {begun}"))

    def _fail(self, error: httpx.TransportError) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()
