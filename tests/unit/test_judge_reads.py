"""What a read shows, in memory: the thing that it is of, at once, later or on another page."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from rolecall.evidence import Evidence
from rolecall.outcomes import Inconclusive
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.world import World
from tests.support.exchanges import exchange
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import RUN, answering, asked, judged


def shown(operation: str, server: Server, **facts: Any) -> bool:
    """Whether a read by the highest role shows what it is of."""

    async def story(world: World, judge: Judge) -> bool:
        answer, request, caller = await asked(world, operation, "admin")
        return await judge.shows(answer, request, caller)

    return judged(story, server, **facts)


@pytest.mark.parametrize(
    "operation", ["fetch-contact", "fetch-user-self", "list-contacts", "list-messages"]
)
def test_a_read_shows_what_it_is_of(operation: str) -> None:
    """A fetch shows the thing with its id, a list has it among the others."""
    assert shown(operation, Server())


@pytest.mark.parametrize(
    ("operation", "document"),
    [("fetch-contact", {"id": "x"}), ("fetch-user-self", {"id": "x"}), ("list-contacts", [])],
)
def test_a_read_that_shows_something_else(operation: str, document: Any) -> None:
    """A success with another thing, or without the one that is there, shows nothing."""
    assert not shown(operation, answering(operation, (200, document)))


def test_a_short_list_needs_no_new_thing() -> None:
    """A list shorter than any page is whole: nothing is made to see whether it shows the newest."""
    server = answering("list-contacts", (200, []))

    assert not shown("list-contacts", server)
    assert server.count("create-contact") == 1, "the shared one"


def test_a_page_that_moved_is_read_again() -> None:
    """While others delete, a page may begin behind what it should begin with: the list is read once
    more.
    """
    server = Server()
    id = server.add("contact", name="old")["id"]
    server.instead(
        "list-contacts", lambda asked: (200, []) if server.count("list-contacts") == 1 else None
    )

    async def story(world: World, judge: Judge) -> bool:
        return await judge._is_listed(id, "/v2/contacts", await world.user("admin"), exchange())

    assert judged(story, server)


def test_a_list_that_is_no_array() -> None:
    """A list of another shape cannot be looked through: that is for the schema's test."""
    with pytest.raises(Inconclusive) as open_:
        shown("list-contacts", answering("list-contacts", (200, {"name": "none"})))

    assert open_.value.missing.startswith("an array of things in the list: GET /v2/contacts")
    assert open_.value.look_at == "RESPONSE-schema"


def test_a_list_whose_rest_nobody_can_ask_for() -> None:
    """A list that says that it goes on, and not where, may hold the thing: nothing is decided, and
    the message says which operation of the target file may have an address for all of it.
    """
    with pytest.raises(Inconclusive) as open_:
        shown("list-contacts", answering("list-contacts", (200, {"data": [], "hasMore": True})))

    assert open_.value.missing.startswith("the rest of a list that says that it goes on")
    assert open_.value.look_at == (
        "[operations.list-contacts] path in the target file, such as /v2/contacts?limit=1000"
    )


def test_a_list_that_lags() -> None:
    """A new thing that a list shows a moment later is shown."""

    def lags(asked: Asked) -> Answer | None:
        made = [created for created in server.asked if created.operation == "create-contact"]
        return (200, []) if made and time.monotonic() < 1001.0 else None

    server = answering("list-contacts", lags)

    assert shown("list-contacts", server)


def pages(
    server: Server, size: int, *, newest_first: bool = False, cut: bool = False
) -> Callable[[Asked], Answer]:
    """A list of contacts in pages, by offset; cut off after the first when there is no way to the
    rest.
    """

    def page(asked: Asked) -> Answer:
        everything = list(server.things["contact"].values())
        offset = 0 if cut else int(asked.query.get("offset", 0))
        return 200, (everything[::-1] if newest_first else everything)[offset : offset + size]

    return page


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_long_list_is_looked_through(newest_first: bool) -> None:
    """A thing that stands on a later page of a list is shown by it."""
    server = Server()
    for number in range(25):
        server.add("contact", name=f"contact {number}")
    server.instead("list-contacts", pages(server, 10, newest_first=newest_first))

    assert shown("list-contacts", server)


def test_the_control_of_a_long_list_is_looked_through() -> None:
    """A control is a list that shows the thing, be it on a later page."""
    server = Server()
    for number in range(25):
        server.add("contact", name=f"contact {number}")
    server.instead("list-contacts", pages(server, 10), by="admin")

    async def story(world: World, judge: Judge) -> str:
        _, request, _ = await asked(world, "list-contacts", "guest")
        return (await judge.control(request)).caller

    assert judged(story, server) == "admin (token)"


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_list_that_is_cut_shows_a_new_one(newest_first: bool) -> None:
    """Where a list shows a page and no way to the rest, a thing that is made just now proves it if
    it is on it; if not, nothing is decided: the way may be one that we do not know.
    """
    server = Server()
    ids = [server.add("contact", name=f"contact {number}")["id"] for number in range(25)]
    page = pages(server, 10, newest_first=newest_first, cut=True)
    server.instead("list-contacts", page, by="admin")

    async def story(world: World, judge: Judge) -> bool:
        caller = await world.user("admin")
        beyond = Fixture(world.spec.resources["contact"], ids[0 if newest_first else -1], "")
        request = await world.request(world.spec.operations["list-contacts"], caller, beyond)
        return await judge.shows(await world.perform(request, caller), request, caller)

    with pytest.raises(Inconclusive, match="the same at any offset"):
        judged(story, server, read_only=True)
    assert server.count("create-contact") == 0, "nothing is made to find out"
    with nullcontext() if newest_first else pytest.raises(Inconclusive) as open_:
        assert judged(story, server)
    assert server.count("create-contact") == (1 if newest_first else 2)
    assert open_ is None or "/v2/contacts?limit=1000" in open_.value.look_at


def test_a_cut_list_that_lags_shows_a_new_one() -> None:
    """The newest thing may be on the page a moment after it was made."""
    server = Server()
    for number in range(25):
        server.add("contact", name=f"contact {number}")
    newest_first = pages(server, 10, newest_first=True, cut=True)

    async def story(world: World, judge: Judge) -> bool:
        caller = await world.user("admin")
        old = (200, list(server.things["contact"].values())[:10])
        until = time.monotonic() + 0.5
        server.instead(
            "list-contacts", lambda asked: newest_first(asked) if time.monotonic() > until else old
        )
        operation = world.spec.operations["list-contacts"]
        return await judge._shows_a_new_one(operation, caller, exchange())

    assert judged(story, server)
    assert server.count("create-contact") == 1


def test_lists_that_never_show_it_are_waited_for_three_times() -> None:
    """Where nothing was ever shown late, and lists were waited for in vain three times, they are
    given a moment only: for what is there, and for what is made to see the newest.
    """
    server = Server()
    old = [server.add("contact", name=f"contact {number}") for number in range(10)]

    async def story(world: World, judge: Judge) -> tuple[list[float], list[float]]:
        operation, caller = world.spec.operations["list-contacts"], await world.user("admin")
        short: list[float] = []
        cut: list[float] = []
        for waits, shown in ((short, []), (cut, old)):
            server.instead("list-contacts", (200, shown))
            for _ in range(4):
                made = await world.fresh("contact")
                request = await world.request(operation, caller, made)
                answer, begun = await world.perform(request, caller), time.monotonic()
                if shown:
                    assert not await judge._shows_a_new_one(operation, caller, answer)
                else:
                    assert not await judge.shows(answer, request, caller)
                waits.append(time.monotonic() - begun)
        return short, cut

    short, cut = judged(story, server)

    assert min(short[:3]) > 1 > short[3]
    assert cut[0] - 1 > cut[1] > 1 > cut[2]


def test_what_did_not_come_back_is_noted() -> None:
    """A server need not know all members: what it has dropped is written down beside the
    evidence.
    """
    asked = Request(
        SPEC.operations["update-knowledge-item"],
        "/",
        {"name": "rolecall-1", "title": "rolecall-1", "text": "rolecall-1"},
        "rolecall-1",
    )
    shown: dict[str, object] = {"id": "1", "title": "rolecall-1"}
    with Evidence.collect() as evidence:
        assert Judge.reads_back(shown, asked)
        assert Judge.reads_back({**shown, "name": "rolecall-1", "text": "rolecall-1"}, asked)
    assert evidence.notes == ["update-knowledge-item: name, text did not come back"]

    with pytest.raises(Inconclusive) as open_:
        Judge.reads_back({"id": "1", "answer": "before"}, asked)
    assert open_.value.missing == (
        "a member that update-knowledge-item writes and the target knows: what it shows has none "
        "of name, title, text"
    )
    assert open_.value.look_at == "[operations.update-knowledge-item] body in the target file"


def test_what_is_not_there_was_not_written() -> None:
    """A thing that is gone holds nothing, and a run's id is part of every mark."""
    asked = Request(
        SPEC.operations["update-form"], "/", {"name": f"rolecall-{RUN}-1"}, f"rolecall-{RUN}-1"
    )

    assert not Judge.reads_back(None, asked)
    assert Judge.reads_back({"name": f"rolecall-{RUN}-1"}, asked)
    assert not Judge.reads_back({"name": "rolecall-20261124-111111-000000-1"}, asked)
