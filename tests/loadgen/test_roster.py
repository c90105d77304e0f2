"""A client that keeps a session has an account of its own while there are enough."""

from __future__ import annotations

from itertools import islice

import pytest

from rolecall.loadgen.accounts import LoadAccount, are_shared, share
from rolecall.loadgen.roster import Roster

ROLES = ("guest", "agent", "bot", "admin")


def roster(count: int) -> Roster:
    """So many accounts, the roles in turn."""
    return Roster(
        [
            (LoadAccount(f"{number}@example.org", "x", ROLES[number % 4]), b"%d" % number)
            for number in range(count)
        ]
    )


def turns(of: Roster, count: int) -> list[int]:
    """The numbers of those who are logged in next."""
    return [int(request) for _, request in islice(of, count)]


def test_all_are_logged_in_in_turn() -> None:
    """Where no account is held, all are logged in, one after the other, for ever."""
    accounts = roster(5)
    accounts.take_turns()

    assert turns(accounts, 12) == [*range(5), *range(5), 0, 1]


def test_all_are_held_once_before_one_is_held_twice() -> None:
    """Each holder has an account alone while there are enough, and all are used."""
    accounts = roster(4)

    held = [int(accounts.hold()[1]) for _ in range(8)]

    assert sorted(held[:4]) == sorted(held[4:]) == [0, 1, 2, 3]


def test_who_gives_back_is_given_another_one() -> None:
    """The account that was given back is the last one to be held again: something may still be
    under way on it.
    """
    accounts = roster(3)
    first = accounts.hold()
    accounts.give_back(first)

    held = [accounts.hold() for _ in range(3)]

    assert held[-1] == first
    assert len(set(map(id, held))) == 3


@pytest.mark.parametrize("is_held_first", [True, False])
def test_those_who_hold_and_those_who_log_in_time_and_again(is_held_first: bool) -> None:
    """Where there are both, one in ten is logged in in turn, which from then on is not held; of
    four one, and a single one is both.
    """
    for count, several in ((40, 4), (4, 1)):
        accounts = roster(count)
        first = accounts.hold() if is_held_first else None
        accounts.take_turns()
        if first:
            accounts.give_back(first)
        held = {int(accounts.hold()[1]) for _ in range(3 * count)}
        assert held.isdisjoint(turns(accounts, 3 * count))
        assert len(held) == count - several

    accounts = roster(1)
    accounts.take_turns()
    assert int(accounts.hold()[1]) == next(iter(turns(accounts, 1))) == 0


def test_one_of_each_role_is_reserved_where_there_are_others() -> None:
    """The account that tries a role's cells is not logged in elsewhere, unless it is alone."""
    accounts = roster(7)  # one admin

    reserved = {int(account.email[0]) for account in accounts.reserve()}

    assert reserved == {3, 4, 5, 6}
    assert set(turns(accounts, 20)) == {0, 1, 2, 3}


def test_which_accounts_are_those_of_several_workers() -> None:
    """What is said of an account to be shared is what comes of sharing them out."""
    for count in range(1, 6):
        everybody = [LoadAccount(f"{number}@example.org", "x", "guest") for number in range(count)]
        for workers in range(1, 14):
            shares = [set(share(everybody, worker, workers)) for worker in range(workers)]
            for worker, mine in enumerate(shares):
                others = set[LoadAccount]().union(*shares[:worker], *shares[worker + 1 :])
                assert are_shared(everybody, worker, workers) is bool(mine & others)
