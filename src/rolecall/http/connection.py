"""One HTTP/1.1 connection as an httpx transport, on asyncio's streams and llhttp (httptools).

httpx's own transport takes three times the processor time for a request, most of it for choices
that a run never makes: other event loops, other protocols, a pool. A run has thousands of requests
and two cores.

Longer than 400 lines because the connection and its parser share their state.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
import time
from dataclasses import dataclass
from typing import Any

import httptools

from rolecall.bounds import BODY_LIMIT, FIELD_LIMIT, HEAD_LIMIT, KEPT
from rolecall.fields import elements
from rolecall.http._httpx import httpx
from rolecall.http.heads import mended
from rolecall.transit import NoTunnel, Proxy

#: The extension of a request that is sent as these bytes, whatever else it says.
VERBATIM = "rolecall.verbatim"
_HEAD_TOO_LONG = f"the header fields are longer than {HEAD_LIMIT:,} bytes"
#: Seconds after which the next address of a name is tried beside the one that has not answered yet
#: (RFC 8305 5).
_NEXT_ADDRESS = 0.25
#: Answers that have no content, whatever their header fields say (RFC 9110 15.3.5, 15.4.5).
_NO_CONTENT = frozenset({204, 304})
_VERSION = b"HTTP/"  # what every answer begins with (RFC 9112 4)
#: What must not stand in a request line or a header field (RFC 9110 5.5, RFC 9112 2.2): it would
#: end them.
_UNSENDABLE = re.compile(rb"[\x00\r\n]")


class Unreadable(httpx.ReadError):
    """An answer that cannot be read, and would be the same if it was requested again."""


#: Seconds after an answer within which no server closes a connection because it was idle: none is
#: known that waits less.
_AT_ONCE = 1.0


@dataclass(frozen=True)
class TornAnswer:
    """What came of an answer that broke off; ``status`` is 0 where it broke off in its head."""

    status: int
    version: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Connection(httpx.AsyncBaseTransport):
    """Carries one request at a time, connecting when it has to: anew for another server; ``tls`` is
    None for plain HTTP.

    An answer's body is read to its end, up to `BODY_LIMIT` bytes on the wire, and is still encoded
    as it was sent. ``fragment`` is what came of the last answer if it did not come whole; None when
    not a byte of it did.
    """

    def __init__(self, tls: ssl.SSLContext | None, proxy: Proxy | None = None) -> None:
        self._tls = tls
        self._proxy = proxy
        self.fragment: TornAnswer | None = None
        self._wire: _Wire | None = None
        self._leads_to: object = None
        self.is_connecting = False
        self.was_dropped = False

    @property
    def is_open(self) -> bool:
        """Whether it leads somewhere and can be used again."""
        return self._wire is not None and self._wire.reusable

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its complete answer.

        ``was_dropped`` then says whether the server closed the connection unannounced after its
        last answer: it may (RFC 9112 9.6), and a request sent meanwhile is lost.

        Raises:
            httpx.ConnectError: no connection.
            httpx.LocalProtocolError: the request cannot be written as HTTP.
            httpx.ReadError, httpx.WriteError: the connection broke.
            Unreadable: the answer is too long.
            httpx.RemoteProtocolError: the answer is cut off, or is not HTTP.
        """
        self.fragment = None
        message = _written(request)
        there = (request.url.scheme, request.url.raw_host, request.url.port)
        if self._wire and self._wire.reusable and self._leads_to == there:
            wire = self._wire
        else:
            self.was_dropped |= self._wire is not None and self._wire.was_dropped
            await self.aclose()
            wire, self._leads_to = await self._connect(request.url), there
        self._wire = None  # until the answer is complete, no other request may use it
        try:
            answer = await wire.exchange(message, head_only=request.method == "HEAD")
        except BaseException:  # the timeout's as well
            self.fragment = wire.fragment()
            self.was_dropped |= self.fragment is None and wire.was_dropped
            raise
        finally:
            if wire.reusable:
                self._wire = wire
            else:
                wire.close()
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=httpx.ByteStream(answer.release()),
            extensions={"http_version": answer.version.encode()},
        )

    async def _connect(self, url: httpx.URL) -> _Wire:
        host = url.raw_host.decode()
        port = url.port or (443 if url.scheme == "https" else 80)
        tls = (self._tls or ssl.create_default_context()) if url.scheme == "https" else None
        self.is_connecting = True
        try:
            if self._proxy:
                wire = await _through(self._proxy, host, port, tls)
            else:
                _, wire = await asyncio.get_running_loop().create_connection(
                    _Wire, host, port, ssl=tls, happy_eyeballs_delay=_NEXT_ADDRESS, interleave=1
                )
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(getattr(error, "strerror", None) or str(error)) from error
        self.is_connecting = False
        return wire

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._wire:
            self._wire.close()
            self._wire = None


async def _through(proxy: Proxy, host: str, port: int, tls: ssl.SSLContext | None) -> _Wire:
    """A connection through a proxy's tunnel.

    Raises:
        OSError: there is none.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, tunnel = await loop.create_connection(
            lambda: _Tunnel(proxy),
            proxy.host,
            proxy.port,
            happy_eyeballs_delay=_NEXT_ADDRESS,
            interleave=1,
        )
    except OSError as error:
        why = error.strerror or "no connection"
        raise NoTunnel(f"{proxy} cannot be reached: {why}") from None
    wire, secured = _Wire(), None
    try:
        transport.write(proxy.connect(host, port))
        await tunnel.opened
        transport.set_protocol(wire)
        secured = (
            await loop.start_tls(transport, wire, tls, server_hostname=host) if tls else transport
        )
        if secured is None:
            raise ConnectionResetError("the connection was closed")
        wire.connection_made(secured)
    except BaseException:  # the timeout's as well
        transport.abort()
        raise
    return wire


class _Tunnel(asyncio.Protocol):
    """What a proxy answers until there is a tunnel."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._said = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._said += data
        if self.opened.done():
            return
        try:
            if self._proxy.answered(self._said):
                self.opened.set_result(None)
        except NoTunnel as error:
            self.opened.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if not self.opened.done():
            self.opened.set_exception(NoTunnel(f"{self._proxy} closed the connection"))


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
    """An answer has begun without a request."""


class _Answer:
    """What has come of an answer; also the parser's callbacks."""

    def __init__(self, *, head_only: bool, after_no_content: bool) -> None:
        self._head_only = head_only
        self._stray: bytearray | None = bytearray() if after_no_content else None
        self._head = 0
        self._has_head = False
        self._came = bytearray()  # until the head has been read
        self._refused: Any = None  # the parser's error, while the rest of an odd head is awaited
        self._parser: Any = httptools.HttpResponseParser(self)
        self.received = 0
        self.status = 0
        self.version = "HTTP/1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
        self.keep_alive = False

    def feed(self, data: bytes) -> None:
        """Take bytes that came in; those after the end belong to no answer, and spoil the
        connection.

        Raises:
            Unreadable: there are too many of them, though the parser may still wait for the end of
                a line.
            httptools.HttpParserError: they are no HTTP.
        """
        if self._stray is not None:
            data = self._behind_stray(data)
        self.received += len(data)
        if self.received > BODY_LIMIT + HEAD_LIMIT:
            raise Unreadable(f"the answer is larger than {BODY_LIMIT:,} bytes")
        if not self._has_head:
            self._came += data
        try:
            if self._refused is None:
                self._parser.feed_data(data)
            else:
                self._read_again(self._refused)
        except httptools.HttpParserError as error:
            if self.complete:
                self.keep_alive = False
            elif self._has_head or isinstance(error, httptools.HttpParserCallbackError):
                raise
            else:
                self._read_again(error)
        if not self._has_head and self.received > HEAD_LIMIT:
            raise Unreadable(_HEAD_TOO_LONG)

    def _read_again(self, error: httptools.HttpParserError) -> None:
        """Read what came from its first byte on, mended; a head that has not come whole is waited
        for.

        Raises:
            httptools.HttpParserError: there is nothing to mend, or that is no HTTP either.
        """
        whole = mended(bytes(self._came))
        if whole is None:
            raise error
        self._refused = None if whole else error
        if whole:
            self.headers, self._head, self._came = [], 0, bytearray()
            self._parser = httptools.HttpResponseParser(self)
            self._parser.feed_data(whole)

    def _behind_stray(self, data: bytes) -> bytes:
        """What belongs to this answer, where the one before had no content (204, 304).

        Some servers send a body with it all the same, a moment later: it belongs to no answer, and
        may be dropped (RFC 9112 6.3).
        """
        assert self._stray is not None
        known = max(0, len(self._stray) - len(_VERSION) + 1)
        self._stray += data
        begin = self._stray.find(_VERSION, known)
        if begin < 0 and len(self._stray) <= HEAD_LIMIT:
            return b""
        own = bytes(self._stray[max(begin, 0) :])
        self._stray = None
        return own

    def on_message_begin(self) -> None:
        """The first byte of this answer, of one that follows a 1xx announcement, or of one without
        a request.
        """
        if self.complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; a trailer field, behind the body, is dropped (RFC 9110 6.5.1)."""
        self._head += len(name) + len(value) + 4
        if self._head > HEAD_LIMIT:
            raise Unreadable(_HEAD_TOO_LONG)
        if self._has_head:
            return
        if len(self.headers) == FIELD_LIMIT:
            raise Unreadable(f"the header fields are more than {FIELD_LIMIT}")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the header fields."""
        self._has_head = True
        self.status = self._parser.get_status_code()
        self.version = f"HTTP/{self._parser.get_http_version()}"
        if self._head_only and self.status >= 200:
            # The parser does not know what was asked, and would wait for a body.
            self.complete = True
        elif self._is_chunked_in_vain:
            raise Unreadable("its Transfer-Encoding is written in a way that is not read here")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._head_only:
            return
        self.body += body
        if len(self.body) > BODY_LIMIT:
            raise Unreadable(f"the body is larger than {BODY_LIMIT:,} bytes")

    def on_message_complete(self) -> None:
        """The end of an answer; those that only announce another are dropped (RFC 9110 15.2)."""
        if 100 <= self.status < 200:
            self.headers.clear()
            self._head = 0
            self._has_head = False
            return
        self.keep_alive = (
            not self._head_only
            and not self._announces_too_much
            and self._parser.should_keep_alive()
        )
        self.complete = True

    def release(self) -> bytes:
        """The body; errors that are kept with their frames must not keep it, nor the parser, which
        knows us as we know it.
        """
        body = bytes(self.body)
        self.body = bytearray()
        self._parser = None
        return body

    def field(self, name: bytes) -> list[str]:
        """The elements of a list field, in lower case."""
        return elements(
            value.decode("latin-1") for key, value in self.headers if key.lower() == name
        )

    @property
    def ends_with_the_connection(self) -> bool:
        """Whether the end of the connection is the end of the body (RFC 9112 6.3)."""
        codings = self.field(b"transfer-encoding")
        has_end = codings[-1] == "chunked" if codings else self.field(b"content-length")
        return self.status >= 200 and not has_end

    @property
    def _is_chunked_in_vain(self) -> bool:
        """Whether the body is in chunks, and the parser takes them for content: it does not know an
        empty last element.
        """
        values = [value for name, value in self.headers if name.lower() == b"transfer-encoding"]
        return self.field(b"transfer-encoding")[-1:] == ["chunked"] and not values[
            -1
        ].lower().rstrip().endswith(b"chunked")

    @property
    def _announces_too_much(self) -> bool:
        """Whether a body is announced for an answer that has none: it may still come, and be taken
        for the next answer.
        """
        if self.status not in _NO_CONTENT:
            return False
        return bool(self.field(b"transfer-encoding")) or self.field(b"content-length") not in (
            [],
            ["0"],
        )


class _Wire(asyncio.Protocol):
    """A connection: hands what arrives to the answer that is being waited for."""

    def __init__(self) -> None:
        self._has_ended = False
        self._transport: asyncio.Transport | None = None
        self._answer: _Answer | None = None
        self._waiting: asyncio.Future[_Answer] | None = None
        self.reusable = False
        self._idle_since = -math.inf  # until it has carried an answer
        self.was_dropped = False

    async def exchange(self, message: bytes, *, head_only: bool) -> _Answer:
        """Write a request and wait for its answer."""
        assert self._transport is not None, "connected before it is used"
        self.reusable = False
        after_no_content = self._answer is not None and self._answer.status in _NO_CONTENT
        self._answer = _Answer(head_only=head_only, after_no_content=after_no_content)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        answer = await self._waiting
        self.reusable = answer.keep_alive and not self._transport.is_closing()
        self._waiting = None
        self._idle_since = time.monotonic()
        return answer

    def fragment(self) -> TornAnswer | None:
        """What has come of the expected answer; None when not a byte of it has. The rest is not
        awaited.
        """
        answer = self._answer
        if answer is None or not answer.received:
            return None
        return TornAnswer(answer.status, answer.version, answer.headers, answer.release()[:KEPT])

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
            self.reusable = False  # this was not requested
            self.close()
            return
        try:
            self._answer.feed(data)
        except httpx.ReadError as error:
            self._fail(error)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(
                cause
                if isinstance(cause, httpx.TransportError)
                else httpx.RemoteProtocolError(str(error))
            )
        except httptools.HttpParserUpgrade:
            self._fail(
                httpx.RemoteProtocolError("it switches to a protocol that was not requested")
            )
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(str(error)))
        if self._answer.complete and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def eof_received(self) -> None:
        """Called by asyncio when the other side sends no more: it is done in TLS only if it said so
        there, by close_notify.
        """
        secured = self._transport.get_extra_info("ssl_object") if self._transport else None
        try:
            self._has_ended = secured is None or secured.read(1) == b""
        except ssl.SSLError:  # TLS waits for more
            self._has_ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.reusable = False
        self.was_dropped = time.monotonic() - self._idle_since < _AT_ONCE
        if self._waiting is None or self._waiting.done() or self._answer is None:
            return
        if exc is not None:
            self._fail(httpx.ReadError(getattr(exc, "strerror", None) or str(exc)))
        elif self._answer.ends_with_the_connection and self._has_ended:
            self._waiting.set_result(self._answer)
        elif self._answer.ends_with_the_connection:  # RFC 9112 9.8
            self._fail(
                httpx.RemoteProtocolError(
                    "TLS was ended without close_notify where the end is the end of the body"
                )
            )
        else:
            begun = "in the middle of the answer" if self._answer.status else "without an answer"
            self._fail(httpx.RemoteProtocolError(f"the connection was closed {begun}"))

    def _fail(self, error: httpx.TransportError) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()
