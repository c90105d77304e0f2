"""What a caller may not see stays unseen, by whatever way the caller comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive
from rolecall.spec.ids import identifiers
from rolecall.tokens import Caller
from rolecall.toolkit.bounds import expect_no_crash
from rolecall.toolkit.judge import SETTLING, Judge
from rolecall.toolkit.things import Fixture
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


@asynccontextmanager
async def unless_open(
    world: World, judge: Judge, operation: str, caller: Caller, thing: Fixture | None = None
) -> AsyncIterator[None]:
    """Hold a way around a denial against the target only where the usual way is shut; who had it open is another cell's matter.

    The usual way is tried only when there is something to be held against the target: on ``thing``, else on a new one.

    Raises:
        Finding: as inside the block, where the usual way is denied and has no effect.
        Inconclusive: it is not.
    """
    try:
        yield
    except Finding:
        asked = world.spec.operations[operation]
        request = await (world.request(asked, caller, thing) if thing else world.request_on_own_fixture(asked, caller))
        usual = cite(await world.perform(request, caller), "denied as usual")
        is_done = False
        if asked.effect in ("create", "update", "delete"):
            await asyncio.sleep(SETTLING)
            is_done = await judge.took_effect(request, usual, caller)
        if is_done or not world.dialect.denies(asked, usual):
            raise Inconclusive(f"{operation} denied to {caller}: {usual}", asked.requirement) from None
        raise


def expect_hidden(exchange: Exchange, *fixtures: Fixture) -> None:
    """The answer shows nothing: it is a refusal, a redirect, or a page that has nothing to do with the resource.

    A success that holds no resource is one too: some servers answer every path that they do not know with a page.
    """
    expect_no_crash(exchange)
    expected = "an answer that shows nothing of it"
    for fixture in fixtures:
        if not fixture.id:
            raise Inconclusive(
                f"the id of a {fixture.resource.name}, by which to know it", f"PERM-create-{fixture.resource.name}"
            )
        if fixture.id in identifiers(exchange.json) or (fixture.name and fixture.name in exchange.text):
            raise Finding(expected, f"{exchange.status} with {fixture} in it", exchange)
    if exchange.ok and any(identifiers(exchange.json)):
        raise Finding(expected, f"{exchange.status} with resources in it", exchange)


def expect_refused(exchange: Exchange, *fixtures: Fixture) -> None:
    """The answer is a client error, and shows nothing; which one does not matter."""
    expect_hidden(exchange, *fixtures)
    if exchange.status < 400:
        raise Finding("a refusal", f"{exchange.status}", exchange)
