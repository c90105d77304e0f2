"""Runs a server: in the foreground for the command line, or on a thread for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import uvicorn

from rolecall.reference.app import Credentials, Server
from rolecall.reference.census import Census
from rolecall.reference.protocol import Protocol
from rolecall.reference.settings import Settings, SettingsError

KEEP_ALIVE = (
    75  # seconds: longer than any pause of a client, or idle connections break under its hands
)


class Uvicorn(uvicorn.Server):
    """uvicorn that is ended from outside and at once.

    Its own handling of signals ends with the signal, not with exit code 0, and it looks ten times a
    second whether it should end.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end."""
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._ended.wait()

    def end(self) -> None:
        """Stop serving; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    server: Server
    base_url: str

    @property
    def accounts(self) -> dict[str, Credentials]:
        """The accounts made at the start."""
        return self.server.accounts

    @property
    def signing_key(self) -> str:
        """The secret that signs tokens."""
        return self.server.signing_key


def build(settings: Settings) -> Server:
    """A server with its variants and faults, not yet listening."""
    server = Server(settings)
    apply_switches(server)
    return server


def listen(settings: Settings) -> socket.socket:
    """Open the socket, or say in one sentence why that failed."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sees TCP and turns Nagle's algorithm off; without, answers
    # take 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as problem:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(f"cannot listen on {where}: {problem.strerror or problem}") from None
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket, settings: Settings, server: Server) -> str:
    """The URL that clients use."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}{server.prefix}"


def make_uvicorn(server: Server) -> Uvicorn:
    """Uvicorn as we use it."""
    config = uvicorn.Config(
        server.app,
        loop="asyncio",
        http=Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
    return Uvicorn(config)


@contextlib.contextmanager
def running(
    settings: Settings | None = None, prepare: Callable[[Server], None] = lambda server: None
) -> Iterator[Running]:
    """Run a server on a thread while the block lasts; `prepare` gets it before it listens."""
    settings = settings or Settings()
    server = build(settings)
    prepare(server)
    listener = listen(settings)
    runner = make_uvicorn(server)
    thread = threading.Thread(target=lambda: asyncio.run(runner.serve([listener])), daemon=True)
    thread.start()
    try:
        yield Running(server, url_of(listener, settings, server))
    finally:
        runner.end()
        thread.join(timeout=5)
        listener.close()
        server.store.close()


def serve(
    settings: Settings,
    ready: Callable[[Running], None],
    exit_with_parent: bool = False,
    take_census: Callable[[Census], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called at the start, `take_census` at the end."""
    server = build(settings)
    census = Census(server) if take_census else None
    if census:
        server.app = census.watched(server.app)
    listener = listen(settings)
    runner = make_uvicorn(server)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        _end_by_signal(loop, runner)
        watcher = loop.create_task(_watch_parent(runner)) if exit_with_parent else None
        ready(Running(server, url_of(listener, settings, server)))
        await runner.serve([listener])
        if watcher is not None:
            watcher.cancel()

    try:
        asyncio.run(main())
        if census and take_census:
            take_census(census)
    finally:
        listener.close()
        server.store.close()


def _end_by_signal(loop: asyncio.AbstractEventLoop, runner: Uvicorn) -> None:
    """Let SIGINT and SIGTERM end the server in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, runner.end)
        except NotImplementedError:  # Windows, whose loops look after signals of the usual kind
            signal.signal(number, lambda *_: runner.end())


async def _watch_parent(runner: Uvicorn) -> None:
    """Stop when the process that started this one is gone."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110  # nothing tells of a parent's end but looking
        await asyncio.sleep(0.5)
    runner.end()


def apply_switches(server: Server) -> None:
    """Throw the switches of a server's settings: first the variants, then the faults.

    The catalogues are imported only if one of them is asked for: a plain server starts sooner
    without.
    """
    if server.settings.variants:
        from rolecall.reference.variants import VARIANTS  # noqa: PLC0415  # see above

        for name in server.settings.variants:
            _check_known(name, "variant", VARIANTS)
            VARIANTS[name].apply(server)
    if server.settings.faults:
        from rolecall.reference.faults import FAULTS  # noqa: PLC0415  # see above

        for name in server.settings.faults:
            _check_known(name, "fault", FAULTS)
            FAULTS[name].apply(server)


def _check_known(name: str, kind: str, entries: Collection[str]) -> None:
    """Refuse a name that no entry has.

    Raises: SettingsError: the name is unknown; the text suggests a similar one.
    """
    if name not in entries:
        close = get_close_matches(name, entries, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise SettingsError(f"there is no {kind} called {name}{meant}")
