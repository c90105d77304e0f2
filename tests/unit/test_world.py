"""The world of a run, in memory: live credentials, and whom it takes for itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.outcomes import TransientFailure
from rolecall.target import ApiKeyOptions
from rolecall.tokens import Caller
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import answering, play

# --- Life ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "signs"),
    [
        ("guest", ["fetch-user-self", "fetch-conversation"]),
        ("agent", ["fetch-user-self", "fetch-conversation", "list-conversations"]),
        (
            "bot",
            ["fetch-user-self", "fetch-conversation", "list-conversations", "list-organizations"],
        ),
        (
            "admin",
            [
                "fetch-user-self",
                "fetch-conversation",
                "list-conversations",
                "list-organizations",
                "list-services",
            ],
        ),
        (
            "guest+bot",
            [
                "fetch-user-self",
                "fetch-conversation",
                "list-conversations",
                "list-organizations",
                "list-services",
            ],
        ),
    ],
)
def test_signs_of_life(role: str, signs: list[str]) -> None:
    """What every role may, and one read for each role that is included; a key of several roles may
    show any of them.
    """

    async def story(world: World) -> list[str]:
        return [operation.name for operation in world.signs_of_life(role)]

    assert play(story) == signs


def test_one_proof_of_life_serves_all_who_asked_before_it() -> None:
    """That a credential lives is asked once for all that were refused before, and anew for what was
    refused later.
    """

    async def story(world: World) -> list[Exchange]:
        caller = await world.user("guest")
        server.asked.clear()
        before = time.monotonic()
        with Evidence.collect() as evidence:
            proofs = await asyncio.gather(*(world.alive(caller, before - 1) for _ in range(5)))
        assert evidence.named == {"alive": proofs[0]}
        return [*proofs, await world.alive(caller, time.monotonic())]

    server = Server()
    *same, later = play(story, server)

    assert all(proof is same[0] for proof in same)
    assert later is not same[0]
    assert server.count("fetch-user-self", "guest") == 2


def test_one_wrong_cell_does_not_make_a_caller_dead() -> None:
    """Where one read that every role may is refused, another one shows that the token lives."""

    async def story(world: World) -> Exchange:
        return await world.alive(await world.user("guest"), time.monotonic())

    assert (
        play(story, answering("fetch-user-self", (403, None)))
        .url.partition("/v2/")[2]
        .startswith("conversations/")
    )


def test_a_key_of_nobody_is_not_asked_for_itself() -> None:
    """A key of an unknown user is proven alive by a read other than its own user."""

    async def story(world: World) -> Exchange:
        key = await world.create_key(["guest"])
        return await world.alive(Caller("guest", "api-key", key.token, ""), time.monotonic())

    server = Server()
    assert play(story, server).ok
    assert server.count("fetch-user-self", "key:guest") == 0


@pytest.mark.parametrize("operation", ["list-services", "create-form"])
def test_a_new_key_that_the_target_does_not_know_yet(operation: str) -> None:
    """What a new key is refused for want of a credential is asked again, a write too, until the
    target knows the key; after that a refusal counts at once.
    """
    server = Server()
    by_key = "key:admin"
    server.instead(
        operation,
        lambda asked: (401, None) if server.count(operation, by_key) <= 2 else None,
        by_key,
    )

    async def story(world: World) -> list[int]:
        key = await world.create_key(["admin"])
        request = await world.request(world.spec.operations[operation], key)
        first = await world.perform(request, key)
        server.instead(operation, (401, None), by_key)
        return [first.status, (await world.perform(request, key)).status]

    assert play(story, server) == [201 if operation == "create-form" else 200, 401]
    assert server.count(operation, by_key) == 4


@pytest.mark.parametrize(("status", "least"), [(401, 4), (403, 1)])
def test_a_key_that_is_never_known(status: int, least: int) -> None:
    """When the patience is over the refusal stands; what may mean that it is denied is not asked
    twice.
    """
    server = answering("list-services", (status, None), "key:admin")

    async def story(world: World) -> int:
        key = await world.create_key(["admin"])
        return (await world.reads(key, "list-services")).status

    assert play(story, server) == status
    assert least <= server.count("list-services", "key:admin") < 3 * least


def test_logins_that_are_forgotten() -> None:
    """After a move of the clock every account logs in anew, and nothing that was kept for an old
    token is used.
    """

    async def story(world: World) -> tuple[Caller, Caller]:
        before = await world.user("guest")
        world.spare["guest"] = [before]
        await world.alive(before, 0.0)
        world.forget_logins()
        assert (world.spare, world._alive) == ({}, {})
        return before, await world.user("guest")

    before, after = play(story)

    assert before.token != after.token
    assert before.user == after.user


# --- Who there is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "organization"),
    [("org", "org"), (17, 17), (None, None), ("", None), ({"id": "org"}, None)],
)
def test_the_accounts_organization(told: Any, organization: Any) -> None:
    """It is what the highest role's own user says, as the target writes it; where it says nothing
    the member is left out.
    """
    server = Server()
    for user in server.things["user"].values():
        user["organization"] = told

    async def story(world: World) -> Any:
        made = await world.request(world.spec.operations["create-form"], await world.user("admin"))
        assert made.body.get("organization", None) == organization
        return await world.organization()

    assert play(story, server) == organization


def test_who_cannot_log_in_takes_no_part() -> None:
    """An account that is refused is left out; who did not come for passing trouble is not."""

    def refuse(reply: Answer) -> Server:
        server = Server()
        server.instead(
            "log-in", lambda asked: reply if asked.body["email"].startswith("agent") else None
        )
        return server

    async def story(world: World) -> list[str]:
        return [caller.role for caller in await world.everybody()]

    assert play(story, refuse((401, None))) == ["guest", "bot", "admin"]
    with pytest.raises(TransientFailure, match="was away"):
        play(story, refuse((503, None)))


def test_who_is_oneself_to_somebody() -> None:
    """The roles' users, and those whom keys act as, are not to be looked at as other users."""

    def another(asked: Asked) -> Answer:
        status, document, *_ = server.usual(asked)
        return status, {**document, "user": "a-machine"}

    async def story(world: World) -> set[str]:
        return await world.selves()

    server = answering("make-key", another)
    users = list(server.things["user"])

    assert play(story, server) == {*users, "a-machine"}
    assert play(story, Server(), api_keys=ApiKeyOptions()) == set(users)
