"""Sessions of the accounts, for want of users that the run makes: their log-ins are few.

What others need more is left to them: a test leaves some to those of the levels above it, and all
leave some to the tests of expiry, which come last, to the clock, and to the tidy-up.

Where a log-in ends the account's other sessions there are none to give: another test's log-in would
end them, and what is refused then says nothing of the target.
"""

from __future__ import annotations

import asyncio

from rolecall.evidence import current_test
from rolecall.outcomes import NotTested
from rolecall.tokens import Caller
from rolecall.toolkit.shared import share, shared_setup
from rolecall.toolkit.world import World

WANTED = "a user of one's own: "
#: Log-ins of the lowest role, of which most tests want one, that a level leaves to those above.
_ABOVE = {"must": 0, "derived": 4}
_TOPMOST = 8  # which those leave that decide nothing
#: Log-ins that are left to the tests of expiry: of the lowest role, and of each other one.
_TO_EXPIRE, _TO_EXPIRE_ONCE = 4, 1
#: Log-ins of the highest role that follow the moves of the clock, and the tidy-up; and as many more
#: where its account has to see the time.
_TO_TIDY_UP, _TO_SEE_THE_TIME = 3, 7


async def account_session(world: World, role: str, none: Exception) -> Caller:
    """A session of a role's account, since the run could make no user for it.

    Args:
        none: why there is no such user.

    Raises:
        NotTested: the account has been logged in often enough, or has one session at a time; it
            says both.
    """
    try:
        async with await _turn(world, role):
            if world.gate.log_ins.left(world.account(role).email) <= _for_others(world, role):
                raise NotTested(
                    f"the log-ins to [accounts.{role}] that are left are for tests that need them "
                    "more"
                )
            return await _beside_the_shared_one(world, role)
    except NotTested as spent:
        cause = f"{none}".removeprefix(WANTED)
        raise NotTested(f"{cause}, and {spent}", spent.capability) from None


@shared_setup
async def _turn(world: World, role: str) -> asyncio.Lock:
    """What log-ins to one account wait for: which of two was the later one is to be known."""
    return asyncio.Lock()


async def _beside_the_shared_one(world: World, role: str) -> Caller:
    """A new session of an account; the one that the whole run shares lives on.

    Raises:
        NotTested: the log-in has ended that one. The run goes on with the new one.
    """
    alone = f"a log-in to [accounts.{role}] ends the account's other sessions"
    if role in world.lone:
        raise NotTested(alone)
    shared = await world.user(role)
    caller = await world.fresh_caller(role)
    if (await world.fetch_self(shared)).ok or not (await world.fetch_self(caller)).ok:
        return caller
    world.lone.add(role)
    share(world, "_user", caller, role)
    raise NotTested(alone)


def _for_others(world: World, role: str) -> int:
    test, expiry, left = current_test(), world.target.expiry, 0
    if role == world.highest:
        left += _TO_TIDY_UP
        sees_the_time = expiry.clock_url and not world.new_users.could(world.roles[0])
        left += _TO_SEE_THE_TIME if sees_the_time else 0
    if test.is_last:
        return left
    if role != world.roles[0]:
        return left + (_TO_EXPIRE_ONCE if expiry else 0)
    return left + (_TO_EXPIRE if expiry else 0) + _ABOVE.get(test.level, _TOPMOST)
