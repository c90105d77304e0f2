"""Expiry: a token works to its last minute, and from its end on every request with it is answered 403 and does nothing."""

from __future__ import annotations

from rolecall.conformance.expiry import Expiry
from rolecall.conformance.judge import Judge
from rolecall.conformance.marks import EXPIRY, SUMMARY, operations, requirement, roles
from rolecall.conformance.world import World
from rolecall.evidence import cite
from rolecall.outcomes import NotTested


@requirement("EXPIRY-not-before", phase=EXPIRY)
@roles()
async def test_a_token_works_to_its_last_minute(role: str, expiry: Expiry, judge: Judge) -> None:
    """A token with one minute left is still let in."""
    for almost in await expiry.almost(role):
        judge.expect_let_in(almost.exchange, f"one minute before its end ({almost.source})")


@requirement("EXPIRY-403", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("list", "fetch"))
async def test_an_expired_token_reads_nothing(operation: str, world: World, expiry: Expiry, judge: Judge) -> None:
    """A list or fetch with an expired token is answered 403; with a live one it succeeds."""
    for expired in await expiry.tokens(world.highest):
        request = await world.request(world.spec.operations[operation], expired.caller)

        answer = await world.perform(request, expired.caller, attack="EXPIRY-403")

        await judge.control_alive(request, answer, expired.caller)
        judge.expect_expired(answer, expired)


@requirement("EXPIRY-403", phase=EXPIRY)
@roles()
async def test_every_roles_token_expires(role: str, world: World, expiry: Expiry, judge: Judge) -> None:
    """An expired token is answered 403 whatever its role; a live one is let in."""
    for expired in await expiry.tokens(role):
        request = await world.request(world.spec.operations["fetch-user-self"], expired.caller)

        answer = await world.perform(request, expired.caller, attack="EXPIRY-403")

        await judge.control_alive(request, answer, expired.caller)
        judge.expect_expired(answer, expired)


@requirement("EXPIRY-403", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("create", "update", "delete"))
async def test_an_expired_token_is_refused_at_writes(operation: str, expiry: Expiry, judge: Judge) -> None:
    """A create, update or delete with an expired token is answered 403; with a live one it succeeds."""
    async with expiry.write(operation) as (expired, request, answer):
        await judge.control_alive(request, answer, expired.caller)
        judge.expect_expired(answer, expired)


@requirement("EXPIRY-no-effect", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("create", "update", "delete"))
async def test_an_expired_token_writes_nothing(operation: str, expiry: Expiry, judge: Judge) -> None:
    """After a create, update or delete with an expired token everything is as it was; a live one gets it done."""
    async with expiry.write(operation) as (expired, request, answer):
        await judge.expect_no_effect(request, cite(answer), expired.caller)
        if not request.operation.is_self:
            await judge.control(request)


@requirement("EXPIRY-no-effect", phase=SUMMARY)
async def test_an_expired_token_writes_nothing_later(world: World, expiry: Expiry, judge: Judge) -> None:
    """At the end of the run, too, nothing is there that an expired token was refused."""
    await expiry.tokens(world.highest)
    refused = world.patience.refused_at("", "EXPIRY-403")
    if not refused:
        raise NotTested("a write that was refused to an expired token")

    await judge.expect_none_later(refused)


@requirement("REFRESH-after-expiry", phase=EXPIRY)
@roles()
async def test_post_refreshes_after_expiry(role: str, world: World, expiry: Expiry, judge: Judge) -> None:
    """When the access token has expired, the refresh token still gets a new one by POST, and that one works."""
    for expired in await expiry.sessions(role):
        caller = expired.caller

        refresh_token = expiry.spend(expired)
        answer = await world.tokens.refresh_post(refresh_token, caller.email, caller=str(caller))

        judge.expect_refreshed(answer)
        await judge.expect_works(caller.continued(judge.expect_grant(answer)))


@requirement("REFRESH-get-expired", phase=EXPIRY)
async def test_get_refuses_an_expired_bearer(world: World, expiry: Expiry, judge: Judge) -> None:
    """GET with an expired bearer gets no token, even with a good refresh token; with a live bearer it does."""
    for expired in await expiry.tokens(world.roles[0]):
        live = await world.fresh_caller(world.roles[0])  # the same user, whose bearer has expired

        answer = await world.tokens.refresh_get(
            live.grant.refresh_token, bearer=expired.caller.token, caller=str(expired.caller), attack="REFRESH-get-expired"
        )

        judge.expect_no_token(answer)
        await judge.control_refresh(world.tokens.refresh_get(live.grant.refresh_token, bearer=live.token, caller=str(live)))
