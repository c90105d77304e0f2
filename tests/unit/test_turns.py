"""Plain requests right after somebody else's, in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rolecall.evidence import Exchange
from rolecall.toolkit.turns import after_one_who_may, against_the_table
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import play

LIST, RESERVED = "list-contacts", "list-organizations"


def asked_in_turn(server: Server, role: str, *, may: bool, operation: str = LIST) -> str:
    """What is held against the table of a role, as a status; empty where there is nothing."""

    async def story(world: World) -> str:
        caller = await world.user(role)
        answer = await against_the_table(world, world.spec.operations[operation], caller, may=may)
        return f"{answer.status}" if answer else ""

    return play(story, server)


def remembering(status: int, lasts: Callable[[int], bool] = lambda number: True) -> Server:
    """A server that answers a guest and an admin at a list with what it told the other just before,
    if that was of this status and it ``lasts``, by the number of the request.
    """
    server, told = Server(), list[int]()

    def answer(asked: Asked) -> Answer:
        usual = 200 if asked.by == "admin" else 403
        said = status if told and told[-1] == status and lasts(len(told)) else usual
        told.append(said)
        return said, []

    for by in ("guest", "admin"):
        server.instead(LIST, answer, by=by)
    return server


@pytest.mark.parametrize(
    ("role", "other", "may"), [("guest", "admin", False), ("admin", "agent", True)]
)
def test_who_is_told_by_the_table_at_any_time(role: str, other: str, *, may: bool) -> None:
    """A server that decides for each caller is asked three times in turn, and nothing is found."""
    server = Server()

    assert asked_in_turn(server, role, may=may, operation=RESERVED) == ""
    assert [asked.by for asked in server.asked if asked.operation == RESERVED][-6:] == [
        other,
        role,
    ] * 3


@pytest.mark.parametrize(
    ("role", "other", "may", "kept"),
    [("guest", "admin", False, 200), ("admin", "guest", True, 403)],
)
def test_what_is_remembered_of_another_caller(
    role: str, other: str, kept: int, *, may: bool
) -> None:
    """Who is let in after one who may, or refused after one who may not, is told so at once."""
    server = remembering(kept)

    assert asked_in_turn(server, role, may=may) == f"{kept}"
    assert [asked.by for asked in server.asked if asked.operation == LIST][-2:] == [other, role]


def test_what_is_forgotten_now_and_then() -> None:
    """What a server remembered is found although it had forgotten it at the first two requests."""
    assert asked_in_turn(remembering(200, lambda number: number > 4), "guest", may=False) == "200"


def test_what_everybody_may() -> None:
    """Where nobody is treated otherwise there is nobody to ask before."""
    server = Server()

    assert asked_in_turn(server, "guest", may=True, operation="fetch-conversation") == ""
    assert server.count("fetch-conversation", "guest") == 3


@pytest.mark.parametrize(("operation", "before"), [("update-contact", 1), ("delete-contact", 0)])
def test_who_may_asks_first(operation: str, before: int) -> None:
    """The highest role writes to the same thing just before, and deletes nothing."""
    server = Server()

    async def story(world: World) -> Exchange:
        caller = await world.user("guest")
        thing = await world.fresh("contact")
        request = await world.request(world.spec.operations[operation], caller, thing)
        return await after_one_who_may(world, request, caller)

    assert play(story, server).status == 403
    assert server.count(operation, "admin") == before
    assert server.count(operation, "guest") == 1
