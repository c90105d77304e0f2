"""The permission table, cell by cell: what is allowed has its effect, what is denied has none."""

from __future__ import annotations

import time

import pytest

from rolecall.outcomes import Finding, NotTested
from rolecall.pausing import sleep
from rolecall.spec.ids import own_id
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Cell
from rolecall.toolkit.effect_judge import SETTLING
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, cells, requirement
from rolecall.toolkit.members import is_put_away, shows_name
from rolecall.toolkit.participation import expect_to_take_part
from rolecall.toolkit.telling_users import on_own_thing, protected_account
from rolecall.toolkit.throwaway_users import changeable
from rolecall.toolkit.world import World

ROLES = load_specification().roles
#: The list operations: each must show even the newest thing.
LISTS = [
    operation.name
    for operation in load_specification().operations.values()
    if operation.effect == "list"
]

DELETES = [
    operation.name
    for operation in load_specification().operations.values()
    if operation.effect == "delete"
]
#: What creates or updates and is refused to somebody: it is looked for once more at the end.
REFUSED = [
    operation.name
    for operation in load_specification().operations.values()
    if operation.effect in ("create", "update")
    and len(load_specification().allowed_roles(operation.name)) < len(ROLES)
]

# --- Allowed ------------------------------------------------------------------------------------


@cells("allow", "list", "fetch")
async def test_an_allowed_read_shows_the_thing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may list or fetch is shown the thing that is there."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(
        operation, caller, await protected_account(world, operation, caller)
    )

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if not await judge.shows(answer, request, caller):
        await expect_to_take_part(world, request, caller, answer)
        shown = "the caller's own user" if operation.is_self else f"{request.fixture}"
        raise Finding(f"{shown} in the answer", f"{answer.status} without it", answer)


@pytest.mark.parametrize(
    "operation",
    [pytest.param(name, marks=requirement(f"PERM-{name}", phase=SUMMARY)) for name in LISTS],
)
async def test_the_newest_is_in_the_list(operation: str, world: World, judge: Judge) -> None:
    """A list does not lack what was made last."""
    fixture = await world.fresh(world.spec.operations[operation].resource.name)
    caller = await world.user(world.highest)
    request = await world.request(world.spec.operations[operation], caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if not await judge.shows(answer, request, caller):
        raise Finding(f"{fixture}, just made, in the list", f"{answer.status} without it", answer)


@cells("allow", "create")
async def test_an_allowed_create_makes_the_thing(cell: Cell, world: World, judge: Judge) -> None:
    """What a caller who may create has created can be fetched afterwards."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    fixture = await world.made(request, answer)
    if fixture is None or not await judge.is_as_written(fixture, request, answer):
        raise Finding(
            f"the new {operation.resource.name}, readable afterwards",
            f"{answer.status}, and it is not there",
            answer,
        )


@cells("allow", "update", self=False)
async def test_an_allowed_update_reads_back(cell: Cell, world: World, judge: Judge) -> None:
    """What a caller who may update has written is there when it is read again."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await on_own_thing(world, operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if not await judge.takes_effect(request, answer, caller):
        raise Finding(
            f"the update of {request.fixture}, readable afterwards",
            f"{answer.status}, and nothing changed",
            answer,
        )


@cells("allow", "update", self=True)
async def test_everyone_may_update_the_own_user(cell: Cell, world: World, judge: Judge) -> None:
    """A caller's change to the own user is there when it is read again; it is put back
    afterwards.
    """
    operation = world.spec.operations[cell.operation]
    caller = await changeable(world, cell.role, cell.credential)
    asked = await world.request(operation, caller)
    async with world.borrowing.borrow(caller, asked) as request:
        answer = await world.perform(request, caller)

        await judge.expect_allowed(answer, request, caller)
        if not await judge.takes_effect(request, answer, caller):
            raise Finding(
                "the update of the caller's own user, readable afterwards",
                f"{answer.status}, and nothing changed",
                answer,
            )


@cells("allow", "delete")
async def test_an_allowed_delete_removes_the_thing(cell: Cell, world: World, judge: Judge) -> None:
    """What a caller who may delete has deleted is gone."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await on_own_thing(world, operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_allowed(answer, request, caller)
    if not await judge.takes_effect(request, answer, caller):
        raise Finding(f"{request.fixture} gone", f"{answer.status}, and it is still there", answer)


@pytest.mark.parametrize(
    "operation",
    [pytest.param(name, marks=requirement(f"PERM-{name}", phase=SUMMARY)) for name in DELETES],
)
async def test_what_was_deleted_is_in_no_list(operation: str, world: World, judge: Judge) -> None:
    """At the end of the run no list shows what was deleted, and its delete answered with
    success.
    """
    resource = world.spec.operations[operation].resource.name
    if not (deleted := world.deleted.get(resource)):
        raise NotTested(f"a {resource} that was deleted")
    judge.cite(*deleted.values())
    left: set[str] = set()

    def is_gone(id: str) -> bool:  # else it was given out again
        entry = world.ledger.of(resource, id)
        return entry is None or entry.gone

    async def are_gone() -> bool:
        everything = await world.listing(resource, time.monotonic())
        ours = [item for item in everything if shows_name(item, world.mark)]
        left.clear()
        left.update(
            id
            for item in ours or everything  # without the run's name it is somebody else's
            if (id := own_id(item)) in deleted and is_gone(id) and not is_put_away(item)
        )
        return not left

    if not await world.patience.until(
        are_gone,
        max(answer.finished for answer in deleted.values()),
        f"deleted {resource}s in lists",
    ):
        id = min(left)
        raise Finding(
            f"{resource} {id} gone from the list",
            f"{deleted[id].status}, and the list still shows it",
            deleted[id],
        )


# --- Denied ------------------------------------------------------------------------------------


@cells("deny", "list", "fetch")
async def test_a_refused_read_shows_nothing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may not list or fetch is refused what others are shown by the same request."""
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await world.request(operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    await judge.control(request)
    await sleep(SETTLING)  # one proof that a credential lives is for all who waited for it
    await world.alive(caller, answer.finished)


@cells("deny", "create", "update", "delete")
async def test_a_refused_write_does_nothing(cell: Cell, world: World, judge: Judge) -> None:
    """Who may not create, update or delete is refused, and nothing was created, changed or
    deleted.
    """
    operation = world.spec.operations[cell.operation]
    caller = await world.caller(cell.role, cell.credential)
    request = await on_own_thing(world, operation, caller)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    await judge.expect_no_effect(request, answer, caller)
    await judge.control(request)
    await world.alive(caller, answer.finished)


@pytest.mark.parametrize(
    "operation",
    [pytest.param(name, marks=requirement(f"PERM-{name}", phase=SUMMARY)) for name in REFUSED],
)
async def test_a_refused_write_is_not_done_later(
    operation: str, world: World, judge: Judge
) -> None:
    """At the end of the run, too, nothing is there that was refused, in whatever shape; all are
    looked for together.
    """
    refused = world.patience.refused_writes(operation)
    if not refused:
        raise NotTested(f"a {operation} that was refused")

    await judge.expect_none_later(refused)
