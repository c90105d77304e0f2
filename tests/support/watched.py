"""A reference server on a thread of the test's, with a census of what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rolecall.reference.app import Server
from rolecall.reference.census import Census
from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings


@contextmanager
def watched(settings: Settings) -> Iterator[tuple[Running, Census]]:
    """A server with these settings, watched from before its first request, and its census."""
    census: list[Census] = []

    def prepare(server: Server) -> None:
        census.append(Census(server))
        server.app = census[0].watched(server.app)

    with running(settings, prepare) as server:
        yield server, census[0]
