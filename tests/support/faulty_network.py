"""A bad network between a run and its target: a proxy that delays, loses, cuts, resets and closes,
and stands in for a gateway whose backend is away; by chance, from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httptools

from tests.support.miniatures import response

_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_HEAD_END = b"\r\n\r\n"
_LONGEST_JITTER = 0.003  # seconds, for every request
_LARGEST = 2**24  # bytes of a request: some are attacks by their length
_BURST = 8  # requests
_AWAY = (502, 503, 504)


@dataclass(frozen=True)
class Weather:
    """How often each trouble comes, of a request: 0.01 is one in a hundred.

    ``lost``: the connection is reset before the target has the request; ``reset``: it is reset, or
    closed, after the target has carried it out; ``cut``: the answer breaks off; ``closes``: the
    connection is closed without a word after a whole answer; ``burst``: for the next eight requests
    a gateway answers 502, 503 or 504, to some of them after the target has carried them out.
    """

    late: float = 0.10
    lost: float = 0.01
    reset: float = 0.01
    cut: float = 0.01
    closes: float = 0.10
    burst: float = 0.01

    def draw(self, chance: random.Random) -> str:
        """The trouble of one request; empty where there is none."""
        drawn = chance.random()
        for kind in ("burst", "lost", "reset", "cut", "closes", "late"):
            drawn -= getattr(self, kind)
            if drawn < 0:
                return kind
        return ""


@dataclass
class FaultyNetwork:
    """The proxy, on a port of this machine; ``met`` counts the trouble that it made."""

    upstream: str
    seed: int
    weather: Weather = field(default_factory=Weather)
    met: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._chance = random.Random(self.seed)
        self._away = 0  # requests that a burst still meets
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LARGEST))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        self._do(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _cancel(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, and one to the target beside it."""
        there = urlsplit(self.upstream)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            up = await asyncio.open_connection(there.hostname, there.port)
            with contextlib.suppress(OSError, EOFError):
                while await self._pass(reader, writer, *up):
                    pass
            up[1].close()
        writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_target: asyncio.StreamReader,
        to_target: asyncio.StreamWriter,
    ) -> bool:
        """Pass on one request and its answer; whether the connection lives on."""
        request = await _request(reader)
        trouble = self._trouble()
        await asyncio.sleep(self._chance.random() * _LONGEST_JITTER)
        if trouble == "lost":
            _reset(writer)
            return False
        if trouble == "away":
            return await self._stand_in(writer)
        to_target.write(request)
        answer = await _answer(from_target, is_head=request.startswith(b"HEAD "))
        if trouble == "late":
            await asyncio.sleep(self._chance.uniform(0.02, 0.3))
        if trouble == "away after it":
            return await self._stand_in(writer)
        if trouble == "reset":
            (_reset if self._chance.random() < 0.5 else _close)(writer)
            return False
        if trouble == "cut":
            writer.write(answer[: self._chance.randrange(1, len(answer))])
            await writer.drain()
            (_reset if self._chance.random() < 0.3 else _close)(writer)
            return False
        writer.write(answer)
        await writer.drain()
        if trouble == "closes":
            await asyncio.sleep(self._chance.random() * 0.01)
        return trouble != "closes" and b"\r\nconnection: close" not in answer.lower()

    def _trouble(self) -> str:
        """What happens to the next request."""
        trouble = self.weather.draw(self._chance)
        if trouble == "burst":
            self._away = _BURST
        if self._away:
            self._away -= 1
            trouble = "away" if self._chance.random() < 0.7 else "away after it"
        self.met[trouble] += 1
        return trouble

    async def _stand_in(self, writer: asyncio.StreamWriter) -> bool:
        """Answer as a gateway does whose backend is away."""
        page = b"<html><body><h1>Bad gateway</h1></body></html>"
        writer.write(response(self._chance.choice(_AWAY), page, content_type="text/html"))
        await writer.drain()
        return True


async def _request(reader: asyncio.StreamReader) -> bytes:
    """The next request, as it was sent."""
    head = await reader.readuntil(_HEAD_END)
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


class _Whole:
    """Knows when an answer is whole, for the parser."""

    def __init__(self, *, is_head: bool) -> None:
        self._is_head = is_head
        self.is_whole = False

    def on_headers_complete(self) -> None:
        """The head is all that an answer to HEAD has."""
        self.is_whole = self._is_head

    def on_message_complete(self) -> None:
        """The end."""
        self.is_whole = True


async def _answer(reader: asyncio.StreamReader, *, is_head: bool) -> bytes:
    """The next answer, as it was sent."""
    state = _Whole(is_head=is_head)
    parser = httptools.HttpResponseParser(state)
    answer = b""
    while not state.is_whole:
        data = await reader.read(65536)
        if not data:
            break
        answer += data
        with contextlib.suppress(httptools.HttpParserError):
            parser.feed_data(data)
    if not answer:
        raise EOFError
    return answer


def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset."""
    stream = writer.get_extra_info("socket")
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
