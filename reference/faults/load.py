"""Faults that only show under load: when many requests are in flight, or two refreshes meet.

The suite asks one thing at a time, or ten at the most, and has no reason to see them; the load scenarios have. Requests of this
server do not meet by themselves, since one thread answers one after the other; so each fault adds the short wait for somebody
else, a database or another service, during which real servers let them meet.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.refreshing import refresh_token_in
from rolecall.reference.faults.registry import fault
from rolecall.reference.jsontext import Document, loads
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

LOAD = ("load",)
MOMENT = 0.01
"""Seconds that somebody else takes."""

BUSY = 20
"""Requests in flight up to which permissions are checked."""

NTH = 300
"""Of so many tokens one is another user's."""

POOL, PERIOD = 500, 5
"""Secrets that are prepared, and for how many seconds."""


@fault("permissions-open-when-busy", finding="SEC-A17", needs=LOAD)
def permissions_open_when_busy(server: Server) -> None:
    """With more than 20 requests in flight permissions are no longer looked up, and everybody may do everything."""
    handle = server.handle
    answer = server.dispatcher.answer
    permitted = server.dispatcher.permitted
    in_flight = 0

    @instead_of(server.handle)
    async def counted(call: Call, action: Action) -> Answer:
        nonlocal in_flight
        in_flight += 1
        try:
            return await handle(call, action)
        finally:
            in_flight -= 1

    @instead_of(server.dispatcher.answer)
    async def looked_up(call: Call) -> Answer:
        await asyncio.sleep(MOMENT)
        return await answer(call)

    @instead_of(server.dispatcher.permitted)
    def open_when_busy(call: Call, principal: Principal, operation: str) -> bool:
        return in_flight > BUSY or permitted(call, principal, operation)


@fault("one-token-in-300-of-another-user", finding="ISSUE-identity", needs=LOAD)
def one_token_in_300_of_another_user(server: Server) -> None:
    """One token answer in 300 is another user's: that of whoever was answered before."""
    tokens = server.tokens.tokens
    given = 0
    before: Document = {}

    @instead_of(server.tokens.tokens)
    def mixed_up(user: Document, old: str | None = None) -> Answer:
        nonlocal given, before
        given, other, before = given + 1, before, user
        if given < NTH or other.get("id") in (None, user["id"]):
            return tokens(user, old)
        given = 0
        return tokens(other, old)


@fault("refresh-tokens-run-out", finding="SEC-I18", needs=LOAD)
def refresh_tokens_run_out(server: Server) -> None:
    """For five seconds at a time 500 secrets of refresh tokens are prepared; beyond 100 a second they are given out again."""
    prepared: list[str] = []
    until, taken = 0.0, 0

    @instead_of(server.refresh.secret)
    def from_the_pool(user: str) -> str:
        nonlocal until, taken, prepared
        if server.clock.now() >= until:
            until, taken = server.clock.now() + PERIOD, 0
            prepared = [secrets.token_hex(40) for _ in range(POOL)]
        taken += 1
        # In no order, so that it is not always another user who is given the same one.
        return f"{user}.{prepared[taken - 1] if taken <= POOL else secrets.choice(prepared)}"

    add = server.store.add_refresh_token

    @instead_of(server.store.add_refresh_token)
    def unless_it_is_there(row: RefreshRow) -> None:
        if server.store.refresh_token(row.hash) is None:
            add(row)


class Meeting:
    """Refreshes with one token that are in flight together: how many came, and what they were given."""

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
    """Of two refreshes with one token that meet both are granted, each ends what the other was given, and both are left with nothing."""
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
                    server.store.use_refresh_token(digest(document["refreshToken"]), server.clock.now())
                    dead.add(server.verifier.checked_claims(document["token"])["jti"])
        return answer

    @instead_of(server.verifier.check_grant)
    def alive(claims: Document) -> None:
        check(claims)
        if claims.get("jti") in dead:
            raise server.verifier.invalid()


@fault("race-gives-another-users-token", finding="REFRESH-same-user", needs=LOAD)
def race_gives_another_users_token(server: Server) -> None:
    """Of two refreshes with one token that meet the second is answered with tokens of another user who is refreshing just then."""
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
