"""Sends again what lacked a precondition, or a media type, that the target wants of a write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from rolecall.evidence import Exchange
from rolecall.http.conditional import SAYS_TYPES, WantedFields

Ask = Callable[..., Awaitable[Exchange]]


class Preconditions:
    """Adds the fields that a target wants of updates and deletes."""

    def __init__(self) -> None:
        self._wanted = WantedFields()

    async def answer(
        self,
        method: str,
        ask: Ask,
        headers: Mapping[str, str | None] | None,
        through: Callable[[Ask], Awaitable[Exchange]],
    ) -> Exchange:
        """What a request with these headers is answered; with what the target wants of such a
        request, once it has said so. A request's own headers are sent as they are.
        """
        while True:
            sent = self._wanted.fields(method)
            exchange = await through(
                partial(ask, headers={**sent, **(headers or {})}) if sent else ask
            )
            told = " ".join([*map(exchange.header, SAYS_TYPES), exchange.text])
            if not self._wanted.lacks(method, exchange.status, sent, told):
                return exchange
