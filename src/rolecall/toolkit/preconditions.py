"""Sends again what lacked a precondition that the target wants of a write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from rolecall.evidence import Exchange
from rolecall.http.conditional import WantedPrecondition

Ask = Callable[..., Awaitable[Exchange]]


class Preconditions:
    """Adds the precondition that a target wants of updates and deletes."""

    def __init__(self) -> None:
        self._precondition = WantedPrecondition()

    async def answer(
        self,
        method: str,
        ask: Ask,
        headers: Mapping[str, str | None] | None,
        through: Callable[[Ask], Awaitable[Exchange]],
    ) -> Exchange:
        """What a request with these headers is answered; with a precondition, once the target has
        wanted one.
        """
        while True:
            sent = self._precondition.fields(method)
            exchange = await through(
                partial(ask, headers={**sent, **(headers or {})}) if sent else ask
            )
            if not self._precondition.lacks(method, exchange.status, sent):
                return exchange
