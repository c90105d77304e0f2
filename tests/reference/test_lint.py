"""The variant that looks at its client."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK, Api, read, with_api

LINT = Settings(scrypt_n=QUICK, variants=("lint",))
ATTACK = {"X-Rolecall-Attack": "SEC-J01"}


@pytest.mark.parametrize(
    ("method", "path", "options", "offence"),
    [
        ("GET", "/v2/users", {}, "not one Authorization header"),
        ("GET", "/v2/users", {"who": "admin", "headers": {"Cookie": "a=b"}}, "a cookie"),
        ("GET", "/v2/users", {"who": "opaque"}, "not one Authorization header"),
        ("GET", "/v2/users/", {"who": "admin"}, "a path"),
        ("GET", "/v2/user", {"who": "admin"}, "a path"),
        ("GET", "/v2/users/me", {"who": "admin"}, "a path"),
        ("PUT", f"/v2/users/{'0' * 24}", {"who": "admin"}, "a method"),
        ("GET", "/v2/users?token=x", {"who": "admin"}, "an unknown parameter"),
        ("GET", "/v2/messages", {"who": "admin"}, "a list of messages"),
        ("GET", f"/v2/users/{'0' * 24}?role=x", {"who": "admin"}, "a filter"),
        ("POST", "/v2/forms", {"who": "admin", "json": {}}, "a body"),
        ("POST", "/v2/forms", {"who": "admin", "json": {"fields": []}}, "a create"),
        ("POST", "/v2/forms", {"who": "admin", "json": {"name": 5}}, "a member name"),
        ("POST", "/v2/forms", {"who": "admin", "json": {"name": "x", "$set": 5}}, "a member $set"),
        ("POST", "/v2/forms", {"who": "admin", "data": {"name": "x"}}, "a body"),
        ("DELETE", f"/v2/forms/{'0' * 24}", {"who": "admin", "json": {}}, "a body"),
        ("POST", "/v2/auth/token", {"json": {"email": "a"}}, "a body that is neither"),
        (
            "POST",
            "/v2/auth/token",
            {"json": {"email": "a", "password": 1}},
            "members that are no texts",
        ),
        ("POST", "/v2/auth/token", {"who": "admin", "json": {}}, "an Authorization header"),
        ("GET", "/v2/auth/token?refreshToken=x", {}, "GET refresh without"),
        ("GET", "/v2/auth/token", {"who": "admin"}, "a query"),
        ("POST", "/v2/apikeys", {"who": "admin", "json": {"scopes": "admin"}}, "scopes"),
        (
            "GET",
            "/v2/forms",
            {"who": "admin", "headers": {"X-Rolecall-Attack": "?"}},
            "an attack that names",
        ),
    ],
)
def test_offences(method: str, path: str, options: dict[str, Any], offence: str) -> None:
    """A request outside the specification is refused and counted, unless it is an attack."""

    async def story(api: Api) -> None:
        answer = await api.ask(method, path, **options)
        assert answer.status_code == 400
        assert read(answer)["error"]["message"].startswith(f"Lint: {offence}")
        report = read(await api.ask("GET", "/__lint"))
        assert (report["requests"], sum(report["offences"].values())) == (1, 1)

        marked = {**options, "headers": {**options.get("headers", {}), **ATTACK}}
        assert "Lint:" not in (await api.ask(method, path, **marked)).text
        assert read(await api.ask("GET", "/__lint"))["attacks"] == {"SEC-J01": 1}

    with_api(LINT, story)


def test_ordinary_requests_are_not_offences() -> None:
    """Logins, refreshes, keys and all operations, allowed or not, are within the specification."""

    async def story(api: Api) -> None:
        issued = read(await api.login("admin"))
        await api.login("admin", password="wrong")
        await api.get_refresh(issued["token"], issued["refreshToken"])
        await api.post_refresh(issued["refreshToken"], "admin@example.org")
        key = read(await api.key(["guest", "bot"]))
        for operation in (
            "list-users",
            "create-message",
            "update-user-self",
            "delete-form",
            "fetch-service",
        ):
            await api.attempt(operation, issued["token"])
            await api.attempt(operation, key["token"])
        await api.ask("DELETE", f"/v2/apikeys/{key['id']}", "admin")
        report = read(await api.ask("GET", "/__lint"))
        assert report["offences"] == {}
        assert report["requests"] == 16

    with_api(LINT, story)
