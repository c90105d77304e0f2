"""How answers to allowed and denied requests are judged, in memory, with the words of findings.

Longer than 400 lines because
one judge decides all cells, and all its tests share one stage.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import quote

import pytest

from rolecall.evidence import Evidence, Exchange, TestEvidence
from rolecall.outcomes import Finding, Inconclusive, NotTested, TransientFailure
from rolecall.toolkit.expectations import shown_in
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.world import World
from tests.support.exchanges import exchange
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import answering, asked, judged


def allowed(operation: str, by: str, server: Server) -> TestEvidence:
    """Judge an operation that a role may; the evidence."""

    async def story(world: World, judge: Judge) -> TestEvidence:
        with Evidence.collect() as evidence:
            await judge.expect_allowed(*await asked(world, operation, by))
        return evidence

    return judged(story, server)


def denied(operation: str, by: str, server: Server, **facts: Any) -> TestEvidence:
    """Judge an operation that a role may not; the evidence."""

    async def story(world: World, judge: Judge) -> TestEvidence:
        with Evidence.collect() as evidence:
            await judge.expect_denied(*await asked(world, operation, by))
        return evidence

    return judged(story, server, **facts)


# --- What is allowed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        "list-messages",
        "fetch-service",
        "create-message",
        "update-conversation",
        "delete-form",
        "update-user-self",
    ],
)
def test_a_success_is_as_it_should_be(operation: str) -> None:
    """Whatever the table allows to the highest role and is answered with success is taken, and the
    answer is the evidence.
    """
    evidence = allowed(operation, "admin", Server())

    assert evidence.named["answer"].ok
    assert "alive" not in evidence.named, "a success needs no proof that the credential lives"


@pytest.mark.parametrize("status", [202, 300, 302, 399, 500])
def test_neither_done_nor_refused_is_a_finding_at_once(status: int) -> None:
    """Another success, a redirect or a server error is the target's fault, and nothing else has to
    be asked.
    """
    server = answering("fetch-contact", (status, None), by="bot")

    with pytest.raises(Finding) as found:
        allowed("fetch-contact", "bot", server)

    assert (found.value.expected, found.value.actual) == ("200: bot may fetch contact", f"{status}")
    assert found.value.exchange is not None
    assert server.asked[-1].operation == "fetch-contact", "nothing was asked after it"


def test_a_refusal_of_a_live_caller_is_a_finding() -> None:
    """Who may and is refused, and whose token works elsewhere, was refused wrongly; that it works
    is in the evidence.
    """
    server = answering("fetch-contact", (403, None), by="bot")

    async def story(world: World, judge: Judge) -> TestEvidence:
        with Evidence.collect() as evidence, pytest.raises(Finding) as found:
            await judge.expect_allowed(*await asked(world, "fetch-contact", "bot"))
        assert (found.value.expected, found.value.actual) == (
            "200: bot may fetch contact",
            "403: it was refused",
        )
        assert found.value.exchange is evidence.named["answer"]
        return evidence

    alive = judged(story, server).named["alive"]

    assert (alive.ok, alive.caller) == (True, "bot (token)")
    assert server.asked[-1].by == "bot", "a denial is understood: no other role has to try it"


def test_a_refusal_of_a_dead_credential_proves_nothing() -> None:
    """Who may do nothing at all any more is perhaps not logged in: that is for the tests of
    issuance.
    """
    server = Server()
    for operation in SPEC.operations:
        server.instead(operation, (401, None), by="agent")

    with pytest.raises(Inconclusive) as open_:
        allowed("list-contacts", "agent", server)

    assert open_.value.missing == "a live credential: agent (token) may do nothing at all"
    assert open_.value.look_at == "the requirements of issuance and expiry"


@pytest.mark.parametrize("operation", ["list-contacts", "delete-knowledge-item", "fetch-user-self"])
def test_what_others_can_was_understood(operation: str) -> None:
    """A 404 to one who may, where another role gets it done, is that role's finding: path and body
    are right.
    """
    with pytest.raises(Finding) as found:
        allowed(operation, "bot", answering(operation, (404, None), by="bot"))

    assert found.value.actual == "404: it was refused"


def test_another_role_deletes_a_thing_of_its_own() -> None:
    """Whether a delete is understood is tried on a new thing: the shared one stays."""
    server = answering("delete-knowledge-item", (404, None), by="bot")

    async def story(world: World, judge: Judge) -> str:
        shared = await world.shared("knowledge-item")
        with pytest.raises(Finding):
            await judge.expect_allowed(*await asked(world, "delete-knowledge-item", "bot"))
        return shared.id

    assert judged(story, server) in server.things["knowledge-item"]


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 415, 422, 423])
def test_what_nobody_can_is_perhaps_done_otherwise(status: int) -> None:
    """A request that no role gets done is inconclusive: the tables may be wrong about it."""
    with pytest.raises(Inconclusive) as open_:
        allowed("list-contacts", "bot", answering("list-contacts", (status, None)))

    assert open_.value.missing.startswith(
        "an answer to GET /v2/contacts from a server that knows it: GET /v2/contacts as bot"
    )
    assert (
        open_.value.look_at
        == "[operations.list-contacts] in the target file, if it is done elsewhere or with "
        "another body"
    )


@pytest.mark.parametrize(
    ("made", "maker", "refused", "is_open"),
    [
        (10, "bot", ("bot",), True),
        (9, "bot", ("bot",), False),
        (10, "admin", ("bot",), False),
        (10, "admin", ("bot", "admin"), True),
    ],
)
def test_a_limit_of_things_is_no_denial(
    made: int, maker: str, refused: tuple[str, ...], is_open: bool
) -> None:
    """A create that is refused to who has made ten such things before, now or a moment ago, may be
    one too many for the target's plan; where they may go on, it is a wrong refusal.
    """
    server = Server()

    async def story(world: World, judge: Judge) -> None:
        await world.shared("contact")
        world.made_by.clear()
        by = f"{await world.user(maker)}"
        world.made_by["contact", by] = [exchange("POST", caller=by)] * made
        for role in refused:
            server.instead("create-contact", (403, None), by=role)
        await judge.expect_allowed(*await asked(world, "create-contact", "bot"))

    with (
        Evidence.collect() as evidence,
        pytest.raises(Inconclusive if is_open else Finding) as told,
    ):
        judged(story, server)

    if not is_open:
        return
    assert isinstance(told.value, Inconclusive)
    refused_now = evidence.named["answer" if maker == "bot" else "refused now"]
    assert told.value.missing == (
        f"room for one more contact: {maker} (token) has made 10 of them in this run, and then "
        f"{refused_now}"
    )
    assert told.value.look_at == (
        "how many of them the target allows, and how many are left of earlier runs"
    )
    assert (refused_now.caller, refused_now.status) == (f"{maker} (token)", 403)
    assert evidence.named["made before"].caller == f"{maker} (token)"
    assert ("refused now" in evidence.named) == (maker != "bot")


def test_a_role_is_not_its_own_witness() -> None:
    """That the same role gets it done a moment later does not show that the request was understood
    before.
    """
    server, answers = Server(), [(404, None)]

    async def story(world: World, judge: Judge) -> None:
        await world.shared("service")
        server.instead("fetch-service", lambda asked: answers.pop() if answers else None)
        await judge.expect_allowed(*await asked(world, "fetch-service", "admin"))

    with pytest.raises(Inconclusive, match="an answer to GET /v2/services/"):
        judged(story, server)


# --- What is denied ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    ["list-contacts", "fetch-contact", "create-contact", "update-contact", "delete-contact"],
)
def test_a_denial_is_as_it_should_be(operation: str) -> None:
    """A denial with the status of the dialect is taken as it is: nothing else has to be asked."""
    assert denied(operation, "guest", Server()).named["answer"].status == 403


def test_an_empty_list_is_a_denial_where_the_dialect_has_it() -> None:
    """Under ``denied_list = "empty"`` a list that shows nothing denies; under the default it was
    allowed.
    """
    server = answering("list-contacts", (200, []), by="guest")

    denied("list-contacts", "guest", server, dialect={"denied_list": "empty"})
    with pytest.raises(Finding, match="200: it was allowed"):
        denied("list-contacts", "guest", server)


@pytest.mark.parametrize(
    ("status", "actual"),
    [
        (200, "200: it was allowed"),
        (204, "204: it was allowed"),
        (300, "300: a redirect is not a denial"),
        (302, "302: a redirect is not a denial"),
        (500, "500: a server error is not a denial"),
    ],
)
def test_no_denial_is_a_finding_at_once(status: int, actual: str) -> None:
    """Who is let through, redirected or met with a crash was not denied, whatever else is so."""
    server = answering("fetch-contact", (status, None), by="guest")

    with pytest.raises(Finding) as found:
        denied("fetch-contact", "guest", server)

    assert (found.value.expected, found.value.actual) == (
        "403: guest may not fetch contact",
        actual,
    )
    assert found.value.exchange is not None


@pytest.mark.parametrize("show", ["name", "id"])
def test_a_refusal_may_not_show_what_it_refuses(show: str) -> None:
    """A denial with the thing's name or id in its body tells what it should keep to itself."""

    def telling(asked: Asked) -> Answer:
        contact = server.things["contact"][asked.id]
        return 403, {"message": contact["profile"]["name"]} if show == "name" else {
            "about": {"id": asked.id}
        }

    server = answering("fetch-contact", telling, by="guest")

    with pytest.raises(Finding) as found:
        denied("fetch-contact", "guest", server)

    assert found.value.expected.startswith("a refusal that shows nothing of contact 0")
    assert found.value.actual == "403 with the thing in its body"
    assert found.value.exchange is not None


NAME = "rolecall-20260101000000-abcdef1-fetch-contact"


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("X-Data", f'{{"id":"1","name":"{NAME}"}}', "its header X-Data"),
        ("X-Data", quote(f'{{"name":"{NAME}"}}'), "its header X-Data"),
        ("X-Debug", b64encode(f'{{"name":"{NAME}"}}'.encode()).decode(), "its header X-Debug"),
        ("X-Debug", urlsafe_b64encode(NAME.encode()).decode().rstrip("="), "its header X-Debug"),
        ("X-Id", "1", ""),
        ("Link", f"</v2/contacts/{NAME}>; rel=self", ""),
        ("ETag", f'"{NAME}"', ""),
        ("X-Trace", "A" * 17, ""),
    ],
)
def test_a_header_may_not_show_what_is_refused(name: str, value: str, where: str) -> None:
    """A header that holds the thing's name shows it, encoded or not; one that leads to it does not,
    and what the request said is no news.
    """
    contact = Fixture(SPEC.resources["contact"], "1", NAME)
    refusal = exchange(status=403, headers=[(name, value)])
    asked_by_name = exchange(
        url=f"http://target.example/v2/contacts?name={NAME}", status=403, headers=[(name, value)]
    )

    assert shown_in(refusal, contact) == where
    assert shown_in(asked_by_name, contact) == ""


@pytest.mark.parametrize("status", [400, 404])
def test_another_refusal_is_a_finding_where_the_request_is_right(status: int) -> None:
    """A 404 instead of a 403 is a finding once the control succeeds and the caller is alive."""
    server = answering("fetch-contact", (status, None), by="guest")

    async def story(world: World, judge: Judge) -> dict[str, Exchange]:
        with Evidence.collect() as evidence, pytest.raises(Finding) as found:
            await judge.expect_denied(*await asked(world, "fetch-contact", "guest"))
        assert (found.value.expected, found.value.actual) == (
            "403: guest may not fetch contact",
            f"{status}",
        )
        assert found.value.exchange is evidence.named["answer"]
        return evidence.named

    named = judged(story, server)

    assert (named["control"].ok, named["control"].caller) == (True, "admin (token)")
    assert (named["alive"].ok, named["alive"].caller) == (True, "guest (token)")


def test_another_refusal_proves_nothing_where_nobody_can() -> None:
    """A 404 is inconclusive where the roles that may get it, too."""
    with pytest.raises(Inconclusive) as open_:
        denied("update-contact", "guest", answering("update-contact", (404, None)))

    assert open_.value.missing.startswith(
        "the same request succeeding for admin or bot: PATCH /v2/contacts/0"
    )
    assert open_.value.look_at == "the cells of PERM-update-contact that are allowed"


@pytest.mark.parametrize(
    ("status", "actual"), [(401, ""), (403, ""), (404, "404"), (200, "200: it was allowed")]
)
def test_who_has_no_token_is_denied_otherwise(status: int, actual: str) -> None:
    """A request without a token needs the anonymous status, and no live credential."""

    async def story(world: World, judge: Judge) -> None:
        request = await world.request(world.spec.operations["list-contacts"], None)
        await judge.expect_denied(await world.perform(request, None), request, None)

    server = answering("list-contacts", (status, None), by="nobody")
    if not actual:
        judged(story, server)
        return
    with pytest.raises(Finding) as found:
        judged(story, server)
    assert (found.value.expected, found.value.actual) == (
        "401 or 403: a caller without a token may not list contacts",
        actual,
    )


# --- Controls ----------------------------------------------------------------------------------


def control(operation: str, server: Server, *, times: int = 1) -> tuple[Exchange, Server]:
    """The control of what a guest tried."""

    async def story(world: World, judge: Judge) -> Exchange:
        _, request, _ = await asked(world, operation, "guest")
        server.asked.clear()
        for _ in range(times):
            control = await judge.control(request)
        return control

    return judged(story, server), server


def test_a_read_is_controlled_once() -> None:
    """That a list works is shown by the first role that may, once for the whole run."""
    answer, server = control("list-contacts", Server(), times=3)

    assert (answer.caller, answer.status) == ("admin (token)", 200)
    assert server.count("list-contacts", "admin") == 1


def test_a_create_is_controlled_by_what_was_made() -> None:
    """The shared thing shows that one can be made; nothing else is made for it."""
    answer, server = control("create-contact", Server(), times=2)

    assert (answer.method, answer.status) == ("POST", 201)
    assert server.count("create-contact") <= 1


def test_an_update_is_controlled_on_the_same_thing_with_another_mark() -> None:
    """What was tried is repeated to the letter but for the mark, so that the control is not taken
    for the attack's effect.
    """

    async def story(world: World, judge: Judge) -> tuple[Exchange, Request]:
        _, request, _ = await asked(world, "update-contact", "guest")
        return await judge.control(request), request

    answer, request = judged(story)

    assert answer.url.endswith(request.path)
    assert request.name not in answer.request_body.decode()
    assert "-update-contact" in answer.request_body.decode()


def test_a_create_beside_a_ready_made_thing_is_controlled_with_another_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nothing was made that could be the control, a new thing is, under another name: at the
    end of the run the refused one is looked for by its own.
    """

    async def story(world: World, judge: Judge) -> tuple[Exchange, Request]:
        _, request, _ = await asked(world, "create-contact", "guest")
        ready = replace(await world.shared("contact"), made_by=None)

        async def shared(resource: str) -> Fixture:
            return ready

        monkeypatch.setattr(world, "shared", shared)
        return await judge.control(request), request

    answer, request = judged(story)

    assert (answer.method, answer.status) == ("POST", 201)
    assert request.name not in answer.request_body.decode()
    assert "-create-contact" in answer.request_body.decode()


@pytest.mark.parametrize("operation", ["update-contact", "delete-contact"])
def test_every_change_has_a_control_of_its_own(operation: str) -> None:
    """The control of an update or a delete is on the thing that was tried, each time."""

    async def story(world: World, judge: Judge) -> list[tuple[str, str]]:
        tried = [(await asked(world, operation, "guest"))[1] for _ in range(2)]
        return [((await judge.control(request)).url, request.path) for request in tried]

    for url, path in judged(story):
        assert url.endswith(path)


def test_a_control_may_be_of_another_role() -> None:
    """Where the highest role is refused the next one that may will do; a read has to show what it
    is of.
    """
    server = answering("list-contacts", (403, None), by="admin")
    assert control("list-contacts", server)[0].caller == "bot (token)"

    server = answering("fetch-contact", (200, {"id": "another"}), by="admin")
    assert control("fetch-contact", server)[0].caller == "bot (token)"

    server = answering("list-contacts", (200, []), by="admin")
    assert control("list-contacts", server)[0].caller == "bot (token)"


@pytest.mark.parametrize("operation", ["fetch-contact", "list-contacts"])
def test_a_control_of_nothing_of_ours_has_but_to_succeed(operation: str) -> None:
    """A denied read that is of no thing of the run's, as of one's own organization, is a finding
    where it is answered otherwise than denied: its control has nothing to show.
    """

    async def story(world: World, judge: Judge) -> None:
        answer, request, caller = await asked(world, operation, "guest")
        await judge.expect_denied(answer, replace(request, fixture=None), caller)

    with pytest.raises(Finding):
        judged(story, answering(operation, (404, None), by="guest"))


def test_what_was_learnt_meanwhile_is_tried_again() -> None:
    """Where the control shows that a member is not known here, the refusal was perhaps for that:
    the test begins anew.
    """

    def picky(asked: Asked) -> Answer | None:
        if asked.by != "admin":
            return 404, None
        return (422, {"message": "unknown: title"}) if "title" in asked.body else None

    with pytest.raises(TransientFailure) as trouble:
        control("update-knowledge-item", answering("update-knowledge-item", picky))

    assert (
        trouble.value.missing
        == "update-knowledge-item without the members that the target does not know"
    )
    assert trouble.value.look_at == "the answers to update-knowledge-item"


def controlled_alive(operation: str, server: Server, *, answer: int = 403) -> dict[str, Exchange]:
    """The evidence of a control beside what a bot's ended token was answered."""

    async def story(world: World, judge: Judge) -> dict[str, Exchange]:
        dead = await world.user("bot")
        request = await world.request_on_own_fixture(world.spec.operations[operation], dead)
        answered = exchange(request.operation.method, status=answer)
        with Evidence.collect() as evidence, world.gate.borrowing("user", dead.user):
            await judge.control_alive(request, answered, dead)
        return evidence.named

    return judged(story, server)


@pytest.mark.parametrize(
    ("operation", "caller"),
    [
        ("list-contacts", "admin (token)"),
        ("delete-knowledge-item", "bot (token)"),
        ("fetch-user-self", "bot (token)"),
        ("update-user-self", "bot (token)"),
    ],
)
def test_what_a_dead_token_was_refused_is_done_for_a_live_one(operation: str, caller: str) -> None:
    """That the token had ended is shown by the same thing being done for one that has not."""
    control = controlled_alive(operation, Server())["control"]

    assert (control.ok, control.caller) == (True, caller)


def test_an_account_is_not_changed_for_a_control() -> None:
    """A change of oneself is tried as a user that the run made, where it can make one; else as the
    account.
    """
    server = Server()
    made = controlled_alive("update-user-self", server)["control"]
    assert not made.url.endswith(
        next(id for id, user in server.things["user"].items() if user["role"] == "bot")
    )

    server = answering("create-user", (403, None))
    own = controlled_alive("update-user-self", server)["control"]
    assert own.url.endswith(
        next(id for id, user in server.things["user"].items() if user["role"] == "bot")
    )


def test_the_account_will_do_where_no_session_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no user can be made and the account may not log in again, its session is the control's
    caller.
    """

    async def none_left(world: World, role: str) -> NoReturn:
        raise NotTested(f"no more log-ins of {role}")

    monkeypatch.setattr("rolecall.toolkit.judge.fresh_session", none_left)

    control = controlled_alive("update-user-self", Server())["control"]

    assert (control.ok, control.caller) == (True, "bot (token)")


def test_a_success_of_a_dead_token_needs_no_control() -> None:
    """What was done says by itself that it can be done."""
    assert controlled_alive("delete-knowledge-item", Server(), answer=204) == {}


@pytest.mark.parametrize("operation", ["delete-knowledge-item", "fetch-user-self"])
def test_what_is_not_done_for_a_live_token_either_proves_nothing(operation: str) -> None:
    """Where a live token of the same user is refused as well, the end of the other one explains
    nothing.
    """
    with pytest.raises(Inconclusive) as open_:
        controlled_alive(operation, answering(operation, (403, None)))

    assert open_.value.missing.startswith(
        "the same request succeeding with a token that has not expired: "
    )
    assert open_.value.look_at == f"the cells of PERM-{operation} that are allowed"
