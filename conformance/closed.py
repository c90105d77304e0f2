"""What a caller may not see stays unseen, by whatever way the caller comes."""

from __future__ import annotations

from rolecall.conformance.bounds import expect_no_crash
from rolecall.conformance.fixtures import Fixture
from rolecall.conformance.ids import identifiers
from rolecall.conformance.tokens import Caller
from rolecall.conformance.world import World
from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive


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
