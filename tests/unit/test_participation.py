"""Conversations that a server may show to their participants alone, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.evidence import Evidence
from rolecall.outcomes import Finding, Inconclusive
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import asked, judged


def refusing(operation: str, shown: Any, status: int = 404) -> Server:
    """A server at which an agent is answered this status, and whose new conversations show these
    participants; None leaves out who takes part.
    """
    server = Server()

    def made(request: Asked) -> Answer:
        status, document, *_ = server.act(request)
        assert isinstance(document, dict)
        named = {"participants": shown} if shown is not None else {}
        left = {name: value for name, value in document.items() if name != "participants"}
        return status, {**left, **named}

    server.instead("create-conversation", made)
    server.instead(operation, (status, None), by="agent")
    return server


def refused(operation: str, shown: Any, status: int = 404) -> None:
    """Judge what an agent is answered there."""

    async def story(world: World, judge: Judge) -> None:
        with Evidence.collect():
            await judge.expect_allowed(*await asked(world, operation, "agent"))

    judged(story, refusing(operation, shown, status))


@pytest.mark.parametrize("operation", ["fetch-conversation", "create-message"])
@pytest.mark.parametrize("shown", [[], [{"user": "somebody else"}]])
def test_a_refusal_of_who_takes_no_part_proves_nothing(operation: str, shown: Any) -> None:
    """Where the new conversation is shown to have others in it only, it may lawfully not be there
    for the caller; the message says what to put into the target file.
    """
    with pytest.raises(Inconclusive, match=r"a conversation in which agent .* takes part") as found:
        refused(operation, shown)

    assert "[fixtures.conversation] id" in found.value.look_at


@pytest.mark.parametrize("operation", ["fetch-conversation", "create-message"])
def test_a_refusal_is_a_finding_where_nothing_shows_who_takes_part(operation: str) -> None:
    """Without participants in the answer there is nothing that would explain a refusal."""
    with pytest.raises(Finding, match="404"):
        refused(operation, None)


def test_a_denial_is_a_finding_whoever_takes_part() -> None:
    """403 says that the role may not, which the permission table says it may."""
    with pytest.raises(Finding, match="403"):
        refused("fetch-conversation", [], 403)


def test_a_refusal_of_a_participant_is_a_finding() -> None:
    """Who takes part, and may, and is refused, was refused wrongly."""
    server = Server()
    server.instead("fetch-conversation", (404, None), by="agent")

    async def story(world: World, judge: Judge) -> None:
        with Evidence.collect(), pytest.raises(Finding, match="404"):
            await judge.expect_allowed(*await asked(world, "fetch-conversation", "agent"))

    judged(story, server)


def test_a_refusal_of_another_thing_is_a_finding() -> None:
    """Who takes part in a conversation says nothing of contacts."""
    with pytest.raises(Finding, match="404"):
        refused("list-contacts", [])
