"""The layers of a request, httpx transports: recording, the ledger, and the network."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from rolecall.bounds import KEPT
from rolecall.counting_loop import next_turn
from rolecall.evidence import Exchange
from rolecall.fields import elements
from rolecall.http._httpx import httpx
from rolecall.http.coding import Undecodable, decoded
from rolecall.http.connection import VERBATIM, Connection, TornAnswer, Unreadable
from rolecall.ledger import Ledger, LedgerEntry
from rolecall.target import Target
from rolecall.transit import NoTunnel, distrust

_ERRNO = re.compile(r"\[Errno (\d+)\]")  # one for each address, where a name has several
#: Errors of this machine, which say nothing of the target: no file for another connection.
_NO_FILE = frozenset({errno.EMFILE, errno.ENFILE})
#: How often a connection for which there is no file is tried, and seconds between two tries.
_TRIES, _PAUSE = 20, 0.1

#: A text up to a quoted string that does not end.
_FINISHED = re.compile(rb'(?:[^"]+|"(?:[^"\\]|\\.)*")*', re.DOTALL)

#: What a request carries through the layers: its exchange; whether it may be sent again when it is
#: unknown if it was carried out; whether a 429 is waited for; the ledger's entry of what it makes.
EXCHANGE, REPEATABLE, PATIENT = "rolecall.exchange", "rolecall.repeatable", "rolecall.patient"
ENTRY = "rolecall.entry"


class Recording(httpx.AsyncBaseTransport):
    """Fills in the exchange with what came back; what came of an answer that is not whole,
    `Network` has filled in.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and note what came of it."""
        exchange: Exchange = request.extensions[EXCHANGE]
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            begun = f"; the answer had begun with status {exchange.begun}" if exchange.begun else ""
            exchange.error = f"{_sentence(error)}{begun}"
            exchange.failure = next(
                kind.__name__ for kind in type(error).mro() if hasattr(httpx, kind.__name__)
            )
            raise
        finally:
            exchange.finished = time.monotonic()
            exchange.turn = await next_turn()
            exchange.resumed = time.monotonic()
        exchange.status, exchange.begun = response.status_code, None
        exchange.http_version = _version(response)
        exchange.headers = _fields(response.headers.raw)
        exchange.body = response.content
        return response


class WrittenDown(httpx.AsyncBaseTransport):
    """Lets a request that makes something leave once its entry in the ledger is on the disk.

    The disk is waited for in a thread, and once for all who wait at the same time: a target far
    away must not wait for a slow disk.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger
        self._turn = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for the disk, and send.

        Raises:
            NotWrittenWhole: the disk did not take the entry.
        """
        entry: LedgerEntry | None = request.extensions.get(ENTRY)
        if entry:
            async with self._turn:
                if not self._ledger.is_stored(entry):
                    await asyncio.to_thread(self._ledger.store)
        return await self._inner.handle_async_request(request)


class Network(httpx.AsyncBaseTransport):
    """The wire: connections that are used again, the newest first; reads the whole answer, within a
    time and a size.
    """

    def __init__(self, target: Target) -> None:
        self._tls = _tls(target)
        self._proxy = target.proxy
        self._idle: list[Connection] = []
        self._timeout = target.timeout
        self.last_answer = 0.0
        #: Whether a connection carries a second request; None where that was not seen yet.
        self._keeps: bool | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send on a free connection, or a new one; the exchange tells of the last attempt.

        A target that closes each connection without saying so loses what is sent meanwhile. If it
        did so once, each request gets a new connection. Until a connection was seen to be kept, a
        request that must not be sent twice gets a new one.
        """
        exchange: Exchange = request.extensions[EXCHANGE]
        # The target may see another end of a verbatim request than we do.
        verbatim = VERBATIM in request.extensions
        anew = (
            verbatim
            or self._keeps is False
            or (self._keeps is None and not request.extensions[REPEATABLE])
        )
        connection = (
            self._idle.pop() if self._idle and not anew else Connection(self._tls, self._proxy)
        )
        was_open = connection.is_open
        exchange.at, exchange.started = time.time(), time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._sent(request, connection)
                response.request = request
                await _read(response)
            if was_open and self._keeps is None:
                self._keeps = True
        except TimeoutError:
            if connection.is_connecting:
                raise httpx.ConnectTimeout(f"no connection within {self._timeout:g} s") from None
            raise httpx.ReadTimeout(f"no complete answer within {self._timeout:g} s") from None
        except Undecodable as error:
            read = error.decoded[:KEPT]
            version, fields = _version(response), response.headers.raw
            _note(TornAnswer(response.status_code, version, fields, read), exchange)
            raise Unreadable(str(error)) from None
        finally:
            await self._done_with(connection, exchange, verbatim=verbatim)
        self.last_answer = time.monotonic()
        return response

    async def _sent(self, request: httpx.Request, connection: Connection) -> httpx.Response:
        """Send a request. Where this machine has no file for a new connection, idle ones are closed
        for it and those in use waited for: nothing was sent yet.
        """
        for _ in range(_TRIES):
            try:
                return await connection.handle_async_request(request)
            except httpx.ConnectError as error:
                if not _has_no_file(error):
                    raise
            await self.aclose()
            await asyncio.sleep(_PAUSE)
        return await connection.handle_async_request(request)

    async def _done_with(
        self, connection: Connection, exchange: Exchange, *, verbatim: bool
    ) -> None:
        """Note what broke off, and keep the connection for the next request if it may be kept."""
        if connection.fragment:
            _note(connection.fragment, exchange)
        if connection.was_dropped:
            self._keeps = False
        if verbatim or self._keeps is False:
            await connection.aclose()
        else:
            self._idle.append(connection)

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in self._idle:
            with contextlib.suppress(httpx.TransportError):
                await connection.aclose()


async def _read(response: httpx.Response) -> None:
    """Read the body and take its codings off, which httpx does without a limit, and not all of
    them.

    Raises:
        Undecodable: that cannot be done.
    """
    codings = elements(response.headers.get_list("content-encoding"))
    codings += [
        name
        for name in elements(response.headers.get_list("transfer-encoding"))
        if name != "chunked"
    ]
    if not codings:
        await response.aread()
        return
    body = b"".join([piece async for piece in response.aiter_raw()])
    response._content = decoded(body, codings)  # noqa: SLF001  # what aread() does


def _note(fragment: TornAnswer, exchange: Exchange) -> None:
    """Keep what came of an answer that did not come whole; half a string may be half a secret, and
    is left out.
    """
    exchange.begun = fragment.status
    exchange.http_version = fragment.version
    exchange.headers = _fields(fragment.headers)
    finished = _FINISHED.match(fragment.body)
    exchange.body = finished[0] if finished else b""


def _version(response: httpx.Response) -> str:
    version: bytes = response.extensions["http_version"]
    return version.decode()


def _fields(raw: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(key.decode("latin-1"), value.decode("latin-1")) for key, value in raw]


def _tls(target: Target) -> ssl.SSLContext | None:
    """How TLS is spoken to the target and to its clock; None for plain HTTP, since loading the CA
    bundle alone takes 20 ms.
    """
    if all(urlsplit(url).scheme != "https" for url in (target.base_url, target.expiry.clock_url)):
        return None
    return target.transit.tls()


def _sentence(error: Exception) -> str:
    """What a transport error means, without the library's words where they say nothing."""
    if said := _of_its_cause(error):
        return said
    if _has_no_file(error):
        return f"this machine has no file left for a connection ({error}): ulimit -n"
    meanings: dict[type[Exception], str] = {
        httpx.ConnectError: "the connection is not accepted",
        httpx.RemoteProtocolError: "the answer was cut off or is not HTTP",
        httpx.LocalProtocolError: "the request cannot be sent as HTTP",
        httpx.ReadError: "the connection broke while the answer was read",
    }
    if isinstance(error, httpx.TimeoutException | Unreadable):
        return str(error)  # ours
    meaning = meanings.get(type(error), type(error).__name__)
    return f"{meaning} ({error})" if str(error) else meaning


def _of_its_cause(error: Exception) -> str:
    """The same by what it was caused by; empty where that says nothing."""
    for cause in _causes(error):
        if isinstance(cause, NoTunnel):
            return str(cause)
        if isinstance(cause, socket.gaierror):
            return f"its name cannot be resolved ({cause.strerror})"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return distrust(cause)
        if isinstance(cause, ssl.SSLError):
            return f"it does not speak TLS as we do ({cause.reason})"
        if isinstance(cause, ConnectionRefusedError) or set(_ERRNO.findall(str(cause))) == {
            str(errno.ECONNREFUSED)
        }:
            return "no server listens there"
    return ""


def _has_no_file(error: Exception) -> bool:
    """Whether a connection failed because this process, or this machine, has too many files."""
    return any(isinstance(cause, OSError) and cause.errno in _NO_FILE for cause in _causes(error))


def _causes(error: Exception) -> Iterator[BaseException]:
    """An error, what it was caused by, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
