"""API keys: "one or more scopes specified as an array of strings"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rolecall.reference.settings import ROLES
from tests.reference.asking import Api, read

Told = Callable[..., Any]


@pytest.mark.parametrize(
    "scopes",
    [
        None,
        [],
        "",
        "admin",
        ["root"],
        ["Admin"],
        [""],
        [None],
        [["admin"]],
        {"a": "admin"},
        5,
        ["guest", 1],
    ],
)
def test_scopes_are_an_array_of_known_names(scopes: Any, told: Told) -> None:
    """Anything but one or more known names in an array is answered 400."""

    async def story(api: Api) -> None:
        assert (await api.key(scopes)).status_code == 400

    told(story)


@pytest.mark.parametrize(
    ("scopes", "users", "services"),
    [
        (["guest", "bot"], 200, 403),
        (["bot", "guest"], 200, 403),
        (["guest", "guest"], 403, 403),
        (["guest", "admin", "guest"], 200, 200),
    ],
)
def test_several_scopes_are_a_union(
    scopes: list[str], users: int, services: int, told: Told
) -> None:
    """A key may do what any of its scopes may; order and repetition do not matter."""

    async def story(api: Api) -> None:
        key = read(await api.key(scopes))["token"]
        assert (await api.ask("GET", "/v2/users", key)).status_code == users
        assert (await api.ask("GET", "/v2/services", key)).status_code == services

    told(story)


def test_key_acts_as_its_user(told: Told) -> None:
    """A key's self is the user it was made for; without one, its maker."""

    async def story(api: Api) -> None:
        for role in ROLES:
            key = read(await api.key(["guest"], role))
            answer = await api.ask("GET", f"/v2/users/{api.user(role)['id']}", key["token"])
            assert (key["user"], answer.status_code) == (api.user(role)["id"], 200)
        body = {"scopes": ["guest"]}
        key = read(await api.ask("POST", "/v2/apikeys", "admin", json=body))
        assert key["user"] == api.user("admin")["id"]
        assert (await api.key(["guest"], user="0" * 24)).status_code == 400

    told(story)


def test_key_works_until_it_is_revoked(told: Told) -> None:
    """A key has no end but its deletion."""

    async def story(api: Api) -> None:
        key = read(await api.key(["bot"]))
        claims = api.server.verifier.document(key["token"].split(".")[1])
        assert "exp" not in claims
        assert claims["scope"] == "bot"
        assert key["id"] in [
            key["id"] for key in read(await api.ask("GET", "/v2/apikeys", "admin"))
        ]
        assert (await api.ask("DELETE", f"/v2/apikeys/{key['id']}", "admin")).status_code == 204
        assert (await api.ask("GET", "/v2/users", key["token"])).status_code == 401
        assert (await api.ask("DELETE", f"/v2/apikeys/{key['id']}", "admin")).status_code == 404

    told(story)


@pytest.mark.parametrize("role", ["guest", "agent", "bot"])
def test_keys_are_the_admins(role: str, told: Told) -> None:
    """Roles below admin neither make, see nor revoke keys, with a token or with a key."""

    async def story(api: Api) -> None:
        key = read(await api.key([role], "admin"))["token"]
        for token in (api.token(role), key):
            for method, path in (("POST", ""), ("GET", ""), ("DELETE", f"/{'0' * 24}")):
                answer = await api.ask(
                    method, f"/v2/apikeys{path}", token, json={"scopes": ["admin"]}
                )
                assert answer.status_code == 403
        assert (await api.ask("GET", "/v2/apikeys")).status_code == 401

    told(story)


def test_lists_of_keys_show_no_tokens(told: Told) -> None:
    """A key's token is shown when it is made, and never in a list."""

    async def story(api: Api) -> None:
        await api.key(["guest"])
        assert "token" not in read(await api.ask("GET", "/v2/apikeys", "admin"))[0]
        assert (await api.key(["guest"])).headers["cache-control"] == "no-store"

    told(story)
