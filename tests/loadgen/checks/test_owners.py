"""Whose tokens an account is given, where its log-ins contradict each other."""

from __future__ import annotations

from collections.abc import Iterable

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks.across_workers import AcrossWorkers
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.sessions import SessionGrant
from rolecall.loadgen.checks.violations import Violations
from tests.support.token_answers import (
    ADA,
    BEA,
    LOGIN,
    OTHER,
    USER,
    answer,
    document,
    found,
    looking,
)

THIRD = "6a0000000000000000000001"


def log_in(invariants: Invariants, user: str, account: LoadAccount = ADA) -> SessionGrant:
    """A log-in that is answered with this user's tokens."""
    grant = invariants.logged_in(invariants.log_in(account), answer(document(user)), LOGIN)
    assert grant is not None
    return grant


def several(users: Iterable[str], invariants: Invariants | None = None) -> Invariants:
    """Log-ins of one account that are answered with tokens of these users."""
    invariants = invariants or looking()
    for user in users:
        log_in(invariants, user)
    return invariants


def messages(invariants: Invariants) -> list[str]:
    """What is said of the violations."""
    return [violation.message for violation in invariants.violations.samples]


def test_one_wrong_answer_is_one_violation_also_where_it_was_the_first() -> None:
    """Of an account whose first log-in was answered wrong no right answer is accused."""
    invariants = several([OTHER, *[USER] * 50])

    assert found(invariants) == {"another-user": 1}
    assert OTHER in messages(invariants)[0]
    assert USER in messages(invariants)[0]
    assert log_in(invariants, USER).sound


def test_as_many_are_counted_as_differ_from_most() -> None:
    """What is counted are the answers that differ from what most say, in any order."""
    for users, count in (
        ([USER, OTHER, USER, USER, OTHER, USER], 2),
        ([OTHER, OTHER, *[USER] * 9], 2),
        ([USER, OTHER, THIRD, USER, USER], 2),
        ([OTHER, USER, USER, OTHER, USER], 2),
        ([OTHER, USER, OTHER, USER], 2),
    ):
        assert found(several(users)) == {"another-user": count}, users


def test_log_ins_that_named_nobody_are_no_majority() -> None:
    """Refused log-ins, and answers that cannot be read, do not speak for the first user."""
    invariants = looking()
    for _ in range(9):
        invariants.logged_in(invariants.log_in(ADA), answer(status=401), LOGIN)
        invariants.logged_in(invariants.log_in(ADA), answer(b"{"), LOGIN)

    several([OTHER, *[USER] * 5], invariants)

    assert found(invariants) == {"shape": 9, "another-user": 1}


def test_the_user_of_another_account_is_told_once() -> None:
    """Where the wrong first answer is another account's user, that is one violation over both."""
    invariants = several([OTHER])
    log_in(invariants, OTHER, BEA)

    grant = log_in(invariants, USER)

    assert not grant.sound  # whose it is was not known then
    several([USER] * 9, invariants)
    for _ in range(9):
        log_in(invariants, OTHER, BEA)
    assert found(invariants) == {"another-user": 1}
    assert invariants.users == {USER, OTHER}
    log_in(invariants, USER, BEA)
    assert found(invariants) == {"another-user": 2}  # of an answer of its own it is told


def test_an_account_that_says_who_it_is_learns_nothing() -> None:
    """Where the user is known beforehand, every other one is wrong, however often it comes."""
    invariants = looking()
    account = LoadAccount("ada@example.org", "x", "agent", user=USER)

    for _ in range(5):
        log_in(invariants, OTHER, account)

    assert found(invariants) == {"another-user": 5}


def test_a_session_of_the_wrong_answer_goes_on_as_what_it_is() -> None:
    """A refresh that keeps the user of its session is right, also where the log-in was wrong; and
    nobody goes on with it.
    """
    invariants = looking()
    first = log_in(invariants, OTHER)
    several([USER] * 3, invariants)

    given = invariants.refreshed(invariants.refresh(first, "POST"), answer(document(OTHER)), LOGIN)

    assert given is not None
    assert not given.sound
    assert found(invariants) == {"another-user": 1}


def test_workers_tell_whom_an_account_is_in_the_end() -> None:
    """The master is told of the user that most log-ins named, too."""
    violations = Violations()
    master, worker, another = AcrossWorkers(violations), looking(tells=True), looking(tells=True)
    several([OTHER, *[USER] * 3], worker)
    log_in(another, USER, BEA)

    for one in (worker, another):
        master.merge(one.take())

    assert violations.counts == {"another-user": 1}
