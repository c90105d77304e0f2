"""A user whose role is changed, in memory: whether it shows, and what its new tokens may."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest

from rolecall.evidence import Evidence
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.tokens import Grant
from rolecall.toolkit.moves import Moved, moved, telling
from rolecall.toolkit.world import World
from tests.unit.memory import Answer, Asked, Server
from tests.unit.stage import answering, play

WAYS = ("log-in", "get", "post")

# --- What tells two roles apart -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "operation"),
    [
        ("guest", "admin", "list-organizations"),
        ("admin", "bot", "list-services"),
        ("agent", "guest", "list-conversations"),
    ],
)
def test_what_tells_two_roles_apart(one: str, other: str, operation: str) -> None:
    """The first read that the higher may and the lower may not, as both were seen to be answered,
    in whichever order they are given.
    """

    async def story(world: World) -> tuple[str, list[tuple[str, int]]]:
        with Evidence.collect() as evidence:
            found = await telling(world, one, other)
        return found.name, [
            (answer.caller.split()[0], answer.status) for answer in evidence.exchanges
        ]

    name, seen = play(story)

    assert name == operation
    lower, higher = sorted((one, other), key=("guest", "agent", "bot", "admin").index)
    assert {(higher, 200), (lower, 403)} <= set(seen)


def test_a_wrong_cell_tells_nothing() -> None:
    """A read that the lower role gets to see, or the higher does not, is passed over for the next
    one.
    """

    async def story(world: World) -> str:
        return (await telling(world, "bot", "admin")).name

    assert play(story, answering("list-services", (200, []), by="bot")) == "fetch-form"
    assert play(story, answering("list-services", (403, None), by="admin")) == "fetch-form"


def test_where_no_read_tells_them_apart() -> None:
    """Where the permission table is wrong throughout, nothing can be said of a change of role."""
    server = Server()
    for operation in ("list-services", "fetch-form", "fetch-service"):
        server.instead(operation, (200, [{"id": "1"}]), by="bot")

    async def story(world: World) -> None:
        await telling(world, "bot", "admin")

    with pytest.raises(Inconclusive) as open_:
        play(story, server)
    assert open_.value.missing == "a read that admin may and bot may not"
    assert open_.value.look_at == "the permission table"


# --- The change --------------------------------------------------------------------------------


def follow(way: str, server: Server, before: str = "agent", after: str = "bot") -> Grant:
    """Move a user to another role, and go one way to a new token."""

    async def story(world: World) -> Grant:
        return await (await moved(world, before, after)).expect_scope(way)

    return play(story, server)


def old_scope(asked: Asked, server: Server, *, claim: str, scope: str) -> Answer:
    """The usual token answer, with other scopes in it."""
    status, document, *_ = server.usual(asked)
    if status == 200 and document["user"] not in [
        user["id"] for user in list(server.things["user"].values())[:4]
    ]:
        known = jwt.decode(document["token"], options={"verify_signature": False})
        token = jwt.encode({**known, "scope": claim or known["scope"]}, "k" * 32)
        server._callers[token] = server._callers[document["token"]]
        document = {**document, "token": token, "scope": scope or document["scope"]}
    return status, document


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("before", "after"), [("agent", "bot"), ("bot", "agent"), ("admin", "guest")]
)
def test_new_tokens_have_the_new_role(way: str, before: str, after: str) -> None:
    """Whichever way a token comes after the change, its scope and its rights are those of the new
    role, up or down.
    """
    grant = follow(way, Server(), before, after)

    assert (grant.scope, grant.claims["scope"]) == (after, after)


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_gives_nothing_to_judge(way: str) -> None:
    """Who gets no token after the change has no wrong one."""
    server = Server()

    def refuse(asked: Asked) -> Answer | None:
        is_moved = any(done.operation == "update-user" for done in server.asked)
        return (401, None) if is_moved else None

    server.instead("log-in", refuse)
    server.instead("refresh", refuse)

    assert follow(way, server).token == ""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("where", "scopes"),
    [("the answer", {"claim": "", "scope": "agent"}), ("the JWT", {"claim": "agent", "scope": ""})],
)
def test_a_token_that_keeps_the_old_scope(way: str, where: str, scopes: dict[str, str]) -> None:
    """A scope that stays what it was, for as long as a target may lag, is a finding that says where
    it stands.
    """
    server = Server()
    for operation in ("log-in", "refresh"):
        server.instead(operation, lambda asked: old_scope(asked, server, **scopes))

    with pytest.raises(Finding) as found:
        follow(way, server)

    assert found.value.expected == "scope bot after the role was changed"
    assert found.value.actual == f"scope 'agent' in {where}, by {way}"


@pytest.mark.parametrize("way", WAYS)
def test_a_scope_that_never_said_the_role_says_nothing_of_the_change(way: str) -> None:
    """Where the JWT said something else before as well, it is another requirement's matter."""
    server = Server()
    for operation in ("log-in", "refresh"):
        server.instead(
            operation, lambda asked: old_scope(asked, server, claim="everything", scope="")
        )

    assert follow(way, server).claims["scope"] == "everything"


@pytest.mark.parametrize("way", WAYS)
def test_a_scope_that_follows_late(way: str) -> None:
    """A token with the old scope is right for a moment, where the next ones have the new one."""
    server = Server()
    stale = {"left": 2}

    def lags(asked: Asked) -> Answer | None:
        if any(done.operation == "update-user" for done in server.asked) and stale["left"]:
            stale["left"] -= 1
            return old_scope(asked, server, claim="agent", scope="agent")
        return None

    server.instead("log-in", lags)
    server.instead("refresh", lags)

    assert follow(way, server).scope == "bot"
    assert stale["left"] == 0


@pytest.mark.parametrize(
    ("before", "after", "expected", "actual"),
    [
        (
            "agent",
            "bot",
            "list-organizations allowed to a new token of bot, by log-in",
            "403, as before the change",
        ),
        (
            "bot",
            "agent",
            "list-organizations denied to a new token of agent, by log-in",
            "200, as before the change",
        ),
    ],
)
def test_a_token_that_keeps_the_old_rights(
    before: str, after: str, expected: str, actual: str
) -> None:
    """A new token with the new scope that opens what the old role may is a finding."""
    server = Server()

    def as_before(asked: Asked) -> Answer | None:
        accounts = list(server.things["user"])[:4]
        if asked.user in accounts:
            return None
        return (200, []) if before == "bot" else (403, None)

    server.instead("list-organizations", as_before)
    with pytest.raises(Finding) as found:
        follow("log-in", server, before, after)

    assert (found.value.expected, found.value.actual) == (expected, actual)


@pytest.mark.parametrize("status", [404, 410])
def test_rights_are_gone_by_any_denial(status: int) -> None:
    """What the new role may not is denied by whatever client error: which one is the cell's
    matter.
    """
    server = Server()

    def denied(asked: Asked) -> Answer | None:
        return (
            (status, None)
            if asked.by == "agent" and asked.user not in list(server.things["user"])[:4]
            else None
        )

    server.instead("list-organizations", denied)

    assert follow("log-in", server, "bot", "agent").scope == "agent"


# --- Whether a role can be changed -------------------------------------------------------------


def ignoring_roles(server: Server) -> None:
    """Let updates of users leave the role as it is."""

    def update(asked: Asked) -> Answer:
        kept = server.things["user"][asked.id]
        kept |= {name: value for name, value in asked.body.items() if name != "role"}
        return 200, {"id": asked.id}

    server.instead("update-user", update)


def without_roles(server: Server) -> None:
    """Let no answer show the role of a user."""

    def hide(asked: Asked) -> Answer:
        status, document, *_ = server.usual(asked)
        if isinstance(document, dict):
            document = {name: value for name, value in document.items() if name != "role"}
        return status, document

    for operation in ("create-user", "fetch-user", "fetch-user-self", "update-user"):
        server.instead(operation, hide)


def test_a_role_that_an_update_leaves_as_it_was() -> None:
    """A user that shows its old role after the update shows that updates are no way to change it
    here.
    """
    server = Server()
    ignoring_roles(server)

    with pytest.raises(NotTested) as lacking:
        follow("log-in", server)

    assert str(lacking.value) == "a user whose role can be changed: an update leaves it as it was"
    assert lacking.value.capability == "throwaway-user"


def test_where_users_show_no_role_a_log_in_tells() -> None:
    """Where no user shows its role, the scope of a log-in shows that it was changed; or that
    nothing shows it.
    """
    server = Server()
    without_roles(server)
    assert follow("get", server).scope == "bot"

    server = Server()
    ignoring_roles(server)
    without_roles(server)
    server.instead("update-user", lambda asked: (200, {"id": asked.id}))
    with pytest.raises(NotTested) as lacking:
        follow("get", server)
    assert str(lacking.value).startswith(
        "a user whose role can be changed: nothing shows that it was (POST /v2/auth/token"
    )
    assert lacking.value.capability == "throwaway-user"


def raising_only(server: Server, shown: str = "") -> None:
    """Let updates of users raise a role, and leave it as it is where they would lower it."""
    ranks = ("guest", "agent", "bot", "admin")

    def update(asked: Asked) -> Answer:
        kept = server.things["user"][asked.id]
        role = asked.body.get("role", kept["role"])
        if ranks.index(role) > ranks.index(kept["role"]):
            return server.usual(asked)
        return 200, {"id": asked.id, **({shown: role} if shown else {})}

    server.instead("update-user", update)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_role_that_is_raised_and_not_lowered(hidden: bool) -> None:
    """Where an update raises a role and answers that it lowered one, which stays, the change was
    not done: users may show their role or not.
    """
    server = Server()
    if hidden:
        without_roles(server)
    raising_only(server)

    with pytest.raises(Finding) as found:
        follow("log-in", server, "bot", "agent")

    assert found.value.expected == "a user whose role was changed to agent, or a refusal"
    assert "it stays bot" in found.value.actual


def test_a_role_that_only_the_answer_shows() -> None:
    """An answer that shows the new role of a user who keeps the old one is a finding."""
    server = Server()
    raising_only(server, shown="role")

    with pytest.raises(Finding) as found:
        follow("log-in", server, "bot", "agent")

    assert found.value.actual == "200 with role agent, and the user has that of bot"


def test_a_role_that_shows_late() -> None:
    """A user that shows its new role a moment later has changed it."""
    server, tasks = Server(), []

    def slowly(asked: Asked) -> Answer:
        async def later() -> None:
            await asyncio.sleep(0.5)
            server.act(asked)

        tasks.append(asyncio.get_running_loop().create_task(later()))
        return 200, {"id": asked.id}

    server.instead("update-user", slowly)

    assert follow("log-in", server).scope == "bot"


def test_what_is_wrong_needs_a_token() -> None:
    """An answer that names the old scope and gives no token is not a wrong grant; neither is one
    with the new scope.
    """

    async def story(world: World) -> list[Any]:
        case: Moved = await moved(world, "agent", "bot")
        answer = await world.tokens.issue(case.user.account)
        right = case.wrong(answer)
        server.instead("log-in", (200, {"scope": "agent"}))
        return [right, case.wrong(await world.tokens.issue(case.user.account))]

    server = Server()
    assert play(story, server) == [None, None]
