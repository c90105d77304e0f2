"""Asks a proxy for a tunnel to the target, before anything else is sent on a connection."""

from __future__ import annotations

import socket

import gevent.socket

from rolecall.loadgen.transport.failure import Failure, reason
from rolecall.loadgen.transport.outgoing import Origin
from rolecall.loadgen.transport.streams import NOT_NOW, RECEIVE, send_all
from rolecall.transit import NoTunnel, Proxy


def open_tunnel(stream: socket.socket, proxy: Proxy, origin: Origin) -> None:
    """Let the proxy at the other end of a connection open a tunnel; blocks the calling greenlet.

    Raises:
        Failure: it does not.
    """
    try:
        send_all(stream, proxy.connect(origin.host, origin.port))
        said = b""
        while not proxy.answered(said):
            gevent.socket.wait_read(stream.fileno())
            try:
                piece = stream.recv(RECEIVE)
            except NOT_NOW:
                continue
            if not piece:
                raise NoTunnel(f"{proxy} closed the connection")
            said += piece
    except NoTunnel as error:
        raise Failure("refused", str(error)) from None
    except OSError as error:
        raise Failure("reset", reason(error)) from None
