"""The things of a run, in memory: made, found, shared and looked at, and failures of that."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.http.gate import Thing
from rolecall.outcomes import Finding, Inconclusive, NotTested, TransientFailure
from rolecall.ready_made import ReadyMade
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Server
from tests.unit.stage import answering, play

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


@pytest.mark.parametrize(("status", "helps"), [(400, True), (422, True), (403, False)])
def test_a_refused_name_says_what_helps(status: int, helps: bool) -> None:
    """Where a body is refused, the name in it may be the cause, and could stand elsewhere."""
    with pytest.raises(Inconclusive) as caught:
        shared(answering("create-contact", (status, None)))

    assert ("may hold {name} in another member" in caught.value.look_at) is helps


# --- Ready-made --------------------------------------------------------------------------------


def test_a_ready_made_thing_is_looked_at() -> None:
    """Where the target file names a thing, none is made, and that one is looked at."""
    server = Server()
    given = server.add("contact", name="old")["id"]

    fixture = shared(server, fixtures={"contact": ReadyMade(given)})

    assert (fixture.id, fixture.name) == (given, "")
    assert list(server.things["contact"]) == [given]


@pytest.mark.parametrize("shown", [None, {"id": "another"}])
def test_a_ready_made_thing_that_no_answer_shows(shown: dict[str, str] | None) -> None:
    """Where the named thing is not there, or another is shown for it, nothing can be decided, and
    the line of the target file is named.
    """
    server = Server()
    if shown:
        server.instead("fetch-contact", (200, shown))

    with pytest.raises(Inconclusive, match=": no answer shows it") as reason:
        shared(server, fixtures={"contact": ReadyMade("17")})

    assert reason.value.look_at == "[fixtures.contact] id in the target file"


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_who_takes_part_in_a_ready_made_conversation(told: bool) -> None:
    """All users that tests act as have to take part in the named conversation, as far as it says
    who does.
    """
    server = Server()
    users = list(server.things["user"])
    members = {"participants": users} if told else {}
    given = server.add("conversation", **members)["id"]
    facts = {"fixtures": {"conversation": ReadyMade(given)}}

    assert shared(server, "conversation", **facts).id == given

    if told:
        absent = users.pop(1)
        with pytest.raises(Inconclusive, match=f"user {absent} does not take part"):
            shared(server, "conversation", **facts)


def test_what_passes_is_waited_for() -> None:
    """A create that met trouble is tried again for the next who asks."""
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
    """Where no user can be made, one is looked at that is not an account's own."""
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
    """Where all users are the roles' own, there is none to look at."""
    with pytest.raises(Inconclusive, match="a user to test with"):
        shared(answering("create-user", (403, None)), "user")


# --- Looked at ---------------------------------------------------------------------------------


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
    """A thing that no role can fetch or list is inconclusive, not gone."""
    with pytest.raises(Inconclusive) as open_:
        observed(
            with_contact(("fetch-contact", (403, None), ""), ("list-contacts", (403, None), ""))
        )

    assert open_.value.missing.startswith(
        "a look at the list of contacts: GET /v2/contacts as agent (token) -> 403"
    )
    assert open_.value.look_at == "[operations.list-contacts] in the target file"


# --- Deleted -----------------------------------------------------------------------------------


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
    """A finding during a log-in is raised, and the account is not left out."""

    async def story(world: World) -> None:
        async def wrong(name: str) -> Any:
            raise Finding("a token", "none")

        world.user = wrong  # type: ignore[method-assign]  # this one's own
        await world.everybody()

    with pytest.raises(Finding, match="a token"):
        play(story)
