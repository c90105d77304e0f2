"""An HTTP/1.1 connection for one greenlet: an exchange costs a send, a receive, two switches.

Where a usual client under gevent waits anew for every receive (and tells epoll so), here one
watcher stays with the connection for all its life: its callback, in the hub, reads the answer and
switches to the greenlet that waits for it. There is no pool, no redirect, no cookie, no proxy but
the target file's, and a request is never sent twice.
"""

from __future__ import annotations

import re
import socket
import ssl
from time import perf_counter
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import gevent
from gevent.exceptions import InvalidSwitchError
from gevent.hub import get_hub
from greenlet import getcurrent, greenlet

from rolecall.loadgen.transport.failure import Failure, reason
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.reach import numeric_addresses, reach, resolve
from rolecall.loadgen.transport.streams import NOT_NOW, RECEIVE
from rolecall.loadgen.transport.tls import Tls, tls_context
from rolecall.loadgen.transport.tunnel import open_tunnel
from rolecall.loadgen.transport.wire import Parser, Response, WireError, whole
from rolecall.transit import Transit, of_verify

_SWEEP = 0.025  # seconds between two looks at the deadlines; what a timeout may be late
_READ, _WRITE = 1, 2
_TOGETHER = 64  # requests at most that wait for each other: about a millisecond
#: Seconds by which a connection is given up before the server ends it (as RFC 2068 19.7.1.1 has
#: it: ``Keep-Alive: timeout=5``); shorter times idle are not looked at.
_SHORT = 0.5
_KEPT = re.compile(rb"\r\nkeep-alive:[^\r]*\btimeout=(\d{1,6})\b", re.IGNORECASE)
_H = b"HEAD"[0]  # the only method with this letter
#: A greenlet's own: gevent's asks first whether the one that leaves wants to know of it, and ours
#: do not.
_switch = greenlet.switch


class WireConnection:
    """Carries one exchange at a time, and connects when it has to; close it at the end.

    Args:
        timeout: seconds for a whole exchange, from the call to the last byte, with connecting where
            that is needed.
        verify: whether a certificate is verified, or the path of the CA bundle to do it with; or
            all that a target file says of the way to the target.

    Attributes:
        sent: when the last request was handed to the kernel (seconds, `time.perf_counter`).
        received: when its answer was complete, or failed.
        opened: how many connections it has opened, one after the other.
    """

    def __init__(
        self, origin: Origin, *, timeout: float, verify: bool | str | Transit = True
    ) -> None:
        transit = of_verify(verify)
        self._origin = origin
        self._timeout = timeout
        self._context = tls_context(transit) if origin.scheme == "https" else None
        self._proxy = transit.proxy
        self._addresses = numeric_addresses(self._proxy or origin)
        self._hub = get_hub()
        self._traffic = _Traffic.of(self._hub)
        self._put = self._traffic.put
        self._request = b""
        self._socket: socket.socket | None = None
        self._tls: Tls | None = None
        self._reader: Any = None
        self._writer: Any = None
        self._unsent = b""
        self._is_fresh = True
        self._head = b""  # of the latest answer on this connection
        self._head_only = False
        self._parser: Parser | None = None
        self._waiting: greenlet | None = None
        self.deadline = self.sent = self.received = 0.0
        self.opened = 0

    def exchange(self, request: bytes) -> Response:
        """Send a request and return its complete answer; blocks the calling greenlet.

        Raises:
            Failure: there is none; the next exchange begins with a new connection.
        """
        assert self._waiting is None, "one exchange at a time"
        self.sent = now = perf_counter()
        self.deadline = now + self._timeout
        idle = now - self.received
        if idle > _SHORT and _is_stale(self._head, idle):
            self.close()
        try:
            answer = None
            while answer is None:  # the connection ended before the request was sent
                if self._socket is None:
                    self._connect()
                self._request, self._waiting = request, getcurrent()
                self._put(self)
                answer = _switch(self._hub)
            if answer.__class__ is not Response:
                raise (
                    answer
                    if answer.__class__ is Failure
                    else InvalidSwitchError(f"{type(answer)} is not an answer")
                )
        except BaseException as error:
            # a greenlet that is killed, too: the answer will come, and must not be the next one's
            self.received = perf_counter()
            self.close()
            if isinstance(error, MemoryError):
                raise Failure("memory", "this machine has no memory left") from None
            raise
        if answer.keep_alive and not self._unsent and (self._tls is None or not self._tls.is_over):
            self._is_fresh, self._head = False, answer.head
        else:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection; an exchange under way elsewhere fails, the next connects anew."""
        if self._waiting is not None and self._waiting is not getcurrent():
            self._hub.loop.run_callback(
                self._over, Failure("closed", "this side closed the connection")
            )
        else:
            self._waiting = None
        self._parser = self._tls = None
        self._request = self._unsent = self._head = b""
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
            try:
                stream = reach(self._addresses or resolve(self._proxy or self._origin))
            except Failure as failure:
                if self._proxy is None:
                    raise
                raise Failure(failure.kind, f"{self._proxy}: {failure}") from None
            try:
                if self._proxy is not None:
                    open_tunnel(stream, self._proxy, self._origin)
                if self._context is not None:
                    self._tls = Tls(self._context, self._origin.host)
                    self._tls.handshake(stream)
            except BaseException:
                stream.close()
                raise
        self._socket = stream
        self.opened += 1
        self._is_fresh = True
        self._traffic.watch(self)
        self._reader = self._hub.loop.io(stream.fileno(), _READ)
        self._reader.start(self._readable)

    def send(self) -> None:
        """In the hub: hand the request to the kernel, and the rest of it as soon as it can."""
        data, self._request = self._request, b""
        stream = self._socket
        if not data or stream is None:  # it was closed before
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
        try:
            count = 0 if self._unsent else stream.send(data)
        except NOT_NOW:
            count = 0
        except OSError:
            self._unsent = data  # there may be an answer all the same; the reader finds it
            return
        if count != len(data):
            self._send_later(data[count:])

    def _send_later(self, data: bytes) -> None:
        """In the hub: hand bytes to the kernel as soon as it takes them, after others that wait."""
        assert self._socket is not None
        if self._unsent:
            self._unsent += data
            return
        self._unsent = data
        if self._writer is None:
            self._writer = self._hub.loop.io(self._socket.fileno(), _WRITE)
        self._writer.start(self._writable)

    def _writable(self) -> None:
        """In the hub: the kernel takes more of the request."""
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except NOT_NOW:
            return
        except OSError:
            self._writer.stop()  # as in `send`
        if not self._unsent:
            self._writer.stop()

    def _readable(self) -> None:
        """In the hub: something has come, or the end has."""
        stream = self._socket
        assert stream is not None
        try:
            data = stream.recv(RECEIVE)
            if self._tls is not None:
                data = self._decrypted(data)
            waiting = self._waiting
            if waiting is None:  # idle: it is the end, or something unasked
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
        except NOT_NOW:
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
            self._over(Failure("closed" if is_late else "reset", reason(error)))
            return
        if answer is not None:
            self.received = perf_counter()
            self._waiting = self._parser = None
            waiting.switch(answer)

    def _decrypted(self, data: bytes) -> bytes:
        """In the hub: what was received; TLS's own answers are sent too (RFC 5246 7.4.1).

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
            self._send_later(owed)
        if nothing:
            if self._request:  # it may have waited for new keys
                self.send()
            raise nothing
        return data

    def _end_unsent(self) -> None:
        """In the hub: give up a connection on which nothing was sent; a fresh one fails."""
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
        """In the hub: fail the exchange that waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self.close()
        else:
            waiting.switch(failure)


def _is_stale(head: bytes, idle: float) -> bool:
    """Whether the server may be ending a connection just now, for being idle as long as it
    announced: a request that crosses that is lost, and nobody's fault.
    """
    announced = _KEPT.search(head)
    return announced is not None and idle > int(announced[1]) - _SHORT


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
        """The one of a hub."""
        if hub not in cls._of_hubs:
            cls._of_hubs[hub] = cls(hub.loop)
            # Ctrl-C ends the run, wherever it comes; gevent would print it as well.
            hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)
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
        """Mind this connection's deadlines no more."""
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
        for connection in [late for late in self._open if late.deadline <= now]:
            connection.expire()
