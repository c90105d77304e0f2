"""Shared set-up, in memory: awaited once; failures and cancellations of those who ask."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rolecall.outcomes import Finding, Inconclusive, NotTested, TransientFailure
from rolecall.toolkit.shared import (
    UNCANCELLED,
    SingleFlight,
    invalidate,
    share,
    shared_setup,
    uncancelled,
)
from tests.unit.stage import passing


class Setup:
    """Something to set up; ``fails`` are the failures of the first times."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.made: list[Any] = []

    @shared_setup
    async def thing(self, name: str = "", *, size: int = 0) -> tuple[str, int, int]:
        """Make one, which takes a second."""
        self.made.append(name)
        await asyncio.sleep(1)
        if self.fails:
            raise self.fails.pop(0)
        return name, size, len(self.made)

    @shared_setup
    async def other(self, name: str = "") -> str:
        """Make another one."""
        self.made.append(f"other {name}")
        return f"other {name}"


def test_what_many_ask_for_is_made_once() -> None:
    """All who ask with the same arguments get one result, at the same time or later."""
    setup = Setup()

    async def story() -> list[tuple[str, int, int]]:
        together = await asyncio.gather(*(setup.thing("a") for _ in range(50)))
        return [
            *together,
            await setup.thing("a"),
            await setup.thing("b"),
            await setup.thing("b", size=2),
        ]

    *same, by_place, by_name = passing(story)

    assert set(same) == {("a", 0, 1)}
    assert (by_place, by_name) == (("b", 0, 2), ("b", 2, 3))


def test_each_object_has_its_own() -> None:
    """What one run has set up is not another's."""
    one, other = Setup(), Setup()

    async def story() -> None:
        await asyncio.gather(one.thing("a"), other.thing("a"))

    passing(story)

    assert one.made == other.made == ["a"]


@pytest.mark.parametrize(
    "failure",
    [
        Inconclusive("a token", "[accounts]"),
        NotTested("no keys", "api-keys"),
        Finding("200", "403"),
        ValueError("a bug"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failure_is_everybodys_and_nobody_tries_again(failure: Exception) -> None:
    """All who asked get the failure, each with a traceback of its own, and none tries again."""
    setup = Setup(failure)

    async def story() -> list[Any]:
        together = await asyncio.gather(
            *(setup.thing("a") for _ in range(3)), return_exceptions=True
        )
        return [*together, *await asyncio.gather(setup.thing("a"), return_exceptions=True)]

    caught = passing(story)

    assert setup.made == ["a"]
    assert {(type(error), str(error), tuple(vars(error).items())) for error in caught} == {
        (type(failure), str(failure), tuple(vars(failure).items()))
    }
    assert len({id(error) for error in [failure, *caught]}) == 5
    assert all(error.__cause__ is None and error.__suppress_context__ for error in caught)


def test_trouble_passes_and_the_next_one_tries_again() -> None:
    """Those who waited get the trouble; those who ask afterwards try again, once for all."""
    setup = Setup(TransientFailure("an answer: reset"))

    async def story() -> tuple[list[Any], list[Any]]:
        first = await asyncio.gather(*(setup.thing("a") for _ in range(3)), return_exceptions=True)
        return first, await asyncio.gather(*(setup.thing("a") for _ in range(3)))

    first, second = passing(story)

    assert [type(error) for error in first] == [TransientFailure] * 3
    assert second == [("a", 0, 2)] * 3


def test_who_hears_late_of_trouble_does_not_undo_a_new_beginning() -> None:
    """The first who hears of trouble may have begun anew before the others hear of it: that work is
    not thrown away.
    """
    setup = Setup(TransientFailure("an answer: reset"))

    async def stubborn() -> tuple[str, int, int]:
        try:
            return await setup.thing("a")
        except TransientFailure:
            return await setup.thing("a")

    async def story() -> list[Any]:
        return await asyncio.gather(*(stubborn() for _ in range(5)))

    assert passing(story) == [("a", 0, 2)] * 5
    assert setup.made == ["a", "a"]


def test_who_is_cancelled_does_not_take_the_others_along() -> None:
    """A test that is given up while it waits leaves the set-up to those who still wait for it."""
    setup = Setup()

    async def story() -> tuple[str, int, int]:
        first = asyncio.create_task(setup.thing("a"))
        second = asyncio.create_task(setup.thing("a"))
        await asyncio.sleep(0.5)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert passing(story) == ("a", 0, 1)


def test_what_is_forgotten_is_made_again() -> None:
    """One method's results are forgotten, all of them or those for some arguments; another method's
    stay.
    """
    setup = Setup()

    async def story() -> None:
        async def all_three() -> None:
            await setup.thing("a")
            await setup.thing("b")
            await setup.other("a")

        invalidate(setup, "thing")  # there is nothing yet
        await all_three()
        invalidate(setup, "thing", "a")
        await all_three()
        assert setup.made == ["a", "b", "other a", "a"]
        invalidate(setup, "thing")
        await all_three()

    passing(story)

    assert setup.made == ["a", "b", "other a", "a", "a", "b"]


def test_what_was_made_elsewhere_is_shared() -> None:
    """A result that is given takes the place of the one there was, for its arguments alone."""
    setup = Setup()

    async def story() -> tuple[object, object]:
        await setup.thing("a")
        share(setup, "thing", "given", "a")
        return await setup.thing("a"), await setup.thing("b")

    assert passing(story) == ("given", ("b", 0, 2))
    assert setup.made == ["a", "b"]


def same_name(result: str) -> Any:
    """A shared set-up of a module of its own, that has the name of another's."""

    @shared_setup
    async def neighbour(owner: Setup) -> str:
        return result

    return neighbour


def test_functions_of_one_name_are_not_one() -> None:
    """Two modules that call their set-up the same do not get each other's."""
    setup = Setup()

    async def story() -> tuple[str, str]:
        return await same_name("ours")(setup), await same_name("theirs")(setup)

    assert passing(story) == ("ours", "theirs")


def test_what_was_begun_is_brought_to_its_end() -> None:
    """Work whose answer says what the target now has goes on when the test that wanted it is
    cancelled, and can be waited for.
    """
    ended: list[str] = []

    async def work() -> str:
        await asyncio.sleep(1)
        ended.append("made")
        return "made"

    async def story() -> str:
        test = asyncio.create_task(uncancelled(work()))
        await asyncio.sleep(0.5)
        test.cancel()
        with pytest.raises(asyncio.CancelledError):
            await test
        assert ended == []
        await asyncio.gather(
            *(task for task in asyncio.all_tasks() if task.get_name() == UNCANCELLED)
        )
        return await uncancelled(work())

    assert passing(story) == "made"
    assert ended == ["made", "made"]


def test_what_fails_when_nobody_looks_is_no_noise() -> None:
    """A failure of work that no test waits for is not printed as never retrieved."""
    said: list[Any] = []

    async def work() -> None:
        await asyncio.sleep(1)
        raise TransientFailure("an answer: reset")

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        test = asyncio.create_task(uncancelled(work()))
        await asyncio.sleep(0.5)
        test.cancel()
        await asyncio.gather(test, return_exceptions=True)
        await asyncio.sleep(2)

    passing(story)

    assert said == []


# --- One probe for all -------------------------------------------------------------------------


def probing(*results: str | None) -> tuple[SingleFlight[str | None], list[float]]:
    """A probe that takes a second, and the moments at which it was sent."""
    left, sent = list(results), []

    async def probe() -> str | None:
        sent.append(time.monotonic())
        await asyncio.sleep(1)
        return left.pop(0)

    return SingleFlight(probe), sent


def test_one_answer_serves_all_who_asked_before_it() -> None:
    """All who ask for a result after a moment get the first that was sent after it."""

    async def story() -> tuple[list[str | None], list[float]]:
        probe, sent = probing("first", "second")
        begun = time.monotonic()
        together = await asyncio.gather(*(probe.after(begun - 1) for _ in range(10)))
        earlier = await probe.after(begun - 0.5)
        later = await probe.after(begun + 0.5)
        return [*together, earlier, later], sent

    results, sent = passing(story)

    assert results == ["first"] * 11 + ["second"]
    assert len(sent) == 2


def test_an_answer_to_what_was_sent_before_does_not_serve() -> None:
    """Who asks while a probe is under way, for what is after its sending, gets a new one."""

    async def story() -> tuple[str | None, str | None]:
        probe, sent = probing("before", "after")
        first = asyncio.create_task(probe.after(0.0))
        await asyncio.sleep(0.5)
        second = await probe.after(time.monotonic())
        assert sent[1] >= sent[0] + 1
        return await first, second

    assert passing(story) == ("before", "after")


def test_nothing_is_no_answer_to_keep() -> None:
    """A probe without a result, or with a failure, is sent again for the next who asks."""

    async def story() -> list[str | None]:
        probe, _ = probing(None, "there")
        return [await probe.after(0.0), await probe.after(0.0), await probe.after(0.0)]

    async def failing() -> list[Any]:
        probe, sent = probing()
        return [
            *await asyncio.gather(probe.after(0.0), probe.after(0.0), return_exceptions=True),
            len(sent),
        ]

    assert passing(story) == [None, "there", "there"]
    *errors, sent = passing(failing)
    assert ([type(error) for error in errors], sent) == ([IndexError, IndexError], 2)
