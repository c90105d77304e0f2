"""What becomes of refresh tokens: used twice, or at the same time."""

from __future__ import annotations

import asyncio

from rolecall.evidence import cite
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.pausing import sleep
from rolecall.spec.model import INTRUSIVE
from rolecall.toolkit.expectations import expect_no_crash, expect_one_or_all
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import ALONE, each, requirement
from rolecall.toolkit.throwaway_users import (
    fresh_session,
    refreshes_before_expiry,
    throwaway_user,
)
from rolecall.toolkit.world import World

#: Seconds after which a grace window should be over.
_AFTER_GRACE = 65.0
_AT_ONCE = 10
PATHS = ("get", "post")


@requirement("REFRESH-old-token")
@each("path", PATHS)
async def test_the_fate_of_the_family(path: str, world: World, judge: Judge) -> None:
    """What becomes of old and new refresh tokens when an old one is used again is noted."""
    caller = await fresh_session(world, world.roles[0])
    oldest = caller.grant.refresh_token
    # each with the newest access token: the one before may have ended with the refresh
    for _ in range(2):
        answer = await world.tokens.refresh_by(path, caller.grant.refresh_token, caller, attack="")
        caller = caller.continued(judge.expect_grant(answer))

    again = await world.tokens.refresh_by(path, oldest, caller, attack="REFRESH-old-token")
    newest = await world.tokens.refresh_by(
        path, caller.grant.refresh_token, caller, attack="REFRESH-old-token"
    )

    judge.note(
        "after the new refresh token was used, the old one is "
        f"{'still good' if again.ok else 'refused'}"
    )
    judge.note(
        "after the old one was tried again, the newest is "
        f"{'still good' if newest.ok else 'refused, too'}"
    )


@requirement("REFRESH-old-token", phase=ALONE)
async def test_the_fate_of_the_old_refresh_token_after_a_while(world: World, judge: Judge) -> None:
    """Whether an old refresh token works 65 seconds later is noted."""
    if not world.intrusive:
        raise NotTested(f"it takes {_AFTER_GRACE:g} s: run with --intrusive", INTRUSIVE)
    caller = await fresh_session(world, world.roles[0])
    refresh_token = caller.grant.refresh_token
    await judge.control_refresh(
        world.tokens.refresh_post(refresh_token, caller.email, caller=str(caller))
    )

    await sleep(_AFTER_GRACE)
    again = await world.tokens.refresh_by("post", refresh_token, caller, attack="REFRESH-old-token")

    judge.note(
        f"{_AFTER_GRACE:g} s later the old refresh token is "
        f"{'still good' if again.ok else 'refused'}"
    )


@requirement("SEC-R11")
async def test_ten_refreshes_at_once(world: World) -> None:
    """Of ten refreshes with one token at once, one succeeds or all, and log-in still works."""
    user = await throwaway_user(world, world.roles[0])
    caller = user.caller
    refresh_token = caller.grant.refresh_token

    answers = await asyncio.gather(
        *(
            world.tokens.refresh_by("post", refresh_token, caller, attack="SEC-R11")
            for _ in range(_AT_ONCE)
        )
    )

    for answer in answers:
        expect_no_crash(answer)
    if not any(answer.ok for answer in answers) and not await refreshes_before_expiry(world):
        raise Inconclusive(f"a refresh by POST: {answers[0]}", "REFRESH-post")
    expect_one_or_all(answers)
    login = cite(await world.tokens.issue(user.account), "control")
    if not login.ok:
        raise Finding("a user who can still log in", f"{login.status}", login)
