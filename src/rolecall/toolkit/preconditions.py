"""Preconditions that a target wants of a write (RFC 6585 3): any state of the thing will do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from rolecall.evidence import Exchange

_REQUIRED = 428
_WRITES = ("PATCH", "PUT", "DELETE")
#: Whatever state the thing is in, as long as it is there (RFC 9110 13.1.1).
_ANY_STATE = {"if-match": "*"}

Ask = Callable[..., Awaitable[Exchange]]


class Preconditions:
    """Whether a target wants a precondition of updates and deletes: its answers tell."""

    def __init__(self) -> None:
        self._wanted = False

    async def answer(
        self,
        method: str,
        ask: Ask,
        headers: Mapping[str, str | None] | None,
        through: Callable[[Ask], Awaitable[Exchange]],
    ) -> Exchange:
        """What a request with these headers is answered; with a precondition, once the target has
        wanted one.

        What is answered 428 was not carried out, so that it may be sent again.
        """
        if method not in _WRITES:
            return await through(ask)
        conditional = partial(ask, headers={**_ANY_STATE, **(headers or {})})
        is_conditional = self._wanted
        exchange = await through(conditional if is_conditional else ask)
        if exchange.status != _REQUIRED or is_conditional:
            return exchange
        self._wanted = True
        return await through(conditional)
