"""The permission table, cell by cell: what a role may do has its effect, what it may not do is refused and has none."""

from __future__ import annotations

from rolecall.conformance.judge import Judge
from rolecall.conformance.marks import cells
from rolecall.conformance.tables import Cell
from rolecall.conformance.world import World
from rolecall.outcomes import Finding

# --- Allowed ----------------------------------------------------------------------------------------------------------


@cells("allow", "list", "fetch")
async def test_an_allowed_read_shows_the_thing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may list or fetch is shown the thing that is there."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if not await judge.shows(answer, request, caller):
        shown = "the caller's own user" if operation.is_self else f"{request.fixture}"
        raise Finding(f"{shown} in the answer", f"{answer.status} without it", answer)


@cells("allow", "create")
async def test_an_allowed_create_makes_the_thing(cell: Cell, world: World, judge: Judge) -> None:
    """What a caller who may create has created can be fetched afterwards."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    fixture = await world.made(request, answer)
    if fixture is None or not judge.reads_back(await world.observe(fixture), request):
        raise Finding(f"the new {operation.resource.name}, readable afterwards", f"{answer.status}, and it is not there", answer)


@cells("allow", "update", self=False)
async def test_an_allowed_update_reads_back(cell: Cell, world: World, judge: Judge) -> None:
    """What a caller who may update has written is there when it is read again."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    fixture = await world.fresh(operation.resource.name)
    request = await world.request(operation, caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if not judge.reads_back(await world.observe(fixture), request):
        raise Finding(f"the update of {fixture}, readable afterwards", f"{answer.status}, and nothing changed", answer)


@cells("allow", "update", self=True)
async def test_everyone_may_update_the_own_user(cell: Cell, world: World, judge: Judge) -> None:
    """A caller's change to the own user is there when it is read again; it is put back afterwards."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)
    async with world.borrowed_user(caller, request) as user:
        answer = await world.perform(request, caller)

        await judge.expect_allowed(answer, request, caller)
        if not judge.reads_back(await world.observe(user), request):
            raise Finding("the update of the caller's own user, readable afterwards", f"{answer.status}, and nothing changed", answer)


@cells("allow", "delete")
async def test_an_allowed_delete_removes_the_thing(cell: Cell, world: World, judge: Judge) -> None:
    """What a caller who may delete has deleted is gone."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    fixture = await world.fresh(operation.resource.name)
    request = await world.request(operation, caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if await world.observe(fixture) is not None:
        raise Finding(f"{fixture} gone", f"{answer.status}, and it is still there", answer)


# --- Denied -----------------------------------------------------------------------------------------------------------


@cells("deny", "list", "fetch")
async def test_a_refused_read_shows_nothing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may not list or fetch is refused what others are shown by the same request."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    await judge.control(request)
    await world.alive(caller, answer.finished)


@cells("deny", "create")
async def test_a_refused_create_leaves_nothing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may not create is refused, and nothing was created."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    if await world.find(operation.resource.name, request.name, answer.finished):
        raise Finding("a refusal without effect", f"{answer.status}, and it was created all the same", answer)
    await judge.control(request)
    await world.alive(caller, answer.finished)


@cells("deny", "update")
async def test_a_refused_update_changes_nothing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may not update is refused, and nothing changed."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    fixture = await world.fresh(operation.resource.name)
    request = await world.request(operation, caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    if judge.reads_back(await world.observe(fixture), request):
        raise Finding("a refusal without effect", f"{answer.status}, and {fixture} was changed all the same", answer)
    await judge.control(request)
    await world.alive(caller, answer.finished)


@cells("deny", "delete")
async def test_a_refused_delete_removes_nothing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may not delete is refused, and the thing is still there."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    fixture = await world.fresh(operation.resource.name)
    request = await world.request(operation, caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    if await world.observe(fixture) is None:
        raise Finding("a refusal without effect", f"{answer.status}, and {fixture} was deleted all the same", answer)
    await judge.control(request)
    await world.alive(caller, answer.finished)
