"""Which tests may log an account in, where the run can make no users."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.http.login_budget import MOST_GRANTED, LogInBudget
from rolecall.outcomes import NotTested
from rolecall.target import Account, ExpiryOptions
from rolecall.toolkit.account_sessions import account_session
from rolecall.toolkit.world import World
from tests.unit.shelves import Shelves

ROLES = ("guest", "agent", "admin")
NOBODY = NotTested("a user of one's own: none can be made")
CLOCK = ExpiryOptions(clock_url="http://x/")


def granted(
    role: str,
    level: str = "must",
    *,
    is_last: bool = False,
    expiry: ExpiryOptions = CLOCK,
    nobody_new: bool = False,
) -> int:
    """How many sessions of a role's account tests of a level get; each costs a log-in."""
    sent: list[str] = []

    world: Any = SimpleNamespace(
        roles=ROLES,
        highest=ROLES[-1],
        target=SimpleNamespace(expiry=expiry),
        account=lambda name: Account(name, name, name, "Sesame"),
        gate=SimpleNamespace(log_ins=SimpleNamespace(left=lambda name: 14 - len(sent))),
        new_users=SimpleNamespace(could=lambda role: not nobody_new),
        fresh_caller=AsyncMock(side_effect=sent.append),
        user=AsyncMock(),
        fetch_self=AsyncMock(),  # let in
        lone=set(),
    )

    async def story() -> None:
        with Evidence.collect("a test") as test:
            test.level, test.is_last = level, is_last
            while len(sent) < 14:
                await account_session(world, role, NOBODY)

    try:
        asyncio.run(story())
    except NotTested as none:
        assert str(none) == (
            f"none can be made, and the log-ins to [accounts.{role}] that are left are for tests "
            "that need them more"
        )
    return len(sent)


@pytest.mark.parametrize(
    ("level", "sessions"), [("must", 10), ("derived", 6), ("hardening", 2), ("observe", 2)]
)
def test_a_level_leaves_log_ins_to_those_above(level: str, sessions: int) -> None:
    """Of the lowest role, which most tests want, what decides less gets fewer sessions; some are
    left to the tests of expiry, which get all of them.
    """
    assert granted("guest", level) == sessions
    assert granted("guest", level, is_last=True) == 14


def test_without_a_way_to_expiry_nothing_is_left_to_it() -> None:
    """Where the target file names no way to an expired token, all log-ins are for the others."""
    assert granted("guest", expiry=ExpiryOptions()) == 14


def test_the_highest_role_tidies_up() -> None:
    """Of the highest role's account some log-ins are left to the clock and the tidy-up; more where
    nobody else can see the time.
    """
    assert granted("agent") == 13
    assert granted("admin") == 10
    assert granted("admin", nobody_new=True) == 3
    assert granted("admin", is_last=True) == 11


@pytest.mark.parametrize("at_most", [1, 2, 3])
def test_where_log_ins_end_sessions_there_are_none_to_give(at_most: int) -> None:
    """Sessions are given as long as the one that the run shares lives on; a log-in that has ended
    it is told, and the run goes on with the new one.
    """
    target = Shelves()
    target.put("user", "user-of-guest")
    latest: list[str] = []

    def log_in(exchange: Exchange) -> tuple[int, Any]:
        status, document = target.grant(json.loads(exchange.request_body))
        latest.append(document["token"])
        return status, document

    def look(exchange: Exchange) -> Any:
        bearer = exchange.request_headers["authorization"].removeprefix("Bearer ")
        return ... if bearer in latest[-at_most:] else (401, None)

    target.instead |= {"POST /v2/auth/token": log_in, "GET /v2/users/user-of-guest": look}

    async def told(world: World) -> tuple[list[str], str, bool]:
        given: list[str] = []
        with pytest.raises(NotTested) as none:
            while len(given) < MOST_GRANTED:
                given.append((await account_session(world, "guest", NOBODY)).token)
        with pytest.raises(NotTested):  # without one more log-in
            await account_session(world, "guest", NOBODY)
        shared = await world.user("guest")
        return given, str(none.value), (await world.fetch_self(shared)).ok

    given, why, is_in = target.after(told)

    assert len(given) == at_most - 1
    assert why == (
        "none can be made, and a log-in to [accounts.guest] ends the account's other sessions"
    )
    assert is_in
    assert len(latest) == at_most + 1


def test_what_is_left_of_a_budget() -> None:
    """The log-ins that are left are those of the budget that were not used; none where the password
    was refused.
    """
    budget = LogInBudget([Account("guest", "guest", "Guest@example.org", "Sesame")])
    body = b'{"email": "guest@example.org", "password": "Sesame"}'
    assert budget.left("guest@example.org") == MOST_GRANTED

    trial = budget.admit("http://x/v2/auth/token", body, "")
    assert trial is not None
    budget.answered(trial, 200)
    assert budget.left("GUEST@example.org") == MOST_GRANTED - 1

    trial = budget.admit("http://x/v2/auth/token", body, "")
    assert trial is not None
    budget.answered(trial, 401)
    assert budget.left("guest@example.org") == 0
