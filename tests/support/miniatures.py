"""Tiny HTTP servers on real sockets of this machine, each with exactly one fault.

A miniature is a `Miniature` with a function that answers one request: it is given what was received
and the connection, and may send bytes, wait, cut or reset. `received` is what came in, in order.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_TLS_HANDSHAKE = b"\x16\x03"
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Received:
    """One request as it came in, header names in lower case; ``at`` is on the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int


class Connection:
    """The miniature's end of one connection."""

    def __init__(self, stream: socket.socket, number: int, closing: threading.Event) -> None:
        self._stream = stream
        self._closing = closing
        self.number = number
        self.is_open = True

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._stream.sendall(data)

    def wait(self, seconds: float) -> bool:
        """Let time pass; False when the miniature is being closed."""
        return not self._closing.wait(seconds)

    def cut(self) -> None:
        """Close as if all had been said."""
        self.is_open = False

    def say_goodbye(self) -> None:
        """End TLS as RFC 8446 6.1 has it, which closing the connection alone does not."""
        assert isinstance(self._stream, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            self._stream.unwrap()

    def reset(self) -> None:
        """Break off with a TCP reset."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.is_open = False

    def requests(self) -> Iterator[Received]:
        """The requests that come in, until either side is done."""
        buffer = bytearray()
        while self.is_open:
            while _HEAD_END not in buffer:
                if not self._read(buffer):
                    return
                if buffer.startswith(_TLS_HANDSHAKE):
                    self.send(response(400))
                    return
            head, _, _ = bytes(buffer).partition(_HEAD_END)
            length = _LENGTH.search(head)
            end = len(head) + len(_HEAD_END) + (int(length.group(1)) if length else 0)
            while len(buffer) < end:
                if not self._read(buffer):
                    return
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            yield Received(
                method,
                path,
                headers,
                bytes(buffer[len(head) + 4 : end]),
                time.monotonic(),
                self.number,
            )
            del buffer[:end]

    def _read(self, buffer: bytearray) -> bool:
        data = self._stream.recv(65536)
        buffer += data
        return bool(data)


Answer = Callable[[Received, Connection], None]


@dataclass
class Miniature:
    """A server that answers every request as ``answer`` does, a thread per connection."""

    answer: Answer
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    received: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family, backlog=128)
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"http{'s' if self.tls else ''}://{host}:{self._listener.getsockname()[1]}"
        self._closing = threading.Event()
        self._streams: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and drop every connection."""
        self._closing.set()
        with contextlib.suppress(OSError):  # wakes up the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for stream in self._streams:
            stream.close()

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        return len(self._streams)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._streams.append(stream)
            self._start(self._serve, stream, len(self._streams))

    def _serve(self, stream: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            if self.tls:
                stream = self.tls.wrap_socket(stream, server_side=True)
            connection = Connection(stream, number, self._closing)
            for request in connection.requests():
                self.received.append(request)
                self.answer(request, connection)
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)
        stream.close()


def response(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP response; header names have underscores, Content-Length is added if missing."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    fields.setdefault("content-length", str(len(body)))
    lines = [
        f"HTTP/1.1 {status} Whatever",
        *(f"{name}: {value}" for name, value in fields.items() if value),
    ]
    return "\r\n".join(lines).encode("latin-1") + _HEAD_END + body


def json_response(document: Any, status: int = 200, **headers: str) -> bytes:
    """A response with a JSON body."""
    return response(
        status, json.dumps(document).encode(), **({"content_type": "application/json"} | headers)
    )


def always(data: bytes) -> Answer:
    """The same bytes to every request."""
    return lambda request, connection: connection.send(data)


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last one from then on."""
    left = list(answers)
    lock = threading.Lock()

    def answer(request: Received, connection: Connection) -> None:
        with lock:
            chosen = left.pop(0) if len(left) > 1 else left[0]
        chosen(request, connection)

    return answer


def silent(request: Received, connection: Connection) -> None:
    """Accepts, reads, and never answers."""
    while connection.wait(0.1):
        pass


def endless(request: Received, connection: Connection) -> None:
    """A body that never ends, a little at a time."""
    connection.send(
        response(
            200, content_length="", transfer_encoding="chunked", content_type="application/json"
        )
    )
    while connection.wait(0.02):
        connection.send(b"1\r\n[\r\n")


def huge(request: Received, connection: Connection) -> None:
    """Nine megabytes of JSON."""
    connection.send(
        response(200, b"[" + b" " * (9 * 1024 * 1024) + b"]", content_type="application/json")
    )


def cut_short(request: Received, connection: Connection) -> None:
    """A body that breaks off before its Content-Length."""
    connection.send(
        response(
            200,
            b'{"tokenType": "Bearer", "tok',
            content_length="400",
            content_type="application/json",
        )
    )
    connection.cut()


def reset(request: Received, connection: Connection) -> None:
    """Breaks the connection instead of answering."""
    connection.reset()


def redirecting(status: int, to: str) -> Answer:
    """Sends everybody elsewhere, with path and query."""
    return lambda request, connection: connection.send(response(status, location=to + request.path))


def html(request: Received, connection: Connection) -> None:
    """A friendly page, whatever was asked."""
    connection.send(
        response(
            200,
            b"<!DOCTYPE html><title>Welcome</title><h1>It works!</h1>",
            content_type="text/html",
        )
    )


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port that does not listen, held so that no other process can take it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


class Recorded:
    """What passed on the wire, by connection and direction."""

    def __init__(self, sent: list[bytearray], answered: list[bytearray]) -> None:
        self.sent = sent
        self.answered = answered

    def requests(self) -> Iterator[tuple[str, str]]:
        """Method and path of every request that passed."""
        for stream in self.sent:
            for method, path in re.findall(
                rb"(GET|HEAD|OPTIONS|TRACE|POST|PUT|PATCH|DELETE|QUERY) (\S+) HTTP/1\.1\r\n", stream
            ):
                yield method.decode(), path.decode()


class Tap(Recorded):
    """A TCP relay in front of a server that writes down every byte, by connection and direction.

    After ``lives`` pieces of data from the client it is gone, as if the server had died; 0 stands
    for never.
    """

    def __init__(self, url: str, lives: int = 0) -> None:
        super().__init__([], [])
        self._left = lives or float("inf")
        parts = urlsplit(url)
        self._there = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._streams: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hang_up()
        for thread in self._threads:
            thread.join(5)
        for stream in (self._listener, *self._streams):
            stream.close()

    def _hang_up(self) -> None:
        for stream in (self._listener, *self._streams):
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(self._there)
            for stream, other, log in ((here, there, self.sent), (there, here, self.answered)):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._streams.append(stream)
                log.append(bytearray())
                self._start(self._relay, stream, other, log[-1], log is self.sent)

    def _relay(
        self, source: socket.socket, sink: socket.socket, log: bytearray, from_client: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                log += data
                self._left -= from_client
                if self._left <= 0:
                    self._hang_up()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
