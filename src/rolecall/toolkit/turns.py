"""A plain request right after somebody else's: what a server remembers of one caller decides
nothing about the next.

A server that keeps answers or decisions for some seconds lets in who may not, or refuses who may,
at one time and not at another. That is the finding of its cells; of a check that happens to run in
such seconds it is the control.
"""

from __future__ import annotations

from rolecall.evidence import Exchange
from rolecall.spec.model import Operation
from rolecall.tokens import Caller
from rolecall.toolkit.things import Request
from rolecall.toolkit.world import World

#: How often it is looked for: any change may end what a server remembers, and tests run side by
#: side.
_ROUNDS = 3


async def against_the_table(
    world: World, operation: Operation, caller: Caller, *, may: bool
) -> Exchange | None:
    """The answer to a plain read that is not what the table says of a caller who ``may``, or may
    not, when somebody of whom it says the contrary has just asked; None where there is no such one.
    """
    other = await _of_another_right(world, operation, may=may)
    request = await world.request(operation, caller)
    for _ in range(_ROUNDS):
        if other:
            await world.perform(request, other)
        answer = await world.perform(request, caller)
        if not (world.dialect.allows if may else world.dialect.denies)(operation, answer):
            return answer
    return None


async def after_one_who_may(world: World, request: Request, caller: Caller) -> Exchange:
    """The answer to a plain request right after the highest role has asked for the same.

    A delete is not: what is gone cannot be denied.
    """
    operation = request.operation
    if operation.effect != "delete":
        highest = await world.user(world.highest)
        await world.perform(await world.request(operation, highest, request.fixture), highest)
    return await world.perform(request, caller)


async def _of_another_right(world: World, operation: Operation, *, may: bool) -> Caller | None:
    """The highest role that may, for a caller who may not; for one who may, the highest of those
    that may not.
    """
    allowed = world.spec.allowed_roles(operation.name)
    others = [role for role in world.roles if (role in allowed) is not may]
    return await world.user(others[-1]) if others else None
