"""Things that a run makes, in memory: how they are made, and what a create has made."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rolecall.errors import Unreachable
from rolecall.evidence import Exchange
from rolecall.http.gate import Thing, Withheld
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.throwaway_users import throwaway_user
from rolecall.toolkit.world import World
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import answering, asked, play

# --- Made ---------------------------------------------------------------------------------------


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
    """A create that is refused, or answered without an id, is inconclusive."""

    async def story(world: World) -> None:
        await world.fresh("form")

    with pytest.raises(Inconclusive) as open_:
        play(story, answering("create-form", reply))

    assert open_.value.missing.startswith(
        f"a form to test with: POST /v2/forms as bot (token) -> {reply[0]}"
    )
    assert open_.value.look_at == "[operations.create-form] in the target file"


@pytest.mark.parametrize(
    "address", ["/v2/forms/{}", "https://inside.example:8443/chat/v2/forms/{}/"]
)
def test_a_thing_whose_id_is_in_its_address_alone(address: str) -> None:
    """A create that is answered with nothing but a Location has made what is there."""
    server = Server()

    def addressed(asked: Asked) -> Answer:
        status, document, *_ = server.usual(asked)
        return status, None, {"Location": address.format(document["id"])}

    async def story(world: World) -> Fixture:
        made = await world.fresh("form")
        assert world.gate.owns(Thing("form", made.id))
        return made

    server.instead("create-form", addressed)

    assert play(story, server).id in server.things["form"]


def test_an_address_of_something_else_is_no_id() -> None:
    """A Location that does not lead to what was made makes nothing the run's own."""

    async def story(world: World) -> None:
        await world.fresh("form")

    elsewhere = (201, None, {"Location": "/v2/users/000000000000000000000001"})
    with pytest.raises(Inconclusive, match="whose id is neither in its body nor in Location"):
        play(story, answering("create-form", elsewhere))


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
    """A new thing that no role may fetch is used at once."""

    async def story(world: World) -> float:
        world.proven.add("contact")
        begun = time.monotonic()
        await world.fresh("contact")
        looks = server.count("fetch-contact")
        await world.fresh("contact")
        assert server.count("fetch-contact") == looks, "one look at each kind is enough"
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


# --- What a create has made --------------------------------------------------------------------


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
    """A listed name in a thing without an id, or from before, does not tell what was made."""
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
    """A thing under the answer's id that shows nothing of what was sent is inconclusive."""
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


# --- What does not leave, and who made it ------------------------------------------------------


def test_nothing_is_made_where_nothing_may_be_changed() -> None:
    """A create that does not leave is in no ledger as made or doubtful, and nothing is listed
    before it.
    """

    async def story(world: World) -> None:
        with pytest.raises(NotTested):
            await world.create("form", "a name", "POST", "/v2/forms", await world.user("admin"))
        assert [*world.ledger.left, *world.ledger.doubtful] == []

    server = Server()
    play(story, server, read_only=True)

    assert (server.count("create-form"), server.count("list-forms")) == (0, 0)


def test_nothing_is_made_on_a_server_that_is_gone() -> None:
    """Where the server no longer answers, a create ends as every other request does, and is not in
    the ledger.
    """

    async def story(world: World) -> None:
        caller = await world.user("admin")
        await world.was_there_before("form", "17")
        world.client.dead = Unreachable("http://target.example", "is gone")
        with pytest.raises(Unreachable, match="is gone"):
            await world.create("form", "a name", "POST", "/v2/forms", caller)
        assert world.ledger.named("form", "a name") is None

    play(story)


def test_who_made_a_thing_is_kept_for_its_end() -> None:
    """What a user of the run's own made that user may have to delete; accounts are there anyway."""

    async def story(world: World) -> None:
        maker, admin = (await throwaway_user(world, "bot")).caller, await world.user("admin")
        for name, caller in (("theirs", maker), ("ours", admin)):
            await world.create(
                "contact", name, "POST", "/v2/contacts", caller, json={"profile": {"name": name}}
            )
        theirs, ours = (world.ledger.named("contact", name) for name in ("theirs", "ours"))
        assert theirs is not None
        assert ours is not None
        assert world.makers[theirs.number] is maker
        assert ours.number not in world.makers

    play(story)


def test_a_list_that_fails_for_a_moment_is_read_again() -> None:
    """What was there before is looked at anew after a transient failure, and once where it
    cannot be listed at all.
    """
    server = Server()
    old = server.add("form", name="old")
    server.instead("list-forms", (503, None))

    async def story(world: World) -> bool:
        with pytest.raises(TransientFailure):
            await world.was_there_before("form", old["id"])
        server.instead("list-forms", server.usual)
        return await world.was_there_before("form", old["id"])

    assert play(story, server)


def test_a_key_that_no_list_shows_is_known_by_its_answer() -> None:
    """Where keys are not listed, the answer with the key's name is what shows that it was made: one
    of the test's own, after those that all tests share.
    """

    async def story(world: World) -> int:
        await world.create_key(["guest"])
        return len(list(world.ledger.left))

    assert play(story, answering("list-keys", (404, None))) == len(SPEC.roles) + 1


# --- Another spelling of an id -----------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_spelling_that_means_nothing_is_the_runs_own(status: int) -> None:
    """An id that the target does not know may be attacked, and that it means the same thing too."""

    async def story(world: World) -> None:
        form = await world.fresh("form")
        server.instead("fetch-form", lambda asked: (status, None) if asked.id == "odd" else None)
        caller, odd = await world.user("admin"), Thing("form", "odd")
        with pytest.raises(Withheld):
            await world.send("DELETE", "/v2/forms/odd", caller, about=odd)
        assert await world.spelled(form, "odd") == Thing("form", "odd")
        await world.send("DELETE", "/v2/forms/odd", caller, about=odd)

    server = Server()
    play(story, server)

    assert server.count("delete-form") == 1


def test_a_spelling_of_the_same_thing_is_the_runs_own() -> None:
    """A spelling under which the target shows the thing itself is that thing."""

    async def story(world: World) -> Thing:
        form = await world.fresh("form")
        server.instead("fetch-form", (200, server.things["form"][form.id]))
        return await world.spelled(form, "odd")

    server = Server()
    assert play(story, server) == Thing("form", "odd")


@pytest.mark.parametrize("reply", [(200, {"id": "another"}), (403, None), (409, None)])
def test_a_spelling_that_may_mean_another_thing_is_left_alone(reply: Answer) -> None:
    """Where something else may have the id nothing is attacked under it."""

    async def story(world: World) -> None:
        form = await world.fresh("form")
        server.instead("fetch-form", reply)
        await world.spelled(form, "odd")

    server = Server()
    with pytest.raises(Inconclusive) as open_:
        play(story, server)

    assert open_.value.missing.startswith("an id that nothing else has: GET /v2/forms/odd")
    assert open_.value.look_at == "PERM-fetch-form"
