"""A proxy that opens tunnels, on a real socket of this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class TunnelProxy:
    """Opens a tunnel to wherever it is asked to; ``answer`` is what it answers instead.

    Attributes:
        heads: what it was asked, in order.
    """

    answer: bytes = b""
    heads: list[str] = field(default_factory=list)
    address: str = ""

    def serve(self, stream: socket.socket) -> None:
        """One connection, to its end."""
        with stream, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = stream.recv(65536)
                if not piece:
                    return
                head += piece
            self.heads.append(head.decode("latin-1"))
            if self.answer:
                stream.sendall(self.answer)
                return
            host, _, port = self.heads[-1].split(" ")[1].rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as there:
                stream.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n")
                back = threading.Thread(target=_carry, args=(there, stream), daemon=True)
                back.start()
                _carry(stream, there)
                back.join(10)


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def tunnelling(answer: bytes = b"") -> Iterator[TunnelProxy]:
    """Such a proxy, as long as the block lasts."""
    proxy = TunnelProxy(answer)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    proxy.address = f"127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = listener.accept()
                threading.Thread(target=proxy.serve, args=(stream,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
