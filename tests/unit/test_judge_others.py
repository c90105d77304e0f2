"""Whether a write on oneself left another thing alone that it names as well, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.outcomes import Finding
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.world import World
from tests.unit.memory import Server
from tests.unit.stage import asked, judged


def other_user(change: Callable[[dict[str, Any], str], Any], server: Server) -> None:
    """Let a guest update itself, and something happen to another user; judge whether it did."""

    async def story(world: World, judge: Judge) -> None:
        other = await world.fresh("user")
        answer, request, _ = await asked(world, "update-user-self", "guest")
        change(server.things["user"][other.id], request.name)
        await judge.expect_other_as_it_was(other, request, answer)

    judged(story, server)


def test_another_user_that_was_left_alone() -> None:
    """A write on oneself that leaves another user as it was accuses nobody."""
    other_user(lambda user, name: None, Server())


def test_another_user_that_was_written_to() -> None:
    """What bears the mark of a write on oneself was changed, and that is a finding."""
    with pytest.raises(Finding) as found:
        other_user(lambda user, name: user.update(givenName=name), Server())

    assert found.value.expected.endswith(" as it was")
    assert found.value.actual == "200, and it was changed"


def test_another_user_that_is_gone() -> None:
    """What is not there any more was changed, too."""
    server = Server()
    with pytest.raises(Finding, match="and it was changed"):
        other_user(lambda user, name: server.things["user"].pop(user["id"]), server)


def test_another_user_in_the_answer() -> None:
    """A success that shows the other user is a finding, though that user is as it was."""

    async def story(world: World, judge: Judge) -> None:
        other = await world.fresh("user")
        server.instead("update-user-self", (200, server.things["user"][other.id]))
        answer, request, _ = await asked(world, "update-user-self", "guest")
        with pytest.raises(Finding) as found:
            await judge.expect_other_as_it_was(other, request, answer)
        assert found.value.expected == f"{other} as it was"
        assert found.value.actual == "200, with the other one in the answer"
        assert found.value.exchange is answer

    server = Server()
    judged(story, server)


def test_what_changed_names_the_user_and_the_answer() -> None:
    """The finding has the user that should be as it was, and the answer after which it was not."""

    async def story(world: World, judge: Judge) -> list[float]:
        waits = []
        for _ in range(4):
            other = await world.fresh("user")
            answer, request, _ = await asked(world, "update-user-self", "guest")
            server.things["user"][other.id]["givenName"] = request.name
            begun = time.monotonic()
            with pytest.raises(Finding) as found:
                await judge.expect_other_as_it_was(other, request, answer)
            waits.append(time.monotonic() - begun)
            assert found.value.expected == f"{other} as it was"
            assert found.value.exchange is answer
        return waits

    server = Server()
    *long, last = judged(story, server)

    assert min(long) > 1 > last  # of what was waited for in vain three times, a moment


def test_a_target_that_lags_is_given_its_time() -> None:
    """Where changes were seen to show late, the other user is looked at later."""

    async def story(world: World, judge: Judge) -> float:
        other = await world.fresh("user")
        answer, request, _ = await asked(world, "update-user-self", "guest")
        world.patience.lag, begun = 1.0, time.monotonic()
        await judge.expect_other_as_it_was(other, request, answer)
        return time.monotonic() - begun

    assert judged(story) > 1.0
