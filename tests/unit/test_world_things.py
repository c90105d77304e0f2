"""The things of a run's world, in memory: made, found, shared and looked at, and what is said where
that cannot be.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.http.gate import Thing
from rolecall.outcomes import Finding, Inconclusive, NotTested, TransientFailure
from rolecall.toolkit import world as world_module
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.world import World
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import URL, answering, asked, play

# --- Made ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", SPEC.resources)
def test_a_fresh_thing_is_the_runs_own(resource: str) -> None:
    """A new thing is there, has a name of the run, and is in the ledger to be deleted."""

    async def story(world: World) -> tuple[Fixture, Fixture]:
        made, other = await world.fresh(resource), await world.fresh(resource)
        assert world.gate.owns(Thing(resource, made.id))
        return made, other

    server = Server()
    made, other = play(story, server)

    assert {made.id, other.id} <= set(server.things[resource])
    assert made.name in str(server.things[resource][made.id])
    assert made.made_by is not None
    assert bool(made.conversation) is (resource == "message")
    assert str(made) == f"{resource} {made.id}"


def test_a_thing_is_made_by_the_highest_role_that_can() -> None:
    """Where the highest role is refused, the next one that may makes it."""

    async def story(world: World) -> Exchange | None:
        return (await world.fresh("contact")).made_by

    made_by = play(story, answering("create-contact", (403, None), by="admin"))

    assert made_by is not None
    assert made_by.caller == "bot (token)"


@pytest.mark.parametrize("reply", [(403, None), (201, None), (201, {"name": "x"})])
def test_a_thing_that_nobody_gets(reply: Answer) -> None:
    """A thing that is refused, or of which no answer tells the id, is none to test with; the target
    file can say how.
    """

    async def story(world: World) -> None:
        await world.fresh("form")

    with pytest.raises(Inconclusive) as open_:
        play(story, answering("create-form", reply))

    assert open_.value.missing.startswith(
        f"a form to test with: POST /v2/forms as bot (token) -> {reply[0]}"
    )
    assert open_.value.look_at == "[operations.create-form] in the target file"


def test_a_new_thing_is_waited_for_where_fetches_lag() -> None:
    """What a fetch shows a moment late is there when it is used; that it lags is known from then
    on.
    """

    def late(asked: Asked) -> Answer | None:
        made = [sent for sent in server.asked if sent.operation == "create-contact"]
        return (404, None) if server.count("fetch-contact") <= 4 * len(made) else None

    async def story(world: World) -> tuple[dict[str, Any] | None, float]:
        made = await world.fresh("contact")
        return await world.observe(made), world.patience.lag

    server = answering("fetch-contact", late)
    document, lag = play(story, server)

    assert document is not None
    assert lag > 0


def test_a_thing_that_nobody_may_look_at_is_not_waited_for() -> None:
    """What keeps a new thing from being shown is for its cells to find: it is used as it is,
    without delay.
    """

    async def story(world: World) -> float:
        world.proven.add("contact")
        begun = time.monotonic()
        await world.fresh("contact")
        return time.monotonic() - begun

    server = answering("fetch-contact", (403, None))
    server.instead("list-contacts", (403, None))

    assert play(story, server) < 1.0


def test_what_was_there_before_is_not_waited_for() -> None:
    """A thing that the run did not make is as it is."""
    there = Fixture(SPEC.resources["contact"], "17", "")

    async def story(world: World) -> Fixture:
        return await world.wait_for(there)

    server = Server()
    assert play(story, server) is there
    assert server.asked == []


# --- What a create has made ---------------------------------------------------------------------


def made(server: Server, operation: str = "create-form") -> Fixture | None:
    """What a create that was answered with success has made."""

    async def story(world: World) -> Fixture | None:
        answer, request, _ = await asked(world, operation, "admin")
        return await world.made(request, answer)

    return play(story, server)


def silent(asked: Asked) -> Answer:
    """Make what is asked for and say nothing of it."""
    return 201, None


def test_what_an_answer_says_was_made() -> None:
    """The id of a thing that the answer shows, and the target keeps, is the new thing's."""
    server = Server()
    fixture = made(server)

    assert fixture is not None
    assert fixture.id in server.things["form"]


def test_what_only_a_list_shows_was_made() -> None:
    """Where the answer tells no id, the list does, by the run's name; the thing is the run's own
    from then on.
    """
    server = Server()
    server.instead("create-form", lambda asked: (server.act(asked)[0], None))
    fixture = made(server)

    assert fixture is not None
    assert [fixture.id] == list(server.things["form"])


def test_what_a_list_shows_late_was_made() -> None:
    """A list that lags is looked at again."""
    server = Server()

    def late(asked: Asked) -> Answer | None:
        return (200, []) if server.count("create-form") and server.count("list-forms") < 4 else None

    server.instead("create-form", lambda asked: (server.act(asked)[0], None))
    server.instead("list-forms", late)

    assert made(server) is not None


def test_what_is_nowhere_was_not_made() -> None:
    """A success after which nothing is to be found has made nothing."""
    assert made(answering("create-form", silent)) is None
    assert made(answering("create-form", (201, {"id": "0123"}))) is None


@pytest.mark.parametrize("listed", ["without-an-id", "there-before"])
def test_what_may_be_anothers_is_not_certain(listed: str) -> None:
    """Where the list shows the run's name in something without an id, or in what was there before,
    nobody knows what was made.
    """
    server = Server()
    old = server.add("form", name="old")

    def make(asked: Asked) -> Answer:
        if listed == "there-before":
            old["name"] = asked.body["name"]
        else:
            server.instead("list-forms", (200, [{"name": asked.body["name"]}]))
        return 201, None

    server.instead("create-form", make)
    with pytest.raises(Inconclusive) as open_:
        made(server)

    assert open_.value.missing.startswith(
        "the id of the form that POST /v2/forms as admin (token) -> 201"
    )
    assert open_.value.look_at == "the answer to the creation, and the list"


def nameless(asked: Asked, server: Server) -> Answer:
    """Make a thing and keep nothing of what was sent."""
    return 201, server.add("form", status="draft")


def test_a_thing_that_shows_no_name_cannot_be_known() -> None:
    """What is there under the id of the answer, and shows nothing of what was sent, is the run's
    perhaps: nobody can tell.
    """
    server = Server()
    server.instead("create-form", lambda asked: nameless(asked, server))

    with pytest.raises(Inconclusive) as open_:
        made(server)

    assert open_.value.missing.startswith(
        "the run's name in the form that POST /v2/forms as admin (token) -> 201"
    )
    assert open_.value.missing.endswith("made: it is there, and shows nothing of what was sent")
    assert open_.value.look_at == "[operations.create-form] body in the target file"


def test_an_id_that_was_there_before_makes_nothing() -> None:
    """An answer with the id of what was there before has made nothing, however it is looked at."""
    server = Server()
    old = server.add("form", name="old")
    server.instead("create-form", (201, old))

    assert made(server) is None


# --- Shared -------------------------------------------------------------------------------------


def shared(server: Server, resource: str = "contact", **facts: Any) -> Fixture:
    """The thing that tests may look at."""

    async def story(world: World) -> Fixture:
        first, second = await world.shared(resource), await world.shared(resource)
        assert first is second
        return first

    return play(story, server, **facts)


def test_what_is_looked_at_is_made_once() -> None:
    """All tests look at one thing, which the run makes."""
    server = Server()
    fixture = shared(server)

    assert list(server.things["contact"]) == [fixture.id]
    assert fixture.name


@pytest.mark.parametrize("facts", [{}, {"read_only": True}])
def test_where_none_can_be_made_one_that_is_there_will_do(facts: dict[str, Any]) -> None:
    """Where creating is refused, or nothing may be written, the first of the list is looked at; it
    has no name of ours.
    """
    server = answering("create-contact", (403, None))
    old = server.add("contact", name="old")

    fixture = shared(server, **facts)

    assert (fixture.id, fixture.name, fixture.made_by) == (old["id"], "", None)


def test_where_there_is_none_nothing_can_be_looked_at() -> None:
    """Where none can be made and none is there, the reason why none could be made is told."""
    with pytest.raises(Inconclusive, match="a contact to test with"):
        shared(answering("create-contact", (403, None)))
    with pytest.raises(NotTested, match="--read-only: create-contact would write"):
        shared(Server(), read_only=True)


def test_what_passes_is_waited_for() -> None:
    """A create that met trouble is tried again by whoever asks next; nothing else is taken in its
    place meanwhile.
    """
    server = Server()
    server.add("contact", name="old")
    server.instead(
        "create-contact", lambda asked: (503, None) if server.count("create-contact") == 1 else None
    )

    async def story(world: World) -> Fixture:
        with pytest.raises(TransientFailure):
            await world.shared("contact")
        return await world.shared("contact")

    assert play(story, server).name


@pytest.mark.parametrize(("more", "expected"), [(("guest2",), "guest2"), ((), "else")])
def test_a_user_to_look_at_is_nobodys_own(more: tuple[str, ...], expected: str) -> None:
    """Where no user can be made, the second account or anybody else is looked at; never a role's
    own user.
    """
    server = Server(*more)
    somebody = server.add("user", givenName="Else", email="else@example.org")
    server.instead("create-user", (403, None))

    fixture = shared(server, "user")

    second = next(
        (
            user["id"]
            for user in server.things["user"].values()
            if user["email"] == "guest2@example.org"
        ),
        "",
    )
    assert fixture.id == (second if expected == "guest2" else somebody["id"])


def test_a_user_who_is_somebodys_own_is_not_looked_at() -> None:
    """Where there are no users but the roles' own there is none to look at."""
    with pytest.raises(Inconclusive, match="a user to test with"):
        shared(answering("create-user", (403, None)), "user")


# --- Looked at ----------------------------------------------------------------------------------


def observed(server: Server) -> tuple[dict[str, Any] | None, dict[str, Exchange]]:
    """What a look at a contact shows, and its evidence."""

    async def story(world: World) -> tuple[dict[str, Any] | None, dict[str, Exchange]]:
        thing = Fixture(
            world.spec.resources["contact"], next(iter(server.things["contact"]), "17"), ""
        )
        with Evidence.collect() as evidence:
            document = await world.observe(thing)
        return document, evidence.named

    return play(story, server)


def with_contact(*instead: tuple[str, Answer, str]) -> Server:
    """A server with one contact, that answers some things otherwise."""
    server = Server()
    server.add("contact", name="old")
    for operation, reply, by in instead:
        server.instead(operation, reply, by)
    return server


def test_a_thing_is_looked_at_by_who_may() -> None:
    """The highest role that gets to see a thing shows it; that is the evidence."""
    document, named = observed(with_contact())
    assert document is not None
    assert (document["name"], named["observation"].caller) == ("old", "admin (token)")

    document, named = observed(with_contact(("fetch-contact", (403, None), "admin")))
    assert document is not None
    assert named["observation"].caller == "bot (token)"


@pytest.mark.parametrize("status", [404, 410])
def test_a_thing_is_gone_as_the_dialect_has_it(status: int) -> None:
    """A fetch that is answered as the dialect has it for what is gone says so, at once."""
    document, named = observed(with_contact(("fetch-contact", (status, None), "")))

    assert document is None
    assert named["observation"].status == status


@pytest.mark.parametrize("reply", [(403, None), (200, None), (200, ["x"])])
def test_what_cannot_be_fetched_is_looked_for_in_the_list(reply: Answer) -> None:
    """Where a fetch shows nothing the list tells whether a thing is there."""
    document, _ = observed(with_contact(("fetch-contact", reply, "")))
    assert document is not None
    assert document["name"] == "old"

    document, _ = observed(
        with_contact(("fetch-contact", reply, ""), ("list-contacts", (200, []), ""))
    )
    assert document is None


def test_what_nobody_may_see_is_not_gone() -> None:
    """Where neither fetch nor list is allowed to those who may, nothing is known of the thing."""
    with pytest.raises(Inconclusive) as open_:
        observed(
            with_contact(("fetch-contact", (403, None), ""), ("list-contacts", (403, None), ""))
        )

    assert open_.value.missing.startswith(
        "a look at the list of contacts: GET /v2/contacts as agent (token) -> 403"
    )
    assert open_.value.look_at == "[operations.list-contacts] in the target file"


# --- Lists --------------------------------------------------------------------------------------


def listing(server: Server, resource: str = "contact") -> list[Any]:
    """What the list of a resource shows, by name."""

    async def story(world: World) -> list[Any]:
        return [
            item.get("name", item.get("text"))
            for item in await world.listing(resource, time.monotonic())
        ]

    return play(story, server)


def paged(server: Server, size: int, *, by: str = "offset") -> None:
    """Let the list of contacts have pages, by an offset, by links, or by none."""

    def page(asked: Asked) -> Answer:
        everything = list(server.things["contact"].values())
        start = int(asked.query.get("page" if by == "link" else "offset", 0)) if by != "none" else 0
        fields = {}
        if by == "link" and start + size < len(everything):
            fields = {"link": f'<{URL}/v2/contacts?page={start + size}>; rel="next"'}
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


def test_a_link_to_elsewhere_is_not_followed() -> None:
    """A token is sent nowhere but to the target; the list goes on by no other way where it has
    links.
    """
    server = with_contacts(12)
    everything = list(server.things["contact"].values())
    server.instead(
        "list-contacts",
        (200, everything, {"link": '<http://elsewhere.example/v2/contacts?page=2>; rel="next"'}),
    )

    assert len(listing(server)) == 12
    assert {asked.url.partition("/v2/")[0] for asked in server.asked} == {URL}


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
    monkeypatch.setattr(world_module, "LIST_LIMIT", 1_000)

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
    monkeypatch.setattr(world_module, "DOCUMENTS_LIMIT", limit)
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
    """A success that is no JSON is trouble: what it lacks may be there."""
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
    server = with_contact()
    server.add("contact", profile={"names": ["rolecall-17-x"]})

    async def story(world: World) -> tuple[Any, Any]:
        moment = time.monotonic()
        return await world.find("contact", "rolecall-17-x", moment), await world.find(
            "contact", "rolecall-18-x", moment
        )

    found, missing = play(story, server)

    assert found["profile"] == {"names": ["rolecall-17-x"]}
    assert missing is None


# --- Deleted ------------------------------------------------------------------------------------


def test_another_spelling_that_was_deleted_is_no_entry() -> None:
    """A delete by an id that nothing has is answered somehow; the ledger knows of no such thing,
    and none is noted.
    """

    async def story(world: World) -> Exchange:
        admin, made = await world.user("admin"), await world.fresh("contact")
        request = await world.request(
            world.spec.operations["delete-contact"], admin, Fixture(made.resource, "17", "")
        )
        world.gate.answers_to_nothing(Thing("contact", "17"))
        answer = await world.perform(request, admin)
        assert world.deleted == {}
        assert world.gate.owns(Thing("contact", made.id))
        return answer

    assert play(story, answering("delete-contact", (204, None))).status == 204


def test_what_contradicts_is_raised_as_it_is() -> None:
    """A finding while somebody logs in is not taken for somebody who is not there."""

    async def story(world: World) -> None:
        async def wrong(name: str) -> Any:
            raise Finding("a token", "none")

        world.user = wrong  # type: ignore[method-assign]  # this one's own
        await world.everybody()

    with pytest.raises(Finding, match="a token"):
        play(story)
