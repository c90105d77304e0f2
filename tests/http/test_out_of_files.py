"""Where this machine has no file left for a connection, that says nothing of the target."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolecall.errors import Unreachable
from rolecall.evidence import Exchange
from rolecall.http import transports
from rolecall.http.client import Client
from tests.support.clients import talk
from tests.support.servers import serving


@contextlib.contextmanager
def few_files(left: int) -> Iterator[None]:
    """Only so many files more can be opened here."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, before[1]))
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(left):
            os.close(held.pop())
        yield
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_idle_connection_makes_room() -> None:
    """A request that needs a connection of its own gets the file of one that is not in use; it is
    no failure, of which a few in a row end a run and leave what it has made.
    """
    answers: list[Exchange] = []

    async def two(it: Client) -> None:
        answers.append(await it.send("GET", "/v2/users"))
        with few_files(0):
            answers.append(await it.send_raw("GET", "/v2/users", (), attack="AUTH-required"))

    with serving() as server:
        talk(server.url, two)

    assert [answer.status for answer in answers] == [401, 401]


def test_where_no_file_comes_free_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names this machine's limit, and not a connection that is not accepted."""
    monkeypatch.setattr(transports, "_TRIES", 1)

    async def one(it: Client) -> None:
        with few_files(0), pytest.raises(Unreachable, match="this machine has no file left"):
            await it.send("GET", "/v2/users")

    with serving() as server:
        talk(server.url, one)
