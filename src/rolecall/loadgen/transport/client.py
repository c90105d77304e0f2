"""One HTTP/1.1 connection of one greenlet, made for load: an exchange costs a send, a receive and
two switches.

Where a usual client under gevent waits anew for every receive (and tells epoll so), here one
watcher stays with the connection for all its life: its callback, in the hub, reads the answer and
switches to the greenlet that waits for it. There is no pool, no redirect, no cookie, no proxy, and
a request is never sent twice.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from time import perf_counter
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import certifi
import gevent.socket
from gevent.exceptions import InvalidSwitchError
from gevent.hub import get_hub
from gevent.monkey import get_original
from greenlet import getcurrent, greenlet

from rolecall.errors import UsageError
from rolecall.loadgen.transport.wire import Origin, Parser, Response, WireError, whole

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]  # it is asked before it is used

Kind = Literal[
    "refused", "dns", "tls", "reset", "closed", "timeout", "garbage", "too-large", "coding", "local"
]

_RECEIVE = 64 * 1024  # bytes asked for at a time
_SWEEP = 0.025  # seconds between two looks at the deadlines; what a timeout may be late
_READ, _WRITE = 1, 2
_TOGETHER = 64  # requests at most that wait for each other: about a millisecond
_H = b"HEAD"[0]  # the only method with this letter
#: A greenlet's own: gevent's asks first whether the one that leaves wants to know of it, and ours
#: do not.
_switch = greenlet.switch
_NOT_NOW = (BlockingIOError, InterruptedError)
#: This machine's own limits: files, ports, memory. Nothing is said about the server.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
_LOCAL_NAMES = frozenset(
    {getattr(socket, "EAI_SYSTEM", None), socket.EAI_MEMORY}
)  # the resolver had no file, or no memory
#: Files that connections leave to what a run has to write in its end.
_SPARE_FILES = 32
#: Seconds that an address has for itself before the next one is tried as well (RFC 8305 8).
_HEAD_START = 0.25
#: Addresses that are tried after the others, since one that was begun later was faster; as many as
#: are remembered.
_slow: set[tuple[Any, ...]] = set()
_MOST_SLOW = 256
#: Bytes that TLS sends of its own accord at most, between two requests: a server may ask for new
#: keys, and not for ever.
_MOST_OWED = 64 * 1024

#: The real one, also where gevent has put its own in its place: ours never waits.
_Socket: type[socket.socket] = get_original("socket", "socket")
_getaddrinfo = get_original("socket", "getaddrinfo")


class Failure(Exception):
    """No answer, by ``kind``; the text says more, and holds nothing that was sent or received.

    ``local`` is this machine's own failure: no file or port is left. ``coding`` is a lawful answer
    that is not understood here. ``closed`` on a connection that was used before means that the
    server may or may not have carried out the request.
    """

    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(what)
        self.kind = kind


class WireConnection:
    """Carries one exchange at a time, connecting when it has to. To be closed: its watcher keeps it
    alive until then.

    Args:
        timeout: seconds for a whole exchange, from the call to the last byte, with connecting where
            that is needed.
        verify: whether a certificate is verified, or the path of the CA bundle to do it with.

    Attributes:
        sent: when the last request was handed to the kernel (seconds, `time.perf_counter`).
        received: when its answer was complete, or failed.
    """

    def __init__(self, origin: Origin, *, timeout: float, verify: bool | str = True) -> None:
        self._origin = origin
        self._timeout = timeout
        self._context = _context(verify) if origin.scheme == "https" else None
        self._addresses = _numeric(origin)
        self._hub = get_hub()
        self._traffic = _Traffic.of(self._hub)
        self._request = b""
        self._socket: socket.socket | None = None
        self._tls: _Tls | None = None
        self._reader: Any = None
        self._writer: Any = None
        self._unsent = b""
        self._is_fresh = True
        self._head_only = False
        self._parser: Parser | None = None
        self._waiting: greenlet | None = None
        self.deadline = 0.0
        self.sent = 0.0
        self.received = 0.0

    def exchange(self, request: bytes) -> Response:
        """Send a request and return its complete answer, whatever its status; blocks the calling
        greenlet.

        Raises:
            Failure: there is none; the next exchange begins with a new connection.
        """
        assert self._waiting is None, "one exchange at a time"
        self.sent = now = perf_counter()
        self.deadline = now + self._timeout
        try:
            answer = None
            while answer is None:
                if self._socket is None:
                    self._connect()
                self._request = request
                self._traffic.put(self)
                self._waiting = getcurrent()
                answer = _switch(
                    self._hub
                )  # None where the connection ended before the request was sent
            if answer.__class__ is not Response:
                raise (
                    answer
                    if answer.__class__ is Failure
                    else InvalidSwitchError(f"{type(answer)} is not an answer")
                )
        except (
            BaseException
        ):  # a greenlet that is killed, too: the answer will come, and must not be the next one's
            self.received = perf_counter()
            self.close()
            raise
        if answer.keep_alive and not self._unsent and (self._tls is None or not self._tls.is_over):
            self._is_fresh = False
        else:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection, if there is one; the next exchange makes another. An exchange under
        way elsewhere fails.
        """
        if self._waiting is not None and self._waiting is not getcurrent():
            self._hub.loop.run_callback(
                self._over, Failure("closed", "this side closed the connection")
            )
        else:
            self._waiting = None
        self._parser = self._tls = None
        self._request = self._unsent = b""
        for watcher in (self._reader, self._writer):
            if watcher is not None:
                watcher.close()
        self._reader = self._writer = None
        if self._socket is not None:
            self._traffic.forget(self)
            self._socket.close()
            self._socket = None

    def expire(self) -> None:
        """In the hub: give up an exchange whose deadline has passed."""
        if self._waiting is not None and self.deadline <= perf_counter():
            self._over(Failure("timeout", f"no complete answer within {self._timeout:g} s"))

    def _connect(self) -> None:
        """Open the connection.

        Raises:
            Failure: there is none within the timeout.
        """
        left = max(self.deadline - perf_counter(), _SWEEP)
        with gevent.Timeout(left, Failure("timeout", f"no connection within {self._timeout:g} s")):
            stream = _reach(self._addresses or _resolve(self._origin))
            try:
                if self._context is not None:
                    self._tls = _Tls(self._context, self._origin.host)
                    self._tls.handshake(stream)
            except BaseException:
                stream.close()
                raise
        self._socket = stream
        self._is_fresh = True
        self._traffic.watch(self)
        self._reader = self._hub.loop.io(stream.fileno(), _READ)
        self._reader.start(self._readable)

    def send(self) -> None:
        """In the hub: hand the request to the kernel; what it does not take now, it is given as
        soon as it can.
        """
        data, self._request = self._request, b""
        if not data or self._socket is None:  # it was closed before
            return
        self._head_only = data[0] == _H
        self.sent = perf_counter()
        if self._tls is not None:
            try:
                data = self._tls.encrypt(data)
            except ssl.SSLWantReadError:  # the server agrees on new keys just now
                self._request = data
                return
            except ssl.SSLError:
                self._unsent = b"\0"  # as below; this has no writer, and is never sent
                return
        self._write(data)

    def _write(self, data: bytes) -> None:
        """In the hub: hand bytes to the kernel, after those that it has not taken yet."""
        assert self._socket is not None
        if self._unsent:
            self._unsent += data
            return
        try:
            count = self._socket.send(data)
        except _NOT_NOW:
            count = 0
        except OSError:
            self._unsent = (
                data  # there may be an answer all the same; the reader finds it, or the end
            )
            return
        if count != len(data):
            self._unsent = data[count:]
            if self._writer is None:
                self._writer = self._hub.loop.io(self._socket.fileno(), _WRITE)
            self._writer.start(self._writable)

    def _writable(self) -> None:
        """In the hub: the kernel takes more of the request."""
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except _NOT_NOW:
            return
        except OSError:
            self._writer.stop()  # as in `send`
        if not self._unsent:
            self._writer.stop()

    def _readable(self) -> None:
        """In the hub: something has come, or the end has."""
        assert self._socket is not None
        try:
            data = self._socket.recv(_RECEIVE)
            if self._tls is not None:
                data = self._decrypted(data)
            waiting = self._waiting
            if waiting is None:  # idle: it is the end, or something that nobody asked for
                self.close()
                return
            # whatever it is, it answers nothing that was asked; what was not sent yet may go
            # another way
            if self._request:
                self._end_unsent()
                return
            answer = None if self._parser is not None or self._head_only else whole(data)
            if answer is None:
                answer = self._parse(data)
        except _NOT_NOW:
            return
        except WireError as error:
            self._over(Failure(error.kind, str(error)))
            return
        except OSError as error:
            if self._request:
                self._end_unsent()
                return
            # Who answers to a used connection with a reset had closed it already.
            is_late = self._parser is None and not self._is_fresh
            self._over(Failure("closed" if is_late else "reset", _reason(error)))
            return
        if answer is not None:
            self.received = perf_counter()
            self._waiting = self._parser = None
            waiting.switch(answer)

    def _decrypted(self, data: bytes) -> bytes:
        """In the hub: what was received; what TLS itself has to say in answer is sent at once (new
        keys, RFC 5246 7.4.1).

        Raises:
            BlockingIOError: nothing yet.
            ssl.SSLError: it was tampered with, or cut off.
            WireError: the server asks TLS for more and more, and reads none of it.
        """
        assert self._tls is not None
        nothing = None
        try:
            data = self._tls.decrypt(data)
        except BlockingIOError as error:
            nothing = error
        if owed := self._tls.owed():
            self._write(owed)
        if nothing:
            if self._request:  # it may have waited for new keys
                self.send()
            raise nothing
        return data

    def _end_unsent(self) -> None:
        """In the hub: the connection is of no use, and nothing was sent. A new one that is of no
        use is not tried again.
        """
        if self._is_fresh:
            self._over(Failure("closed", "the server did not wait for a request"))
        else:
            waiting, self._waiting = self._waiting, None
            self.close()
            assert waiting is not None
            waiting.switch(None)

    def _parse(self, data: bytes) -> Response | None:
        """The answer, if it is complete with this; ``data`` is empty at the end.

        Raises:
            WireError: it is none.
        """
        if self._parser is None:
            self._parser = Parser(head_only=self._head_only)
        answer = self._parser.feed(data) if data else None
        if answer is None and (not data or (self._tls is not None and self._tls.is_over)):
            return self._parser.eof()
        return answer

    def _over(self, failure: Failure) -> None:
        """In the hub: let the greenlet that waits know that it waits in vain."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self.close()
        else:
            waiting.switch(failure)


class _Traffic:
    """What all connections of a hub share.

    Requests are sent together, before the hub waits for answers: to wake a server that sleeps takes
    longer than to send, and one after the other, with work between them, each request would.
    Exchanges that take too long are ended by one timer that looks at all connections, not by one at
    each exchange.
    """

    _of_hubs: ClassVar[WeakKeyDictionary[Any, _Traffic]] = WeakKeyDictionary()

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._ready: list[WireConnection] = []
        self._open: set[WireConnection] = set()
        self._timer = loop.timer(_SWEEP, _SWEEP, ref=False)
        self._looked = 0.0
        self._has_waited = False
        self._not_before = 0.0

    @classmethod
    def of(cls, hub: Any) -> _Traffic:
        """That of a hub."""
        if hub not in cls._of_hubs:
            cls._of_hubs[hub] = cls(hub.loop)
        return cls._of_hubs[hub]

    def put(self, connection: WireConnection) -> None:
        """Let this connection send its request."""
        if not self._ready:
            self._loop.run_callback(self._send)
        self._ready.append(connection)
        if len(self._ready) >= _TOGETHER:
            self._send()

    def _send(self) -> None:
        ready, self._ready = self._ready, []
        for connection in ready:
            connection.send()

    def watch(self, connection: WireConnection) -> None:
        """Mind this connection's deadlines from now on."""
        if not self._open:
            self._looked = perf_counter()
            self._timer.start(self._look)
        self._open.add(connection)

    def forget(self, connection: WireConnection) -> None:
        """Mind them no more."""
        self._open.discard(connection)
        if not self._open:
            self._timer.stop()

    def _look(self) -> None:
        """In the hub: end what has taken too long.

        Where this look itself comes late, the process stood still, and answers may have come
        meanwhile that it has not read: it has a period to do so before anything is ended. That
        happens once between two looks that may end something, so that a hub that is always late
        ends what it has to.
        """
        now = perf_counter()
        is_late, self._looked = now - self._looked > 2 * _SWEEP, now
        if is_late and not self._has_waited:
            self._has_waited, self._not_before = True, now + _SWEEP
        if now < self._not_before:
            return
        self._has_waited = False
        for connection in [each for each in self._open if each.deadline <= now]:
            connection.expire()


class _Tls:
    """TLS between two buffers: the connection sends and receives the bytes. ``is_over`` once the
    server has said so.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._owed = 0
        self.is_over = False

    def handshake(self, stream: socket.socket) -> None:
        """Agree on keys, and verify the certificate.

        Raises:
            Failure: that did not succeed.
        """
        try:
            while not self._shake_hands():
                self._flush(stream)
                gevent.socket.wait_read(stream.fileno())
                with contextlib.suppress(*_NOT_NOW):
                    self._take(stream.recv(_RECEIVE))
            self._flush(stream)
        except ssl.SSLCertVerificationError as error:
            with contextlib.suppress(OSError):
                self._flush(stream)  # tells the server why
            raise Failure(
                "tls", f"its certificate is not accepted: {error.verify_message}"
            ) from None
        except ssl.SSLError as error:
            raise Failure("tls", _reason(error)) from None
        except OSError as error:
            raise Failure("reset", _reason(error)) from None

    def encrypt(self, data: bytes) -> bytes:
        """What to send for ``data``.

        Raises:
            ssl.SSLWantReadError: nothing now; the server agrees on new keys first.
        """
        self._owed = 0
        self._tls.write(data)
        return self._outgoing.read()

    def owed(self) -> bytes:
        """What TLS has to send of its own accord.

        Raises:
            WireError: that goes on and on.
        """
        if not self._outgoing.pending:
            return b""
        data = self._outgoing.read()
        self._owed += len(data)
        if self._owed > _MOST_OWED:
            raise WireError("garbage", "it asks for new keys again and again")
        return data

    def decrypt(self, data: bytes) -> bytes:
        """What was received with ``data``; empty at the end.

        Raises:
            BlockingIOError: nothing yet.
            ssl.SSLError: it was tampered with, or cut off.
        """
        self._take(data)
        pieces = []
        try:
            while piece := self._tls.read(_RECEIVE):
                pieces.append(piece)
            self.is_over = True
        except ssl.SSLWantReadError:
            if not pieces:
                raise BlockingIOError from None
        except ssl.SSLError:
            if not pieces:  # else the same will come of the next call
                raise
        return b"".join(pieces)

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _flush(self, stream: socket.socket) -> None:
        data = self._outgoing.read()
        while data:
            try:
                data = data[stream.send(data) :]
            except _NOT_NOW:
                gevent.socket.wait_write(stream.fileno())


@functools.cache
def _context(verify: bool | str) -> ssl.SSLContext:
    """How TLS is spoken; once for all connections, since loading the CA bundle takes 20 ms.

    Raises:
        UsageError: the CA bundle cannot be read.
    """
    try:
        context = ssl.create_default_context(
            cafile=verify if isinstance(verify, str) else certifi.where()
        )
    except OSError as error:
        raise UsageError(
            "verify_tls", f"the CA bundle {verify} cannot be read: {_reason(error)}"
        ) from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


_Addresses = Sequence[tuple[int, int, int, str, Any]]


def _numeric(origin: Origin) -> _Addresses:
    """The address that the host is; empty where it is a name."""
    try:
        found: _Addresses = _getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return []
    return found


def _resolve(origin: Origin) -> _Addresses:
    """The addresses of a name, asked for anew by every connection: whoever balances by name is
    followed.

    Raises:
        Failure: it has none.
    """
    try:
        found: _Addresses = gevent.socket.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        kind: Kind = "local" if error.errno in _LOCAL_NAMES else "dns"
        raise Failure(kind, f"{origin.host} cannot be resolved: {_reason(error)}") from None
    return found


def _reach(addresses: _Addresses) -> socket.socket:
    """A connection to the address that takes one first, of several each with a head start (RFC
    8305).

    Raises:
        Failure: none does; it is that of the last to say so.
    """
    if len(addresses) == 1:
        (family, _, _, _, address), *_ = addresses
        try:
            return _open(family, address)
        except OSError as error:
            raise Failure(_kind(error), _reason(error)) from None
    return _race(_in_order(addresses))


def _in_order(addresses: _Addresses) -> deque[tuple[int, Any]]:
    """The addresses as the resolver has them, families in turn, and last those that were slow
    before.
    """
    families: dict[int, list[tuple[int, Any]]] = {}
    for family, _, _, _, address in addresses:
        families.setdefault(family, []).append((family, address))
    in_turn = filter(None, chain.from_iterable(zip_longest(*families.values())))
    return deque(sorted(in_turn, key=lambda found: found[1] in _slow))


def _race(addresses: deque[tuple[int, Any]]) -> socket.socket:
    """The first connection that there is; all others are given up.

    Raises:
        Failure: there is none.
    """
    failure = Failure("dns", "the name has no address")
    under_way: dict[gevent.Greenlet[..., socket.socket | OSError], Any] = {}
    try:
        while addresses or under_way:
            if addresses:
                family, address = addresses.popleft()
                under_way[gevent.spawn(_attempt, family, address)] = address
            for ended in gevent.wait(
                list(under_way), timeout=_HEAD_START if addresses else None, count=1
            ):
                address, result = under_way.pop(ended), ended.get(block=False)
                if not isinstance(result, OSError):
                    _remember(address, slower=under_way.values())
                    return result
                failure = Failure(_kind(result), _reason(result))
        raise failure
    finally:
        for (
            left
        ) in under_way:  # one may have a connection by now, or have it before it hears of its end
            left.link(_give_up)
            left.kill(block=False)


def _attempt(family: int, address: Any) -> socket.socket | OSError:
    """A connection to this address, or why there is none: a greenlet that raises is printed."""
    try:
        return _open(family, address)
    except OSError as error:
        return error


def _give_up(attempt: gevent.Greenlet[..., socket.socket | OSError]) -> None:
    if isinstance(attempt.value, _Socket):
        attempt.value.close()


def _remember(fast: Any, *, slower: Iterable[Any]) -> None:
    """Prefer the address that was fast to those that had begun before it, until they win again."""
    if len(_slow) >= _MOST_SLOW:
        _slow.clear()
    _slow.discard(fast)
    _slow.update(slower)


def _open(family: int, address: Any) -> socket.socket:
    stream = _Socket(family, socket.SOCK_STREAM)
    try:
        if (
            resource is not None
            and stream.fileno() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES
        ):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = stream.connect_ex(address)
        if error == errno.EINPROGRESS:
            gevent.socket.wait_write(stream.fileno())
            error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:  # a timeout, too
        stream.close()
        raise
    return stream


def _kind(error: OSError) -> Kind:
    """What kind of failure it is that there is no connection."""
    if error.errno in _LOCAL:
        return "local"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "reset" if isinstance(error, ConnectionResetError) else "refused"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
