"""What a caller may not see stays unseen, in memory, and the controls of that."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.outcomes import Finding, Inconclusive
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.expectations import expect_hidden, expect_refused
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.world import World
from tests.support.exchanges import exchange
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import answering, judged, play

CONTACT = Fixture(SPEC.resources["contact"], "599e1fcd9da1", "rolecall-1-contact")


def answer(status: int, document: Any = ...) -> Exchange:
    """An answer with a body: JSON, text, or none."""
    body = (
        b""
        if document is ...
        else document
        if isinstance(document, bytes)
        else json.dumps(document).encode()
    )
    return exchange(status=status, body=body)


# --- Hidden and refused ------------------------------------------------------------------------

HIDDEN = {
    "a-refusal": answer(403, {"message": "no"}),
    "a-redirect": answer(302),
    "a-page": answer(200, b"<h1>Welcome</h1>"),
    "an-empty-list": answer(200, []),
    "a-document-without-an-id": answer(200, {"status": "up"}),
    "not-implemented": answer(501),
    "a-refusal-with-another-id": answer(404, {"error": {"id": "request-17"}}),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_shows_nothing(case: str) -> None:
    """A refusal, a redirect, and a success that holds no resource show nothing of a thing; the
    answer is evidence.
    """
    with Evidence.collect() as evidence:
        expect_hidden(HIDDEN[case], CONTACT)

    assert evidence.named == {"answer": HIDDEN[case]}


SHOWN = {
    "its-id": (answer(200, {"id": CONTACT.id}), f"200 with contact {CONTACT.id} in it"),
    "its-id-in-a-refusal": (
        answer(403, {"about": [{"_id": CONTACT.id}]}),
        f"403 with contact {CONTACT.id} in it",
    ),
    "its-name-in-a-page": (
        answer(404, b"<p>rolecall-1-contact is not yours</p>"),
        f"404 with contact {CONTACT.id} in it",
    ),
    "another-resource": (answer(200, [{"id": "another"}]), "200 with resources in it"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_shows_something(case: str) -> None:
    """The thing's id or name in any answer, and any resource in a success, is shown."""
    said, actual = SHOWN[case]

    with pytest.raises(Finding) as found:
        expect_hidden(said, CONTACT)

    assert (found.value.expected, found.value.actual) == (
        "an answer that shows nothing of it",
        actual,
    )
    assert found.value.exchange is said


def test_a_thing_without_a_name_is_known_by_its_id() -> None:
    """The empty name, which every text holds, shows nothing; without an id either nothing can be
    said.
    """
    expect_hidden(answer(403, b"no"), Fixture(SPEC.resources["contact"], "1", ""))

    with pytest.raises(Inconclusive) as open_:
        expect_hidden(
            answer(403, b"no"), CONTACT, Fixture(SPEC.resources["user"], "", "rolecall-1")
        )
    assert open_.value.missing == "the id of a user, by which to know it"
    assert open_.value.look_at == "PERM-create-user"


@pytest.mark.parametrize("expect", [expect_hidden, expect_refused])
def test_a_crash_hides_nothing(expect: Any) -> None:
    """A server error is a finding of its own."""
    with pytest.raises(Finding, match="an answer other than a server error"):
        expect(answer(500), CONTACT)


@pytest.mark.parametrize("status", [200, 204, 302])
def test_what_is_no_refusal(status: int) -> None:
    """A refusal is a client error; what only shows nothing is none."""
    with pytest.raises(Finding) as found:
        expect_refused(answer(status), CONTACT)

    assert (found.value.expected, found.value.actual) == ("a refusal", f"{status}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 501])
def test_any_refusal_will_do(status: int) -> None:
    """Which client error it is does not matter, as long as it shows nothing."""
    expect_refused(answer(status), CONTACT)
    if status < 500:
        with pytest.raises(Finding, match="in it"):
            expect_refused(answer(status, {"id": CONTACT.id}), CONTACT)


# --- The usual way -----------------------------------------------------------------------------


def test_the_usual_way_is_the_control() -> None:
    """That the usual way is denied is looked at once, and is the evidence of each test that goes
    around it.
    """

    async def story(world: World) -> Exchange:
        caller = await world.user("guest")
        first = await expect_denied_as_usual(world, caller, "list-contacts")
        with Evidence.collect() as evidence:
            second = await expect_denied_as_usual(world, caller, "list-contacts")
        assert evidence.named == {"denied as usual": second}
        assert first is second
        return second

    server = Server()
    assert play(story, server).status == 403
    assert server.count("list-contacts", "guest") == 1


def test_a_usual_way_that_is_open_is_another_cells_matter() -> None:
    """Where the usual way is not denied there is nothing to go around; that cell's requirement is
    where to look.
    """

    async def story(world: World) -> None:
        await expect_denied_as_usual(world, await world.user("guest"), "list-contacts")

    with pytest.raises(Inconclusive) as open_:
        play(story, answering("list-contacts", (200, [])))

    assert open_.value.missing == "list-contacts denied to guest (token): 200"
    assert open_.value.look_at == "PERM-list-contacts"


FOUND = Finding("a refusal", "200", answer(200))


def around(
    operation: str, server: Server, *, error: Exception | None = FOUND, on_thing: bool = False
) -> Exchange:
    """Go a way around an operation that a guest may not, and find something; the usual way's
    answer.
    """

    async def story(world: World, judge: Judge) -> Exchange:
        caller = await world.user("guest")
        thing = await world.fresh("contact") if on_thing else None
        with Evidence.collect() as evidence:
            try:
                async with unless_open(world, judge, operation, caller, thing):
                    if error:
                        raise error
            except Finding as found:
                assert found is error
        return evidence.named["denied as usual"]

    return judged(story, server)


@pytest.mark.parametrize(
    "operation",
    ["list-contacts", "fetch-contact", "create-contact", "update-contact", "delete-contact"],
)
@pytest.mark.parametrize("on_thing", [False, True])
def test_a_finding_stands_where_the_usual_way_is_shut(operation: str, on_thing: bool) -> None:
    """What was found around a denial is held against the target when the usual way is denied and
    has no effect.
    """
    assert around(operation, Server(), on_thing=on_thing).status == 403


@pytest.mark.parametrize("operation", ["fetch-contact", "update-contact", "delete-contact"])
def test_the_usual_way_is_tried_on_the_same_thing(operation: str) -> None:
    """Where the way around was to a thing, so is the usual one."""
    server = Server()
    around(operation, server, on_thing=True)

    (id,) = {
        asked.id for asked in server.asked if asked.operation == operation and asked.by == "guest"
    }
    assert id in server.things["contact"]
    assert server.count("create-contact") == 1


@pytest.mark.parametrize(
    ("operation", "reply"),
    [("list-contacts", (200, [])), ("fetch-contact", (302, None)), ("update-contact", (200, {}))],
)
def test_a_finding_falls_where_the_usual_way_is_open(operation: str, reply: Answer) -> None:
    """Where the usual way is not denied it is that cell's finding alone."""
    with pytest.raises(Inconclusive) as open_:
        around(operation, answering(operation, reply, by="guest"))

    assert open_.value.missing.startswith(f"{operation} denied to guest (token): ")
    assert open_.value.look_at == f"PERM-{operation}"
    assert open_.value.__suppress_context__


@pytest.mark.parametrize("operation", ["create-contact", "update-contact", "delete-contact"])
def test_a_finding_falls_where_the_usual_way_has_its_effect(operation: str) -> None:
    """A write that is refused and done all the same a moment later is that cell's finding, too."""
    tasks = []

    def refuse(asked: Asked) -> Answer:
        async def later() -> None:
            await asyncio.sleep(0.05)
            server.act(asked)

        tasks.append(asyncio.get_running_loop().create_task(later()))
        return 403, None

    server = answering(operation, refuse, by="guest")
    with pytest.raises(Inconclusive, match=f"{operation} denied to guest"):
        around(operation, server)


def test_without_a_finding_nothing_is_asked() -> None:
    """The usual way is tried only when there is something to hold against the target; other
    outcomes pass as they are.
    """
    server = Server()
    with pytest.raises(KeyError, match="denied as usual"):
        around("list-contacts", server, error=None)
    with pytest.raises(ZeroDivisionError):
        around("list-contacts", server, error=ZeroDivisionError())

    assert server.count("list-contacts", "guest") == 0
