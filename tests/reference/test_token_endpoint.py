"""Logins, and what the token endpoint refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rolecall.reference.settings import ROLES, Settings
from tests.reference.asking import QUICK, Api, read, with_api

Told = Callable[..., Any]

DAY = 24 * 60 * 60
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("role", ROLES)
def test_login(role: str, told: Told) -> None:
    """A login answers with five fields and a token for 24 hours, and must not be cached."""

    async def story(api: Api) -> None:
        answer = await api.login(role)
        body = answer.json()
        claims = api.server.verifier.document(body["token"].split(".")[1])
        user = api.user(role)

        assert answer.status_code == 200
        assert (body["tokenType"], body["scope"], body["user"]) == ("Bearer", role, user["id"])
        assert (claims["_id"], claims["scope"], claims["exp"] - claims["iat"]) == (
            user["id"],
            role,
            DAY,
        )
        assert body["refreshToken"].startswith(user["id"] + ".")
        assert answer.headers["cache-control"] == "no-store"
        assert (await api.ask("GET", f"/v2/users/{user['id']}", body["token"])).json()[
            "id"
        ] == user["id"]

    told(story)


def test_login_in_the_vendors_dialect() -> None:
    """The newer references answer a login with 201."""

    async def story(api: Api) -> None:
        assert (await api.login("bot")).status_code == 201

    with_api(Settings(scrypt_n=QUICK, dialect="sdk"), story)


def test_bots_have_addresses_of_their_own_form(told: Told) -> None:
    """A bot's address holds its id, behind a plus."""

    async def story(api: Api) -> None:
        assert api.user("bot")["email"] == f"bot+{api.user('bot')['id']}@example.org"

    told(story)


STRANGE: list[Any] = [
    1,
    0,
    True,
    None,
    "",
    [],
    ["x"],
    {},
    {"$ne": None},
    {"$gt": ""},
    "a\0b",
    "a\nb",
    "x" * 2000,
]


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", ["email", "password", "refreshToken", "clientId"])
def test_strange_credentials(name: str, value: Any, told: Told) -> None:
    """Credentials that are no plain texts are answered 400, with no token."""

    async def story(api: Api) -> None:
        if name in ("email", "password"):
            answer = await api.login("guest", **{name: value})
        else:
            token = read(await api.login("guest"))["refreshToken"]
            body = {"refreshToken": token, "clientId": "guest@example.org", name: value}
            answer = await api.ask("POST", "/v2/auth/token", json=body)

        assert answer.status_code == 400
        assert "token" not in answer.json()

    told(story)


BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "empty": (b"", JSON, 400),
    "cut-off": (b"{", JSON, 400),
    "array": (b"[]", JSON, 400),
    "text": (b'"text"', JSON, 400),
    "no-members": (b"{}", JSON, 400),
    "nested-1000": (b"[" * 1000 + b"]" * 1000, JSON, 400),
    "nested-without-end": (b'{"email":' + b"[" * 100_000, JSON, 400),
    "two-emails": (b'{"email":"a@b","email":"c@d","password":"x"}', JSON, 400),
    "nan": (b'{"email":"a@b","password":NaN}', JSON, 400),
    "infinite": (b'{"email":"a@b","password":1e400}', JSON, 400),
    "trailing-comma": (b'{"email":"a@b","password":"x",}', JSON, 400),
    "byte-order-mark": (b"\xef\xbb\xbf{}", JSON, 400),
    "utf-16": (b"\xff\xfe{\0}\0", JSON, 400),
    "surrogate-email": (b'{"email":"\\ud800@b.c","password":"x"}', JSON, 401),
    "surrogate-password": (b'{"email":"a@b.c","password":"\\ud800"}', JSON, 401),
    "no-type": (b"{}", {}, 415),
    "plain-text": (b"{}", {"Content-Type": "text/plain"}, 415),
    "form": (b"email=a&password=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "utf-16-type": (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415),
    "gzip": (b"{}", {**JSON, "Content-Encoding": "gzip"}, 415),
    "over-1-mb": (b" " * (1024 * 1024 + 1), JSON, 413),
    "20-mb": (b" " * 20_000_000, JSON, 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_strange_bodies(name: str, told: Told) -> None:
    """What is not a JSON object that says so is refused, without a crash."""
    content, headers, status = BODIES[name]

    async def story(api: Api) -> None:
        answer = await api.ask("POST", "/v2/auth/token", content=content, headers=headers)
        assert answer.status_code == status

    told(story)


def test_wrong_credentials_are_all_alike(told: Told) -> None:
    """An unknown address and a wrong password cannot be told apart."""

    async def story(api: Api) -> None:
        wrong = await api.login("guest", password="wrong")
        unknown = await api.login("guest", email="nobody@example.org")

        assert (wrong.status_code, wrong.json()) == (
            401,
            {"error": {"message": "invalid credentials"}},
        )
        assert (unknown.status_code, unknown.json()) == (wrong.status_code, wrong.json())
        assert {*unknown.headers} == {*wrong.headers}

    told(story)


def test_passwords_are_compared_in_full(told: Told) -> None:
    """No part of a password, and no other spelling of it, is the password."""

    async def story(api: Api) -> None:
        right = str(api.server.accounts["guest"].password)
        for wrong in (right[:-1], right + "x", right.swapcase(), f" {right}", right[:8]):
            assert (await api.login("guest", password=wrong)).status_code == 401

    told(story)


def test_extra_members_grant_nothing(told: Told) -> None:
    """A login or a refresh that asks for more gets what the role gives."""

    async def story(api: Api) -> None:
        wishes = {"scope": "admin", "role": "admin", "user": api.user("admin")["id"], "exp": 2**31}
        body = read(await api.login("guest", **wishes))
        assert (body["scope"], body["user"]) == ("guest", api.user("guest")["id"])
        body = read(await api.post_refresh(body["refreshToken"], "guest@example.org", **wishes))
        assert (body["scope"], body["user"]) == ("guest", api.user("guest")["id"])
        body = read(await api.get_refresh("guest", body["refreshToken"], scope="admin"))
        assert body["scope"] == "guest"

    told(story)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
def test_other_methods(method: str, told: Told) -> None:
    """Only GET and POST issue tokens."""

    async def story(api: Api) -> None:
        issued = read(await api.login("guest"))
        path = f"/v2/auth/token?refreshToken={issued['refreshToken']}"
        answer = await api.ask(method, path, issued["token"])
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        assert (await api.get_refresh(issued["token"], issued["refreshToken"])).status_code == 200

    told(story)


def test_credentials_in_the_query_issue_nothing(told: Told) -> None:
    """Email and password belong into the body."""

    async def story(api: Api) -> None:
        one = api.server.accounts["guest"]
        params = {"email": one.email, "password": str(one.password)}
        assert (await api.ask("POST", "/v2/auth/token", params=params)).status_code == 415
        assert (await api.ask("GET", "/v2/auth/token", params=params)).status_code == 401

    told(story)
