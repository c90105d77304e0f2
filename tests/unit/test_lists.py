"""The lists of a target, in memory: read to their end, page by page, and given up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rolecall.outcomes import Inconclusive, TransientFailure
from rolecall.toolkit import lists
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import URL, answering, play


def listing(server: Server, resource: str = "contact") -> list[Any]:
    """What the list of a resource shows, by name."""

    async def story(world: World) -> list[Any]:
        return [
            item.get("name", item.get("text"))
            for item in await world.listing(resource, time.monotonic())
        ]

    return play(story, server)


def paged(server: Server, size: int, *, by: str = "offset", origin: str = URL) -> None:
    """Let the list of contacts have pages, by an offset, by links, or by none."""

    def page(asked: Asked) -> Answer:
        everything = list(server.things["contact"].values())
        start = int(asked.query.get("page" if by == "link" else "offset", 0)) if by != "none" else 0
        fields = {}
        if by == "link" and start + size < len(everything):
            fields = {"link": f'<{origin}/v2/contacts?page={start + size}>; rel="next"'}
        return 200, everything[start : start + size], fields

    server.instead("list-contacts", page)


def with_contacts(number: int) -> Server:
    """A server with so many contacts."""
    server = Server()
    for place in range(number):
        server.add("contact", name=place)
    return server


@pytest.mark.parametrize(
    ("number", "size", "by"),
    [(35, 10, "offset"), (35, 10, "link"), (3, 2, "link"), (30, 10, "offset"), (0, 10, "link")],
)
def test_a_list_is_read_to_its_end(number: int, size: int, by: str) -> None:
    """Pages are followed along their links, else by offset, until nothing new comes."""
    server = with_contacts(number)
    paged(server, size, by=by)

    assert listing(server) == list(range(number))


def test_the_next_page_may_be_named_in_the_body() -> None:
    """A list in a wrapping goes on where its body says."""
    server = with_contacts(5)

    def page(asked: Asked) -> Answer:
        start = int(asked.query.get("from", 0))
        more = {"next": f"/v2/contacts?from={start + 2}"} if start < 4 else {}
        return 200, {"data": list(server.things["contact"].values())[start : start + 2], **more}

    server.instead("list-contacts", page)

    assert listing(server) == list(range(5))


def test_things_without_an_id_of_their_own_tell_nothing() -> None:
    """A list whose things have ids of something deeper in them alone cannot be read to its end."""
    server = answering("list-contacts", (200, [{"name": "a", "owner": {"id": f"{7:024x}"}}]))

    with pytest.raises(Inconclusive, match="says no id of its own"):
        listing(server)


def test_a_list_that_repeats_its_first_page_ends() -> None:
    """A server that knows no offset shows the same again; then there is nothing more."""
    server = with_contacts(35)
    paged(server, 10, by="none")

    assert sorted(set(listing(server))) == list(range(10))
    assert server.count("list-contacts") == 2


def test_a_short_list_is_no_page() -> None:
    """A list shorter than any page is whole: nothing more is asked for."""
    server = with_contacts(9)
    paged(server, 9)

    assert len(listing(server)) == 9
    assert server.count("list-contacts") == 1


@pytest.mark.parametrize("elsewhere", ["http://elsewhere.example", "https://10.0.0.7:8443/api"])
def test_a_link_to_elsewhere_is_not_followed(elsewhere: str) -> None:
    """A token is sent nowhere but to the target, which shows the rest of the list under the link's
    query, where it calls itself by another name than what stands before it.
    """
    server = with_contacts(35)
    paged(server, 10, by="link", origin=elsewhere)

    assert listing(server) == list(range(35))
    assert {asked.url.partition("/v2/")[0] for asked in server.asked} == {URL}


@pytest.mark.parametrize("link", ["http://elsewhere.example/v2/contacts", "http://[x?page=2"])
def test_a_link_that_says_nothing_ends_the_list(link: str) -> None:
    """One to another host without a query, or that is no URL, is no way to more."""
    server = with_contacts(12)
    everything = list(server.things["contact"].values())
    server.instead("list-contacts", (200, everything, {"link": f'<{link}>; rel="next"'}))

    assert listing(server) == list(range(12))


def endless(asked: Asked) -> Answer:
    """A page of things that are always new, and a link to the next one."""
    page = int(asked.query.get("page", 0)) + 1
    return (
        200,
        [{"id": f"{page}", "name": "x"}],
        {"link": f"<{URL}/v2/contacts?page={page}>; rel=next"},
    )


def test_a_list_without_an_end_is_given_up() -> None:
    """A list that goes on after so many pages, or so many bytes, is not looked at any further; its
    link or its size is to blame.
    """
    with pytest.raises(Inconclusive) as open_:
        listing(answering("list-contacts", endless))
    assert open_.value.missing == "the end of the list at /v2/contacts: it goes on after 200 pages"
    assert open_.value.look_at == "the list's Link header"


def test_a_list_that_is_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than a run may keep is said with its size."""
    monkeypatch.setattr(lists, "LIST_LIMIT", 1_000)

    with pytest.raises(Inconclusive) as open_:
        listing(answering("list-contacts", endless))

    assert (
        open_.value.missing == "the end of the list at /v2/contacts: it goes on after 1,000 bytes"
    )
    assert open_.value.look_at == "the size of that list"


@pytest.mark.parametrize(("limit", "readings"), [(10_000_000, 1), (10, 2)])
def test_a_large_list_is_not_remembered(
    limit: int, readings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading serves all who ask for what was there before it, unless it is so large that it is
    not kept.
    """
    monkeypatch.setattr(lists, "DOCUMENTS_LIMIT", limit)
    server = with_contacts(5)

    async def story(world: World) -> None:
        await asyncio.gather(*(world.listing("contact", 0.0) for _ in range(5)))
        assert server.count("list-contacts") == 1, "who waits together reads together"
        await world.listing("contact", 0.0)

    play(story, server)

    assert server.count("list-contacts") == readings


def test_a_list_is_read_by_who_may() -> None:
    """Where the highest role is refused, the next one that may lists."""
    server = with_contacts(2)
    server.instead("list-contacts", (403, None), by="admin")

    assert listing(server) == [0, 1]


@pytest.mark.parametrize("body", [b"", b'[{"id": 1}, {"id"'])
def test_a_list_that_cannot_be_read_may_hold_anything(body: bytes) -> None:
    """A success that is not JSON is trouble: what it lacks may be there."""
    with pytest.raises(TransientFailure) as trouble:
        listing(answering("list-contacts", (200, body)))

    assert trouble.value.missing.startswith(
        ("a list of contacts that can be read: GET /v2/contacts", "a body that is JSON: GET")
    )
    assert trouble.value.look_at == "RESPONSE-json"


def test_messages_are_listed_in_the_shared_conversation() -> None:
    """A list that is of something else is of the shared one."""
    server = Server()

    async def story(world: World) -> tuple[str, list[str]]:
        message = await world.fresh("message")
        return message.name, [
            item["text"] for item in await world.listing("message", time.monotonic())
        ]

    name, listed = play(story, server)

    assert listed == [name]


def test_what_there_is_is_looked_at_where_one_list_shows_all() -> None:
    """A list of messages is one conversation's, so it does not show all of them; one of contacts
    does.
    """
    server = Server()

    async def story(world: World) -> None:
        await world.look_at_all("message")
        await world.look_at_all("contact")

    play(story, server)

    assert (server.count("list-messages"), server.count("list-contacts")) == (0, 1)


def test_a_thing_is_found_by_its_name() -> None:
    """A name is found wherever it stands in an item of the list, and nothing where it stands
    nowhere.
    """
    server = Server()
    server.add("contact", name="old")
    server.add("contact", profile={"names": ["rolecall-17-x"]})

    async def story(world: World) -> tuple[Any, Any]:
        moment = time.monotonic()
        return await world.find("contact", "rolecall-17-x", moment), await world.find(
            "contact", "rolecall-18-x", moment
        )

    found, missing = play(story, server)

    assert found["profile"] == {"names": ["rolecall-17-x"]}
    assert missing is None
