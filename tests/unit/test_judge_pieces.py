"""Which exchange is cited as which piece of evidence, and what it is said to be about: in memory.

Whoever judges a cell once more has these pieces, and no request.
"""

from __future__ import annotations

import pytest

from rolecall.evidence import Evidence, Exchange, TestEvidence
from rolecall.http.gate import Withheld
from rolecall.outcomes import Finding
from rolecall.spec.ids import own_id
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Fixture, Request, items
from rolecall.toolkit.world import World
from tests.support.exchanges import exchange
from tests.unit.memory import Asked, Server
from tests.unit.stage import answering, asked, judged

# --- What the answer is about -------------------------------------------------------------------


def subject(
    operation: str, by: str, server: Server | None = None
) -> tuple[dict[str, str], Request, str]:
    """What the evidence of a role's request is about, that request, and the role's user; a server
    that is given refuses it, and is right to.
    """

    async def story(world: World, judge: Judge) -> tuple[dict[str, str], Request, str]:
        answer, request, caller = await asked(world, operation, by)
        expect = judge.expect_denied if server else judge.expect_allowed
        with Evidence.collect() as evidence:
            await expect(answer, request, caller)
        assert evidence.named["answer"] is answer
        return evidence.subject, request, caller.user

    return judged(story, server)


@pytest.mark.parametrize(
    ("operation", "has_mark"),
    [
        ("list-contacts", False),
        ("fetch-contact", False),
        ("update-contact", True),
        ("delete-contact", False),
    ],
)
@pytest.mark.parametrize("by", ["admin", "guest"])
def test_an_answer_is_about_the_thing(operation: str, has_mark: bool, by: str) -> None:
    """An answer, be it a success or a refusal, is about the thing that was asked for, with its
    name; of an update it is said what mark it leaves.
    """
    about, request, _ = subject(operation, by, Server() if by == "guest" else None)

    assert request.fixture is not None
    assert request.fixture.id
    assert about == {
        "thing": request.fixture.id,
        "name": request.fixture.name,
        "mark": request.name if has_mark else "",
    }


@pytest.mark.parametrize("by", ["admin", "guest"])
def test_an_answer_to_a_create_is_about_its_mark(by: str) -> None:
    """What a create makes is known by its mark alone: it is no thing yet, nor the caller's user."""
    about, request, _ = subject("create-contact", by, Server() if by == "guest" else None)

    assert about == {"thing": "", "name": "", "mark": request.name}


@pytest.mark.parametrize(
    ("operation", "has_mark"), [("fetch-user-self", False), ("update-user-self", True)]
)
@pytest.mark.parametrize("is_refused", [False, True])
def test_an_answer_on_the_own_user_is_about_the_caller(
    operation: str, has_mark: bool, is_refused: bool
) -> None:
    """What is done to oneself is about the caller's user, which bears no name of the run."""
    server = answering(operation, (403, None), by="guest") if is_refused else None
    about, request, user = subject(operation, "guest", server)

    assert user
    assert about == {"thing": user, "name": "", "mark": request.name if has_mark else ""}


def test_an_answer_to_nobody_is_about_no_user() -> None:
    """Who asks for the own user without a token has none."""

    async def story(world: World, judge: Judge) -> dict[str, str]:
        request = await world.request(world.spec.operations["fetch-user-self"], None)
        with Evidence.collect() as evidence:
            await judge.expect_denied(await world.perform(request, None), request, None)
        return evidence.subject

    assert judged(story) == {"thing": "", "name": "", "mark": ""}


# --- Controls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["list-contacts", "delete-knowledge-item", "fetch-user-self"])
def test_what_another_role_can_is_the_control(operation: str) -> None:
    """That a request was understood, which one role was refused with 404, is shown by another
    role's success.
    """

    async def story(world: World, judge: Judge) -> dict[str, Exchange]:
        with Evidence.collect() as evidence, pytest.raises(Finding):
            await judge.expect_allowed(*await asked(world, operation, "bot"))
        return evidence.named

    named = judged(story, answering(operation, (404, None), by="bot"))

    assert (named["answer"].status, named["answer"].caller) == (404, "bot (token)")
    assert named["control"].ok
    assert named["control"].caller == "admin (token)"


def controls(operation: str, times: int, server: Server) -> list[tuple[Exchange, TestEvidence]]:
    """The controls of one request that a guest sent, and what they cite."""

    async def story(world: World, judge: Judge) -> list[tuple[Exchange, TestEvidence]]:
        _, request, _ = await asked(world, operation, "guest")
        found = []
        for _ in range(times):
            with Evidence.collect() as evidence:
                found.append((await judge.control(request), evidence))
        return found

    return judged(story, server)


def test_the_control_of_a_create_is_the_one_that_made_the_shared_thing() -> None:
    """That one can be made is shown by the answer that made the shared one: no second one is
    made.
    """

    async def story(world: World, judge: Judge) -> tuple[Exchange, Exchange | None]:
        _, request, _ = await asked(world, "create-contact", "guest")
        with Evidence.collect() as evidence:
            await judge.control(request)
        return evidence.named["control"], (await world.shared("contact")).made_by

    server = Server()
    control, made_by = judged(story, server)

    assert control is made_by
    assert server.count("create-contact", "admin") == 1


def test_an_update_is_controlled_each_time() -> None:
    """What could be done to a thing before may be no more: an update is never spared its
    control.
    """
    server = Server()

    first, second = controls("update-contact", 2, server)

    assert first[0] is first[1].named["control"]
    assert second[0] is second[1].named["control"]
    assert first[0] is not second[0]
    assert server.count("update-contact", "admin") == 2


def test_a_delete_is_not_controlled_by_an_earlier_one() -> None:
    """A control that was had does not count again for a delete: it is tried anew, and held back
    where the thing is gone.
    """
    with pytest.raises(Withheld):
        controls("delete-contact", 2, Server())


def test_each_thing_has_a_control_of_its_own() -> None:
    """That one thing can be fetched, or listed, says nothing of another."""

    async def story(world: World, judge: Judge) -> list[tuple[str, str]]:
        found = []
        guest = await world.user("guest")
        for name in ("fetch-contact", "fetch-form", "fetch-contact"):
            operation = world.spec.operations[name]
            thing = await world.fresh(operation.resource.name)
            request = await world.request(operation, guest, thing)
            found.append(((await judge.control(request)).url, request.path))
        return found

    for url, path in judged(story):
        assert url.endswith(path)


# --- What a list shows elsewhere ----------------------------------------------------------------


def paged(server: Server, size: int = 10, *, is_cut: bool = False) -> None:
    """Let the administrators' list of contacts come in pages, by offset; of one that is cut there
    is the first only, with the newest in front.
    """
    for number in range(25):
        server.add("contact", name=f"contact {number}")

    def page(asked: Asked) -> tuple[int, list[dict[str, str]]]:
        everything = list(server.things["contact"].values())
        if is_cut:
            return 200, everything[::-1][:size]
        offset = int(asked.query.get("offset", 0))
        return 200, everything[offset : offset + size]

    server.instead("list-contacts", page, by="admin")


def has(page: Exchange, id: str) -> bool:
    """Whether a page shows a thing."""
    return id in [own_id(item) for item in items(page)]


def test_the_page_that_shows_a_thing_is_beside_the_answer() -> None:
    """Where the answer is a first page without the thing, the page that has it is a piece of the
    evidence; where the answer has it, there is no such piece.
    """

    async def story(world: World, judge: Judge) -> tuple[dict[str, Exchange], str]:
        answer, request, caller = await asked(world, "list-contacts", "admin")
        with Evidence.collect() as evidence:
            assert await judge.shows(answer, request, caller)
        assert request.fixture is not None
        assert has(answer, request.fixture.id) is not ("answer shows" in evidence.named)
        return evidence.named, request.fixture.id

    server = Server()
    paged(server)
    named, id = judged(story, server)

    assert has(named["answer shows"], id)
    assert "offset=20" in named["answer shows"].url
    assert "answer shows" not in judged(story, Server())[0]


def test_the_page_that_shows_a_thing_is_beside_the_control() -> None:
    """The same of a control, and of a control that was had before."""
    server = Server()
    paged(server)

    for control, evidence in controls("list-contacts", 2, server):
        assert evidence.named["control"] is control
        assert "offset=20" in evidence.named["control shows"].url
    [(_, plain)] = controls("list-contacts", 1, Server())
    assert "control shows" not in plain.named


def test_what_a_cut_list_shows_is_the_newest() -> None:
    """Where a list is cut, the evidence says which new thing it was seen to show, and where."""
    server = Server()
    oldest = server.add("contact", name="oldest")["id"]
    paged(server, is_cut=True)

    async def story(world: World, judge: Judge) -> TestEvidence:
        caller, operation = await world.user("admin"), world.spec.operations["list-contacts"]
        beyond = Fixture(operation.resource, oldest, "")
        request = await world.request(operation, caller, beyond)
        answer = await world.perform(request, caller)
        with Evidence.collect() as evidence:
            assert await judge.shows(answer, request, caller)
        return evidence

    evidence = judged(story, server)

    newest = evidence.subject["newest"]
    assert newest == list(server.things["contact"])[-1]
    assert newest != oldest
    assert has(evidence.named["answer shows"], newest)


def test_a_later_look_is_beside_the_answer_that_it_is_of() -> None:
    """Of two answers that showed nothing, each has the look that was had for it."""

    async def story(world: World, judge: Judge) -> list[Exchange]:
        caller, operation = await world.user("admin"), world.spec.operations["list-contacts"]
        shown = []
        for number in range(2):
            thing = await world.fresh("contact")
            request = await world.request(operation, caller, thing)
            late = exchange(number=1000 + number, body=b"[]")
            with Evidence.collect() as evidence:
                assert await judge.shows(late, request, caller)
            assert has(evidence.named["answer shows"], thing.id)
            shown.append(evidence.named["answer shows"])
        return shown

    first, second = judged(story)

    assert first is not second


# --- Observations -------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["admin", "guest"])
def test_the_list_that_is_looked_through_for_a_create_is_the_observation(by: str) -> None:
    """Whether a create was carried out is seen in the list, which is cited as the observation."""

    async def story(world: World, judge: Judge) -> TestEvidence:
        answer, request, caller = await asked(world, "create-contact", by)
        with Evidence.collect() as evidence:
            assert await judge.took_effect(request, answer, caller) is (by == "admin")
        assert evidence.named["observation"].finished > answer.finished
        return evidence

    evidence = judged(story)

    assert list(evidence.named) == ["observation"]
    assert evidence.named["observation"].method == "GET"
    assert evidence.named["observation"].url.endswith("/v2/contacts")
