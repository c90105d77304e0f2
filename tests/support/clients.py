"""The suite's client, talking to a server of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from rolecall.evidence import Evidence, Exchange
from rolecall.http.client import Client
from rolecall.redaction import Secrets
from rolecall.target import Account, Target
from tests.support.gates import OpenGate


def target(url: str, **settings: Any) -> Target:
    """A target at this URL; accounts do not matter here."""
    account = Account("guest", "guest", "guest@example.org", "guest-password")
    settings.setdefault("timeout", 5.0)
    return Target("miniature", url, {"guest": account}, **settings)


@asynccontextmanager
async def client(url: str, **settings: Any) -> AsyncIterator[Client]:
    """A client of this target, closed at the end."""
    it = Client(target(url, **settings), Evidence(), Secrets(), OpenGate())
    try:
        yield it
    finally:
        await it.close()


def talk(url: str, conversation: Callable[[Client], Awaitable[Any]], **settings: Any) -> Any:
    """Let a conversation with the target at this URL take place."""

    async def main() -> Any:
        async with client(url, **settings) as it:
            return await conversation(it)

    return asyncio.run(main())


def get(url: str, **settings: Any) -> Exchange:
    """One GET."""
    exchange: Exchange = talk(
        url, lambda client: client.send("GET", "/v2/users", token="token-of-guest"), **settings
    )
    return exchange


def post(url: str, **settings: Any) -> Exchange:
    """One POST that creates something."""
    exchange: Exchange = talk(
        url,
        lambda client: client.send("POST", "/v2/users", token="token-of-guest", json={"name": "x"}),
        **settings,
    )
    return exchange
