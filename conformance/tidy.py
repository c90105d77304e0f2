"""The end of a run: everything it made is deleted, newest first, and the target's lists prove that nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from rolecall.conformance.fixtures import Fixture, identifiers, items
from rolecall.conformance.tables import Operation
from rolecall.conformance.tokens import Caller
from rolecall.conformance.world import CHANGE, World
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
    for resource in reversed([resource for resource in world.ledger.resources if resource != CHANGE]):
        left = [entry for entry in world.ledger.left if entry.resource == resource]
        await asyncio.gather(*(_delete(world, admin, resource, entry.id) for entry in left))
    await asyncio.gather(*(_sweep(world, admin, operation) for operation in _lists(world)))
    return [str(entry) for entry in world.ledger.left]


async def _delete(world: World, admin: Caller, resource: str, id: str) -> None:
    """Delete one thing, by whatever role gets it done; a thing that is not there any more counts as deleted."""
    entry = world.ledger.of(id) or world.ledger.intend(resource, "found at the end")
    if not entry.id:
        world.ledger.created(entry, id)
    try:
        if resource == "api-key":
            path = f"{world.target.api_keys.create_path}/{id}"
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


async def _sweep(world: World, admin: Caller, operation: Operation) -> None:
    """Look through a list for things that carry the run's id, among them what was created against all denial."""
    for _ in range(2):
        found = []
        async for page in world.pages(operation.path, admin):
            found += [item for item in items(page) if world.run_id in str(item)]
        if not found:
            break
        for item in found:
            await _delete(world, admin, operation.resource.name, next(identifiers(item), ""))
