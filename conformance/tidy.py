"""The end of a run: everything it made is deleted, newest first, and the target's lists prove that nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from rolecall.conformance.fixtures import Fixture, identifiers, in_path, items
from rolecall.conformance.tables import API_KEY, Operation
from rolecall.conformance.tokens import Caller
from rolecall.conformance.world import World
from rolecall.ledger import CHANGE, CLOCK
from rolecall.outcomes import Inconclusive, Trouble


async def tidy(world: World) -> list[str]:
    """Delete what the run left; return a line for each thing that is still there, or may be."""
    if not list(world.ledger.resources):
        return []
    try:
        admin = await world.fresh_caller(world.highest)
    except Inconclusive as reason:
        return [f"{entry}: not deleted, {reason}" for entry in world.ledger.left]
    # What was made last may belong to what was made before it, so one kind goes after the other.
    for resource in reversed([resource for resource in world.ledger.resources if resource not in (CHANGE, CLOCK)]):
        left = [entry for entry in world.ledger.left if entry.resource == resource]
        await asyncio.gather(*(_delete(world, admin, resource, entry.id) for entry in left))
    await asyncio.gather(*(_sweep(world, admin, op.path, op.resource.name) for op in _lists(world)))
    doubtful = await _doubtful_keys(world, admin)
    return [str(entry) for entry in world.ledger.left] + doubtful


async def _doubtful_keys(world: World, admin: Caller) -> list[str]:
    """Delete the keys whose making was not answered, where the target lists its keys; where it does not, name them."""
    doubtful = [entry for entry in world.ledger.doubtful if entry.resource == API_KEY]
    if not doubtful:
        return []
    path = world.target.api_keys.create_path
    exchange = await world.send("GET", path, admin)
    if not exchange.ok or not isinstance(exchange.json, list):
        return [f"perhaps {entry}: nobody answered when it was made, and {exchange}" for entry in doubtful]
    await _sweep(world, admin, path, API_KEY)
    return []


async def _delete(world: World, admin: Caller, resource: str, id: str) -> None:
    """Delete one thing, by whatever role gets it done; a thing that is not there any more counts as deleted."""
    entry = world.ledger.of(id) or world.ledger.intend(resource, "found at the end")
    if not entry.id:
        world.ledger.created(entry, id)
    try:
        if resource == API_KEY:
            path = f"{world.target.api_keys.create_path}/{in_path(id)}"
            exchange = await world.send("DELETE", path, admin, repeatable=True)
        else:
            fixture = Fixture(world.spec.resources[resource], id, entry.name)
            request = await world.request(world.spec.operations[f"delete-{resource}"], admin, fixture)
            exchange = await world.perform(request, admin, repeatable=True)
    except Trouble:
        return
    if exchange.ok or exchange.status in world.dialect.gone:
        world.ledger.gone(entry)


def _lists(world: World) -> Iterator[Operation]:
    """The list operations that may show something the run made; messages go with their conversation."""
    for operation in world.spec.operations.values():
        if operation.effect == "list" and "{" not in operation.path and operation.resource.name in world.ledger.resources:
            yield operation


async def _sweep(world: World, admin: Caller, path: str, resource: str) -> None:
    """Look through a list for things that carry the run's id, among them what was created against all denial."""
    for _ in range(2):
        found = []
        async for page in world.pages(path, admin):
            found += [item for item in items(page) if world.run_id in str(item)]
        if not found:
            break
        for item in found:
            await _delete(world, admin, resource, next(identifiers(item), ""))
