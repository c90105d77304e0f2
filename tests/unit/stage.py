"""Plays stories in a world around a target in memory: the world, client, gate and recorder are
real, the network is missing.

Time passes at once: the clock jumps to the next moment for which somebody waits.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from rolecall.evidence import Evidence, Exchange
from rolecall.http.client import Client
from rolecall.http.gate import Gate
from rolecall.http.transports import Recording
from rolecall.ledger import Ledger
from rolecall.redaction import Secrets
from rolecall.target import ApiKeyOptions, Target
from rolecall.tokens import Caller
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Request
from rolecall.toolkit.world import World
from tests.unit.memory import KEYS, SPEC, Reply, Server, Wire

URL = "http://target.example"
RUN = "20261125-000000-abcdef"
T = TypeVar("T")


class Clock(selectors.SelectSelector):
    """Lets an event loop sleep through its time at once: nothing comes from outside that it could
    wait for.
    """

    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        """Jump to the next moment."""
        assert timeout is not None, "everything waits, and nothing is going to happen"
        self.now += max(0.0, timeout)
        return super().select(0)


def passing(story: Callable[[], Awaitable[T]]) -> T:
    """Run something on a loop whose time passes at once; `time.monotonic` tells that time."""
    clock = Clock()
    loop = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(clock))
    with patch.object(time, "monotonic", lambda: clock.now), loop as runner:
        return runner.run(_awaited(story))


async def _awaited(story: Callable[[], Awaitable[T]]) -> T:
    return await story()


class NoSecrets(Secrets):
    """Learns no secrets: nothing is written here, and the learning takes a sixth of the time."""

    def learn_sent(self, exchange: Exchange) -> None:
        """Learn nothing."""

    def learn_received(self, exchange: Exchange) -> None:
        """Learn nothing."""


def play(
    story: Callable[[World], Awaitable[T]],
    server: Server | None = None,
    *,
    read_only: bool = False,
    **facts: Any,
) -> T:
    """Run a story in a new world around a server; ``facts`` are those of the target file."""
    server = server or Server()

    async def played() -> T:
        target = Target(
            "memory",
            URL,
            server.accounts,
            **{"api_keys": ApiKeyOptions(KEYS), "source": "a test", "mark_attacks": True, **facts},
        )
        ledger = Ledger(Path(os.devnull))
        client = Client(
            target,
            Evidence(),
            NoSecrets(),
            Gate(ledger, URL, server.accounts.values(), read_only=read_only),
        )
        client._recording = Recording(Wire(server))
        world = World(target, SPEC, client, RUN, intrusive=False)
        try:
            return await story(world)
        finally:
            await world.close()

    return passing(played)


def judged(
    story: Callable[[World, Judge], Awaitable[T]], server: Server | None = None, **facts: Any
) -> T:
    """What a story with a judge comes to."""
    return play(lambda world: story(world, Judge(world)), server, **facts)


async def asked(world: World, operation: str, by: str) -> tuple[Exchange, Request, Caller]:
    """Let a role do something, on its own thing if it writes: answer, request and caller."""
    caller = await world.user(by)
    request = await world.request_on_own_fixture(world.spec.operations[operation], caller)
    with world.gate.borrowing("user", caller.user):
        return await world.perform(request, caller), request, caller


def answering(operation: str, reply: Reply, by: str = "") -> Server:
    """A server that answers one operation otherwise."""
    server = Server()
    server.instead(operation, reply, by)
    return server
