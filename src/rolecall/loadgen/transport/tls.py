"""TLS of one connection, between two buffers; the connection sends and receives the bytes."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl

import gevent.socket

from rolecall.errors import UsageError
from rolecall.loadgen.transport.failure import Failure, reason
from rolecall.loadgen.transport.streams import NOT_NOW, RECEIVE, send_all
from rolecall.loadgen.transport.wire import WireError
from rolecall.transit import Transit, distrust

#: Bytes that TLS sends of its own accord at most, between two requests: a server may ask for new
#: keys, and not for ever.
_MOST_OWED = 64 * 1024


class Tls:
    """TLS between two buffers; ``is_over`` once the server has ended it."""

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
                with contextlib.suppress(*NOT_NOW):
                    self._take(stream.recv(RECEIVE))
            self._flush(stream)
        except ssl.SSLCertVerificationError as error:
            with contextlib.suppress(OSError):
                self._flush(stream)  # tells the server why
            raise Failure("tls", distrust(error)) from None
        except ssl.SSLError as error:
            raise Failure("tls", f"it does not speak TLS as we do ({error.reason})") from None
        except OSError as error:
            raise Failure("reset", reason(error)) from None

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
            while piece := self._tls.read(RECEIVE):
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
        send_all(stream, self._outgoing.read())


@functools.cache
def tls_context(transit: Transit) -> ssl.SSLContext:
    """How TLS is spoken; once for all connections, since loading the CA bundle takes 20 ms.

    Raises:
        UsageError: the CA bundle, or the client's certificate, cannot be read.
    """
    try:
        return transit.tls()
    except OSError as error:
        raise UsageError(
            "verify_tls", f"the CA bundle {transit.verify} cannot be read: {reason(error)}"
        ) from None
