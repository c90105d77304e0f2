"""Controls of ways around a denial: the usual way must be denied, or the test proves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive
from rolecall.pausing import sleep
from rolecall.tokens import Caller
from rolecall.toolkit.effect_judge import SETTLING
from rolecall.toolkit.expectations import shown_in
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.turns import after_one_who_may
from rolecall.toolkit.world import World


async def expect_denied_as_usual(world: World, caller: Caller, operation: str) -> Exchange:
    """The control of a way around a denial: the usual way is denied.

    Raises:
        Inconclusive: it is not, which is the finding of that cell alone.
    """
    usual = cite(await world.reads(caller, operation), "denied as usual")
    if not world.dialect.denies(world.spec.operations[operation], usual):
        missing = f"{operation} denied to {caller}: {usual.status}"
        raise Inconclusive(missing, world.spec.operations[operation].requirement)
    return usual


async def expect_denied_at_first(world: World, caller: Caller, operation: str) -> None:
    """The first request with a new token opens nothing that is denied to its role: a server may
    look rights up only after it.

    Raises:
        Finding: it does, though another token of that role is refused.
    """
    tried = world.spec.operations[operation]
    answer = await world.perform(await world.request(tried, caller), caller)
    if not world.dialect.allows(tried, answer):
        return
    usual = await world.reads(await world.user(caller.role), operation)
    if world.dialect.denies(tried, usual):  # else it is the finding of that cell alone
        cite(usual, "denied as usual")
        raise Finding(
            f"{operation} denied to {caller.role}, by the first request with a new token as well",
            f"{answer.status}",
            answer,
        )


@asynccontextmanager
async def unless_open(
    world: World, judge: Judge, operation: str, caller: Caller, thing: Fixture | None = None
) -> AsyncIterator[None]:
    """Report a finding in the block only where the usual way is denied; else it is inconclusive.

    The usual way is tried only when there is something to be held against the target: on ``thing``,
    else on a new one, and right after somebody who may.

    Raises:
        Finding: as inside the block, where the usual way is denied, shows nothing and has no
            effect.
        Inconclusive: it is not.
    """
    try:
        yield
    except Finding:
        asked = world.spec.operations[operation]
        request = await (
            world.request(asked, caller, thing)
            if thing
            else world.request_on_own_fixture(asked, caller)
        )
        usual = cite(await after_one_who_may(world, request, caller), "denied as usual")
        is_done = False
        if asked.effect in ("create", "update", "delete"):
            await sleep(SETTLING)
            is_done = await judge.took_effect(request, usual, caller)
        is_shown = request.fixture is not None and shown_in(usual, request.fixture) != ""
        if is_done or is_shown or not world.dialect.denies(asked, usual):
            raise Inconclusive(
                f"{operation} denied to {caller}: {usual}", asked.requirement
            ) from None
        raise
