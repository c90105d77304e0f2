"""What a key with several scopes may read, in memory: what keys of its single scopes may."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.outcomes import Finding, Inconclusive
from rolecall.target import ApiKeyOptions
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.rights import in_shares, reads
from rolecall.toolkit.world import World
from tests.unit.memory import SPEC, Answer, Asked, Server
from tests.unit.stage import answering, judged


def rights(scopes: list[str], server: Server, **facts: Any) -> None:
    """Judge what a key with these scopes may read."""

    async def story(world: World, judge: Judge) -> None:
        await judge.expect_rights(await world.create_key(scopes), scopes, reads(SPEC))

    judged(story, server, **facts)


@pytest.mark.parametrize("scopes", [["guest", "bot"], ["agent", "agent"], ["admin", "guest"]])
def test_a_key_may_what_its_scopes_may(scopes: list[str]) -> None:
    """A key of several scopes that opens what each of them opens, and no more, is as it
    should be.
    """
    rights(scopes, Server())


def test_a_key_that_may_less_than_its_scopes() -> None:
    """Where one of its scopes opens a list, the key of both has to open it."""
    with pytest.raises(Finding) as found:
        rights(["guest", "bot"], answering("list-contacts", (403, None), by="key:guest+bot"))

    assert (found.value.expected, found.value.actual) == (
        "list-contacts allowed, as for guest or bot alone",
        "403",
    )
    assert found.value.exchange is not None


def test_a_key_that_may_more_than_its_scopes() -> None:
    """What neither of its scopes opens the key of both may not open."""
    with pytest.raises(Finding) as found:
        rights(["guest", "bot"], answering("list-services", (200, []), by="key:guest+bot"))

    assert (found.value.expected, found.value.actual) == (
        "list-services denied, as for guest or bot alone",
        "200",
    )


def test_a_cell_that_is_wrong_by_itself_is_not_the_unions() -> None:
    """Where a single key already has more or less than the table says, nothing follows for the key
    of both.
    """
    server = answering("list-services", (200, []), by="key:bot")
    server.instead("list-services", (200, []), by="key:guest+bot")
    server.instead("list-forms", (403, None), by="key:bot")
    server.instead("list-forms", (403, None), by="key:guest+bot")

    rights(["guest", "bot"], server)

    last = [op for op in SPEC.operations if op.startswith("fetch-") and not op.endswith("-self")][
        -1
    ]
    server.instead(last, (204, None), by="key:guest+bot")
    with pytest.raises(Finding, match=f"{last} "):
        rights(["guest", "bot"], server)


def test_an_empty_list_denies_where_the_dialect_has_it() -> None:
    """Under ``denied_list = "empty"`` keys are denied a list that is empty, and the key of both a
    list that is not.
    """
    dialect = {"denied_list": "empty"}
    server = Server()
    for by in ("key:guest", "key:bot", "key:guest+bot"):
        server.instead("list-services", (200, []), by=by)

    rights(["guest", "bot"], server, dialect=dialect)

    server.instead("list-services", (200, [server.add("service", name="x")]), by="key:guest+bot")
    with pytest.raises(Finding, match="list-services denied"):
        rights(["guest", "bot"], server, dialect=dialect)


def test_a_cell_that_opens_meanwhile_is_not_the_unions() -> None:
    """Where a single key is let in by now as well, as from a cache, it is the cell's own
    finding.
    """

    def opened(asked: Asked) -> Answer | None:
        is_open = asked.by != "nobody" and server.count("list-services", "key:guest+bot")
        return (200, []) if is_open else None

    server = answering("list-services", opened)

    rights(["guest", "bot"], server)


def test_a_key_that_acts_as_another_may_not_see_the_same_things() -> None:
    """A thing that is not there for whom the key acts as says nothing of the key's scopes."""

    def elsewhere(asked: Asked) -> Answer | None:
        status, document, *_ = server.usual(asked)
        another = (
            {**document, "user": "somebody else"}
            if asked.body["scopes"] == ["guest", "bot"]
            else document
        )
        return status, another

    server = answering("make-key", elsewhere)
    server.instead("fetch-conversation", (404, None), by="key:guest+bot")

    rights(["guest", "bot"], server)
    with pytest.raises(Finding, match="fetch-conversation allowed"):
        rights(["guest", "bot"], answering("fetch-conversation", (404, None), by="key:guest+bot"))

    for operation in SPEC.operations.keys() - {"fetch-conversation"}:
        for by in ("key:guest", "key:bot"):
            server.instead(operation, (403, None), by=by)
    with pytest.raises(Inconclusive):
        rights(["guest", "bot"], server)


def test_lists_that_each_scope_allows() -> None:
    """Of several scopes no list is read that each of them allows; fetches are, and all of one."""
    server = Server()

    rights(["agent", "bot"], server)

    assert server.count("list-contacts", "key:agent+bot") == 0
    assert server.count("list-messages", "key:agent+bot") == 1
    assert server.count("fetch-conversation", "key:agent+bot") == 1
    with pytest.raises(Finding, match="fetch-conversation allowed"):
        rights(["bot", "bot"], answering("fetch-conversation", (404, None), by="key:bot+bot"))
    with pytest.raises(Finding, match="list-contacts allowed"):
        rights(["bot", "bot"], answering("list-contacts", (403, None), by="key:bot+bot"))


def test_rights_of_which_nothing_was_seen() -> None:
    """Where the single keys may read nothing that the table allows, nothing can be compared."""
    server = Server()
    for operation in SPEC.operations:
        for by in ("key:guest", "key:bot"):
            server.instead(operation, (403, None), by=by)

    with pytest.raises(Inconclusive) as open_:
        rights(["guest", "bot"], server)

    assert open_.value.missing == "a read that keys of guest and of bot alone are allowed"
    assert open_.value.look_at == "the cells of API keys"


def test_ready_made_keys_are_judged_alike() -> None:
    """Keys that the target file gives are compared as those that the run makes; whom they act as
    nothing tells.
    """
    server = Server()
    tokens = {}
    for scope in ("guest", "bot"):
        tokens[scope] = f"ready-{scope}"
        server._callers[tokens[scope]] = (f"key:{scope}", "", (scope,))

    async def story(world: World, judge: Judge) -> None:
        scopes = ["guest", "bot"]
        await judge.expect_rights(await world.create_key(scopes), scopes, reads(SPEC))

    judged(story, server, api_keys=ApiKeyOptions("/v2/apikeys", tokens=tokens))


def test_shares_have_rows_of_each_right() -> None:
    """Each read is in one share, and each share has some that each role is the lowest to have."""
    shares = in_shares(reads(SPEC), SPEC, 2)

    assert sorted(operation.name for share in shares for operation in share) == sorted(
        operation.name for operation in reads(SPEC)
    )
    for share in shares:
        lowest = {SPEC.allowed_roles(operation.name)[-1] for operation in share}
        assert {"agent", "bot", "admin"} <= lowest
