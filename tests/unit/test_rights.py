"""Rights above a caller's role, in memory: lists of higher roles, and reserved creates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rolecall.outcomes import Finding
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.rights import (
    expect_at_most,
    expect_no_rights_above,
    reserved_above,
    reserved_create,
)
from rolecall.toolkit.world import World
from tests.support.exchanges import exchange
from tests.support.token_answers import claims, document
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import answering, play


@pytest.mark.parametrize(
    ("role", "lists"),
    [
        ("admin", []),
        ("bot", ["list-services"]),
        ("agent", ["list-organizations", "list-services"]),
        ("guest", ["list-conversations", "list-organizations", "list-services"]),
        ("", ["list-conversations", "list-organizations", "list-services"]),
    ],
)
def test_what_is_reserved_above_a_role(role: str, lists: list[str]) -> None:
    """For each role above there is a list that the role may and those below may not; without a
    role, for all but the lowest.
    """

    async def story(world: World) -> list[str]:
        return [operation.name for operation in reserved_above(role, world)]

    assert play(story) == lists


def test_what_the_highest_alone_may_create() -> None:
    """The create that stands for the highest role is one that no other may."""

    async def story(world: World) -> str:
        return reserved_create(world).name

    assert SPEC.allowed_roles(play(story)) == ("admin",)


# --- Keys --------------------------------------------------------------------------------------


def key(role: str, server: Server, *scopes: str) -> None:
    """Judge a key that was made for a lower role, or with unknown scopes."""

    async def story(world: World) -> None:
        made = await world.create_key(list(scopes or [role]))
        await expect_no_rights_above(role, made, world, f"that {role or 'nobody'} made")

    play(story, server)


@pytest.mark.parametrize("role", ["guest", "agent", "bot", "admin"])
def test_a_key_of_a_role_has_that_roles_rights(role: str) -> None:
    """A key that opens no list of a role above its own is as it should be; of the admin's there is
    none.
    """
    key(role, Server())


def test_a_key_with_rights_above_its_role() -> None:
    """A key that opens a list of a role above is a finding, where a token of its role is denied
    there.
    """
    with pytest.raises(Finding) as found:
        key("agent", answering("list-services", (200, []), by="key:agent"))

    assert (found.value.expected, found.value.actual) == (
        "list-services denied to a key that agent made",
        "200",
    )
    assert found.value.exchange is not None
    assert found.value.exchange.caller == "agent (api-key)"


def test_a_list_that_is_open_anyway_is_its_cells_finding() -> None:
    """Where a token of the role opens it as well, it says nothing of the key."""
    server = answering("list-services", (200, []))
    key("agent", server)

    assert server.count("list-services", "key:agent") == 1


def creating(server: Server, *whose: str) -> None:
    """Let these callers create what the highest alone may."""
    for by in whose:
        server.instead("create-organization", server.act, by=by)


def test_a_key_without_a_role_may_not_create_either() -> None:
    """A key with unknown scopes reads and creates nothing that higher roles may."""
    key("", Server(), "guest")

    server = Server()
    creating(server, "key:guest")
    with pytest.raises(Finding) as found:
        key("", server, "guest")
    assert (found.value.expected, found.value.actual) == (
        "create-organization denied to a key that nobody made",
        "201",
    )
    (attack,) = {
        asked.attack
        for asked in server.asked
        if asked.by == "key:guest" and asked.operation == "create-organization"
    }
    assert attack == "SEC-K04"


def test_a_create_that_is_open_anyway_is_its_cells_finding() -> None:
    """Where the lowest role may create it as well, it says nothing of the key; a crash there denies
    nothing either.
    """
    server = Server()
    creating(server, "key:guest", "guest")
    key("", server, "guest")

    creating(server, "key:guest")
    server.instead("create-organization", (500, None), by="guest")
    key("", server, "guest")


def test_a_role_alone_is_not_tried_at_creating() -> None:
    """What a key of a known role may create is judged by the permission table."""
    server = Server()
    key("guest", server)

    assert server.count("create-organization", "key:guest") == 0


# --- Tokens ------------------------------------------------------------------------------------


def token(shown: str, server: Server, by: str = "agent", **answer: Any) -> None:
    """Judge the token of a user that shows a role; ``answer`` is what the log-in says otherwise."""

    async def story(world: World) -> None:
        caller = await world.user(by)
        if answer:
            said = exchange(
                body=json.dumps(
                    document(
                        of=claims(scope=answer.get("claim", by)), scope=answer.get("scope", by)
                    )
                ).encode()
            )
            caller = Caller(by, "token", caller.token, caller.user, "", Grant.of(said))
        await expect_at_most(shown, caller, world)

    play(story, server)


@pytest.mark.parametrize(
    ("shown", "by"), [("agent", "agent"), ("bot", "agent"), ("admin", "admin"), ("owner", "bot")]
)
def test_a_token_of_no_more_than_is_shown(shown: str, by: str) -> None:
    """A token with the rights of the role that its user shows, or fewer, is right; an unknown role
    is worth less than the highest.
    """
    token(shown, Server(), by)


@pytest.mark.parametrize(
    ("answer", "actual"),
    [
        ({"scope": "bot"}, "scope 'bot' in the answer"),
        ({"claim": "admin"}, "scope 'admin' in the JWT"),
    ],
)
def test_a_scope_above_the_shown_role(answer: dict[str, str], actual: str) -> None:
    """A scope above the role that the user shows is a finding, wherever it stands."""
    with pytest.raises(Finding) as found:
        token("agent", Server(), **answer)

    assert (found.value.expected, found.value.actual) == (
        "no rights above agent: the user shows the role 'agent'",
        actual,
    )


def test_a_scope_that_is_no_roles_is_not_above() -> None:
    """What a target calls otherwise is another requirement's matter."""
    token("agent", Server(), scope="superuser")


def test_an_unknown_role_is_not_the_highest() -> None:
    """A user with an unknown role has at most the rights below the highest."""
    with pytest.raises(Finding) as found:
        token("owner", Server(), "admin")

    assert found.value.expected == "no rights above bot: the user shows the role 'owner'"


def test_a_token_that_opens_what_is_above() -> None:
    """A token whose scope says less than it opens is a finding that names the list."""

    def opened(asked: Asked) -> Answer | None:
        return (200, []) if server.count("list-services", "agent") == 1 else None

    server = answering("list-services", opened, by="agent")
    with pytest.raises(Finding) as found:
        token("agent", server)

    assert (found.value.expected, found.value.actual) == (
        "no rights above agent: the user shows the role 'agent'",
        "200 at list-services",
    )
