"""New users whom a target does not know everywhere at once, in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.toolkit.new_users import NewUsers
from tests.support.exchanges import exchange

DIALECT: Any = SimpleNamespace(consistency=0.4, anonymous=(401,), gone=(404,))


def answering(*statuses: int, sent: list[int]) -> Callable[[], Awaitable[Exchange]]:
    """Ask: these answers in turn, and the last of them for ever."""

    async def ask() -> Exchange:
        sent.append(statuses[min(len(sent), len(statuses) - 1)])
        return exchange(status=sent[-1])

    return ask


@pytest.mark.parametrize(
    ("statuses", "looks"),
    [
        ([200], 1),
        ([401, 200], 2),
        ([403, 404, 200], 3),
        ([423], 1),
        ([429], 1),
        ([500], 1),
    ],
)
def test_a_log_in_that_is_late(statuses: list[int], looks: int) -> None:
    """The first log-in of a new user is tried again where it is refused, but not where the account
    is locked or the server has trouble.
    """
    sent: list[int] = []

    answer = asyncio.run(
        NewUsers(DIALECT).log_in(answering(*statuses, sent=sent), time.monotonic())
    )

    assert (answer.status, len(sent)) == (statuses[-1], looks)


def settled(users: NewUsers, *statuses: int) -> int:
    """Let a new user settle, who is answered so; how often it was asked."""
    sent: list[int] = []
    asyncio.run(users.settle(answering(*statuses, sent=sent), time.monotonic()))
    return len(sent)


def test_one_user_shows_that_users_are_prompt() -> None:
    """Where the first user's token works at once, or is denied something, no other is asked."""
    for status in (200, 403):
        users = NewUsers(DIALECT)

        assert (settled(users, status), settled(users, 401, 200)) == (1, 0)


def test_one_user_shows_that_users_are_late() -> None:
    """Where the first user's token works after a moment, each one is waited for."""
    users = NewUsers(DIALECT)

    assert (settled(users, 401, 200), settled(users, 404, 404, 200)) == (2, 3)


def test_a_token_that_never_works_is_waited_for_once() -> None:
    """Where the first user's token never works, that is for the tests to judge."""
    users = NewUsers(DIALECT)

    assert (settled(users, 401) > 1, settled(users, 401)) == (True, 0)


def test_users_who_cannot_log_in_are_made_three_times() -> None:
    """A role's users are not made any more when three were refused, and none ever logged in; other
    trouble is no refusal.
    """
    users = NewUsers(DIALECT)
    for status in (403, 500, 403):
        users.logged_in("guest", exchange(status=status), could=False)
    assert users.refusal("guest") is None

    users.logged_in("guest", exchange(status=403), could=False)

    assert users.refusal("guest") is not None
    assert users.refusal("agent") is None
    users.logged_in("guest", exchange(status=200), could=True)
    assert users.refusal("guest") is None


def test_seats_that_come_to_an_end() -> None:
    """Users of a role can be made as long as the last one that was wanted was made and logged in;
    what became of another role says nothing.
    """
    users = NewUsers(DIALECT)
    users.logged_in("guest", exchange(status=200), could=True)
    users.wanted("admin", made=False)
    assert users.could("guest")

    users.wanted("guest", made=False)
    assert not users.could("guest")

    users.wanted("guest", made=True)
    assert users.could("guest")
