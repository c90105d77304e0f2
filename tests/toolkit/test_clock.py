"""The target's clock ends where it was, or the report names it.

Longer than 400 lines because
one clock is followed through every way in which a hook may fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest

from rolecall.errors import Unreachable
from rolecall.evidence import Exchange
from rolecall.ledger import LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.tokens import Grant
from rolecall.toolkit.clock import (
    ClockMove,
    ClockReading,
    by_date,
    date_of,
    shift_of,
    time_of_target,
)
from tests.support.exchanges import exchange
from tests.support.timed_target import DAY, LOST, STAYS, TimedTarget, in_turn, refusing

MINUTE = 60


async def moves(timed: TimedTarget, *seconds: float) -> None:
    """Move its clock, whatever the hook answers."""
    for distance in seconds:
        try:
            await timed.expiry.clock.move(distance)
        except Inconclusive:
            continue


def there_and_back(timed: TimedTarget, *seconds: float) -> None:
    """Move its clock, whatever the hook answers, and put it back as at the end of a run."""

    async def story() -> None:
        await moves(timed, *seconds)
        await timed.expiry.clock.put_back(60)

    asyncio.run(story())


# --- What the target's time tells --------------------------------------------------------------


def moved(*seconds: tuple[float, bool | None]) -> list[ClockMove]:
    """Moves, and what was answered to each."""
    return [
        ClockMove(distance, LedgerEntry(1, "change of the clock", ""), done)
        for distance, done in seconds
    ]


@pytest.mark.parametrize(
    ("sent", "shown", "expected"),
    [
        ([(86340, True)], 86340.7, 86340),
        ([(86340, None)], 86341.2, 86340),
        ([(86340, None)], -0.8, 0),
        ([(86340, True), (120, None)], 86340, 86340),
        ([(86340, True), (120, None)], 86460, 86460),
        ([(86340, True), (120, True)], 0.4, 0),
        ([(86340, None), (120, None), (-86460, None)], -120, -120),
        ([(86340, True)], 86.3, None),
        ([(86340, True)], 80000, None),
        ([(1, True), (120, True)], 120.4, 121),
        ([(1, False), (120, True)], 120.6, 120),
        ([], 0.3, 0),
    ],
)
def test_which_moves_happened(
    sent: list[tuple[float, bool | None]], shown: float, expected: float | None
) -> None:
    """What happened is the sum of moves nearest to what the target's time shows; the answers decide
    where that is close.
    """
    assert shift_of(moved(*sent), shown - 1, shown + 1) == expected


def test_many_moves_are_no_burden() -> None:
    """What happened among forty moves that were not answered is found at once: equal sums are
    looked at once.
    """
    sent = moved(*[(86340, None), (120, None)] * 20)

    assert shift_of(sent, 20 * 86460 - 1, 20 * 86460 + 1) == 20 * 86460


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 784111777),
        ("", None),
        ("yesterday", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_dates_in_every_form(header: str, moment: float | None) -> None:
    """A Date is read in all three forms of RFC 9110 5.6.7, each of them in UTC; one that is no date
    is none, and breaks nothing.
    """
    answer = exchange(headers=[("Date", header)])

    assert date_of(answer) == moment


def test_a_date_of_a_whole_second_is_read_with_its_doubt() -> None:
    """A Date was written between request and answer, in whole seconds, and some servers write it
    once a second only.
    """
    answer = exchange(
        headers=[("Date", "Sun, 06 Nov 1994 08:49:37 GMT")], started=100.0, finished=100.5
    )

    assert by_date(answer) == ClockReading(784111777 - 100.5, 784111779 - 100.0)


@pytest.mark.parametrize("age", [0, 30, 3600])
def test_an_old_token_leaves_the_time_open(age: int, timed: TimedTarget) -> None:
    """Where a log-in gives a token of an hour ago, the time is between that and the Date, and says
    too little to judge by; else it is that of the token.
    """
    answer = timed.answered("POST", "/v2/auth/token", 200)
    answer.body = timed.token_answer("admin", iat=int(timed.now) - age)

    read = time_of_target(Grant.of(answer))

    assert read.is_vague is (age == 3600)
    assert read.earliest(timed.elapsed) < timed.now - age + 1
    assert read.latest(timed.elapsed) > timed.now - (age if age < 60 else 0) - 1


def test_a_time_with_a_fraction(timed: TimedTarget) -> None:
    """An iat may have a fraction (RFC 7519 2), and tells the time as well as another."""
    timed.dates = False
    answer = timed.answered("POST", "/v2/auth/token", 200)
    answer.body = timed.token_answer("admin", iat=timed.now - 0.01)

    assert abs(time_of_target(Grant.of(answer)).earliest(timed.elapsed) - timed.now) < 1.5


# --- Moves that are undone ---------------------------------------------------------------------


#: What becomes of the moves' answers, and of the moves.
FATES: dict[str, tuple[object, ...]] = {
    "all-well": (),
    "first-answer-lost": (LOST,),
    "second-answer-lost": (None, LOST),
    "both-answers-lost": (LOST, LOST),
    "answer-of-the-way-back-lost": (None, None, LOST),
    "all-answers-lost": (LOST, LOST, LOST, LOST),
    "first-not-done": (STAYS,),
    "nothing-done": (STAYS, STAYS),
    "way-back-not-done": (None, None, STAYS),
    "second-refused": (None, refusing(404)),
    "first-failed": (refusing(500),),
    "first-throttled": (refusing(429, retry_after="1"),),
    "way-back-refused-twice": (None, None, refusing(500), refusing(500)),
}


@pytest.mark.parametrize(
    ("fate", "shown_by"),
    # A Date that never followed a move may be a proxy's: it alone proves nothing.
    [
        pair
        for pair in itertools.product(FATES, ("both", "iat", "Date"))
        if pair != ("nothing-done", "Date")
    ],
)
def test_the_clock_ends_where_it_was(fate: str, shown_by: str, timed: TimedTarget) -> None:
    """Whatever becomes of moves and answers, the clock is exactly where it was in the end, and
    nothing is left behind.
    """
    timed.hook = in_turn(*FATES[fate])
    timed.dates, timed.issues = shown_by != "iat", shown_by != "Date"

    there_and_back(timed, DAY - MINUTE, 2 * MINUTE)

    assert timed.offset == 0
    assert timed.expiry.clock.left() == []
    assert list(timed.ledger.doubtful) == []


def test_a_move_is_in_the_ledger_before_it_leaves(timed: TimedTarget) -> None:
    """Each move of the clock stands in the ledger, with its seconds, when its request leaves."""
    seen: list[list[str]] = []
    timed.hook = lambda exchange: seen.append([entry.name for entry in timed.ledger.doubtful])

    asyncio.run(moves(timed, DAY - MINUTE, 2 * MINUTE))

    assert seen == [["+86340 s"], ["+120 s", "+86340 s"]]
    (left,) = timed.expiry.clock.left()
    assert left.startswith("the target's clock, moved by 86460 s")
    assert '{"advance": -86460}' in left


def test_whole_seconds_are_sent_as_such(timed: TimedTarget) -> None:
    """A hook that takes whole numbers only gets them."""
    there_and_back(timed, 86340.0)

    assert [type(seconds) for seconds in timed.moved] == [int, int]


def test_a_target_that_was_gone_for_a_while(timed: TimedTarget) -> None:
    """While a target with a moved clock does not answer it is asked again; when it is back, so is
    its clock.
    """
    gone = Unreachable("http://target.example", "cannot be reached")

    async def story() -> None:
        await moves(timed, DAY - MINUTE)
        timed.world.client.dead, timed.login = gone, in_turn(gone, LOST, gone, gone)
        began = timed.elapsed
        await timed.expiry.clock.put_back(60)
        assert timed.elapsed - began < 60

    asyncio.run(story())

    assert (timed.offset, timed.expiry.clock.left()) == (0, [])


def test_a_target_that_is_gone_for_good(timed: TimedTarget) -> None:
    """A clock that cannot be put back in the time there is gets named: by how much it is ahead,
    why, and what to do.
    """
    timed.ledger.intend("contact", "rolecall-1")

    async def story() -> float:
        await moves(timed, DAY - MINUTE)
        timed.login = in_turn(*[Unreachable("http://target.example", "cannot be reached")] * 100)
        began = timed.elapsed
        await timed.expiry.clock.put_back(60)
        return timed.elapsed - began

    assert asyncio.run(story()) <= 60

    (left,) = timed.expiry.clock.left()
    assert left == (
        "the target's clock, moved by 86340 s: http://target.example cannot be reached; "
        'put it back (POST {"advance": -86340} to [expiry] clock_url)'
    )


def test_a_clock_that_does_not_go_back(timed: TimedTarget) -> None:
    """A hook that will not move back gets three chances, and then the report names the clock."""
    timed.hook = lambda exchange: None if len(timed.moved) == 1 else refusing(500)(exchange)

    there_and_back(timed, DAY - MINUTE)

    assert timed.moved == [DAY - MINUTE, *[MINUTE - DAY] * 3]
    (left,) = timed.expiry.clock.left()
    assert left.startswith(
        "the target's clock, moved by 86340 s: missing: a clock that moves: POST /__clock"
    )


def test_a_clock_that_goes_elsewhere(timed: TimedTarget) -> None:
    """A hook that moves the clock by another distance than it was asked for is not called any more,
    and is named.
    """

    def in_milliseconds(exchange: Exchange) -> None:
        timed.offset = timed.moved[-1] / 1000

    timed.hook = in_milliseconds

    there_and_back(timed, DAY - MINUTE)

    assert timed.moved == [DAY - MINUTE]
    (left,) = timed.expiry.clock.left()
    assert left.startswith(
        "the target's clock, perhaps moved (sent: +86340 s (answered with success), and its time "
        "shows +8"
    )


def test_a_blind_target_is_believed_once(timed: TimedTarget) -> None:
    """Where nothing shows the target's time any more, what it says that it did is undone, and named
    as not proven.
    """
    timed.issues = False

    def proxied(exchange: Exchange) -> None:
        exchange.headers = [("date", "Tue, 14 Nov 2023 22:30:00 GMT")]

    timed.login = proxied

    there_and_back(timed, DAY - MINUTE)

    assert timed.offset == 0
    (left,) = timed.expiry.clock.left()
    assert left.startswith(
        "the target's clock, perhaps moved (sent: +86340 s (answered with success), -86340 s "
        "(answered"
    )


def test_a_proxys_date_does_not_hide_that_the_clock_moved(timed: TimedTarget) -> None:
    """A Date that stands still beside an iat that moved is a proxy's: the clock is put back all the
    same.
    """
    real = timed.answered

    def proxied(*arguments: Any, **facts: Any) -> Exchange:
        offset, timed.offset = timed.offset, 0
        answer = real(*arguments, **facts)
        timed.offset = offset
        return answer

    timed.answered = proxied  # type: ignore[method-assign]  # this one's own

    there_and_back(timed, DAY - MINUTE)

    assert (timed.offset, timed.expiry.clock.left()) == (0, [])


def test_a_refused_login_shows_the_time_by_its_date(timed: TimedTarget) -> None:
    """Where no log-in succeeds while the clock is ahead, the Date of the refusals leads it back."""

    async def story() -> None:
        await moves(timed, DAY - MINUTE)
        timed.login = lambda exchange: refusing(401)(exchange) if timed.offset else None
        await timed.expiry.clock.put_back(60)

    asyncio.run(story())

    assert (timed.offset, timed.expiry.clock.left()) == (0, [])


def test_a_token_that_comes_again_is_no_clock(timed: TimedTarget) -> None:
    """A target that gives out the same token until it ends says nothing of the time by it: its Date
    does.
    """
    body = timed.token_answer("admin")

    def same(exchange: Exchange) -> None:
        exchange.body = body

    timed.login = same

    async def story() -> None:
        await moves(timed, DAY - 2 * MINUTE)
        assert timed.expiry.clock.shift(await timed.expiry.clock.look()) == DAY - 2 * MINUTE
        await timed.expiry.clock.put_back(60)

    asyncio.run(story())

    assert (timed.offset, timed.expiry.clock.left()) == (0, [])


def test_a_clock_that_cannot_be_read_is_not_moved(timed: TimedTarget) -> None:
    """A clock without a Date header and iat is not moved, since it could not be put back."""
    timed.dates = timed.issues = False

    with pytest.raises(NotTested, match="neither a Date header nor a token's iat"):
        asyncio.run(timed.expiry.clock.move(DAY))

    assert timed.moved == []


def test_a_read_only_run_moves_no_clock(timed: TimedTarget) -> None:
    """--read-only sends nothing that writes, and the hook writes."""
    timed.world.read_only = True

    with pytest.raises(NotTested, match="--read-only"):
        asyncio.run(timed.expiry.clock.move(DAY))

    assert (timed.moved, timed.sent) == ([], [])


def test_a_throttled_hook_is_trouble(timed: TimedTarget) -> None:
    """A hook that asks to wait (429) is tried again later, and that says nothing of the whole
    target.
    """
    timed.hook = refusing(429)

    with pytest.raises(TransientFailure):
        asyncio.run(timed.expiry.clock.move(DAY))


@pytest.mark.parametrize(("left", "sent"), [(5, []), (6, [MINUTE, MINUTE, -2 * MINUTE])])
def test_no_move_without_a_way_back(timed: TimedTarget, left: int, sent: list[float]) -> None:
    """Where an account sees the time, the clock is moved only while log-ins are left to see it put
    back: of the last ones none is spent on a move.
    """
    timed.log_ins_left = left

    async def story() -> None:
        with contextlib.suppress(NotTested):
            await timed.expiry.clock.move(MINUTE)
            timed.log_ins_left = 4
            await timed.expiry.clock.move(MINUTE)
            timed.log_ins_left = 3
            await timed.expiry.clock.move(MINUTE)
        await timed.expiry.clock.put_back(60)

    asyncio.run(story())

    assert (timed.moved, timed.expiry.clock.left()) == (sent, [])
