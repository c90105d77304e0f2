"""What connections that do not block have in common: how they wait, and send all of something."""

from __future__ import annotations

import socket

import gevent.socket

RECEIVE = 64 * 1024  # bytes asked for at a time
#: What a socket raises that has nothing to give, or no room, at the moment.
NOT_NOW = (BlockingIOError, InterruptedError)


def send_all(stream: socket.socket, data: bytes) -> None:
    """Send bytes to the last; blocks the calling greenlet.

    Raises:
        OSError: the connection is broken.
    """
    while data:
        try:
            data = data[stream.send(data) :]
        except NOT_NOW:
            gevent.socket.wait_write(stream.fileno())
