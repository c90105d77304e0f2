"""The way to the target: the one module that knows httpx.

Every request passes the same layers, each an httpx transport: recording -> pacing -> retrying -> network. No cookies,
no redirects, no proxies from the environment: what is sent is what the test wrote, and only to the target.
"""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
import logging
import math
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from rolecall._httpx import httpx
from rolecall.connection import VERBATIM, Connection, Unreadable
from rolecall.errors import Unreachable
from rolecall.evidence import Evidence, Exchange
from rolecall.outcomes import NotTested, Trouble
from rolecall.secrets import Secrets
from rolecall.target import Target

#: httpx logs whole URLs at INFO, and the specification's refresh call has a refresh token in its query.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_SHOWN = 2048  # characters of a header field that are kept as evidence; nothing that is longer is anybody's
BODY_LIMIT = 8 * 1024 * 1024  # bytes; no answer of this API is anywhere near
_ATTEMPTS = 4
_THROTTLED_ATTEMPTS = 8
_LONGEST_WAIT = 120.0  # seconds; a Retry-After that asks for more is not waited for
AWAY = frozenset({502, 503, 504})  # RFC 9110 15.6: nobody answered for the operation, so it says nothing of it
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 9.2.1
_TOKEN_PATH = "/v2/auth/token"  # noqa: S105  # whose POST changes nothing but who is logged in
_EXCHANGE = "rolecall.exchange"
_REPEATABLE = "rolecall.repeatable"
_PATIENT = "rolecall.patient"


class Client:
    """Sends requests to one target and records every exchange; when ``read_only``, none that may change a thing there."""

    def __init__(self, target: Target, evidence: Evidence, secrets: Secrets, *, read_only: bool = False) -> None:
        self.base_url = target.base_url
        self.dead: Unreachable | None = None
        self._timeout = target.timeout
        self._network = _Network(target)
        self._pace = _Pace(target.rate_limit)
        self._recording = _Recording(_Pacing(_Retrying(self._network, self._pace), self._pace, target.concurrency))
        self._evidence = evidence
        self._read_only = read_only
        self.secrets = secrets

    async def send(
        self,
        method: str,
        path: str,
        *,
        caller: str = "nobody",
        token: str = "",
        headers: Mapping[str, str | None] | None = None,
        json: Any = None,
        content: bytes | None = None,
        attack: str = "",
        repeatable: bool | None = None,
        patient: bool = True,
    ) -> Exchange:
        """Send one request and return its recorded exchange.

        Args:
            path: begins with ``/``; the target's base URL goes before it.
            token: sent as ``Authorization: Bearer``; none when empty.
            headers: added to the usual ones, or sent instead; one that is None is left out.
            attack: the id of the requirement on whose behalf the request leaves the specification on purpose.
            repeatable: whether it may be sent again when nobody knows if it was carried out; by default the safe
                methods are (RFC 9110 9.2.2).
            patient: wait as a 429 asks, and send again; otherwise it is the answer.

        Raises:
            Trouble: no complete answer came, for a reason that may pass.
            Unreachable: the target is gone; every later call says so at once.
            NotTested: nothing may be written.
        """
        if self._read_only and method not in _SAFE and (method, urlsplit(path).path) != ("POST", _TOKEN_PATH):
            raise NotTested(f"--read-only: {method} {urlsplit(path).path} may write")
        return await self.send_to(
            self.base_url + _sendable(path),
            method,
            caller=caller,
            token=token,
            headers=headers,
            json=json,
            content=content,
            attack=attack,
            repeatable=repeatable,
            patient=patient,
        )

    async def send_to(
        self,
        url: str,
        method: str,
        *,
        caller: str,
        token: str = "",
        headers: Mapping[str, str | None] | None = None,
        json: Any = None,
        content: bytes | None = None,
        attack: str = "",
        repeatable: bool | None = None,
        patient: bool = True,
    ) -> Exchange:
        """As `send`, to any URL: for hooks of the target that are not part of the API."""
        if self.dead:
            raise replace(self.dead)  # a new one: whoever raises one again and again makes its traceback longer and longer
        usual = {"accept": "application/json", "user-agent": "rolecall"}
        if token:
            usual["authorization"] = f"Bearer {token}"
        if json is not None:
            content = jsonlib.dumps(json, separators=(",", ":")).encode()
        if content is not None:
            usual["content-type"] = "application/json"
        if attack:
            usual["x-rolecall-attack"] = attack
        sent = {name: value for name, value in {**usual, **(headers or {})}.items() if value is not None}
        exchange = self._evidence.record(
            method=method,
            url=url,
            request_headers=sent,
            request_body=content or b"",
            caller=caller,
            attack=attack,
        )
        request = httpx.Request(
            method,
            exchange.url,
            headers=[(name.encode(), value.encode("utf-8", "replace")) for name, value in sent.items()],
            content=content,
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout),
                _EXCHANGE: exchange,
                _REPEATABLE: method in _SAFE if repeatable is None else repeatable,
                _PATIENT: patient,
            },
        )
        await self._transmit(request, exchange)
        return exchange

    async def send_raw(
        self, method: str, path: str, fields: Iterable[tuple[str, bytes]], *, caller: str = "nobody", attack: str
    ) -> Exchange:
        """Send a request without a body whose header fields stand on the wire as given, on a connection of its own.

        The exchange has status 0 and an error when the target closed the connection instead of answering: it refused.

        Raises:
            Trouble, Unreachable: as for `send`.
        """
        if self.dead:
            raise replace(self.dead)
        url = urlsplit(self.base_url + _sendable(path))
        usual = {"host": url.netloc, "user-agent": "rolecall", "x-rolecall-attack": attack, "connection": "close"}
        lines = [*((name, value.encode()) for name, value in usual.items()), *fields]
        begin = f"{method} {url._replace(scheme='', netloc='').geturl()} HTTP/1.1".encode()
        message = b"\r\n".join([begin, *(b"%s: %s" % (name.encode(), value) for name, value in lines), b"", b""])
        exchange = self._evidence.record(
            method=method,
            url=url.geturl(),
            request_headers={name: _shown(value) for name, value in lines},
            request_body=b"",
            caller=caller,
            attack=attack,
        )
        extensions = {_EXCHANGE: exchange, _REPEATABLE: method in _SAFE, _PATIENT: True, VERBATIM: message}
        await self._transmit(httpx.Request(method, exchange.url, extensions=extensions), exchange)
        return exchange

    async def _transmit(self, request: httpx.Request, exchange: Exchange) -> None:
        """Let a request pass all layers; what comes back is in ``exchange``."""
        self.secrets.learn_sent(exchange)
        asked = time.monotonic()
        try:
            await self._recording.handle_async_request(request)
        except httpx.TransportError as error:
            await self._judge_silence(error, exchange)
            closed = isinstance(error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)
            if closed and VERBATIM in request.extensions:
                return
            raise Trouble(f"an answer to {exchange}", "the connection to the target") from None
        self.secrets.learn_received(exchange)
        if exchange.status == 429 and request.extensions[_PATIENT]:
            if self._pace.last_answer < asked:
                self.dead = Unreachable(self.base_url, "gives no usable answer: nothing but 429, whatever the rate_limit")
                raise replace(self.dead)
            raise Trouble(f"an answer to {exchange}: throttled {exchange.attempts} times", "the rate_limit of the target file")
        if exchange.status in AWAY:
            raise Trouble(f"an answer to {exchange}: the target, or what stands before it, was away", "the target's log")
        if exchange.ok and exchange.body and exchange.json is None and "json" in exchange.header("content-type"):
            raise Trouble(f"a body that is JSON: {exchange}", "RESPONSE-json")

    async def _judge_silence(self, error: httpx.TransportError, exchange: Exchange) -> None:
        """Tell a target that is gone from one that dropped a request.

        Raises:
            Unreachable: nothing was answered since ``exchange`` was sent, and another request gets no answer either.
        """
        if self._network.last_answer > exchange.started:
            return
        probe = httpx.Request("GET", f"{self.base_url}{_TOKEN_PATH}", extensions=_timeouts(self._timeout))
        try:
            await self._network.handle_async_request(probe)
        except httpx.TransportError:
            what = (
                "cannot be reached" if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else "gives no usable answer"
            )
            self.dead = Unreachable(self.base_url, f"{what}: {exchange.error}")
            raise replace(self.dead) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._network.aclose()


class _Recording(httpx.AsyncBaseTransport):
    """Fills in the exchange with what came back."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange: Exchange = request.extensions[_EXCHANGE]
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            exchange.error = _sentence(error)
            raise
        finally:
            exchange.finished = time.monotonic()
        exchange.status = response.status_code
        exchange.http_version = response.extensions.get("http_version", b"HTTP/1.1").decode()
        exchange.headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in response.headers.raw]
        exchange.body = response.content
        return response


class _Pace:
    """When the next request may leave: so many per second, and fewer for a while once the target has asked for it."""

    def __init__(self, limit: float) -> None:
        self._limit = limit or float("inf")
        self._rate = self._limit
        self._next = 0.0
        self._begun = 0.0
        self._slowed = 0.0
        self._raised = 0.0
        self._growth = 0.0  # of the rate, per second
        self._answered: deque[float] = deque(maxlen=1000)

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = time.monotonic()
        self._begun = self._begun or now
        self._rate = min(self._limit, self._rate * math.exp(self._growth * min(now - self._raised, 60.0)))
        self._raised = now
        slot = max(self._next, now)
        self._next = slot + 1 / self._rate
        if slot > now:
            await asyncio.sleep(slot - now)

    @property
    def last_answer(self) -> float:
        """When the last request was let through; 0 before the first."""
        return self._answered[-1] if self._answered else 0.0

    def answered(self) -> None:
        """Note that a request was let through."""
        self._answered.append(time.monotonic())

    def pause(self, seconds: float) -> None:
        """Let nobody go for some seconds."""
        self._next = max(self._next, time.monotonic() + seconds)

    def slow_down(self, seconds: float, sent: float) -> None:
        """Pause, and go on at the rate that was let through; once for all that were sent before the pause.

        The rate rises again, the slower the longer the pause: a moment's trouble must not make a night's run take days.
        """
        now = time.monotonic()
        if sent >= self._slowed:
            window = min(1.0, max(0.1, now - self._begun))
            let_through = sum(1 for moment in self._answered if moment > now - window)
            if let_through:
                self._rate = min(self._rate, max(1.0, 0.9 * let_through / window))
            self._growth = 0.02 / max(1.0, seconds)
            self._slowed = now
        self.pause(seconds)


class _Pacing(httpx.AsyncBaseTransport):
    """Stays below a rate and a number of requests in flight, and waits as long as a 429 asks for (RFC 6585 4)."""

    def __init__(self, inner: httpx.AsyncBaseTransport, pace: _Pace, concurrency: int) -> None:
        self._inner = inner
        self._pace = pace
        self._slots = asyncio.Semaphore(concurrency)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange: Exchange = request.extensions[_EXCHANGE]
        for attempt in range(1, _THROTTLED_ATTEMPTS + 1):
            async with self._slots:
                await self._pace.turn()
                exchange.started = sent = time.monotonic()
                response = await self._inner.handle_async_request(request)
            if response.status_code != 429:
                self._pace.answered()
                return response
            if not request.extensions[_PATIENT]:
                return response
            seconds = _retry_after(response, 1.0)
            if seconds > _LONGEST_WAIT:
                return response
            self._pace.slow_down(seconds, sent)
            if attempt < _THROTTLED_ATTEMPTS:
                exchange.attempts += 1
        return response


class _Retrying(httpx.AsyncBaseTransport):
    """Sends again what did not reach the target, and what is safe to send twice when the target was briefly away."""

    def __init__(self, inner: httpx.AsyncBaseTransport, pace: _Pace) -> None:
        self._inner = inner
        self._pace = pace

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        repeatable = request.extensions[_REPEATABLE]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._inner.handle_async_request(request)
                if response.status_code not in AWAY or not repeatable or attempt == _ATTEMPTS:
                    return response
                seconds = _retry_after(response, 0.0)
                if seconds > _LONGEST_WAIT:
                    return response
                self._pace.pause(seconds)
            except Unreadable:
                raise
            except httpx.ConnectError:
                if attempt == _ATTEMPTS:
                    raise
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if not repeatable or attempt == _ATTEMPTS:
                    raise
            request.extensions[_EXCHANGE].attempts += 1
            await asyncio.sleep(0.05 * 2**attempt)
            await self._pace.turn()
        raise AssertionError("unreachable: the last attempt returns or raises")


class _Network(httpx.AsyncBaseTransport):
    """The wire: connections that are used again, the newest first; reads the whole answer, within a time and a size."""

    def __init__(self, target: Target) -> None:
        self._tls = _tls(target)
        self._idle: list[Connection] = []
        self._timeout = target.timeout
        self.last_answer = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        verbatim = VERBATIM in request.extensions  # who knows where the target thinks that it ends
        connection = self._idle.pop() if self._idle and not verbatim else Connection(self._tls, BODY_LIMIT)
        try:
            async with asyncio.timeout(self._timeout):
                response = await connection.handle_async_request(request)
                response.request = request
                await _read(response)
        except TimeoutError:
            if connection.is_connecting:
                raise httpx.ConnectTimeout(f"no connection within {self._timeout:g} s") from None
            raise httpx.ReadTimeout(f"no complete answer within {self._timeout:g} s") from None
        except httpx.DecodingError as error:
            raise Unreadable(f"the body cannot be decoded: {error}") from None
        finally:
            if verbatim:
                await connection.aclose()
            else:
                self._idle.append(connection)
        self.last_answer = time.monotonic()
        return response

    async def aclose(self) -> None:
        for connection in self._idle:
            with contextlib.suppress(httpx.TransportError):
                await connection.aclose()


async def _read(response: httpx.Response) -> None:
    """Read the body, decoded; a small one may unfold into a very large one (a "bomb"), so it is read piece by piece."""
    if "content-encoding" not in response.headers:
        await response.aread()
        return
    body = bytearray()
    async for piece in response.aiter_bytes(64 * 1024):
        body += piece
        if len(body) > BODY_LIMIT:
            raise Unreadable(f"the body is larger than {BODY_LIMIT:,} bytes")
    response._content = bytes(body)  # noqa: SLF001  # what aread() does, within a limit


def _tls(target: Target) -> ssl.SSLContext | None:
    """How TLS is spoken to the target; None for plain HTTP, since loading the CA bundle alone takes 20 ms."""
    if isinstance(target.verify_tls, str):
        return ssl.create_default_context(cafile=target.verify_tls)
    if urlsplit(target.base_url).scheme == "http":
        return None
    context: ssl.SSLContext = httpx.create_ssl_context(verify=target.verify_tls, trust_env=False)
    return context


def _shown(value: bytes) -> str:
    """A header field as evidence."""
    text = value.decode("latin-1")
    return text if len(text) <= _SHOWN else f"{text[:32]}... ({len(text):,} characters)"


def _sendable(path: str) -> str:
    """A path as it may stand in a request line: it may hold an id, and a target may have made that of any characters."""
    return quote(path, safe="%/:?#[]@!$&'()*+,;=", errors="backslashreplace")


def _timeouts(seconds: float) -> dict[str, Any]:
    return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    """Seconds that a Retry-After asks to wait (RFC 9110 10.2.3: a number or a date); ``otherwise`` when it says nothing."""
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        moment = _moment(value)
        # By the target's own clock, which a test may have moved.
        seconds = moment - (_moment(response.headers.get("date", "")) or time.time()) if moment else otherwise
    return max(seconds, 0.0)


def _moment(date: str) -> float:
    """An HTTP date in seconds since the epoch; 0 when it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _sentence(error: Exception) -> str:
    """What a transport error means, without the library's words where they say nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return f"its name cannot be resolved ({cause.strerror})"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"it does not speak TLS as we do ({cause.reason})"
        if isinstance(cause, ConnectionRefusedError):
            return "nobody listens there"
        cause = cause.__cause__ or cause.__context__
    meanings: dict[type[Exception], str] = {
        httpx.ConnectError: "nobody accepts the connection",
        httpx.RemoteProtocolError: "the answer was cut off or is no HTTP",
        httpx.LocalProtocolError: "the request cannot be sent as HTTP",
        httpx.ReadError: "the connection broke while the answer was read",
    }
    if isinstance(error, httpx.TimeoutException | Unreadable):
        return str(error)  # ours
    meaning = meanings.get(type(error), type(error).__name__)
    return f"{meaning} ({error})" if str(error) else meaning
