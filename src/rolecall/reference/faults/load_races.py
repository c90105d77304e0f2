"""Faults that only show where two refreshes with one token meet.

As in `load`, requests of this server do not meet by themselves, so each takes a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.load import LOAD
from rolecall.reference.faults.refresh_misuse import refresh_token_in
from rolecall.reference.faults.registry import fault
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.traffic import MOMENT


class Meeting:
    """Refreshes with one token that are in flight together: how many came, and what they were
    given.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.came = 0
        self.left = 0
        self.given: list[Document] = []


class Meetings:
    """All that are going on at a server, whose refreshes take a moment so that they can meet."""

    def __init__(self, server: Server) -> None:
        self.going_on: dict[str, Meeting] = {}
        self._mine: ContextVar[Meeting | None] = ContextVar("mine", default=None)
        answer = server.tokens.answer
        usable = server.refresh.usable

        @instead_of(server.tokens.answer)
        async def slowly(call: Call) -> Answer:
            token = refresh_token_in(call)
            if not token:
                return await answer(call)
            with self._joined(token):
                await asyncio.sleep(MOMENT)
                return await answer(call)

        @instead_of(server.refresh.usable)
        def looked_at_before(row: RefreshRow) -> bool:
            return usable(row) or self.mine is not None

    @contextmanager
    def _joined(self, token: str) -> Iterator[None]:
        meeting = self.going_on.setdefault(token, Meeting(token))
        meeting.came += 1
        self._mine.set(meeting)
        try:
            yield
        finally:
            meeting.left += 1
            if meeting.left == meeting.came:
                del self.going_on[token]

    @property
    def mine(self) -> Meeting | None:
        """The meeting that the request at hand is one of, if others are."""
        meeting = self._mine.get()
        return meeting if meeting and meeting.came > 1 else None


@fault("race-kills-both-winners", finding="REFRESH-new-token", needs=LOAD)
def race_kills_both_winners(server: Server) -> None:
    """Of two refreshes with one token that meet both are granted, each ends what the other was
    given, and both are left with nothing.
    """
    meetings = Meetings(server)
    dead: set[object] = set()
    tokens = server.tokens.tokens
    check = server.verifier.check_grant

    @instead_of(server.tokens.tokens)
    def ended(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        meeting = meetings.mine
        if meeting is not None and old is not None:
            meeting.given.append(loads(answer.body))
            if len(meeting.given) > 1:
                for document in meeting.given:
                    server.store.use_refresh_token(
                        digest(document["refreshToken"]), server.clock.now()
                    )
                    dead.add(server.verifier.checked_claims(document["token"])["jti"])
        return answer

    @instead_of(server.verifier.check_grant)
    def alive(claims: Document) -> None:
        check(claims)
        if claims.get("jti") in dead:
            raise server.verifier.invalid()


@fault("race-gives-another-users-token", finding="REFRESH-same-user", needs=LOAD)
def race_gives_another_users_token(server: Server) -> None:
    """Of two refreshes with one token that meet the second is answered with tokens of another user
    who is refreshing just then.
    """
    meetings = Meetings(server)
    tokens = server.tokens.tokens

    def somebody_else(than: str) -> str | None:
        rows = (server.store.refresh_token(digest(token)) for token in meetings.going_on)
        return next((row.user for row in rows if row is not None and row.user != than), None)

    @instead_of(server.tokens.tokens)
    def mixed_up(user: Document, old: str | None = None) -> Answer:
        meeting = meetings.mine
        if meeting is None or old is None:
            return tokens(user, old)
        other = somebody_else(user["id"]) if meeting.given else None
        meeting.given.append(user)
        return tokens(server.tokens.user(other) if other else user, old)
