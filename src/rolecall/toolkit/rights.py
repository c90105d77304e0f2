"""Checks of rights: which reads tell them, and that a caller has none above its role."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding
from rolecall.spec.model import Operation, Specification
from rolecall.tokens import Caller
from rolecall.toolkit.turns import against_the_table
from rolecall.toolkit.world import World


def reads(spec: Specification) -> list[Operation]:
    """Lists and fetches, but for those of oneself: what a caller may read tells its rights."""
    return [
        operation
        for operation in spec.operations.values()
        if operation.effect in ("list", "fetch") and not operation.is_self
    ]


def in_shares(
    operations: Iterable[Operation], spec: Specification, count: int
) -> list[list[Operation]]:
    """Operations dealt out in so many shares; each share has rows of each right, as far as there
    are enough.
    """
    shares: list[list[Operation]] = [[] for _ in range(count)]
    dealt: Counter[tuple[str, ...]] = Counter()
    for operation in operations:
        right = spec.allowed_roles(operation.name)
        shares[dealt[right] % count].append(operation)
        dealt[right] += 1
    return shares


def reserved_above(role: str, world: World) -> list[Operation]:
    """For each role above this one, a list that it may read, and no role below it may."""
    spec, above = (
        world.spec,
        world.roles[world.roles.index(role) + 1 :] if role else world.roles[1:],
    )
    return [
        next(
            op
            for op in spec.operations.values()
            if op.effect == "list" and spec.allowed_roles(op.name)[-1] == higher
        )
        for higher in above
    ]


def reserved_create(world: World) -> Operation:
    """A create that the highest role alone may do."""
    creates = (
        operation for operation in world.spec.operations.values() if operation.effect == "create"
    )
    return next(
        operation
        for operation in creates
        if world.spec.allowed_roles(operation.name) == (world.highest,)
    )


async def _opened_above(
    role: str, caller: Caller, world: World
) -> AsyncIterator[tuple[Operation, Exchange]]:
    """The lists of higher roles that a caller can read and a token of this role cannot, at any
    time.
    """
    lower = await world.user(role or world.roles[0])
    for operation in reserved_above(role, world):
        answer = cite(await world.perform(await world.request(operation, caller), caller), "answer")
        if world.dialect.allows(operation, answer) and not await against_the_table(
            world, operation, lower, may=False
        ):
            yield operation, answer


async def expect_no_rights_above(role: str, key: Caller, world: World, why: str) -> None:
    """A key may not read what only roles above this one may, nor create as the highest.

    Judged where a token of the role is denied, as the table has it: a cell that is wrong by itself
    is that cell's finding.
    """
    async for operation, answer in _opened_above(role, key, world):
        raise Finding(f"{operation.name} denied to a key {why}", f"{answer.status}", answer)
    if role:
        return
    create, lower = reserved_create(world), await world.user(world.roles[0])
    answer = cite(
        await world.perform(await world.request(create, key), key, attack="SEC-K04"), "answer"
    )
    if world.dialect.allows(create, answer):
        usual = await world.perform(await world.request(create, lower), lower)
        if world.dialect.denies(create, usual):
            raise Finding(f"{create.name} denied to a key {why}", f"{answer.status}", answer)


async def expect_at_most(shown: str, caller: Caller, world: World) -> None:
    """A token of a user that shows this role has no scope above it, and opens nothing above it."""
    roles = world.roles
    most = roles.index(shown) if shown in roles else len(roles) - 2
    what = f"no rights above {roles[most]}: the user shows the role {shown!r}"
    for where, scope in caller.grant.scopes.items():
        named = world.role_of_scope(scope)
        if named and roles.index(named) > most:
            raise Finding(what, f"scope {scope!r} in {where}", caller.grant.exchange)
    async for operation, answer in _opened_above(roles[most], caller, world):
        raise Finding(what, f"{answer.status} at {operation.name}", answer)
