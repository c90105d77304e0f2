"""Expiry: a token works until its last minute; from its end on, every request is answered 403."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rolecall.evidence import Evidence, Exchange, TestEvidence, cite
from rolecall.outcomes import Finding, Inconclusive, NotTested, TransientFailure
from rolecall.toolkit.expired_tokens import ExpiredToken
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import EXPIRED_SESSIONS, EXPIRY, SUMMARY, operations, requirement, roles
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import sessions_outlast_log_ins
from rolecall.toolkit.world import World


@requirement("EXPIRY-not-before", phase=EXPIRY)
@roles()
async def test_a_token_works_to_its_last_minute(role: str, expiry: Expiry, judge: Judge) -> None:
    """A token with one minute left is still let in."""
    for almost in await expiry.almost(role):
        judge.expect_let_in(almost.exchange, f"one minute before its end ({almost.source})")


@requirement("EXPIRY-not-before", phase=EXPIRY)
async def test_a_token_renewed_in_the_last_minute_works_after_it(
    expiry: Expiry, judge: Judge
) -> None:
    """The token of a refresh in another one's last minute works when that one has ended."""
    renewed = await expiry.renewed()

    judge.cite(renewed.caller.grant.exchange)
    judge.expect_let_in(
        renewed.exchange,
        "two minutes after it was issued, when the token that it was issued for has ended",
    )


@requirement("EXPIRY-403", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("list", "fetch"))
async def test_an_expired_token_reads_nothing(
    operation: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """A list or fetch with an expired token is answered 403; with a live one it succeeds."""
    for expired in await expiry.tokens(world.highest):
        request = await world.request(world.spec.operations[operation], expired.caller)

        answer = await world.perform(request, expired.caller, attack="EXPIRY-403")

        await judge.control_alive(request, answer, expired.caller)
        async with excusing_log_ins(expired, world):
            judge.expect_expired(answer, expired)


@requirement("EXPIRY-403", phase=EXPIRY)
@roles()
async def test_every_roles_token_expires(
    role: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """An expired token is answered 403 whatever its role; a live one is let in."""
    for expired in await expiry.tokens(role):
        if expired.first_answer:
            judge.expect_expired(expired.first_answer, expired)
        request = await world.request(world.spec.operations["fetch-user-self"], expired.caller)

        answer = await world.perform(request, expired.caller, attack="EXPIRY-403")

        await judge.control_alive(request, answer, expired.caller)
        async with excusing_log_ins(expired, world):
            judge.expect_expired(answer, expired)


@requirement("EXPIRY-403", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("create", "update", "delete"))
async def test_an_expired_token_is_refused_at_writes(
    operation: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """A write with an expired token is answered 403; with a live one it succeeds."""
    attempt = await attempted(world, operation, expiry, judge)

    answer = attempt.cited()
    if attempt.undone and not answer.ok:
        raise attempt.undone
    async with excusing_log_ins(attempt.expired, world):
        judge.expect_expired(answer, attempt.expired)


@requirement("EXPIRY-no-effect", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("create", "update", "delete"))
async def test_an_expired_token_writes_nothing(
    operation: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """A write with an expired token changes nothing; with a live one it does."""
    attempt = await attempted(world, operation, expiry, judge)

    attempt.cited()
    if reason := attempt.effect or attempt.undone:
        raise reason


@asynccontextmanager
async def excusing_log_ins(expired: ExpiredToken, world: World) -> AsyncIterator[None]:
    """Report nothing that a later log-in explains: it may have ended the session in the bank.

    Raises:
        Inconclusive: it was refused, and log-ins end the user's earlier sessions there.
    """
    try:
        yield
    except Finding:
        if expired.source == "bank" and not await sessions_outlast_log_ins(world):
            missing = (
                "a session that later log-ins have not ended: the account was logged in "
                "since, and that ends sessions here"
            )
            raise Inconclusive(missing, "SEC-I18-first") from None
        raise


@dataclass(frozen=True)
class RefreshAttempt:
    """A write that was tried with an expired token, and what was seen of it.

    ``effect`` is what is held against the target, or was missing, when it was looked at what became
    of the write; ``undone`` is what was missing for a live token to get the same done.
    """

    expired: ExpiredToken
    answer: Exchange
    effect: Finding | Inconclusive | None
    undone: Inconclusive | None
    evidence: TestEvidence

    def cited(self) -> Exchange:
        """The answer, as evidence of the test now running, with what else was sent for it."""
        for exchange in self.evidence.exchanges:
            cite(
                exchange,
                next(
                    (name for name, named in self.evidence.named.items() if named is exchange), ""
                ),
            )
        return self.answer


@shared_setup
async def attempted(world: World, operation: str, expiry: Expiry, judge: Judge) -> RefreshAttempt:
    """Try a write with the highest role's best proven expired token; one attempt serves every test
    that asks about it.

    It is on a thing that is there for nothing else, or on the caller's own user, on loan.
    """
    effect: Finding | Inconclusive | None = None
    undone: Inconclusive | None = None
    expired = (await expiry.tokens(world.highest))[0]
    tried = world.spec.operations[operation]
    with Evidence.collect() as evidence:
        async with world.borrowing.request_to_try(tried, expired.caller) as request:
            answer = await world.perform(request, expired.caller, attack="EXPIRY-403")
            try:
                await judge.expect_no_effect(request, answer, expired.caller)
            except TransientFailure:
                raise
            except (Finding, Inconclusive) as reason:
                effect = reason
            try:
                await (
                    judge.control_alive(request, answer, expired.caller)
                    if tried.is_self or effect
                    else judge.control(request)
                )
            except TransientFailure:
                raise
            except Inconclusive as reason:
                undone = reason
    return RefreshAttempt(expired, answer, effect, undone, evidence)


@requirement("EXPIRY-no-effect", phase=SUMMARY)
async def test_an_expired_token_writes_nothing_later(
    world: World, expiry: Expiry, judge: Judge
) -> None:
    """At the end of the run, too, nothing is there that an expired token was refused."""
    await expiry.tokens(world.highest)
    refused = world.patience.refused_at("", "EXPIRY-403")
    if not refused:
        raise NotTested("a write that was refused to an expired token")

    await judge.expect_none_later(refused)


@requirement("REFRESH-after-expiry", phase=EXPIRED_SESSIONS)
@roles()
async def test_post_refreshes_after_expiry(
    role: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """After the access token has expired, POST gets a new one that works."""
    for expired in await expiry.sessions(role):
        caller = expired.caller

        refresh_token = expiry.spend(expired)
        answer = await world.tokens.refresh_post(refresh_token, caller.email, caller=str(caller))

        async with excusing_log_ins(expired, world):
            judge.expect_refreshed(answer)
        await judge.expect_works(caller.continued(judge.expect_grant(answer)))


@requirement("REFRESH-get-expired", phase=EXPIRY)
async def test_get_refuses_an_expired_bearer(world: World, expiry: Expiry, judge: Judge) -> None:
    """GET with an expired bearer gets no token; with a live bearer it does."""
    for expired in await expiry.spare():
        async with expiry.logged_in_again(expired) as live:
            refresh_token = live.grant.refresh_token
            answer = await world.tokens.refresh_get(
                refresh_token,
                bearer=expired.caller.token,
                caller=str(expired.caller),
                attack="REFRESH-get-expired",
            )

            judge.expect_no_token(answer)
            await judge.control_refresh(
                world.tokens.refresh_get(refresh_token, bearer=live.token, caller=str(live))
            )
