"""Wrong passwords are spread over users, so that a server that locks accounts locks none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rolecall.target import Account
from rolecall.toolkit import throwaway_users
from rolecall.toolkit.throwaway_users import Pool, ThrowawayUser, attackable
from rolecall.toolkit.world import Attacks, World


def test_no_user_gets_more_than_three_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user on whom three wrong passwords were tried has none any more before its next good
    log-in, though the run has few users.
    """
    row = {"one@example.org": 0, "two@example.org": 0}
    users = [SimpleNamespace(account=Account(email, "guest", email, "right")) for email in row]
    world = SimpleNamespace(
        attacks=Attacks(), roles=("guest",), pools={"guest": Pool(cast(Any, users))}
    )

    async def logged_in(world: World, user: ThrowawayUser) -> None:
        row[user.account.email] = 0
        world.attacks.refused.discard(user.account.email)

    async def another(world: World, role: str) -> ThrowawayUser:
        row["three@example.org"] = 0
        account = Account("three@example.org", role, "three@example.org", "right")
        return cast(ThrowawayUser, SimpleNamespace(account=account))

    monkeypatch.setattr(throwaway_users, "only_session", logged_in)
    monkeypatch.setattr(throwaway_users, "throwaway_user", another)

    async def guess() -> None:
        for _ in range(40):
            user = await attackable(cast(World, world))
            row[user.account.email] += 1
            assert max(row.values()) <= 3

    asyncio.run(guess())
