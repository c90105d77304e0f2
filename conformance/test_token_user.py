"""The user behind a token: what becomes of the token when the user changes or goes."""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.things import Request
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    change,
    delete_user,
    disable,
    throwaway_user,
)
from rolecall.toolkit.world import World


async def rights(user: ThrowawayUser, world: World) -> Mapping[str, Request]:
    """The reads that a user is seen to be allowed, with their requests.

    Raises:
        Inconclusive: there is none.
    """
    found = {}
    for operation in world.spec.operations.values():
        if operation.effect == "list" or (operation.is_self and operation.effect == "fetch"):
            if not world.spec.allows(operation.name, user.caller.role):
                continue
            request = await world.request(operation, user.caller)
            if world.dialect.allows(operation, await world.perform(request, user.caller)):
                found[operation.name] = request
    if not found:
        raise Inconclusive("a right that a user has", "the cells that are allowed")
    return found


@requirement("SEC-J19")
async def test_how_long_an_old_scope_lasts(world: World, judge: Judge) -> None:
    """Whether an old token keeps its scope when its user's role is lowered is noted."""
    lower, higher = world.roles[:2]
    user = await throwaway_user(world, higher)
    lost = {
        name: request
        for name, request in (await rights(user, world)).items()
        if not world.spec.allows(name, lower)
    }
    if not lost:
        raise Inconclusive(f"a read that {higher} may and {lower} may not", "the permission table")
    await change(world, user, role=lower)

    answers = [await world.perform(request, user.caller) for request in lost.values()]

    kept = any(
        world.dialect.allows(request.operation, answer)
        for request, answer in zip(lost.values(), answers, strict=True)
    )
    judge.cite(*answers)
    judge.note(
        f"a token {'keeps its scope' if kept else 'loses its scope at once'} when its user's role "
        "is lowered"
    )


async def expect_dead(
    user: ThrowawayUser,
    before: Mapping[str, Request],
    what: str,
    since: float,
    world: World,
    attack: str,
) -> None:
    """A user's old token opens nothing of what it opened before that moment, nor a while later."""
    for name, request in before.items():

        async def ask(request: Request = request) -> Exchange:
            return await world.perform(request, user.caller, attack=attack)

        answer = cite(await world.patience.until_refused(ask, since, f"{attack} {name}"), "answer")
        if answer.ok:
            raise Finding(
                f"the token of a user who was {what} opens nothing",
                f"{answer.status}: let in",
                answer,
            )


@requirement("SEC-J17-deleted")
async def test_a_deleted_users_token_dies(world: World) -> None:
    """The token of a deleted user opens nothing."""
    user = await throwaway_user(world, world.roles[1])
    before = await rights(user, world)
    deleted = await delete_user(world, user)

    await expect_dead(user, before, "deleted", deleted.finished, world, "SEC-J17-deleted")


@requirement("SEC-J20")
@each("status", ("inactive", "disabled"))
async def test_a_disabled_users_token_dies(status: str, world: World) -> None:
    """The token of a disabled user opens nothing."""
    user = await throwaway_user(world, world.roles[1])
    before = await rights(user, world)
    disabled = await disable(world, user, status)

    await expect_dead(user, before, f"made {status}", disabled.finished, world, "SEC-J20")
