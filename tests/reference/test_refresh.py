"""Both ways to refresh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK, Api, read, with_api

Told = Callable[..., Any]

DAY = 24 * 60 * 60


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
    """A shortened or extended refresh token is refused on both paths; the right one stays good."""

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
    """No bearer, another user's and an API key are refused; the refresh token stays good."""

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
    """Another address, an unknown one and the user's id are refused; the token stays good."""

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
    """A refusal of the token endpoint never says that an access token should be refreshed."""

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
