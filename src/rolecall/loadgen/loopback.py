"""Serves HTTP to this machine alone, beside everything else that a process does."""

from __future__ import annotations

import logging
from typing import Any

from gevent import socket
from gevent.pywsgi import WSGIServer

from rolecall.errors import UsageError


def serve(port: int, application: Any, option: str) -> WSGIServer:
    """Serve a WSGI application on 127.0.0.1; to be stopped.

    Args:
        port: 0 takes any that is free; ``server_port`` of what is returned says which.
        option: what asked for it, for the message where the port is taken.

    Raises:
        UsageError: the port cannot be had.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(option, f"port {port} cannot be had: {error.strerror}") from None
    server = WSGIServer(listener, application, log=None, error_log=logging.getLogger(__name__))
    server.start()
    return server
