"""Users at whom an exception would show: who may do what to a user is said of all users alike.

An exception is mostly made by the role of the user whom a request is about: agents are let in at
guests, whom they look after, and admins are kept out at admins, who are protected. So what a role
may not do is tried on a user of the lowest role, and what it may on one of the highest.
"""

from __future__ import annotations

from rolecall.evidence import note
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.spec.model import TOKEN, Operation
from rolecall.tokens import Caller
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.throwaway_users import make_user
from rolecall.toolkit.world import World


async def user_of_role(world: World, role: str) -> Fixture | None:
    """A new user of a role for one test alone; None where the target makes none with a role."""
    fixture = (await make_user(world, role=role))[2]
    return await world.wait_for(fixture) if fixture else None


async def on_own_thing(world: World, operation: Operation, caller: Caller) -> Request:
    """The request of a write on a thing made for this test alone; a user is one who tells."""
    is_about_others = operation.effect in ("update", "delete") and not operation.is_self
    if operation.resource.name == "user" and is_about_others:
        may = world.spec.allows(operation.name, caller.role)
        role = world.highest if may else world.roles[0]
        if fixture := await user_of_role(world, role):
            note(f"on a user with the role {role}")
            return await world.request(operation, caller, fixture)
    return await world.request_on_own_fixture(operation, caller)


def another_account(world: World, operation: Operation, role: str, turn: int) -> str:
    """The role of an account whose user a denied fetch of a user is tried on: at each turn another
    one, those nearest to the lowest and to the highest role first; "" for other operations.
    """
    if operation.resource.name != "user" or operation.effect != "fetch":
        return ""
    others = [other for other in world.roles if other != role]
    return others[-(turn // 2) - 1 if turn % 2 else turn // 2 % len(others)]


async def user_of_account(world: World, role: str) -> Fixture | None:
    """The user of an account, to be looked at and not changed; None where no answer tells it."""
    try:
        id = (await world.user(role)).user if role else ""
    except TransientFailure:
        raise
    except (Inconclusive, NotTested):
        return None
    return Fixture(world.spec.resources["user"], id, "") if id else None


async def protected_account(world: World, operation: Operation, caller: Caller) -> Fixture | None:
    """The user of the highest role's account, for a fetch by a lower role that may; else None."""
    is_of_user = operation.name == "fetch-user" and caller.credential == TOKEN
    if not is_of_user or caller.role == world.highest or operation.name in world.target.fixtures:
        return None
    return await user_of_account(world, world.highest)
