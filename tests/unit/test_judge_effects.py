"""Whether a write was carried out, in memory: at once, later, and at the end of the run.

Longer than 400 lines because all of it is one judgement, and its tests share a stage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rolecall.evidence import Evidence, TestEvidence
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import RUN, answering, asked, judged

#: What another thing of the run is called.
ANOTHER = f"rolecall-{RUN}-7-another"

# --- What became of it --------------------------------------------------------------------------


def effect(operation: str, server: Server, by: str = "guest") -> bool:
    """Whether what a role tried was carried out."""

    async def story(world: World, judge: Judge) -> bool:
        answer, request, caller = await asked(world, operation, by)
        return await judge.took_effect(request, answer, caller)

    return judged(story, server)


WRITES = ["create-contact", "update-contact", "delete-contact", "delete-form", "update-user"]


@pytest.mark.parametrize("operation", WRITES)
def test_a_refusal_with_an_effect_is_seen(operation: str) -> None:
    """What was answered 403 and done all the same is seen to be done; what was only refused
    is not.
    """

    def done_all_the_same(asked: Asked) -> Answer:
        server.act(asked)
        return 403, None

    server = answering(operation, done_all_the_same, by="guest")

    assert effect(operation, server)
    assert not effect(operation, Server())


def test_a_thing_that_says_that_it_was_deleted() -> None:
    """What is kept, and shown as deleted, was deleted."""

    def put_away(asked: Asked) -> Answer:
        server.things["contact"][asked.id]["deletedAt"] = "2026-02-02"
        return 204, None

    server = answering("delete-contact", put_away, by="admin")

    assert effect("delete-contact", server, "admin")


def say_when(server: Server) -> None:
    """Let things say when they were made."""
    add = server.add
    server.add = lambda resource, **members: add(  # type: ignore[method-assign]
        resource, **members, createdAt="2026-01-01"
    )


@pytest.mark.parametrize(
    ("name", "made", "done"),
    [
        ("somebody-elses", "2026-02-02", True),
        ("somebody-elses", "2026-01-01", False),
        ("somebody-elses", None, False),
        ("as-it-was", "2026-02-02", False),
        ("another-of-ours", "2026-02-02", False),
    ],
)
def test_an_id_that_is_given_anew(name: str, made: str | None, done: bool) -> None:
    """What has a deleted thing's id is another one where it was made at another time, and bears no
    name of this run; a thing that was only renamed, or written to, is still there.
    """

    def given_anew(asked: Asked) -> Answer:
        named = {
            "as-it-was": server.things["contact"][asked.id],
            "another-of-ours": {"name": ANOTHER},
        }
        server.things["contact"][asked.id] = {
            **named.get(name, {"name": name}),
            "id": asked.id,
            "createdAt": made,
        }
        return 204, None

    server = answering("delete-contact", given_anew, by="admin")
    say_when(server)

    assert effect("delete-contact", server, "admin") is done


def test_a_fetch_that_shows_a_thing_of_another_id_tells_nothing_of_a_delete() -> None:
    """Where a fetch answers with whatever there is, the thing that was deleted is not seen to be
    gone.
    """

    def shows_the_first(asked: Asked) -> Answer:
        return 200, {"id": f"{7:024x}", "name": "the first", "createdAt": "2020-01-01"}

    server = answering("delete-contact", (204, None), by="admin")
    server.instead("fetch-contact", shows_the_first)
    say_when(server)

    assert not effect("delete-contact", server, "admin")


def test_an_id_that_another_thing_of_the_run_was_given() -> None:
    """A thing of this run that was given the id of a deleted one is another thing."""

    async def story(world: World, judge: Judge) -> bool:
        answer, request, caller = await asked(world, "delete-contact", "admin")
        assert request.fixture is not None
        entry = world.ledger.of("contact", request.fixture.id)
        assert entry is not None
        entry.name = ANOTHER
        server.things["contact"][request.fixture.id] = {
            "id": request.fixture.id,
            "name": entry.name,
        }
        return await judge.took_effect(request, answer, caller)

    server = Server()

    assert judged(story, server)


def test_a_thing_that_bears_its_name_is_itself() -> None:
    """What bears the name of the thing that was to be deleted is still there, whatever else the run
    made under its id, and whoever made it.
    """

    async def story(world: World, judge: Judge) -> list[bool]:
        answer, request, caller = await asked(world, "delete-contact", "admin")
        assert request.fixture is not None
        given = replace(request, fixture=replace(request.fixture, made_by=None))
        entry = world.ledger.of("contact", request.fixture.id)
        assert entry is not None
        done = [await judge.took_effect(given, answer, caller)]
        entry.name = ANOTHER
        done.append(await judge.took_effect(request, answer, caller))
        others = {"id": request.fixture.id, "name": "somebody-elses"}
        server.things["contact"][request.fixture.id] = others
        entry.name = request.fixture.name
        done.append(await judge.took_effect(given, answer, caller))
        return done

    server = answering("delete-contact", (204, None), by="admin")

    assert judged(story, server) == [False, False, False]


@pytest.mark.parametrize(
    ("operation", "done"),
    [
        ("create-contact", "created"),
        ("update-contact", "updated"),
        ("delete-contact", "deleted"),
        ("update-user-self", "updated"),
    ],
)
def test_a_refusal_with_an_effect_is_a_finding(operation: str, done: str) -> None:
    """It is looked for a moment later, since a server may work in the background, and noted to be
    looked for at the end.
    """

    async def later(asked: Asked) -> None:
        await asyncio.sleep(0.05)
        server.act(asked)

    tasks = []

    def refuse(asked: Asked) -> Answer:
        tasks.append(asyncio.get_running_loop().create_task(later(asked)))
        return 403, None

    async def story(world: World, judge: Judge) -> None:
        answer, request, caller = await asked(world, operation, "guest")
        await judge.expect_no_effect(request, answer, caller)
        assert world.patience.refused == [(request, answer)]

    server = answering(operation, refuse, by="guest")
    with pytest.raises(Finding) as found:
        judged(story, server)

    assert (found.value.expected, found.value.actual) == (
        "a refusal without effect",
        f"403, and it was {done} all the same",
    )
    assert found.value.exchange is not None
    judged(story, answering(operation, (403, None), by="guest"))


def test_what_a_replica_showed_for_a_moment_was_not_done() -> None:
    """Each look at a refused create is at a list of its own: what is gone from it was not made."""
    tasks = []

    async def gone(asked: Asked) -> None:
        made = server.act(asked)[1]
        await asyncio.sleep(0.3)
        del server.things["contact"][made["id"]]

    def show_for_a_moment(asked: Asked) -> Answer:
        tasks.append(asyncio.get_running_loop().create_task(gone(asked)))
        return 403, None

    async def story(world: World, judge: Judge) -> None:
        answer, request, caller = await asked(world, "create-contact", "guest")
        await judge.expect_no_effect(request, answer, caller)

    server = answering("create-contact", show_for_a_moment, by="guest")
    judged(story, server)

    assert tasks[0].done()


def test_a_refusal_with_an_effect_is_waited_for_three_times() -> None:
    """Where what was refused stays done, and nothing was ever shown late, the fourth time is given
    a moment only.
    """

    def do_all_the_same(asked: Asked) -> Answer:
        server.act(asked)
        return 403, None

    async def story(world: World, judge: Judge) -> list[float]:
        waits = []
        for _ in range(4):
            answer, request, caller = await asked(world, "update-contact", "guest")
            begun = time.monotonic()
            with pytest.raises(Finding):
                await judge.expect_no_effect(request, answer, caller)
            waits.append(time.monotonic() - begun)
        return waits

    server = answering("update-contact", do_all_the_same, by="guest")
    *long, last = judged(story, server)

    assert min(long) > 1 > last


@pytest.mark.parametrize(
    ("operation", "waits"), [("update-contact", True), ("create-contact", False)]
)
def test_a_target_that_lags_is_given_its_time(operation: str, waits: bool) -> None:
    """Where changes were seen to show late, a refused one is looked for later; a create stays in
    the list, and at the end.
    """

    async def story(world: World, judge: Judge) -> float:
        answer, request, caller = await asked(world, operation, "guest")
        world.patience.lag, begun = 1.0, time.monotonic()
        await judge.expect_no_effect(request, answer, caller)
        return time.monotonic() - begun

    assert (judged(story) > 1.0) is waits


@pytest.mark.parametrize("operation", ["update-user-self", "create-contact", "update-contact"])
def test_a_success_that_shows_late_is_done(operation: str) -> None:
    """A write that is answered with success is looked for as long as a target may lag."""

    async def later(asked: Asked) -> None:
        await asyncio.sleep(0.5)
        server.act(asked)

    tasks = []

    def promise(asked: Asked) -> Answer:
        tasks.append(asyncio.get_running_loop().create_task(later(asked)))
        return 200, None

    async def story(world: World, judge: Judge) -> tuple[bool, float]:
        answer, request, caller = await asked(world, operation, "bot")
        return await judge.takes_effect(request, answer, caller), world.patience.lag

    server = answering(operation, promise, by="bot")
    done, lag = judged(story, server)

    assert done
    assert 0.4 < lag < 1.0


def test_a_success_that_never_shows_is_not_done() -> None:
    """What is answered with success and never shown was not done."""

    async def story(world: World, judge: Judge) -> bool:
        answer, request, caller = await asked(world, "update-contact", "bot")
        return await judge.takes_effect(request, answer, caller)

    assert not judged(story, answering("update-contact", (200, None)))


def test_an_update_that_never_shows_is_waited_for_three_times() -> None:
    """Where nothing was ever shown late, and one kind of write was waited for in vain three times,
    it is given a moment only.
    """

    async def story(world: World, judge: Judge) -> list[float]:
        waits = []
        for _ in range(4):
            answer, request, caller = await asked(world, "update-contact", "bot")
            begun = time.monotonic()
            assert not await judge.takes_effect(request, answer, caller)
            waits.append(time.monotonic() - begun)
        return waits

    *long, last = judged(story, answering("update-contact", (200, None)))

    assert min(long) > 1 > last


def test_what_a_create_never_shows_is_waited_for_three_times() -> None:
    """As for an update: the fourth time what a new thing does not show is given a moment only."""
    server = Server()

    async def story(world: World, judge: Judge) -> list[float]:
        waits = []
        for _ in range(4):
            server.instead("fetch-knowledge-item", server.usual)
            answer, request, _ = await asked(world, "create-knowledge-item", "admin")
            made = Fixture(request.operation.resource, answer.json["id"], request.name, answer)
            shown = {**answer.json, "name": "x", "title": "x"}
            server.instead("fetch-knowledge-item", (200, shown))
            begun = time.monotonic()
            assert not await judge.is_as_written(made, request, answer)
            waits.append(time.monotonic() - begun)
        return waits

    *long, last = judged(story, server)

    assert min(long) > 1 > last


def test_another_run_in_the_same_user_is_trouble() -> None:
    """Two runs that write to one account's user may undo each other's work: not a finding."""
    server = answering("update-user-self", (200, None))
    for user in server.things["user"].values():
        user["givenName"] = "rolecall-20261124-111111-000000-5-update-user-self"

    with pytest.raises(TransientFailure) as trouble:
        effect("update-user-self", server)

    assert (
        trouble.value.missing
        == "a user that no other run changes: another run is changing guest (token)"
    )
    assert trouble.value.look_at == "that run"


def test_a_create_without_a_mark_cannot_be_looked_for() -> None:
    """What bears no mark in a member that is shown cannot be told from what was there."""

    async def story(world: World, judge: Judge) -> bool:
        answer, request, caller = await asked(world, "create-contact", "guest")
        return await judge.took_effect(replace(request, body={"profile": {}}), answer, caller)

    with pytest.raises(Inconclusive) as open_:
        judged(story)

    assert open_.value.missing == (
        "a mark by which to know what create-contact wrote: no member that is read back holds the "
        "test's name"
    )
    assert open_.value.look_at == "[operations.create-contact] body in the target file"


@pytest.mark.parametrize(("keeps", "is_written"), [(True, True), (False, False)])
def test_what_a_create_wrote_is_there(keeps: bool, is_written: bool) -> None:
    """A new thing holds what its create wrote, or does not for as long as one may wait."""

    def forgets(asked: Asked) -> Answer:
        thing = server.add("knowledge-item", name=asked.body["name"], title=asked.body["title"])
        if not keeps:
            server.instead(
                "fetch-knowledge-item", lambda _: (200, {**thing, "name": "x", "title": "x"})
            )
        return 201, thing

    async def story(world: World, judge: Judge) -> bool:
        answer, request, _ = await asked(world, "create-knowledge-item", "admin")
        made = Fixture(request.operation.resource, answer.json["id"], request.name, answer)
        return await judge.is_as_written(made, request, answer)

    server = answering("create-knowledge-item", forgets)
    assert judged(story, server) is is_written


# --- At the end of the run ---------------------------------------------------------------------


def later(
    operation: str, meanwhile: Callable[[Server, Request], object], server: Server | None = None
) -> TestEvidence:
    """Judge at the end of the run what a guest was refused, after something happened."""
    server = server or Server()

    async def story(world: World, judge: Judge) -> TestEvidence:
        answer, request, _ = await asked(world, operation, "guest")
        meanwhile(server, request)
        with Evidence.collect() as evidence:
            await judge.expect_none_later([(request, answer)])
        assert answer in evidence.exchanges
        return evidence

    return judged(story, server)


def write(server: Server, request: Request) -> None:
    """Carry out what was refused."""
    kept = server.things[request.operation.resource.name]
    if request.operation.effect == "create":
        server.add(request.operation.resource.name, **request.body)
    elif request.fixture:
        kept[request.fixture.id] |= request.body or {}


@pytest.mark.parametrize(
    ("operation", "done"),
    [
        ("create-contact", "created"),
        ("update-contact", "updated"),
        ("update-organization", "updated"),
    ],
)
def test_a_refusal_that_is_carried_out_later_is_a_finding(operation: str, done: str) -> None:
    """What was refused and stands there at the end of the run was done all the same."""
    with pytest.raises(Finding) as found:
        later(operation, write)

    assert found.value.expected == "a refusal without effect, at the end of the run as well"
    assert found.value.actual.endswith(f"later it was {done}")
    assert found.value.exchange is not None
    later(operation, lambda *_: None)


def test_a_refused_delete_is_not_looked_for_later() -> None:
    """Others may have deleted the thing since: a delete was judged when it was refused."""
    later("delete-contact", lambda server, _: server.things["contact"].clear())


def test_what_the_list_shows_is_not_fetched() -> None:
    """Where the list shows the thing with the member, it need not be possible to fetch it."""

    def written(server: Server, request: Request) -> None:
        write(server, request)
        server.asked.clear()

    server = Server()
    with pytest.raises(Finding, match="later it was updated"):
        later("update-contact", written, server)

    assert server.count("list-contacts") and not server.count("fetch-contact")


def test_a_target_that_lags_is_given_its_time_at_the_end() -> None:
    """Where changes were seen to show late, the last look waits for them."""

    async def story(world: World, judge: Judge) -> float:
        answer, request, _ = await asked(world, "update-contact", "guest")
        world.patience.lag = 1.0
        await judge.expect_none_later([(request, answer)])
        return time.monotonic() - answer.finished

    assert judged(story) > 1.0


@pytest.mark.parametrize("shown", [[], [{"id": "another"}], {"none": "of them"}])
def test_what_the_list_does_not_show_is_fetched(shown: Any) -> None:
    """Where the list does not show the thing, or not the member, or cannot be read, the thing
    itself is looked at.
    """

    def written(server: Server, request: Request) -> None:
        write(server, request)
        server.instead("list-contacts", (200, shown) if isinstance(shown, list) else (403, None))

    with pytest.raises(Finding, match="later it was updated"):
        later("update-contact", written)
