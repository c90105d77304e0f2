"""The clock by which a target judges its tokens, where its answers show two.

A proxy may write the Date, by a clock of its own; and a target may give out a token again that it
has issued before. What somebody new is given was never issued before: its iat is the time.
"""

from __future__ import annotations

from rolecall.evidence import note
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.tokens import Grant
from rolecall.toolkit.clock import ClockReading, by_date, by_issue, time_of_target
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import throwaway_user
from rolecall.toolkit.world import World


async def target_time(world: World, grant: Grant) -> ClockReading:
    """The target's clock, by a log-in, and by one more where that shows a token of long ago.

    It is vague where nobody new can log in, and the account not once more.
    """
    told = time_of_target(grant)
    if not told.is_vague:
        return told
    found = await _of_somebody_new(world) or told
    date = by_date(grant.exchange)
    if date and found.high < date.low:
        note(f"the clock that ends tokens is {date.low - found.low:.0f} s behind the Date header")
    return found


@shared_setup
async def _of_somebody_new(world: World) -> ClockReading | None:
    try:
        return by_issue((await throwaway_user(world, world.roles[0])).caller.grant)
    except TransientFailure:
        raise
    except (NotTested, Inconclusive):
        return await _of_another_log_in(world)


async def _of_another_log_in(world: World) -> ClockReading | None:
    """The iat of another token of the same account; the Date, where it is the same token."""
    first = await world.user(world.highest)
    try:
        grant = (await world.renewed(world.highest)).grant
    except TransientFailure:
        raise
    except (NotTested, Inconclusive):
        return None
    return by_date(grant.exchange) if grant.token == first.token else by_issue(grant)
