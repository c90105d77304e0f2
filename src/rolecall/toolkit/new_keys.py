"""API keys that the target may not know yet: where writes lag, so do keys (AMB-17)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rolecall.evidence import Exchange
from rolecall.spec.model import Dialect
from rolecall.toolkit.consistency import ConsistencyWait


class NewKeys:
    """The keys of a run of which no answer has shown yet that the target knows them."""

    def __init__(self, dialect: Dialect) -> None:
        self._made: dict[str, float] = {}
        self._unknown = frozenset(dialect.anonymous) - frozenset(dialect.denied)
        # of their own: where keys are late, lists need not be
        self._patience = ConsistencyWait(dialect.consistency)

    def add(self, key: str, made: float) -> None:
        """Note a key, and when its making was answered (monotonic s)."""
        self._made[key] = made

    async def answer(self, key: str, ask: Callable[[], Awaitable[Exchange]]) -> Exchange:
        """What a request with this token is answered; with a new key once the target knows it, or
        the patience is over.

        What is refused for want of a credential was not carried out, so that it may be sent again.
        """
        if key not in self._made:
            return await ask()
        answers: list[Exchange] = []

        async def is_known() -> bool:
            answers.append(await ask())
            return answers[-1].status not in self._unknown

        await self._patience.until(is_known, self._made[key], "a new key known")
        self._made.pop(key, None)
        return answers[-1]
