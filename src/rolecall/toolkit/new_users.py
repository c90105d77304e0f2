"""Users that the target may not know everywhere yet: where writes lag, so do they (AMB-17)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from rolecall.evidence import Exchange
from rolecall.spec.model import Dialect
from rolecall.toolkit.consistency import ConsistencyWait

Ask = Callable[[], Awaitable[Exchange]]

_LOCKED, _TOO_MANY = 423, 429
_IN_VAIN = 3  # users of a role who could not log in, after which no more are made


class NewUsers:
    """When users that the run has made are known to the log-in, and to what reads tokens."""

    def __init__(self, dialect: Dialect) -> None:
        self._unknown = (*dialect.anonymous, *dialect.gone)
        # of its own: where log-ins are late, lists need not be
        self._patience = ConsistencyWait(dialect.consistency)
        self._first = asyncio.Lock()
        self._are_late: bool | None = None
        self._refused: defaultdict[str, list[Exchange]] = defaultdict(list)  # by role
        self._able: set[str] = set()
        self._not_made: set[str] = set()

    async def log_in(self, ask: Ask, made: float) -> Exchange:
        """What the first log-in of a user is answered, who was made at a moment (monotonic s), or
        what comes when the patience is over.
        """

        def is_known(answer: Exchange) -> bool:
            return not 400 <= answer.status < 500 or answer.status in (_LOCKED, _TOO_MANY)

        return await self._until(ask, is_known, made, "a new user logs in")

    async def settle(self, ask: Ask, made: float) -> None:
        """Wait until a new user's token works. Whether that takes time is seen at the first user:
        where it does not, no other is asked.
        """

        def is_known(answer: Exchange) -> bool:
            asked.append(answer)
            return answer.status not in self._unknown

        asked: list[Exchange] = []
        async with self._first:
            is_first = self._are_late is None
            if is_first:
                last = await self._until(ask, is_known, made, "a new user known")
                self._are_late = len(asked) > 1 and last.ok
        if self._are_late and not is_first:
            await self._until(ask, is_known, made, "a new user known")

    async def _until(
        self, ask: Ask, is_known: Callable[[Exchange], bool], made: float, kind: str
    ) -> Exchange:
        answers: list[Exchange] = []

        async def look() -> bool:
            answers.append(await ask())
            return is_known(answers[-1])

        await self._patience.until(look, made, kind)
        return answers[-1]

    def refusal(self, role: str) -> Exchange | None:
        """What the last new user of a role was told, where several could not log in, and none could
        ever: then another one is not worth making.
        """
        refused = self._refused[role]
        return refused[-1] if len(refused) >= _IN_VAIN and role not in self._able else None

    def could(self, role: str) -> bool:
        """Whether a new user of a role has logged in, and the last one that was wanted was made."""
        return role in self._able and role not in self._not_made

    def wanted(self, role: str, *, made: bool) -> None:
        """Note whether the last user of a role that was wanted was made: seats come to an end."""
        (self._not_made.discard if made else self._not_made.add)(role)

    def logged_in(self, role: str, login: Exchange, *, could: bool) -> None:
        """Note what the first log-in of a new user of a role was answered."""
        if could:
            self._able.add(role)
        elif 400 <= login.status < 500:
            self._refused[role].append(login)
