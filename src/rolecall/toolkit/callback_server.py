"""A server on this machine whose address goes into a token, to see whether the target calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rolecall.evidence import memory, recalled
from rolecall.pausing import let_others_go_on, sleep

#: An address that never resolves (RFC 2606), for targets that cannot reach this machine.
NOWHERE = "https://rolecall.invalid"
_PATIENCE = 2.0  # seconds for a caller to say what it wants
_LATE = 0.2  # seconds that a call may come after the answer


@dataclass
class Listener:
    """The address that the server listens at, and how often it was called."""

    url: str
    calls: int = 0

    async def was_called(self) -> bool:
        """Whether the server was called, until a moment after the last answer."""
        if not recalled("called at once", lambda: self.calls > 0):
            await sleep(_LATE)
        was_called: bool = recalled("called in the end", lambda: self.calls > 0)
        return was_called


@asynccontextmanager
async def listening(document: Mapping[str, Any]) -> AsyncIterator[Listener]:
    """Answer every request with a document, on a free port of this machine, during the block.

    In a replay there is no server, and the calls are those of then.
    """
    listener = Listener(NOWHERE)
    server = _nothing() if memory().is_replayed else _serving(document, listener)
    try:
        async with server:
            listener.url = recalled("address of a server of ours", lambda: listener.url)
            await let_others_go_on()  # however many turns it took to listen
            yield listener
    finally:
        await let_others_go_on()


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _serving(document: Mapping[str, Any], listener: Listener) -> AsyncIterator[None]:
    body = json.dumps(document).encode()
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        f"{len(body)}\r\nconnection: close\r\n\r\n"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.calls += 1
        with suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError
        ):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    listener.url = f"http://{host}:{port}"
    async with server:
        yield
