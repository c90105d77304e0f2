"""A server on this machine whose address goes into a token, to see whether the target calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rolecall import evidence
from rolecall.pausing import sleep

#: An address that never resolves (RFC 2606), for targets that cannot reach this machine.
NOWHERE = "https://rolecall.invalid"
_PATIENCE = 2.0  # seconds for a caller to say what it wants
_LATE = 0.2  # seconds that a call may come after the answer
_CALLS = "calls of a server of ours"


@dataclass
class Listener:
    """The address that the server listens at, and how often it was called."""

    url: str
    calls: int = 0

    async def was_called(self) -> bool:
        """Whether the server was called, until a moment after the last answer."""
        if not self.calls:
            await sleep(_LATE)
        return bool(self.calls)


@asynccontextmanager
async def listening(document: Mapping[str, Any]) -> AsyncIterator[Listener]:
    """Answer every request with a document, on a free port of this machine, during the block.

    In a replay there is no server, and the calls are those of then.
    """
    memory = evidence.memory()
    if memory.is_replayed:
        url, calls = memory.recall(_CALLS, lambda: [NOWHERE, 0])
        yield Listener(url, calls)
        return
    body = json.dumps(document).encode()
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        f"{len(body)}\r\nconnection: close\r\n\r\n"
    )
    listener = Listener("")

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
        try:
            yield listener
        finally:
            memory.recall(_CALLS, lambda: [listener.url, listener.calls])
