"""Variants of sessions, old tokens and answers, legal or trouble, that load scenarios meet.

Only the load scenarios are run against these; under each nothing may be held against the server.
They can be combined.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import count
from weakref import WeakKeyDictionary

from starlette.types import Send

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.network import hang_up
from rolecall.reference.variants.registry import variant

FEW = 3
"""Sessions of a user that are kept."""

LIVES = 3
"""Seconds that a short-lived token lives."""

LOST_FROM, LOST_SHARE = 100, 0.1
"""The request from which on answers are lost, so that a run can begin, and how many are."""

LONGEST_HELD = 0.05
"""Seconds that an answer is held at most."""


class Sessions:
    """Which session each token belongs to, and which sessions have been ended."""

    def __init__(self, server: Server) -> None:
        self.of_refresh_token: dict[str, str] = {}  # by digest
        self.of_user: defaultdict[str, list[str]] = defaultdict(list)  # oldest log-in first
        self.ended: set[str] = set()
        self.refreshes: Counter[str] = Counter()
        self._current = ""
        tokens, claims = server.tokens.tokens, server.issuer.claims
        check, find = server.verifier.check_grant, server.refresh.find

        @instead_of(server.tokens.tokens)
        def in_a_session(user: Document, old: str | None = None) -> Answer:
            self._current = self.of_refresh_token[digest(old)] if old else self.open(user["id"])
            if old:
                self.refreshes[self._current] += 1
            answer = tokens(user, old)
            self.of_refresh_token[digest(loads(answer.body)["refreshToken"])] = self._current
            return answer

        @instead_of(server.issuer.claims)
        def with_session(user: Document) -> Document:
            return {**claims(user), "sid": self._current, "turn": self.refreshes[self._current]}

        @instead_of(server.verifier.check_grant)
        def alive(claims: Document) -> None:
            check(claims)
            if claims.get("sid") in self.ended:
                raise server.verifier.invalid()

        @instead_of(server.refresh.find)
        def of_a_living_session(token: str) -> RefreshRow:
            row = find(token)
            if self.of_refresh_token.get(row.hash) in self.ended:
                raise server.refresh.refused()
            return row

    def open(self, user: str) -> str:
        """A new session of a user."""
        session = secrets.token_hex(8)
        self.of_user[user].append(session)
        return session

    def end(self, user: str, keep: int = 0) -> None:
        """End a user's sessions, but for the newest so many."""
        sessions = self.of_user[user]
        over = max(len(sessions) - keep, 0)
        self.ended.update(sessions[:over])
        del sessions[:over]


_OF: WeakKeyDictionary[Server, Sessions] = WeakKeyDictionary()


def sessions_of(server: Server) -> Sessions:
    """The sessions of a server: the same for all that asks for them."""
    if server not in _OF:
        _OF[server] = Sessions(server)
    return _OF[server]


def _keep(server: Server, most: int) -> None:
    sessions = sessions_of(server)
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def beside_few(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        if not old:
            sessions.end(user["id"], most)
        return answer


@variant("lone-sessions", "under-load")
def lone_sessions(server: Server) -> None:
    """A log-in ends the user's other sessions, with their refresh tokens and access tokens."""
    _keep(server, 1)


@variant("few-sessions", "under-load")
def few_sessions(server: Server) -> None:
    """A user has three sessions at most; a log-in that would be one more ends the oldest."""
    _keep(server, FEW)


@variant("refresh-revokes-access-tokens", "under-load")
def refresh_revokes_access_tokens(server: Server) -> None:
    """A refresh ends the session's older access tokens at once."""
    sessions = sessions_of(server)
    check = server.verifier.check_grant

    @instead_of(server.verifier.check_grant)
    def newest(claims: Document) -> None:
        check(claims)
        if claims.get("turn", 0) < sessions.refreshes[claims.get("sid", "")]:
            raise server.verifier.invalid()


@variant("reuse-ends-all-sessions", "under-load")
def reuse_ends_all_sessions(server: Server) -> None:
    """A refresh token that is used twice is taken for stolen, and ends all the user's sessions."""
    sessions = sessions_of(server)
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def watched(token: str) -> RefreshRow:
        row = server.store.refresh_token(digest(token))
        if row is not None and row.used is not None:
            sessions.end(row.user)
        return find(token)


@variant("revoked-tokens-end-all-sessions", "under-load")
def revoked_tokens_end_all_sessions(server: Server) -> None:
    """A refresh token that was used, or revoked with its session, ends all the user's sessions
    whenever it is presented, those that were begun since as well.
    """
    sessions = sessions_of(server)
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def watched(token: str) -> RefreshRow:
        row = server.store.refresh_token(digest(token))
        if row is not None and (
            row.used is not None or sessions.of_refresh_token.get(row.hash) in sessions.ended
        ):
            sessions.end(row.user)
        return find(token)


@variant("short-lifetimes", "under-load")
def short_lifetimes(server: Server) -> None:
    """Access tokens live for three seconds, and the target file says so."""
    server.readings["lifetime"] = LIVES

    @instead_of(server.issuer.lifetime)
    def short() -> int:
        return LIVES


def _unlucky() -> Callable[[Call], bool]:
    """Which requests lose their answers."""
    dice, seen = random.Random(), count()  # noqa: S311  # dice, not secrets
    return lambda call: (
        not call.path.startswith("/__") and next(seen) >= LOST_FROM and dice.random() < LOST_SHARE
    )


@variant("lost-answers", "under-load")
def lost_answers(server: Server) -> None:
    """From the hundredth on, one request in ten is done, and its connection closed unanswered."""
    send_whole = server.wire.send
    is_lost = _unlucky()

    @instead_of(server.wire.send)
    async def losing(call: Call, answer: Answer, send: Send) -> None:
        if is_lost(call):
            await hang_up(call, b"")
        else:
            await send_whole(call, answer, send)


@variant("failed-answers", "under-load")
def failed_answers(server: Server) -> None:
    """From the hundredth on, one request in ten, by chance, is done, and answered 502 by some
    proxy.
    """
    after = server.wire.after
    is_lost = _unlucky()

    @instead_of(server.wire.after)
    async def failing(call: Call, answer: Answer) -> Answer:
        if is_lost(call):
            answer = Answer(502, b"<h1>Bad gateway</h1>", media_type="text/html")
        return await after(call, answer)


@variant("answers-in-any-order", "under-load")
def answers_in_any_order(server: Server) -> None:
    """What is done at once is answered up to 50 ms later, by chance, so that answers overtake each
    other.
    """
    after = server.wire.after
    dice = random.Random()  # noqa: S311  # as above

    @instead_of(server.wire.after)
    async def held(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        if not call.path.startswith("/__"):
            await asyncio.sleep(dice.random() * LONGEST_HELD)
        return answer
