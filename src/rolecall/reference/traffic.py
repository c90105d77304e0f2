"""Counts the requests in flight, for switches that change what a busy server does."""

from __future__ import annotations

import asyncio

from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.switches import instead_of

MOMENT = 0.01
"""Seconds that somebody else takes, a database or another service."""

BUSY = 20
"""Requests in flight that are not many yet."""


class Traffic:
    """The requests that a server has in flight; each takes a moment more, so that they meet."""

    def __init__(self, server: Server) -> None:
        self._in_flight = 0
        handle = server.handle

        @instead_of(server.handle)
        async def counted(call: Call, action: Action) -> Answer:
            self._in_flight += 1
            try:
                await asyncio.sleep(0 if call.path.startswith("/__") else MOMENT)
                return await handle(call, action)
            finally:
                self._in_flight -= 1

    @property
    def is_heavy(self) -> bool:
        """Whether more are in flight than this server is good for."""
        return self._in_flight > BUSY
