"""The five ways to an expired token, in memory, with a clock that the test sets.

Longer than 400 lines because
the five ways are told on one target in memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode

from rolecall.evidence import Evidence, Exchange
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.toolkit.expired_tokens import ExpiredToken
from tests.support.timed_target import (
    DAY,
    KEY,
    LOST,
    ROLES,
    STAYS,
    Decide,
    TimedTarget,
    in_turn,
    refusing,
)

#: The ways to a token's last minute, as a target file names them.
WAYS = {"clock": {"clock_url": "http://x/"}, "signing key": {"clock_url": "", "signing_key": KEY}}
RESET = TransientFailure(
    "an answer to GET /fetch-user-self: the connection broke", "the connection to the target"
)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Make a target in memory, its target file with these ways under [expiry]."""
    made = []

    def make(**options: Any) -> TimedTarget:
        made.append(TimedTarget(monkeypatch, tmp_path, **options))
        return made[-1]

    yield make
    for target in made:
        target.ledger.close()


@pytest.fixture
def timed(make: Any) -> TimedTarget:
    """One whose clock can be moved."""
    target: TimedTarget = make()
    return target


def sources(timed: TimedTarget, role: str = "guest") -> list[str]:
    """The ways that led to an expired token of a role."""
    return [expired.source for expired in asyncio.run(timed.expiry.tokens(role))]


def minutes(timed: TimedTarget, role: str = "guest") -> list[tuple[str, int]]:
    """The last minutes of a role's tokens: the way, and what was answered."""
    return [
        (almost.source, almost.exchange.status) for almost in asyncio.run(timed.expiry.almost(role))
    ]


def end(timed: TimedTarget) -> None:
    """What comes at the end of a run: the clock is put back."""
    asyncio.run(timed.expiry.clock.put_back(60))
    assert (timed.offset, timed.expiry.clock.left()) == (0, [])


def both(*stories: Coroutine[Any, Any, Any]) -> list[Any]:
    """What stories come to that are told at the same time."""

    async def told() -> list[Any]:
        return await asyncio.gather(*stories, return_exceptions=True)

    return asyncio.run(told())


# --- The clock ---------------------------------------------------------------------------------


def test_a_clock_that_moves(timed: TimedTarget) -> None:
    """A clock that moves gives every role a token in its last minute, and one that has expired with
    its session.
    """
    for role in ROLES:
        assert minutes(timed, role) == [("clock", 200)]
        (expired,) = asyncio.run(timed.expiry.sessions(role))
        assert expired.evidence == "clock, evidence grade A-"

    assert timed.moved == [DAY - 60, 120]
    end(timed)


@pytest.mark.parametrize("kind", [int, float])
def test_iat_may_have_a_fraction(kind: type[float], timed: TimedTarget) -> None:
    """A clock that moved is seen to have moved, whether iat is a whole number or has a fraction
    (RFC 7519 2).
    """

    def fractional(exchange: Exchange) -> None:
        exchange.body = timed.token_answer(
            exchange.caller, iat=kind(timed.now), exp=kind(timed.now) + DAY
        )

    timed.login = fractional

    assert sources(timed) == ["clock"]
    assert minutes(timed) == [("clock", 200)]


def test_a_token_that_dies_too_early(timed: TimedTarget) -> None:
    """A refusal in the last minute, on a clock that is proven to have moved, is kept for the
    judge.
    """
    timed.leeway = -300

    assert minutes(timed) == [("clock", 403)]
    end(timed)


@pytest.mark.parametrize("second", [refusing(404), STAYS], ids=["404", "liar"])
def test_a_clock_that_never_moved_proves_no_last_minute(second: object, timed: TimedTarget) -> None:
    """Tokens that are seconds old are not in their last minute because a hook said 200."""
    timed.leeway = -300
    timed.hook = in_turn(STAYS, second)

    assert (
        both(timed.expiry.almost("guest"), timed.expiry.tokens("guest"))[0].__class__ is NotTested
    )
    with pytest.raises(NotTested, match="clock that move"):
        sources(timed)
    end(timed)


def test_a_clock_that_moves_a_moment_later(timed: TimedTarget) -> None:
    """A hook may take effect a moment after its answer."""
    due: list[float] = []

    def later(exchange: Exchange) -> object:
        due.append(timed.elapsed + 0.2)
        return STAYS

    def catch_up(exchange: Exchange) -> None:
        for at in [at for at in due if at < timed.elapsed]:
            due.remove(at)
            timed.offset += timed.moved[-1]

    timed.hook, timed.login = later, catch_up

    assert minutes(timed) == [("clock", 200)]
    assert sources(timed) == ["clock"]


@pytest.mark.parametrize(
    "fate", [(LOST,), (None, LOST), (LOST, LOST)], ids=["first", "second", "both"]
)
def test_a_move_whose_answer_is_lost_counts_when_it_happened(
    fate: tuple[object, ...], timed: TimedTarget
) -> None:
    """The target's time, and no answer, shows that its clock moved."""
    timed.hook = in_turn(*fate)

    assert minutes(timed) == [("clock", 200)]
    assert sources(timed) == ["clock"]
    assert timed.moved == [DAY - 60, 120]
    end(timed)


def test_a_move_that_was_lost_on_the_way_is_tried_again(timed: TimedTarget) -> None:
    """A move that did not happen, and was not answered, is trouble: the way is gone again from its
    beginning.
    """

    def lost(exchange: Exchange) -> object:
        timed.offset -= timed.moved[-1]
        return LOST

    timed.hook = in_turn(lost)

    assert sources(timed) == ["clock"]
    assert timed.moved == [DAY - 60, DAY - 60, 120]
    end(timed)


def test_a_cached_token_proves_no_last_minute_without_a_date(timed: TimedTarget) -> None:
    """A target that gives out a token until it ends, and sends no Date, proves expiry; its last
    minute stays open.
    """
    timed.dates = False
    given: dict[str, tuple[float, bytes]] = {}

    def cached(exchange: Exchange) -> None:
        if exchange.caller not in given or given[exchange.caller][0] <= timed.now:
            given[exchange.caller] = timed.now + DAY, timed.token_answer(exchange.caller)
        exchange.body = given[exchange.caller][1]

    timed.login = cached

    with pytest.raises(NotTested, match="a clock that can be put back"):
        sources(timed)


def test_a_target_whose_tokens_end_early_by_their_own_word(timed: TimedTarget) -> None:
    """Tokens of an hour are tried a minute before their own end, and count as expired after a
    day.
    """
    timed.lifetime = 3600

    assert minutes(timed) == [("clock", 200)]
    assert sources(timed) == ["clock"]
    assert timed.moved == [3540, DAY + 60 - 3540]


def test_a_target_whose_tokens_end_a_little_later(timed: TimedTarget) -> None:
    """A lifetime may be a minute longer than a day: the clock is moved past the end that the token
    says.
    """
    timed.lifetime = DAY + 50

    assert minutes(timed) == [("clock", 200)]
    assert sources(timed) == ["clock"]
    assert timed.moved == [DAY - 60, 50 + 120]


def test_tokens_that_live_for_less_than_a_minute(timed: TimedTarget) -> None:
    """Tokens of half a minute are in their last minute at once; the clock is moved past their end,
    never back to it.
    """
    timed.lifetime = timed.world.dialect.lifetime = 30

    assert minutes(timed) == [("clock", 200)]
    assert sources(timed) == ["clock"]
    assert timed.moved == [90]


@pytest.mark.parametrize("leeway", [0, 30, 60])
def test_leeway_is_outlasted(leeway: float, timed: TimedTarget) -> None:
    """A minute's leeway is lawful: a token counts as expired when that is over, by whatever
    rounding.
    """
    timed.leeway = leeway + 1  # whole seconds were compared

    (expired,) = asyncio.run(timed.expiry.tokens("guest"))

    (answer,) = both(timed.world.perform(("fetch-user-self", expired.caller), expired.caller))
    assert answer.status == 403


def test_a_read_only_run_goes_no_way_over_the_clock(timed: TimedTarget) -> None:
    """With --read-only the clock is not tested, and not a request is sent for it."""
    timed.world.read_only = True

    with pytest.raises(NotTested, match="--read-only"):
        sources(timed)
    with pytest.raises(NotTested, match="--read-only"):
        minutes(timed)
    assert timed.sent == []


# --- Answers that come too late ----------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_that_was_asked_for_is_not_held_against_the_target(way: str, make: Any) -> None:
    """A 429 in the last minute is waited for, and then a new token is tried: a minute that went by
    says nothing.
    """
    timed: TimedTarget = make(**WAYS[way])
    timed.read = in_turn(refusing(429, retry_after="60"))
    began = timed.elapsed

    assert minutes(timed) == [(way, 200)]
    assert timed.elapsed - began > 60
    assert minutes(timed, "admin") == [(way, 200)]
    assert sources(timed) == [way]
    end(timed)


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_after_the_end_is_no_answer(way: str, make: Any) -> None:
    """A refusal that came when the last minute was over says nothing; the next token is tried, and
    counts.
    """
    timed: TimedTarget = make(**WAYS[way])

    def slow(exchange: Exchange) -> None:
        timed.elapsed += 90
        exchange.finished, exchange.status = timed.elapsed, 403

    timed.read = in_turn(slow)

    assert minutes(timed) == [(way, 200)]
    assert sources(timed) == [way]
    end(timed)


def test_a_target_that_is_always_too_late(timed: TimedTarget) -> None:
    """Where no answer comes in time the last minute is inconclusive, and expiry is proven all the
    same.
    """

    def slow(exchange: Exchange) -> None:
        timed.elapsed += 90
        exchange.finished = timed.elapsed

    timed.read = slow

    with pytest.raises(Inconclusive, match="came later"):
        minutes(timed)
    assert sources(timed) == ["clock"]
    assert len([seconds for seconds in timed.moved if seconds == DAY - 60]) == 3
    end(timed)


def test_a_role_without_an_answer_is_not_passed(timed: TimedTarget) -> None:
    """The admin whose last minute was throttled to the end is inconclusive, not untested beside a
    guest who passed.
    """
    timed.read = lambda exchange: (
        refusing(429)(exchange) if exchange.caller.startswith("admin") else None
    )

    assert minutes(timed, "guest") == [("clock", 200)]
    with pytest.raises(Inconclusive, match=r"in a token's last minute: GET .* -> 429"):
        minutes(timed, "admin")


def test_a_token_that_says_no_end_has_no_last_minute(timed: TimedTarget) -> None:
    """A token without exp and iat is not judged by the clock."""
    timed.issues = False

    with pytest.raises(Inconclusive, match="it does not say when it ends"):
        minutes(timed)
    assert timed.moved == [DAY - 60, 120, -60 - DAY]


# --- Trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_trouble_in_a_way_is_tried_again(way: str, make: Any) -> None:
    """Resets in the last minute are trouble: the way is gone again, and proves what it proves."""
    timed: TimedTarget = make(**WAYS[way])
    timed.read = in_turn(RESET, RESET)

    assert minutes(timed) == [(way, 200)]
    assert sources(timed) == [way]
    end(timed)


def not_forward(timed: TimedTarget) -> Decide:
    """Moves into the future are lost on the way there; those back are not."""

    def decide(exchange: Exchange) -> object:
        if timed.moved[-1] < 0:
            return None
        timed.offset -= timed.moved[-1]
        return LOST

    return decide


def test_trouble_to_the_end_is_inconclusive(timed: TimedTarget) -> None:
    """Where trouble stands in the only way to the end, nothing is "not tested": it is inconclusive,
    and says why.
    """
    timed.hook = not_forward(timed)

    for story in (timed.expiry.tokens, timed.expiry.sessions, timed.expiry.almost):
        (told,) = both(story("guest"))
        assert type(told) is Inconclusive
        assert "the connection broke" in str(told)
    assert timed.moved == [DAY - 60] * 3
    end(timed)


def test_the_other_ways_count_beside_trouble(make: Any) -> None:
    """Where one way is troubled and another is not, the other one proves what it proves, and the
    report names the trouble.
    """
    timed: TimedTarget = make(signing_key=KEY)
    timed.hook = not_forward(timed)

    with Evidence.collect() as pieces:
        assert sources(timed) == ["signing key"]
    assert [note for note in pieces.notes if "one way to an expired token failed" in note]
    (told,) = both(timed.expiry.sessions("guest"))
    assert type(told) is Inconclusive


def test_a_bank_that_broke_meanwhile_is_no_end_of_the_other_ways(make: Any, tmp_path: Path) -> None:
    """A bank that cannot be used any more closes its own way only."""
    (tmp_path / "bank").write_text("a file in its place")
    timed: TimedTarget = make(bank=tmp_path / "bank")

    assert sources(timed) == ["clock"]


# --- Wait --------------------------------------------------------------------------------------


def waiting(make: Any, leeway: float) -> tuple[list[ExpiredToken], TimedTarget, float]:
    """What waiting for tokens of five seconds gives, and how long it took."""
    timed: TimedTarget = make(clock_url="", wait=10.0)
    timed.lifetime, timed.leeway = 5, leeway
    began = timed.elapsed
    return asyncio.run(timed.expiry.tokens("guest")), timed, timed.elapsed - began


@pytest.mark.parametrize(("leeway", "longest"), [(0, 9), (30, 45), (60, 72), (DAY, 75)])
def test_the_leeway_of_short_lived_tokens_is_waited_for(
    leeway: float, longest: float, make: Any
) -> None:
    """A token that one waits for counts as expired when it is refused, or when a minute's lawful
    leeway is over.
    """
    (expired,), timed, took = waiting(make, leeway)

    assert took < longest
    (answer,) = both(timed.world.perform(("fetch-user-self", expired.caller), expired.caller))
    assert answer.status == (200 if leeway == DAY else 403)


# --- A program ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exp", [10**400, float("inf"), -1, True, "1700000000", None], ids=lambda exp: f"{exp}"[:10]
)
def test_a_program_that_prints_nonsense_proves_nothing(
    exp: object, make: Any, tmp_path: Path
) -> None:
    """A token whose exp is not an instant is not taken for an expired one, and breaks nothing."""
    token = jwt.encode({"_id": "x"}, KEY)
    header, _, signature = token.split(".")
    body = base64url_encode(json.dumps({"exp": exp}).encode()).decode()
    script = tmp_path / "print.py"
    script.write_text(f"print({f'{header}.{body}.{signature}'!r})", encoding="utf-8")
    timed: TimedTarget = make(clock_url="", command=f"{sys.executable} {script}")

    with pytest.raises(NotTested, match="an expired JWT from"):
        sources(timed)


def test_a_program_is_judged_by_the_targets_clock(make: Any, tmp_path: Path) -> None:
    """A token that ended two minutes ago by our clock has not ended at a target that is ten minutes
    behind.
    """
    timed: TimedTarget = make(clock_url="", command=f"{sys.executable} {tmp_path / 'print.py'}")
    token = jwt.encode({"_id": "x", "exp": int(timed.now) - 120}, KEY)
    (tmp_path / "print.py").write_text(f"print({token!r})", encoding="utf-8")
    timed.offset = -600

    with pytest.raises(NotTested, match="an expired JWT from"):
        sources(timed)


@pytest.mark.parametrize("way", WAYS)
def test_what_one_role_lacks_takes_no_evidence_from_another(way: str, make: Any) -> None:
    """Where the lowest role has no log-in left, it alone has no expired token by the clock, and
    says why; by the key of the target it has one, of the token that the run shares.
    """
    timed: TimedTarget = make(**WAYS[way])
    timed.world.gate.log_ins.left = lambda email: 0 if email.startswith("guest") else 15

    assert sources(timed, "admin") == [way]
    assert minutes(timed, "admin") == [(way, 200)]
    if way == "clock":
        with pytest.raises(NotTested, match=r"log-ins to .accounts.guest. that are left"):
            sources(timed)
        with pytest.raises(NotTested, match=r"in its last minute.*log-ins to .accounts.guest"):
            minutes(timed)
        end(timed)
    else:
        assert sources(timed) == [way]
