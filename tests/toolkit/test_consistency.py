"""Lists and fetches that lag behind a write, in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.evidence import Evidence
from rolecall.harness.run import Run
from rolecall.spec.loading import load_specification
from rolecall.toolkit.consistency import ConsistencyWait
from rolecall.toolkit.things import Request
from tests.support.exchanges import exchange

SPEC = load_specification()


def after(looks: int) -> Callable[[], Awaitable[bool]]:
    """A look that sees it at the so-many-th time."""
    seen = iter(range(1, 1000))

    async def look() -> bool:
        return next(seen) >= looks

    return look


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_what_is_shown_in_time_is_shown(looks: int) -> None:
    """A thing that a list shows only after a moment is there, and how long it took is known; at
    once is no lag.
    """
    patience = ConsistencyWait(3)

    assert asyncio.run(patience.until(after(looks), time.monotonic()))
    assert (patience.lag > 0) == (looks > 1)


def test_patience_ends() -> None:
    """What is never shown is not there, after the seconds of the dialect and no later; nothing is
    learnt of a lag.
    """
    patience, begun = ConsistencyWait(0.3), time.monotonic()

    assert not asyncio.run(patience.until(after(1000), begun))
    assert time.monotonic() - begun >= 0.3
    assert patience.lag == 0


def test_a_wait_in_vain_is_known() -> None:
    """A test that waited all of the time knows for how long, which its finding says; one that was
    shown what it looked for, or looked once, does not.
    """

    async def waited(look: Callable[[], Awaitable[bool]], ago: float = 0.0) -> float:
        with Evidence.collect("test") as evidence:
            await ConsistencyWait(0.3).until(look, time.monotonic() - ago)
        return evidence.waited

    assert asyncio.run(waited(after(1000))) == 0.3
    assert asyncio.run(waited(after(2))) == 0
    assert asyncio.run(waited(after(1000), ago=1.0)) == 0


def test_what_never_works_is_not_waited_for_each_time() -> None:
    """Three looks of one kind get all of the time in vain, the next ones less; other kinds do not,
    nor a target that lags.
    """

    async def waited(patience: ConsistencyWait, kind: str) -> float:
        begun = time.monotonic()
        assert not await patience.until(after(1000), begun, kind)
        return time.monotonic() - begun

    async def waits() -> list[float]:
        patience = ConsistencyWait(0.6)
        times = [
            await waited(patience, kind)
            for kind in ("contact", "contact", "contact", "contact", "form", "", "")
        ]
        patience.lag = 0.1
        return [*times, await waited(patience, "contact")]

    assert [seconds >= 0.6 for seconds in asyncio.run(waits())] == [
        True,
        True,
        True,
        False,
        True,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("seen", "stays"),
    [([False], False), ([True], True), ([True, False], False), ([True, False, True], True)],
)
def test_what_ought_not_to_be_is_held_against_nobody_until_it_stays(
    seen: list[bool], stays: bool
) -> None:
    """Of two replicas one may show what was before: the look at the end of the patience decides."""
    looks = chain(seen, repeat(seen[-1]))

    async def look() -> bool:
        return next(looks)

    patience, begun = ConsistencyWait(0.3), time.monotonic()

    assert asyncio.run(patience.stays(look, begun, "contact gone")) == stays
    assert (time.monotonic() - begun >= 0.3) == (len(seen) > 1 or stays)


def test_what_is_long_ago_is_looked_at_once() -> None:
    """Nothing is waited for when the write is longer ago than the patience."""
    assert not asyncio.run(ConsistencyWait(3).until(after(2), time.monotonic() - 60))


@pytest.mark.parametrize(("lag", "waits"), [(0.0, False), (0.2, True)])
def test_only_a_target_that_lags_is_waited_for(lag: float, waits: bool) -> None:
    """Before something is looked for that must not be there, a target that was seen to lag gets its
    time, and no other.
    """
    begun = time.monotonic()

    asyncio.run(ConsistencyWait(3, lag=lag).settle(begun))

    assert (time.monotonic() - begun >= 0.3) == waits


def test_refused_writes_are_kept_apart() -> None:
    """What is looked for at the end are the writes of one operation, those of attacks apart."""
    patience = ConsistencyWait(3)
    for name, attack in (("create-form", ""), ("create-user", ""), ("create-form", "EXPIRY-403")):
        patience.refused.append(
            (Request(SPEC.operations[name], "/"), exchange(status=403, attack=attack))
        )

    assert [request.operation.name for request, _ in patience.refused_at("create-form", "")] == [
        "create-form"
    ]
    assert len(patience.refused_at("", "")) == 2
    assert len(patience.refused_at("", "EXPIRY-403")) == 1


def test_consistency_is_a_reading() -> None:
    """A target file may say how long its lists lag; three seconds are granted to every server."""
    assert SPEC.dialect({}, "a test").consistency == 3
    assert SPEC.dialect({"consistency": 10}, "a test").departures == {"consistency": 10}
    with pytest.raises(UsageError, match="seconds"):
        SPEC.dialect({"consistency": "long"}, "a test")


@pytest.mark.parametrize("name", ["ids", "members", "api_key"])
def test_what_cannot_be_chosen_is_no_reading(name: str) -> None:
    """Where every server is taken as it is, a target file has nothing to choose."""
    with pytest.raises(UsageError, match="unknown reading"):
        SPEC.dialect({name: True}, "a test")


def test_a_request_with_another_mark() -> None:
    """The control of an update bears a mark of its own, in all places, so that a late update is
    known from it.
    """
    body = {"name": "mark-1", "profile": {"name": "mark-1"}, "tags": ["a mark-1"], "limit": 1}
    request = Request(SPEC.operations["update-contact"], "/", body, "mark-1").renamed("mark-2")

    assert request.name == "mark-2"
    assert request.body == {
        "name": "mark-2",
        "profile": {"name": "mark-2"},
        "tags": ["a mark-2"],
        "limit": 1,
    }


@pytest.mark.parametrize(("attempts", "longer"), [(1, False), (2, True)])
def test_a_target_that_asked_for_pauses_has_more_time_to_be_tidied(
    attempts: int, longer: bool
) -> None:
    """Where log-ins were throttled the last one waits for its turn, and the deletions still have
    their time.
    """
    world = SimpleNamespace(ledger=SimpleNamespace(left=range(150)))
    evidence = SimpleNamespace(exchanges=[exchange(attempts=attempts)])
    target = SimpleNamespace(rate_limit=0.0)
    run: Any = SimpleNamespace(
        context=SimpleNamespace(world=world, target=target, evidence=evidence)
    )

    assert (Run._time_to_tidy(run) > 180) == longer
