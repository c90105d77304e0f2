"""The end of a run: everything it made is deleted, newest first, and the target's lists prove that nothing is left."""

from __future__ import annotations

from rolecall.conformance.fixtures import Fixture, identifiers
from rolecall.conformance.tokens import Caller
from rolecall.conformance.world import World
from rolecall.outcomes import Inconclusive


async def tidy(world: World) -> list[str]:
    """Delete what the run left; return a line for each thing that is still there, or may be."""
    if not list(world.ledger.resources):
        return []
    try:
        admin = await world.fresh_caller(world.highest)
    except Inconclusive as reason:
        return [f"{entry}: not deleted, {reason}" for entry in world.ledger.left]
    for entry in list(world.ledger.left):
        await _delete(world, admin, entry.resource, entry.id)
    await _sweep(world, admin)
    return [str(entry) for entry in world.ledger.left]


async def _delete(world: World, admin: Caller, resource: str, id: str) -> None:
    """Delete one thing, by whatever role gets it done; a thing that is not there any more counts as deleted."""
    entry = world.ledger.of(id) or world.ledger.intend(resource, "found at the end")
    if not entry.id:
        world.ledger.created(entry, id)
    if resource == "api-key":
        exchange = await world.send("DELETE", f"{world.target.api_keys.create_path}/{id}", admin)
    else:
        fixture = Fixture(world.spec.resources[resource], id, entry.name)
        request = await world.request(world.spec.operations[f"delete-{resource}"], admin, fixture)
        exchange = await world.perform(request, admin)
    if exchange.ok or exchange.status in world.dialect.gone:
        world.ledger.gone(entry)


async def _sweep(world: World, admin: Caller) -> None:
    """Look through every list for things that carry the run's id, among them what was created against all denial."""
    for operation in world.spec.operations.values():
        if operation.effect != "list" or "{" in operation.path:
            continue
        if operation.resource.name not in world.ledger.resources:
            continue
        for _ in range(2):
            found = []
            async for page in world.pages(operation.path, admin):
                found += [item for item in (page.json if isinstance(page.json, list) else []) if world.run_id in str(item)]
            if not found:
                break
            for item in found:
                await _delete(world, admin, operation.resource.name, next(identifiers(item), ""))


