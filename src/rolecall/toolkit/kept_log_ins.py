"""Users that go on logging in with the e-mail and password that they were made with."""

from __future__ import annotations

import json

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.target import Account
from rolecall.tokens import Grant
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.throwaway_users import throwaway_user
from rolecall.toolkit.world import World


async def log_in(world: World, user: Fixture, since: float) -> Exchange:
    """The log-in of a user with what the run made it with; ``since``: when it was last changed."""
    made = json.loads(user.made_by.request_body) if user.made_by else {}
    role = world.roles[0]
    account = Account(role, role, str(made.get("email")), str(made.get("password")))
    return cite(
        await world.new_users.log_in(lambda: world.tokens.issue(account), since), "observation"
    )


async def expect_log_in(world: World, user: Fixture, role: str, updated: Exchange) -> None:
    """A user of a role of whom other members were updated logs in as it was made.

    Raises:
        Finding: it does not, and one that was not updated does.
    """
    login = await log_in(world, user, updated.finished)
    if Grant.of(login).token:
        return
    try:
        await throwaway_user(world, role)
    except NotTested:  # the target lets nobody in whom a run made
        return
    raise Finding(
        "a user who logs in as before", f"{updated.status}, and the log-in {login.status}", updated
    )


async def expect_undeleted_log_in(world: World, user: Fixture, refused: Exchange) -> None:
    """A user who was made and updated, and whom nobody was let delete, logs in.

    Raises:
        Finding: it does not, and another one who was made and updated alike does.
    """
    login = await log_in(world, user, refused.finished)
    if Grant.of(login).token:
        return
    try:
        twin, admin = await world.fresh("user"), await world.user(world.highest)
        update = await world.request(world.spec.operations["update-user"], admin, twin)
        updated = await world.perform(update, admin)
    except Inconclusive:  # none can be made
        return
    if Grant.of(await log_in(world, twin, updated.finished)).token:
        raise Finding(
            f"{user} logged in as before: deletes refused",
            f"{refused.status}, and the log-in {login.status}",
            refused,
        )
