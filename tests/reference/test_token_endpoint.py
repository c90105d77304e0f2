"""Logins and both ways to refresh."""

from __future__ import annotations

import asyncio
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
    """A login answers with the five fields, a token for 24 hours with the role for scope, kept by
    nobody.
    """

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


def test_chains_of_refreshes(told: Told) -> None:
    """Each new pair works the next time, on each path and mixed; the scope and the user stay."""

    async def story(api: Api) -> None:
        first = now = read(await api.login("bot"))
        seen = {first["token"], first["refreshToken"]}
        for path in ("GET", "GET", "POST", "POST", "GET", "POST"):
            token = now["refreshToken"]
            if path == "GET":
                now = read(await api.get_refresh(now["token"], token))
            else:
                now = read(await api.post_refresh(token, api.server.accounts["bot"].email))
            assert (now["user"], now["scope"]) == (first["user"], "bot")
            assert not seen & {now["token"], now["refreshToken"]}
            seen |= {now["token"], now["refreshToken"]}
        assert (await api.ask("GET", "/v2/users", now["token"])).status_code == 200

    told(story)


def test_refresh_token_is_good_for_one_use(told: Told) -> None:
    """The old refresh token dies with its use."""

    async def story(api: Api) -> None:
        token = read(await api.login("bot"))["refreshToken"]
        client = api.server.accounts["bot"].email
        assert (await api.post_refresh(token, client)).status_code == 200
        again = await api.post_refresh(token, client)
        assert (again.status_code, read(again)["error"]["message"]) == (
            401,
            "invalid refresh token",
        )

    told(story)


def test_concurrent_refreshes_have_one_winner(told: Told) -> None:
    """Of ten refreshes at once with one token one is done, and the user goes on."""

    async def story(api: Api) -> None:
        token = read(await api.login("bot"))["refreshToken"]
        client = api.server.accounts["bot"].email
        answers = await asyncio.gather(*(api.post_refresh(token, client) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
        new = next(read(answer) for answer in answers if answer.is_success)
        assert (await api.post_refresh(new["refreshToken"], client)).status_code == 200

    told(story)


@pytest.mark.parametrize(
    "change",
    [
        lambda right: right[: 25 + 21],
        lambda right: right[: 25 + 28],
        lambda right: right[:-1],
        lambda right: right + "0",
        lambda right: right[:24],
        lambda right: right[:25],
        lambda right: right.upper(),
        lambda right: right[25:],
        lambda right: right[:25] + "0" * 80,
        lambda right: "0" * 24 + right[24:],
    ],
    ids=["21", "28", "79", "81", "id", "id-and-dot", "upper-case", "secret", "unknown", "other-id"],
)
def test_only_the_whole_refresh_token_refreshes(change: Callable[[str], str], told: Told) -> None:
    """A part of a refresh token, or more than it, is refused on both paths; the right one stays
    good.
    """

    async def story(api: Api) -> None:
        right = read(await api.login("bot"))["refreshToken"]
        client = api.server.accounts["bot"].email
        for answer in (
            await api.post_refresh(change(right), client),
            await api.get_refresh("bot", change(right)),
        ):
            assert (answer.status_code, read(answer)["error"]["message"]) == (
                401,
                "invalid refresh token",
            )
        assert (await api.get_refresh("bot", right)).status_code == 200

    told(story)


def test_get_refresh_needs_the_users_own_bearer(told: Told) -> None:
    """Nobody, another user and an API key are refused, and the refresh token stays good."""

    async def story(api: Api) -> None:
        token = read(await api.login("guest"))["refreshToken"]
        key = read(await api.key(["guest"], "guest"))["token"]
        for bearer in (None, "guest2", "admin", key, token):
            assert (await api.get_refresh(bearer, token)).status_code == 401
        assert (await api.get_refresh("guest", token)).status_code == 200

    told(story)


def test_get_refresh_is_for_tokens_that_have_not_expired() -> None:
    """With an expired bearer GET is refused with 403, and POST works."""

    async def story(api: Api) -> None:
        issued = read(await api.login("bot"))
        api.server.clock.advance(DAY)
        assert (await api.get_refresh(issued["token"], issued["refreshToken"])).status_code == 403
        answer = await api.post_refresh(issued["refreshToken"], api.server.accounts["bot"].email)
        assert answer.status_code == 200

    with_api(Settings(scrypt_n=QUICK), story)


@pytest.mark.parametrize(
    "query", ["", "?refreshToken=", "?refreshToken[$ne]=x", "?refreshToken=a&refreshToken=b"]
)
def test_get_refresh_needs_one_refresh_token(query: str, told: Told) -> None:
    """No refresh token, an empty one, an operator and two of them are answered 400."""

    async def story(api: Api) -> None:
        assert (await api.ask("GET", f"/v2/auth/token{query}", "guest")).status_code == 400

    told(story)


@pytest.mark.parametrize(
    "client", ["guest2@example.org", "nobody@example.org", "id", " guest@example.org"]
)
def test_post_refresh_needs_the_users_own_client_id(client: str, told: Told) -> None:
    """Somebody else's address, nobody's and the user's id are refused, and the refresh token stays
    good.
    """

    async def story(api: Api) -> None:
        token = read(await api.login("guest"))["refreshToken"]
        given = api.user("guest")["id"] if client == "id" else client
        assert (await api.post_refresh(token, given)).status_code == 401
        assert (await api.post_refresh(token, "guest@example.org")).status_code == 200

    told(story)


@pytest.mark.parametrize("bearer", ["guest2", "admin", "a.b.c", "x"])
def test_post_refresh_does_not_look_at_a_bearer(bearer: str, told: Told) -> None:
    """With any Authorization header the tokens are those of the refresh token's user."""

    async def story(api: Api) -> None:
        token = read(await api.login("guest"))["refreshToken"]
        body = {"refreshToken": token, "clientId": "guest@example.org"}
        answer = await api.ask("POST", "/v2/auth/token", bearer, json=body)
        assert (answer.status_code, read(answer)["user"]) == (200, api.user("guest")["id"])

    told(story)


def test_both_ways_in_one_body(told: Told) -> None:
    """Email and password beside a refresh token are refused."""

    async def story(api: Api) -> None:
        token = read(await api.login("bot"))["refreshToken"]
        answer = await api.login(
            "guest", refreshToken=token, clientId=api.server.accounts["bot"].email
        )
        assert answer.status_code == 400

    told(story)


def test_token_kinds_do_not_stand_in_for_each_other(told: Told) -> None:
    """An access token does not refresh, a refresh token opens nothing."""

    async def story(api: Api) -> None:
        issued = read(await api.login("admin"))
        assert (await api.post_refresh(issued["token"], "admin@example.org")).status_code in (
            400,
            401,
        )
        assert (await api.get_refresh(issued["token"], issued["token"])).status_code == 401
        assert (await api.ask("GET", "/v2/services", issued["refreshToken"])).status_code == 401

    told(story)


def test_refresh_follows_the_users_role(told: Told) -> None:
    """Who was made a guest gets a guest's token from the refresh token of better days."""

    async def story(api: Api) -> None:
        user = await api.new_user("bot")
        body = {"email": user["email"], "password": "Sesame-1"}
        issued = read(await api.ask("POST", "/v2/auth/token", json=body))
        await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"role": "guest"})
        assert (
            read(await api.post_refresh(issued["refreshToken"], user["email"]))["scope"] == "guest"
        )

    told(story)


def test_new_password_ends_refresh_tokens(told: Told) -> None:
    """A changed password works, the old one does not, and refresh tokens of before are dead."""

    async def story(api: Api) -> None:
        user = await api.new_user("bot")
        body = {"email": user["email"], "password": "Sesame-1"}
        issued = read(await api.ask("POST", "/v2/auth/token", json=body))
        await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"password": "Sesame-2"})
        assert (await api.post_refresh(issued["refreshToken"], user["email"])).status_code == 401
        assert (await api.ask("POST", "/v2/auth/token", json=body)).status_code == 401
        body["password"] = "Sesame-2"
        assert (await api.ask("POST", "/v2/auth/token", json=body)).status_code == 200

    told(story)


def test_refusals_do_not_send_the_vendors_client_in_circles(told: Told) -> None:
    """No refusal of the token endpoint is worded like an access token that wants to be refreshed."""

    async def story(api: Api) -> None:
        token = f"{'0' * 24}.{'0' * 80}"
        answers = [
            await api.post_refresh(token, "guest@example.org"),
            await api.get_refresh("guest", token),
            await api.login("guest", password="wrong"),
            await api.post_refresh("x", "guest@example.org"),
        ]
        for answer in answers:
            message = read(answer)["error"]["message"].lower()
            assert not any(
                trap in message for trap in ("invalid token", "invalid signature", "jwt expired")
            )

    told(story)
