"""Questions that show the faults of the two ways to refresh."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from tests.reference.asking import Api, Probe, read, sees

Tokens = dict[str, Any]


async def post(api: Api, role: str, refresh_token: Any) -> httpx.Response:
    """POST refresh with the role's own clientId."""
    return await api.post_refresh(refresh_token, api.server.accounts[role].email)


def given(change: Callable[[str], Any]) -> Probe:
    """Whether a changed refresh token is taken, on either path."""

    async def probe(api: Api) -> bool:
        token = read(await api.login("bot"))["refreshToken"]
        answers = [
            await post(api, "bot", change(token)),
            await api.get_refresh("bot", str(change(token))),
        ]
        return any(answer.is_success for answer in answers)

    return probe


sees("refresh-by-beginning")(given(lambda right: right[:53]))
sees("refresh-by-user-id")(given(lambda right: right[:24]))
sees("refresh-with-something-behind")(given(lambda right: f"{right}0"))
sees("refresh-without-case")(given(lambda right: right.upper()))
sees("refresh-by-secret-of-79")(given(lambda right: right[:-1]))
sees("unknown-refresh-token")(given(lambda right: right[:25] + "ab" * 40))
sees("operator-as-refresh-token")(given(lambda right: {"$ne": None}))


@sees("access-token-as-refresh-token")
async def access_token(api: Api) -> bool:
    return (await post(api, "bot", api.token("bot"))).is_success


@sees("refresh-token-as-bearer")
async def as_bearer(api: Api) -> bool:
    return await api.accepted(read(await api.login("admin"))["refreshToken"])


@sees("operator-in-query")
async def query_operator(api: Api) -> bool:
    return (await api.ask("GET", "/v2/auth/token?refreshToken[$ne]=x", "bot")).is_success


@sees("refresh-of-foreign-bearer", "refresh-for-foreign-bearer")
async def foreign_bearer(api: Api) -> bool:
    return (await api.get_refresh("guest", read(await api.login("bot"))["refreshToken"])).is_success


@sees("foreign-bearer-burns-refresh-token")
async def burned(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    await api.get_refresh("guest", token)
    return not (await post(api, "bot", token)).is_success


@sees("refresh-without-bearer")
async def without_bearer(api: Api) -> bool:
    return (await api.get_refresh(None, read(await api.login("bot"))["refreshToken"])).is_success


@sees("refresh-with-expired-bearer")
async def expired_bearer(api: Api) -> bool:
    issued = read(await api.login("bot"))
    api.server.clock.advance(24 * 60 * 60 + 1)
    return (await api.get_refresh(issued["token"], issued["refreshToken"])).is_success


def client(identify: Callable[[Api], Any]) -> Probe:
    """Whether another clientId is taken."""

    async def probe(api: Api) -> bool:
        token = read(await api.login("bot"))["refreshToken"]
        body = {"refreshToken": token, "clientId": identify(api)}
        body = {name: value for name, value in body.items() if value is not None}
        return (await api.ask("POST", "/v2/auth/token", json=body)).is_success

    return probe


sees("client-id-unchecked")(client(lambda api: "nobody@example.org"))
sees("client-id-of-anybody", "client-id-decides")(client(lambda api: "guest@example.org"))
sees("client-id-optional")(client(lambda api: None))
sees("client-id-is-user-id")(client(lambda api: api.user("bot")["id"]))
sees("operator-as-client-id")(client(lambda api: {"$ne": None}))


def refreshed(path: str, wrong: Callable[[Tokens, Tokens], bool]) -> Probe:
    """Whether what a refresh answers is wrong, given what was issued before."""

    async def probe(api: Api) -> bool:
        issued = read(await api.login("bot"))
        token = issued["refreshToken"]
        answer = await (
            api.get_refresh(issued["token"], token) if path == "GET" else post(api, "bot", token)
        )
        return answer.status_code != 200 or wrong(issued, read(answer))

    return probe


sees("get-refresh-missing")(refreshed("GET", lambda issued, new: False))
sees("post-refresh-missing", "post-refresh-needs-bearer")(
    refreshed("POST", lambda issued, new: False)
)


@sees("guests-refresh-by-get-alone")
async def guests_by_post(api: Api) -> bool:
    tokens = {role: read(await api.login(role))["refreshToken"] for role in ("guest", "agent")}
    statuses = {role: (await post(api, role, token)).status_code for role, token in tokens.items()}
    return statuses["agent"] == 200 != statuses["guest"]


sees("get-refresh-omits-refresh-token")(
    refreshed("GET", lambda issued, new: "refreshToken" not in new)
)
sees("post-refresh-omits-refresh-token")(
    refreshed("POST", lambda issued, new: "refreshToken" not in new)
)
sees("get-refresh-omits-scope")(refreshed("GET", lambda issued, new: "scope" not in new))
sees("post-refresh-omits-user")(refreshed("POST", lambda issued, new: "user" not in new))
sees("refresh-gives-same-access-token")(
    refreshed("POST", lambda issued, new: issued["token"] == new["token"])
)
sees("refresh-gives-used-refresh-token")(
    refreshed("POST", lambda issued, new: issued["refreshToken"] == new["refreshToken"])
)
sees("refresh-widens-scope", "refresh-narrows-scope")(
    refreshed("GET", lambda issued, new: issued["scope"] != new["scope"])
)
sees("refresh-gives-another-user")(
    refreshed("POST", lambda issued, new: issued["user"] != new["user"])
)


@sees("refresh-gives-dead-access-token")
async def dead(api: Api) -> bool:
    new = read(await post(api, "bot", read(await api.login("bot"))["refreshToken"]))
    return not (await api.ask("GET", "/v2/users", new["token"])).is_success


@sees("refresh-gives-14-days")
async def long_life(api: Api) -> bool:
    new = read(await post(api, "bot", read(await api.login("bot"))["refreshToken"]))
    claims = api.server.verifier.document(new["token"].split(".")[1])
    return bool(claims["exp"] - claims["iat"] != 24 * 60 * 60)


@sees("refresh-keeps-the-end")
async def same_end(api: Api) -> bool:
    old = read(await api.login("bot"))
    api.server.clock.advance(60 * 60)
    path = f"/v2/auth/token?refreshToken={old['refreshToken']}"
    new = read(await api.ask("GET", path, old["token"]))
    api.server.clock.advance(23 * 60 * 60 + 1)
    return not (await api.ask("GET", "/v2/users", new["token"])).is_success


@sees("post-refresh-before-expiry-only")
async def after_expiry(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    api.server.clock.advance(24 * 60 * 60 + 1)
    return not (await post(api, "bot", token)).is_success


def chain(*paths: str) -> Probe:
    """Whether a chain of refreshes breaks."""

    async def probe(api: Api) -> bool:
        now = read(await api.login("bot"))
        for path in paths:
            token = now["refreshToken"]
            answer = await (
                api.get_refresh(now["token"], token) if path == "GET" else post(api, "bot", token)
            )
            if not answer.is_success:
                return True
            now = read(answer)
        return False

    return probe


sees("refresh-gives-dead-refresh-token")(chain("GET", "GET"))
sees("chain-of-three")(chain("POST", "POST", "POST", "POST", "POST"))
sees("paths-do-not-mix")(chain("GET", "POST"))


@sees("stale-role-after-refresh")
async def stale_role(api: Api) -> bool:
    user = await api.new_user("bot")
    body = {"email": user["email"], "password": "Sesame-1"}
    issued = read(await api.ask("POST", "/v2/auth/token", json=body))
    await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"role": "guest"})
    return bool(
        read(await api.post_refresh(issued["refreshToken"], user["email"]))["scope"] != "guest"
    )


@sees("refresh-after-password-change")
async def password_change(api: Api) -> bool:
    user = await api.new_user("bot")
    body = {"email": user["email"], "password": "Sesame-1"}
    issued = read(await api.ask("POST", "/v2/auth/token", json=body))
    await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"password": "Sesame-2"})
    return (await api.post_refresh(issued["refreshToken"], user["email"])).is_success


@sees("refresh-grants-scope-of-body")
async def body_scope(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    answer = await api.post_refresh(token, api.server.accounts["bot"].email, scope="admin")
    return bool(read(answer)["scope"] == "admin")


@sees("refresh-grants-scope-of-query")
async def query_scope(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return bool(read(await api.get_refresh("bot", token, scope="admin"))["scope"] == "admin")


@sees("refresh-for-user-of-body")
async def body_user(api: Api) -> bool:
    token, admin = read(await api.login("bot"))["refreshToken"], api.user("admin")["id"]
    answer = await api.post_refresh(token, api.server.accounts["bot"].email, userId=admin)
    return bool(read(answer)["user"] == admin)


@sees("get-refresh-for-client-id")
async def query_client(api: Api) -> bool:
    token, admin = read(await api.login("bot"))["refreshToken"], api.server.accounts["admin"]
    return bool(read(await api.get_refresh("bot", token, clientId=admin.email))["user"] == admin.id)


@sees("bearer-decides-post-refresh")
async def bearer_decides(api: Api) -> bool:
    body = {
        "refreshToken": read(await api.login("bot"))["refreshToken"],
        "clientId": api.server.accounts["bot"].email,
    }
    answer = await api.ask("POST", "/v2/auth/token", "guest", json=body)
    return bool(read(answer)["user"] != api.user("bot")["id"])


@sees("mixed-credentials-widen")
async def mixed(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    answer = await api.login("guest", refreshToken=token, clientId=api.server.accounts["bot"].email)
    return answer.is_success


@sees("any-password-beside-a-refresh-token")
async def any_password(api: Api) -> bool:
    token = read(await api.login("guest"))["refreshToken"]
    body = {"email": api.server.accounts["admin"].email, "password": "no", "refreshToken": token}
    answer = await api.ask("POST", "/v2/auth/token", "guest", json=body)
    return answer.is_success and bool(read(answer)["user"] == api.user("admin")["id"])


@sees("head-refreshes")
async def head(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    await api.ask("HEAD", f"/v2/auth/token?refreshToken={token}", "bot")
    return not (await post(api, "bot", token)).is_success


@sees("concurrent-refreshes-crash", "concurrent-refreshes-lock-out")
async def concurrent(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    answers = await asyncio.gather(*(post(api, "bot", token) for _ in range(4)))
    crashed = any(answer.is_server_error for answer in answers)
    return crashed or sum(answer.is_success for answer in answers) != 1
