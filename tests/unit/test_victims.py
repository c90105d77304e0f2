"""Things that refused writes are tried on, in memory: traces are held against the target."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest

from rolecall.evidence import Evidence
from rolecall.outcomes import Finding, Inconclusive
from rolecall.toolkit.victims import Tried, Victim, expect_there, expect_untouched, victim
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import answering, play

# --- One at a time ------------------------------------------------------------------------------


def test_a_victim_was_updated_and_seen() -> None:
    """A victim was updated by a role that may, so that such an update is known to work."""

    async def story(world: World) -> Victim:
        async with victim(world, "contact") as thing:
            return thing

    server = Server()
    thing = play(story, server)

    assert thing.document == server.things["contact"][thing.fixture.id]
    assert "-update-contact" in thing.document["profile"]["name"]
    assert thing.is_listed


def test_tests_take_turns_with_one_victim() -> None:
    """Tests have the same thing one after the other; those of another kind do not wait for them."""
    now: list[str] = []

    async def has(world: World, resource: str) -> tuple[str, int]:
        async with victim(world, resource) as thing:
            now.append(resource)
            await asyncio.sleep(1)
            here = now.count(resource)
            now.remove(resource)
            return thing.fixture.id, here

    async def story(world: World) -> tuple[list[tuple[str, int]], float]:
        for resource in ("contact", "form"):
            await has(world, resource)
        begun = time.monotonic()
        return await asyncio.gather(
            *(has(world, name) for name in ("contact", "form", "contact"))
        ), time.monotonic() - begun

    (first, other, second), seconds = play(story)

    assert first == second
    assert [here for _, here in (first, other, second)] == [1, 1, 1]
    assert 2 <= seconds < 3


def test_after_a_finding_the_next_test_has_another_one() -> None:
    """A thing that was changed by a refused write is not used again."""

    async def story(world: World) -> tuple[str, str]:
        with pytest.raises(Finding):
            async with victim(world, "contact") as thing:
                raise Finding("it as it was", "it is gone")
        async with victim(world, "contact") as other:
            return thing.fixture.id, other.fixture.id

    first, second = play(story)

    assert first != second


@pytest.mark.parametrize(
    ("operation", "missing", "look_at"),
    [
        (
            "update-contact",
            "an update of contact {} by admin (token): PATCH /v2/contacts/{}",
            "PERM-update-contact",
        ),
        ("fetch-contact", "contact {}, just made", "PERM-fetch-contact"),
    ],
)
def test_without_a_control_there_is_no_victim(operation: str, missing: str, look_at: str) -> None:
    """A thing that no role can update, or see, is inconclusive."""

    async def story(world: World) -> None:
        async with victim(world, "contact"):
            pass

    server = answering(operation, (404, None))
    with pytest.raises(Inconclusive) as open_:
        play(story, server)

    assert open_.value.missing.startswith(missing.format(*[list(server.things["contact"])[-1]] * 2))
    assert open_.value.look_at == look_at


# --- What became of it -------------------------------------------------------------------------


Change = Callable[[dict[str, Any], str], object]


async def attacked(
    world: World,
    server: Server,
    change: Change,
    judge: Callable[[World, Victim, list[Tried]], Awaitable[None]],
    *how: str,
) -> None:
    """Let a guest try to change a contact in some ways, and something happen to it; then judge."""
    async with victim(world, "contact") as thing:
        guest, tried = await world.user("guest"), []
        for way in how:
            operation = world.spec.operations[f"{way}-contact"]
            request = await world.request(operation, guest, thing.fixture)
            tried.append(Tried(request, await world.perform(request, guest), f"by {way}"))
        change(server.things["contact"][thing.fixture.id], tried[0].request.name)
        await judge(world, thing, tried)


def untouched(
    change: Change, *how: str, server: Server | None = None, in_list: bool = False
) -> list[str]:
    """Judge whether a thing is as it was; what was noted."""
    server = server or Server()

    async def story(world: World) -> list[str]:
        expect = partial(expect_untouched, in_list=in_list)
        with Evidence.collect() as evidence:
            await attacked(world, server, change, expect, *(how or ("update",)))
        return evidence.notes

    return play(story, server)


def nothing(document: dict[str, Any], name: str) -> None:
    """Nothing happens."""


def test_what_is_as_it_was() -> None:
    """A thing that is there with the same members, and in its list, is untouched; nothing is
    noted.
    """
    assert untouched(nothing, "update", "delete", in_list=True) == []


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda thing, name: thing.update(profile={"name": "another"}), "profile"),
        (lambda thing, name: thing.update(more=1), "more"),
        (lambda thing, name: thing.pop("organization"), "organization"),
        (
            lambda thing, name: thing.update(more=1, deletedAt="now", updatedAt="now"),
            "deletedAt, more",
        ),
    ],
    ids=["changed", "added", "removed", "marked-as-deleted"],
)
def test_what_changed_is_a_finding(change: Change, changed: str) -> None:
    """A member that is another, new or gone is named, and with it what was tried last."""
    with pytest.raises(Finding) as found:
        untouched(change)

    assert found.value.expected.startswith("contact 0")
    assert found.value.expected.endswith(" as it was: update-contact refused")
    assert found.value.actual == f"403 (by update), and {changed} changed"


def test_the_one_whose_mark_it_bears_has_done_it() -> None:
    """Of several that were tried the one whose name stands in the thing is shown, else the last."""
    with pytest.raises(Finding) as found:
        untouched(lambda thing, name: thing.update(profile={"name": name}), "update", "delete")
    assert found.value.actual == "403 (by update), and profile changed"
    assert found.value.expected.endswith(" as it was: update-contact, delete-contact refused")

    with pytest.raises(Finding) as found:
        untouched(lambda thing, name: thing.update(more=1), "update", "delete")
    assert found.value.actual == "403 (by delete), and more changed"


@pytest.mark.parametrize("is_known", [True, False])
def test_what_was_refused_to_another_test_is_not_held_against_this_one(*, is_known: bool) -> None:
    """A thing that bears the name of a write that another test was refused, and that it did not
    bear before, accuses nobody here; a name that nobody was refused does.
    """
    server = Server()

    async def story(world: World) -> None:
        async with victim(world, "contact") as thing:
            guest = await world.user("guest")
            operation = world.spec.operations["update-contact"]
            earlier = await world.request(operation, guest, thing.fixture)
            answer = await world.perform(earlier, guest)
            if is_known:
                world.patience.refused.append((earlier, answer))

        def late(document: dict[str, Any], name: str) -> None:
            document["profile"] = {"name": earlier.name}

        await attacked(world, server, late, expect_untouched, "update")
        async with victim(world, "contact") as thing:
            assert thing.document["profile"] == {"name": earlier.name}
        assert world.patience.done_later == [(earlier, answer)]
        assert (earlier, answer) in world.patience.refused_writes("update-contact")
        assert world.patience.refused_writes("update-form") == []

    if is_known:
        play(story, server)
    else:
        with pytest.raises(Finding, match="profile changed"):
            play(story, server)


@pytest.mark.parametrize(
    "stamp",
    [
        "updatedAt",
        "last_modified",
        "__v",
        "version",
        "viewedOn",
        "lastSeen",
        "_etag",
        "changed_by_date",
    ],
)
def test_a_stamp_that_moved_is_noted(stamp: str) -> None:
    """That a thing was touched is not an effect; it is written down. What only begins like a stamp
    is none.
    """

    def touch(thing: dict[str, Any], name: str) -> None:
        thing[stamp] = 2

    if stamp == "changed_by_date":
        with pytest.raises(Finding, match=f"{stamp} changed"):
            untouched(touch)
    else:
        assert untouched(touch) == [f"update-contact was refused, and {stamp} moved"]


def test_what_a_look_changes_is_no_effect() -> None:
    """A counter of looks moves by being looked at, which a second look shows."""

    def looked(asked: Asked) -> None:
        if kept := server.things["contact"].get(asked.id):
            kept["looks"] = kept.get("looks", 0) + 1

    server = Server()
    server.instead("fetch-contact", looked)

    assert untouched(nothing, server=server) == ["update-contact was refused, and looks moved"]


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        (expect_there, "there: delete-contact refused"),
        (expect_untouched, "as it was: delete-contact refused"),
    ],
)
def test_what_is_gone_is_a_finding(expect: Any, expected: str) -> None:
    """A thing that nothing shows any more was deleted."""
    server = Server()

    async def story(world: World) -> None:
        await attacked(
            world, server, lambda thing, name: server.things["contact"].clear(), expect, "delete"
        )

    with pytest.raises(Finding) as found:
        play(story, server)
    assert found.value.actual == "403, and it is gone"
    assert found.value.expected.endswith(expected)


def test_what_is_there_may_have_changed() -> None:
    """Where only a delete was tried it is enough that it is there; what it has become is what the
    next look is held against.
    """
    server = Server()

    async def story(world: World) -> dict[str, Any]:
        async def expect(world: World, thing: Victim, tried: list[Tried]) -> None:
            await expect_there(world, thing, tried)
            await expect_untouched(world, thing, tried)
            documents.append(thing.document)

        documents: list[dict[str, Any]] = []
        await attacked(world, server, lambda thing, name: thing.update(more=1), expect, "delete")
        return documents[0]

    assert play(story, server)["more"] == 1


@pytest.mark.parametrize(
    ("hides", "in_list", "is_found"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_what_its_list_hides_is_a_finding(hides: bool, in_list: bool, is_found: bool) -> None:
    """A thing that its list showed and does not show any more was hidden; where that is asked
    for.
    """

    def hide(thing: dict[str, Any], name: str) -> None:
        if hides:
            server.instead("list-contacts", (200, []))

    server = Server()
    if not is_found:
        assert untouched(hide, server=server, in_list=in_list) == []
        return
    with pytest.raises(Finding) as found:
        untouched(hide, server=server, in_list=in_list)
    assert found.value.expected.endswith(" as it was: update-contact refused, and in its list")
    assert found.value.actual == "403, and the list does not show it any more"


def test_a_list_that_is_late_once_hides_nothing() -> None:
    """Of two replicas one may not know the thing yet: what is hidden has to stay so."""

    def hide(thing: dict[str, Any], name: str) -> None:
        server.instead("list-contacts", lambda asked: next(late, None))

    server = Server()
    late: Iterator[Answer] = iter([(200, [])])

    (said,) = untouched(hide, server=server, in_list=True)

    assert said.endswith("s after the write was answered")


@pytest.mark.parametrize(("keeps_older", "is_found"), [(True, True), (False, False)])
def test_a_list_that_is_cut_hides_nothing(keeps_older: bool, is_found: bool) -> None:
    """A long list that leaves out the thing accuses the target where it shows what is older; one
    that leaves that out as well shows the newest only.
    """
    server = Server()

    def hide(thing: dict[str, Any], name: str) -> None:
        things = [item for item in server.things["contact"].values() if item is not thing]
        newer = [{"id": f"{number:024x}", "name": "another"} for number in range(900, 925)]
        server.instead("list-contacts", (200, newer + (things if keeps_older else [])))

    with pytest.raises(Finding) if is_found else nullcontext():
        (said,) = untouched(hide, server=server, in_list=True)
        assert said.startswith("the list of contacts is cut: it proves nothing of contact ")


@pytest.mark.parametrize("reply", [(502, {"message": "away"}), (403, {"message": "not now"})])
def test_a_list_that_is_not_to_be_seen_hides_nothing(reply: Any) -> None:
    """A list that showed the thing, and cannot be read afterwards, accuses nobody."""
    server = Server()

    def hide(thing: dict[str, Any], name: str) -> None:
        server.instead("list-contacts", reply)

    with pytest.raises(Inconclusive, match="GET /v2/contacts as"):
        untouched(hide, server=server, in_list=True)


@pytest.mark.parametrize("reply", [(200, []), (403, None)])
def test_a_list_that_never_showed_it_hides_nothing(reply: Any) -> None:
    """A list that never showed the thing, or that no role may read, proves nothing."""
    server = answering("list-contacts", reply)

    assert untouched(nothing, server=server, in_list=True) == []


@pytest.mark.parametrize(("lag", "delay"), [(0.0, 0.05), (1.0, 0.8)])
def test_a_target_in_the_background_is_given_a_moment(lag: float, delay: float) -> None:
    """What happens shortly after the refusal is seen, and later where the target was seen to
    lag.
    """
    server, tasks = Server(), []

    async def story(world: World) -> None:
        async def later(thing: dict[str, Any]) -> None:
            await asyncio.sleep(delay)
            thing["more"] = 1

        def begin(thing: dict[str, Any], name: str) -> None:
            world.patience.lag = lag
            tasks.append(asyncio.get_running_loop().create_task(later(thing)))

        await attacked(world, server, begin, expect_untouched, "update")

    with pytest.raises(Finding, match="more changed"):
        play(story, server)
