"""Variants of what goes over the wire, and when."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import quote

from starlette.types import Send

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, method_not_allowed
from rolecall.reference.protocol import transport_of
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant

LONGEST_ADDRESS = 2083  # bytes


def _headers(server: Server, change: Callable[[Call, Answer], None]) -> None:
    """Change headers of every answer."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def changed(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        change(call, answer)
        return answer


@variant("gzip")
def gzipped(server: Server) -> None:
    """Bodies are compressed for clients that can read them so."""

    def compress(call: Call, answer: Answer) -> None:
        if answer.body and "gzip" in (call.header(b"accept-encoding") or ""):
            answer.body = gzip.compress(answer.body, 1)
            answer.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}

    _headers(server, compress)


@variant("chunked")
def chunked(server: Server) -> None:
    """Bodies come in pieces, without their length beforehand."""

    @instead_of(server.wire.send)
    async def in_pieces(call: Call, answer: Answer, send: Send) -> None:
        headers = [
            header for header in server.wire.headers(call, answer) if header[0] != b"content-length"
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        middle = len(answer.body) // 2
        for piece in (answer.body[:middle], answer.body[middle:]):
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@variant("connection-close")
def connection_close(server: Server) -> None:
    """Every connection is closed after one answer."""
    _headers(server, lambda call, answer: answer.headers.update(Connection="close"))


@variant("lower-case-headers")
def lower_case_headers(server: Server) -> None:
    """Header names are written in lower case; the baseline, by name."""


@variant("no-date")
def no_date(server: Server) -> None:
    """Answers have no Date, as of a server without a clock (RFC 9110, 6.6.1)."""
    headers = server.wire.headers

    @instead_of(server.wire.headers)
    def undated(call: Call, answer: Answer) -> list[tuple[bytes, bytes]]:
        return [header for header in headers(call, answer) if header[0] != b"date"]


def raw(call: Call, answer: Answer, headers: list[tuple[bytes, bytes]], version: str) -> bytes:
    """An answer as bytes, past uvicorn."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    body = b"" if call.method == "HEAD" or answer.status == 204 else answer.body
    return f"HTTP/{version} {answer.status} \r\n".encode() + lines + b"\r\n" + body


async def hang_up(call: Call, data: bytes, abort: bool = False) -> None:
    """Write what is given, close the connection, and wait until uvicorn has seen it."""
    transport = transport_of(call.scope)
    transport.write(data)
    if abort:
        transport.abort()
    else:
        transport.close()
    while (await call.receive())["type"] != "http.disconnect":
        pass


@variant("http-1.0")
def http_1_0(server: Server) -> None:
    """Answers are HTTP/1.0, and end where the connection does."""

    @instead_of(server.wire.send)
    async def until_the_end(call: Call, answer: Answer, send: Send) -> None:
        headers = [
            header for header in server.wire.headers(call, answer) if header[0] != b"content-length"
        ]
        await hang_up(call, raw(call, answer, [*headers, (b"connection", b"close")], "1.0"))


@variant("title-case-headers")
def title_case_headers(server: Server) -> None:
    """Header names are written With-Capitals, on connections that are closed after one answer."""

    @instead_of(server.wire.send)
    async def titled(call: Call, answer: Answer, send: Send) -> None:
        headers = [(name.title(), value) for name, value in server.wire.headers(call, answer)]
        await hang_up(call, raw(call, answer, [*headers, (b"Connection", b"close")], "1.1"))


def _delay(server: Server, seconds: float) -> None:
    before = server.wire.before

    @instead_of(server.wire.before)
    async def later(call: Call) -> Answer | None:
        if not call.path.startswith("/__"):
            await asyncio.sleep(seconds)
        return await before(call)


@variant("latency-80ms")
def latency_80ms(server: Server) -> None:
    """Every answer takes 80 ms longer."""
    _delay(server, 0.08)


@variant("latency-50ms")
def latency_50ms(server: Server) -> None:
    """Every answer takes 50 ms longer."""
    _delay(server, 0.05)


def every(server: Server, nth: int, happen: Callable[[Call], Answer | None]) -> None:
    """Let something happen to every nth request, before anything is done about it."""
    before = server.wire.before
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.before)
    async def troubled(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and next(seen) % nth == 0:
            return happen(call)
        return await before(call)


@variant("rate-limit-20")
def rate_limit_20(server: Server) -> None:
    """More than 20 requests in a second are answered 429, with Retry-After."""
    before = server.wire.before
    recent: deque[float] = deque()

    @instead_of(server.wire.before)
    async def limited(call: Call) -> Answer | None:
        now = time.monotonic()
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if call.path.startswith("/__"):
            return await before(call)
        if len(recent) >= 20:
            return server.refusal(Refusal(429, "Too many requests", {"Retry-After": "1"}))
        recent.append(now)
        return await before(call)


@variant("every-50th-429")
def every_50th_429(server: Server) -> None:
    """Every fiftieth request is answered 429, however seldom they come, without Retry-After."""
    every(server, 50, lambda call: server.refusal(Refusal(429, "Too many requests")))


@variant("clock-five-seconds-ahead")
def clock_five_seconds_ahead(server: Server) -> None:
    """The server's clock is five seconds ahead."""
    server.clock.advance(5)


@variant("clock-five-seconds-behind")
def clock_five_seconds_behind(server: Server) -> None:
    """The server's clock is five seconds behind."""
    server.clock.advance(-5)


@variant("closes-without-saying")
def closes_without_saying(server: Server) -> None:
    """Every connection is closed after one answer, which does not say so."""

    @instead_of(server.wire.send)
    async def silently(call: Call, answer: Answer, send: Send) -> None:
        await hang_up(call, raw(call, answer, server.wire.headers(call, answer), "1.1"))


@variant("no-head")
def no_head(server: Server) -> None:
    """HEAD is answered 405."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def refused(call: Call) -> Answer | None:
        if call.method == "HEAD":
            return server.refusal(method_not_allowed("GET", "POST", "PATCH", "DELETE"))
        return await before(call)


@variant("long-addresses-refused")
def long_addresses_refused(server: Server) -> None:
    """A request for an address of more than 2,083 bytes is answered 414 (RFC 9110 15.5.15), as by
    WEBrick.
    """
    before = server.wire.before

    @instead_of(server.wire.before)
    async def measured(call: Call) -> Answer | None:
        if len(call.scope["raw_path"]) + len(call.scope["query_string"]) > LONGEST_ADDRESS:
            return server.refusal(Refusal(414, "The address is too long"))
        return await before(call)


@variant("trailing-slash-redirected")
def trailing_slash_redirected(server: Server) -> None:
    """A path with a slash at its end is redirected (308) to the one without."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def redirected(call: Call) -> Answer | None:
        if call.path.startswith("/v2/") and call.path.endswith("/"):
            query = call.scope["query_string"].decode("latin-1")
            location = quote(call.path.rstrip("/")) + (f"?{query}" if query else "")
            return Answer(308, headers={"Location": location})
        return await before(call)


#: What firewalls take for an attack, in headers and in bodies.
_HOSTILE_HEADERS = (b"x-user-id", b"x-role", b"x-forwarded-user", b"x-original-url")
_HOSTILE = re.compile(rb"\$(?:ne|gt|lt|in|regex|where)\b|<script|\.\./", re.IGNORECASE)


@variant("firewall-answers-406")
def firewall_answers_406(server: Server) -> None:
    """A firewall before the server answers 406, with a page, to what looks like an attack to it."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def filtered(call: Call) -> Answer | None:
        is_hostile = _HOSTILE.search(call.body) or any(
            name in _HOSTILE_HEADERS for name, _ in call.headers
        )
        if is_hostile:
            return Answer(406, b"<html><h1>Not Acceptable!</h1></html>", media_type="text/html")
        return await before(call)
