"""Judges answers of the token endpoint: a well-formed grant, or a refusal without a token."""

from __future__ import annotations

import time
from collections.abc import Awaitable

from rolecall.evidence import Exchange, cite, note
from rolecall.http.gate import Thing
from rolecall.jwts import jwts_in
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.schema_validation import validation_errors
from rolecall.spec.claims import LIFETIME_TOLERANCE, is_number
from rolecall.spec.ids import own_id
from rolecall.tokens import Caller, Grant, user_of
from rolecall.toolkit.expectations import any_of, expect_no_more_than, outlives
from rolecall.toolkit.expired_tokens import ExpiredToken
from rolecall.toolkit.things import shows_id
from rolecall.toolkit.throwaway_users import ThrowawayUser, fresh_session
from rolecall.toolkit.world import World


class TokenJudge:
    """Judges answers of the token endpoint, and whether the tokens in them work."""

    def __init__(self, world: World) -> None:
        self._world = world

    # --- What must be granted -------------------------------------------------------------------

    def expect_issued(self, exchange: Exchange, statuses: tuple[int, ...], look_at: str) -> None:
        """The answer to good credentials has a good status.

        Raises:
            Inconclusive: they were refused, and perhaps rightly: only the target knows
                whether they are good.
            Finding: the answer is neither a refusal nor a success.
        """
        cite(exchange, "answer")
        if exchange.status in statuses:
            return
        if 400 <= exchange.status < 500:
            raise Inconclusive(f"credentials that the target takes: {exchange}", look_at)
        raise Finding(f"{any_of(statuses)} for good credentials", f"{exchange.status}", exchange)

    def expect_token_answer(self, exchange: Exchange) -> None:
        """The answer has the shape of a token creation (schemas/token.schema.json)."""
        wrong = (
            validation_errors("token", exchange.json)
            if exchange.json is not None
            else ["the body is not JSON"]
        )
        if wrong:
            raise Finding(
                'tokenType "Bearer", token, refreshToken, user and scope',
                "; ".join(wrong),
                exchange,
            )

    def expect_refreshed(self, exchange: Exchange) -> None:
        """The answer to a good refresh has the status and the shape of a token creation."""
        cite(exchange, "answer")
        if exchange.status not in self._world.dialect.refreshed:
            raise Finding(
                f"{any_of(self._world.dialect.refreshed)} for a good refresh",
                f"{exchange.status}",
                exchange,
            )
        self.expect_token_answer(exchange)

    def expect_grant(self, exchange: Exchange) -> Grant:
        """The grant of a refresh that other requirements build upon.

        Raises:
            Inconclusive: there is none, which REFRESH-get and REFRESH-post judge.
        """
        grant = Grant.of(exchange)
        if not exchange.ok or not grant.token:
            raise Inconclusive(f"a refreshed token: {exchange}", "REFRESH-get, REFRESH-post")
        return grant

    def expect_lifetime(self, grant: Grant) -> None:
        """The token lives as long as the specification says, from iat to exp.

        Raises:
            Finding: it does not, or one of the two is a number that is not an instant.
            Inconclusive: one of them is not a number, or not there.
        """
        expected, given = self._world.dialect.lifetime, grant.lifetime
        if given is not None and abs(given - expected) <= LIFETIME_TOLERANCE:
            return
        if not all(is_number(grant.claims.get(name)) for name in ("iat", "exp")):
            raise Inconclusive("iat and exp in the token", "ISSUE-jwt")
        actual = "no instant in iat or exp" if given is None else f"{given} s"
        raise Finding(f"exp - iat = {expected} s", actual, grant.exchange)

    async def expect_works(self, caller: Caller) -> None:
        """The caller's token is accepted, and acts as the caller's own user.

        Raises:
            Finding: it is not, at anything that every role may do, or it acts as somebody else.
            Inconclusive: it is let in, but the operation that tells who it is is denied.
        """
        operation = self._world.spec.operations["fetch-user-self"]
        exchange = cite(await self._world.fetch_self(caller), "answer")
        if exchange.ok and shows_id(exchange, caller.user):
            return
        if exchange.ok:
            raise Finding(f"user {caller.user}", f"user {own_id(exchange.document)!r}", exchange)
        if exchange.status >= 500 or exchange.status == 401 or not await self._is_alive(caller):
            raise Finding(
                f"{any_of(operation.success)}: the token is let in",
                f"{exchange.status}",
                exchange,
            )
        raise Inconclusive(f"the user that the token acts as: {exchange}", operation.requirement)

    async def _is_alive(self, caller: Caller) -> bool:
        try:
            await self._world.alive(caller, time.monotonic())
        except TransientFailure:
            raise
        except Inconclusive:
            return False
        return True

    # --- What must be refused -------------------------------------------------------------------

    def expect_no_token(self, exchange: Exchange, *instead: Exchange) -> None:
        """The answer is a refusal, and there is no token anywhere in it.

        Raises:
            Finding: there is a token, or the status is not a refusal.
        """
        cite(exchange, "answer")
        for control in instead:
            cite(control, "control")
        grant = Grant.of(exchange)
        if grant.token or grant.refresh_token or any(jwts_in(_without_echo(exchange))):
            raise Finding("a refusal without a token", f"{exchange.status} with a token", exchange)
        refused = self._world.dialect.refused
        if exchange.status not in refused and not _is_warded_off(exchange):
            raise Finding(
                f"a refusal: {any_of(refused)}",
                f"{exchange.status}",
                exchange,
            )

    async def expect_refresh_at_most(self, exchange: Exchange, caller: Caller, method: str) -> None:
        """A refused refresh, or a token of the caller's user and scope that lives as usual.

        How long tokens of a refresh live is REFRESH-new-token's matter. So one that lives longer
        than the one of the log-in is held against a plain refresh by this ``method``, ``get`` or
        ``post``, of another session.

        Raises:
            Finding: it is wider, or another user's, or lives longer than after a plain refresh.
            Inconclusive: it lives longer than after a log-in, and there is no plain refresh to
                compare it with.
        """
        grant, usual = Grant.of(exchange), caller.grant
        if grant.token and outlives(grant, usual):
            plain = await fresh_session(self._world, caller.role)
            answer = await self._world.tokens.refresh_by(
                method, plain.grant.refresh_token, plain, attack=""
            )
            usual = self.expect_grant(cite(answer, "control"))
        expect_no_more_than(caller.grant, exchange, usual=usual)

    async def expect_login_at_most(self, exchange: Exchange, user: ThrowawayUser) -> None:
        """A refused log-in, or a token of the user's own scope that lives as usual.

        How long tokens of a log-in live is ISSUE-lifetime's matter, of a second one as well. So
        one that lives longer than the first is held against another plain log-in.

        Raises:
            Finding: it is wider, or another user's, or lives longer than after a plain log-in.
            Inconclusive: it lives longer than after the first, and another log-in gives none to
                compare it with.
        """
        grant, usual = Grant.of(exchange), user.caller.grant
        if grant.token and outlives(grant, usual):
            plain = await self._world.tokens.issue(user.account)
            usual = Grant.of(cite(plain, "control"))
            if not plain.ok or not usual.token:
                raise Inconclusive(f"another log-in of the same user: {plain}", "ISSUE-status")
        expect_no_more_than(user.caller.grant, exchange, usual=usual)

    def expect_let_in(self, exchange: Exchange, when: str) -> None:
        """The token was accepted: the answer does not say that it is bad.

        Raises:
            Inconclusive: it says that the user is not there.
        """
        cite(exchange, "answer")
        if exchange.status in self._world.dialect.gone:  # of the user, who may not be shown yet
            raise Inconclusive(
                f"a token let in {when}: {exchange}, which says nothing of the token",
                "PERM-fetch-user-self",
            )
        if not exchange.ok:
            raise Finding(f"let in {when}", f"{exchange.status}", exchange)

    def expect_expired(self, exchange: Exchange, expired: ExpiredToken) -> None:
        """The answer says that the token has expired."""
        cite(exchange, "answer")
        note(f"{expired.evidence}: {exchange.status}")
        statuses = self._world.dialect.expired
        if exchange.status not in statuses:
            expected = f"{any_of(statuses)} once the token has expired ({expired.evidence})"
            raise Finding(
                expected,
                f"{exchange.status}{_OTHER_READING if exchange.status == 401 else ''}",
                exchange,
            )

    def expect_not_let_in(self, exchange: Exchange) -> None:
        """The answer says that there was no valid token."""
        cite(exchange, "answer")
        statuses = self._world.dialect.anonymous
        if exchange.status not in statuses:
            raise Finding(f"{any_of(statuses)}: not let in", f"{exchange.status}", exchange)

    async def control_refresh(
        self, refresh: Awaitable[Exchange], caller: Caller | None = None
    ) -> Exchange:
        """The refresh that must succeed beside a tampered one, so that only the tampering counts.

        The session goes on with what it gave; with a ``caller`` another test may have it.

        Raises:
            Inconclusive: it does not succeed either.
        """
        exchange = await refresh
        if not exchange.ok:
            raise Inconclusive(
                f"the same refresh succeeding untampered: {exchange}", "REFRESH-get, REFRESH-post"
            )
        grant = Grant.of(exchange)
        if caller and grant.refresh_token and self._is_of(grant, caller):
            self._world.spare.setdefault(caller.role, []).append(caller.continued(grant))
        return cite(exchange, "control")

    def _is_of(self, grant: Grant, caller: Caller) -> bool:
        """Whether a grant is another session of this caller, by its user and role."""
        scopes = {
            self._world.role_of_scope(scope) for scope in (grant.scope, grant.claims.get("scope"))
        }
        # an account's session is not for attacks
        is_made = self._world.gate.owns(Thing("user", caller.user))
        return (
            is_made
            and bool(grant.token)
            and {grant.user, user_of(grant.claims)} == {caller.user}
            and scopes == {caller.role}
        )

    def cite(self, *exchanges: Exchange) -> None:
        """Count exchanges of other tests as evidence of this one; the newest stands for all."""
        cite(exchanges[-1])

    def note(self, text: str) -> None:
        """Write down what was observed, for the report; it judges nothing."""
        note(text)


#: What the RFC has for an expired token, and the page has not (AMB-06).
_OTHER_READING = ", as RFC 6750 has it; a target file can say so: [dialect] expired = [401]"


def _without_echo(exchange: Exchange) -> str:
    """The answer's text without what the request said: echoes are another requirement's matter."""
    sent = exchange.request_headers.get("authorization", "").rpartition(" ")[2]
    text = exchange.text.replace(sent, "") if sent else exchange.text
    for token in jwts_in(f"{exchange.request_body.decode('utf-8', 'replace')} {exchange.url}"):
        text = text.replace(token, "")
    return text


def _is_warded_off(exchange: Exchange) -> bool:
    """Whether credentials of a shape that nobody has were refused by any status: the page names
    none for them, and a firewall before the server may answer.
    """
    is_shape = exchange.attack.startswith("SEC-")
    return is_shape and 400 <= exchange.status < 500 and exchange.status != 429
