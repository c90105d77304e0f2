"""The requests of a run, in memory: filled in from the tables, sent, and sent again."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import sleep
from rolecall.tokens import Caller
from rolecall.toolkit.things import Request
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import RUN, answering, asked, play

# --- Requests -----------------------------------------------------------------------------------


def request(
    operation: str, by: str = "admin", server: Server | None = None, **facts: Any
) -> Request:
    """The request of an operation."""

    async def story(world: World) -> Request:
        return await world.request(world.spec.operations[operation], await world.user(by))

    return play(story, server, **facts)


def test_a_create_bears_the_runs_name() -> None:
    """A create has a name that says whose it is, an address made of it, the accounts' organization
    and a password of its own.
    """
    body = request("create-user").body

    assert body["givenName"].startswith(f"rolecall-{RUN}-")
    assert (
        body["email"]
        == f"rolecall.{body['givenName'].removeprefix('rolecall-').replace('-', '.')}@example.org"
    )
    assert body["organization"] == "org"
    assert len(body["password"]) == 20
    assert request("create-user", email_domain="example.net").body["email"].endswith("@example.net")


def test_everybody_takes_part_in_a_conversation() -> None:
    """The users of all accounts, and those whom keys act as, take part: ownership is not what is
    tested.
    """
    server = Server("guest2")

    participants = request("create-conversation", server=server).body["participants"]

    users = [user for user in server.things["user"].values() if "@example.org" in user["email"]][:5]
    assert participants == [{"user": user["id"]} for user in users]


@pytest.mark.parametrize(
    ("operation", "thing", "inside"),
    [
        ("list-contacts", None, False),
        ("fetch-contact", None, False),
        ("create-contact", None, False),
        ("create-message", None, True),
        ("update-contact", "contact", False),
        ("delete-message", "message", False),
        ("update-user-self", "user", False),
    ],
)
def test_what_a_request_is_about(operation: str, thing: str | None, inside: bool) -> None:
    """A change says which thing it is about, and a create what it is made inside of: the gate asks
    for it.
    """
    made = request(operation)

    assert (made.thing.resource if made.thing else None) == thing
    assert made.thing is None or (made.thing.in_path and made.thing.id in made.path)
    assert (made.inside is not None) is inside


def test_a_path_without_an_id_is_of_nothing_in_the_path() -> None:
    """Where a target's path does not name the thing, as with ``/v2/me``, the gate does not look for
    it there.
    """
    made = request("update-user-self", operations={"update-user-self": {"path": "/v2/me"}})

    assert made.path == "/v2/me"
    assert made.thing is not None
    assert not made.thing.in_path


def test_an_update_of_oneself_has_an_address_of_oneself() -> None:
    """A body with an e-mail of the caller's own user gets a short one that is new each time."""
    body = {"email": "{email}", "givenName": "{name}", "conversation": "{conversation}"}
    made = request("update-user-self", operations={"update-user-self": {"body": body}})

    assert made.body["email"] in [f"rolecall.{part}@example.org" for part in made.name.split("-")]
    assert made.body["conversation"]


def test_nobody_in_particular_stands_for_the_lowest_role() -> None:
    """A request without a caller is about the lowest role's user, where it is about oneself."""

    async def story(world: World) -> tuple[str, str]:
        anonymous = await world.request(world.spec.operations["fetch-user-self"], None)
        return anonymous.path, (await world.user("guest")).user

    path, guest = play(story)

    assert path == f"/v2/users/{guest}"


def test_a_key_of_nobody_has_no_self() -> None:
    """A key of an unknown user has no requests about its own user; the target file can tell."""

    async def story(world: World) -> None:
        await world.request(
            world.spec.operations["fetch-user-self"], Caller("bot", "api-key", "k", "")
        )

    with pytest.raises(Inconclusive) as open_:
        play(story)
    assert open_.value.missing == "the user that bot (api-key) acts as: no answer tells"
    assert open_.value.look_at == "[api_keys] acts_as in the target file"


@pytest.mark.parametrize(
    "operation", ["create-contact", "update-user-self", "update-contact", "delete-contact"]
)
def test_a_write_has_a_thing_of_its_own(operation: str) -> None:
    """Each update and delete gets a new thing; a create and one's own user need none."""

    async def story(world: World) -> tuple[Request, Request]:
        caller, entry = await world.user("admin"), world.spec.operations[operation]
        return await world.request_on_own_fixture(
            entry, caller
        ), await world.request_on_own_fixture(entry, caller)

    first, second = play(story)

    if operation in ("create-contact", "update-user-self"):
        assert first.fixture is second.fixture is None
    else:
        assert first.fixture is not None
        assert first.path != second.path


# --- Performing --------------------------------------------------------------------------------


def test_what_may_not_be_written_is_not_sent() -> None:
    """A read-only run says which operation would write; reads are sent."""

    async def story(world: World) -> None:
        caller = await world.user("admin")
        assert (
            await world.perform(
                await world.request(world.spec.operations["list-contacts"], caller), caller
            )
        ).ok
        await world.perform(
            await world.request(world.spec.operations["create-contact"], caller), caller
        )

    server = Server()
    with pytest.raises(NotTested, match="--read-only: create-contact would write"):
        play(story, server, read_only=True)
    assert server.count("create-contact") == 0


def test_what_does_not_bear_the_runs_name_is_not_made() -> None:
    """A create without the run's name is not sent: its thing could not be told from others."""

    async def story(world: World) -> None:
        caller = await world.user("admin")
        made = await world.request(world.spec.operations["create-form"], caller)
        await world.perform(replace(made, body={"title": "a form"}), caller)

    server = Server()
    with pytest.raises(Inconclusive) as open_:
        play(story, server)
    assert open_.value.missing.startswith("the run's name in what create-form sends: ")
    assert open_.value.look_at == "[operations.create-form] body in the target file"
    assert server.count("create-form") == 0


def test_a_name_in_other_content_is_a_name() -> None:
    """An attack that writes its body by hand is sent, as long as what it makes bears the run's
    name.
    """

    async def story(world: World) -> Exchange:
        caller = await world.user("admin")
        made = await world.request(world.spec.operations["create-form"], caller)
        content = json.dumps({"name": made.name}).encode()
        return await world.perform(
            replace(made, body=None), caller, content=content, attack="SEC-I05"
        )

    assert play(story).status == 201


PICKY = (422, {"message": "unknown: title"})


def picky(asked: Asked) -> Answer | None:
    """Refuse a knowledge item with a title."""
    return PICKY if "title" in asked.body else None


def test_what_is_refused_for_its_members_is_sent_without_them() -> None:
    """A create that is refused for a member is taken without it, and the next one does not have it
    any more.
    """

    async def story(world: World) -> list[int]:
        return [(await asked(world, "create-knowledge-item", "admin"))[0].status for _ in range(2)]

    server = answering("create-knowledge-item", picky)

    assert play(story, server) == [201, 201]
    assert [
        "title" in sent.body for sent in server.asked if sent.operation == "create-knowledge-item"
    ] == [True, False, False]


def test_what_is_refused_for_good_is_answered_with_the_first_refusal() -> None:
    """Where no smaller body is taken either, the answer to what was asked for counts."""

    async def story(world: World) -> bytes:
        return (await asked(world, "create-knowledge-item", "admin"))[0].request_body

    server = answering("create-knowledge-item", PICKY)

    assert {"name", "title", "content", "organization"} == set(json.loads(play(story, server)))
    assert server.count("create-knowledge-item") > 1


def test_an_attack_is_sent_as_it_is() -> None:
    """What leaves the specification on purpose is not made milder."""

    async def story(world: World) -> Exchange:
        caller = await world.user("admin")
        made = await world.request(world.spec.operations["create-knowledge-item"], caller)
        return await world.perform(made, caller, attack="SEC-I05")

    server = answering("create-knowledge-item", picky)

    assert play(story, server).status == 422
    assert server.count("create-knowledge-item") == 1


def test_what_was_deleted_is_known() -> None:
    """A delete that was answered with success is noted with its answer, and the thing is not
    deleted again in the end.
    """

    async def story(world: World) -> None:
        answer, done, _ = await asked(world, "delete-contact", "admin")
        assert done.thing is not None
        assert world.deleted == {"contact": {done.thing.id: answer}}
        assert done.thing.id not in [entry.id for entry in world.ledger.left]

    play(story)


def test_what_was_not_deleted_is_left() -> None:
    """A delete that was refused leaves the thing, which is to be deleted in the end."""

    async def story(world: World) -> None:
        _, done, _ = await asked(world, "delete-contact", "guest")
        assert done.thing is not None
        assert world.deleted == {}
        assert done.thing.id in [entry.id for entry in world.ledger.left]

    play(story)


def test_what_is_not_empty_is_deleted_empty() -> None:
    """Where only an empty thing can be deleted the test begins anew, with one that has nothing but
    its name.
    """

    def full(asked: Asked) -> Answer | None:
        return (409, None) if server.things["conversation"][asked.id].get("messages") else None

    server = answering("delete-conversation", full)

    async def story(world: World) -> tuple[str, Exchange, Request]:
        with pytest.raises(TransientFailure) as trouble:
            await asked(world, "delete-conversation", "admin")
        assert trouble.value.look_at == "what is in it"
        assert world.full == {"conversation"}
        assert len(world.parents) == 1
        answer, done, _ = await asked(world, "delete-conversation", "admin")
        return trouble.value.missing, answer, done

    missing, answer, done = play(story, server)

    assert missing.startswith(
        "a conversation that is empty, and can be deleted: DELETE /v2/conversations/0"
    )
    assert answer.status == 204
    assert done.fixture is not None
    bare = [sent.body for sent in server.asked if sent.operation == "create-conversation"][-1]
    assert bare == {"name": done.fixture.name}


def test_a_bare_one_that_is_not_taken_is_made_in_full() -> None:
    """Where a thing with nothing but its name is refused, one with everything is made; its 409 is
    an answer like any other.
    """

    def wanting(asked: Asked) -> Answer | None:
        return None if "organization" in asked.body else (400, {"message": "no"})

    async def story(world: World) -> Exchange:
        world.full.add("contact")
        return (await asked(world, "delete-contact", "admin"))[0]

    server = answering("create-contact", wanting)
    assert play(story, server).status == 204
    *bare, made = [
        "organization" in sent.body for sent in server.asked if sent.operation == "create-contact"
    ]
    assert made
    assert not any(bare)
    assert bare

    server = answering("delete-contact", (409, None))
    assert play(story, server).status == 409


def test_reads_of_the_shared_thing_are_asked_once() -> None:
    """What a caller is answered at a read is asked once, and other callers for themselves."""

    async def story(world: World) -> list[int]:
        guest, bot = await world.user("guest"), await world.user("bot")
        return [(await world.reads(who, "list-contacts")).status for who in (guest, bot, guest)]

    server = Server()

    assert play(story, server) == [403, 200, 403]
    assert server.count("list-contacts", "guest") == 1


# --- Things that are new ------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "status"), [(0.5, 201), (30, 404)])
def test_what_is_too_new_for_others_is_asked_for_again(seconds: float, status: int) -> None:
    """Who did not make a conversation may not find it for a moment: what it is answered then is not
    the last word, as long as things may be late.
    """
    server = Server()
    until = 1000.0 + seconds
    server.instead(
        "create-message", lambda _: (404, {}) if time.monotonic() < until else None, by="guest"
    )

    async def story(world: World) -> Exchange:
        caller = await world.user("guest")
        made = await world.request(world.spec.operations["create-message"], caller)
        return await world.perform(made, caller)

    assert play(story, server).status == status
    assert server.count("create-message", "guest") > 1


@pytest.mark.parametrize("how", ["attack", "deleted", "old", "maker"])
def test_what_is_not_there_is_not_asked_for_again(how: str) -> None:
    """An attack is sent once, and so is what asks for a thing that is old, was deleted, or was made
    by the same role: it is not there.
    """
    server = Server()
    role = "admin" if how == "maker" else "bot"
    server.instead("fetch-contact", (404, {}), by=role)

    async def story(world: World) -> int:
        contact, caller = await world.fresh("contact"), await world.user(role)
        if how == "deleted":
            admin = await world.user("admin")
            delete = world.spec.operations["delete-contact"]
            await world.perform(await world.request(delete, admin, contact), admin)
        if how == "old":
            await sleep(10)
        before = server.count("fetch-contact", role)
        options = {"attack": "SEC-A05"} if how == "attack" else {}
        made = await world.request(world.spec.operations["fetch-contact"], caller, contact)
        await world.perform(made, caller, **options)
        return server.count("fetch-contact", role) - before

    assert play(story, server) == 1
