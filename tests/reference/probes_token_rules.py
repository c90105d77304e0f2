"""Questions that show the faults of near misses, two conditions at once, histories, API keys and
passwords that are shown.
"""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

from tests.reference.asking import Api, Probe, read, sees
from tests.reference.probes_reported_accounts import opened_by, refreshed_by
from tests.reference.probes_reported_tokens import (
    change,
    keyed,
    log_in,
    made,
    tokens_of,
)

# --- Near misses --------------------------------------------------------------------------------


def known_as(email: str) -> Probe:
    """Whether ada@example.org gets a token by another e-mail."""

    async def probe(api: Api) -> bool:
        await made(api, email="ada@example.org")
        return (await log_in(api, email, "Sesame-1")).is_success

    return probe


def refreshed_as(front: int, middle: str, back: int) -> Probe:
    """Whether a bot's refresh token is taken of which only so many characters at both ends are
    right.
    """

    async def probe(api: Api) -> bool:
        token = read(await api.login("bot"))["refreshToken"]
        given = token[:front] + middle + token[len(token) - back :]
        return (await api.post_refresh(given, api.server.accounts["bot"].email)).is_success

    return probe


def keyed_with(*scopes: Any) -> Probe:
    """Whether an admin gets a key with these odd scopes that may do what an admin may."""

    async def probe(api: Api) -> bool:
        answer = await api.key(list(scopes))
        return answer.is_success and await api.accepted(read(answer)["token"])

    return probe


for _name, _probe in (
    ("password-compared-up-to-128", opened_by("x" * 128 + "right", "x" * 128 + "wrong")),
    ("password-begins-rightly", opened_by("Sesame-1", "Sesame-1 and more")),
    ("password-is-a-pattern", opened_by("Sesame-1", "%")),
    ("email-by-beginning", known_as("ada@example")),
    ("email-by-local-part", known_as("ada@elsewhere.example")),
    ("email-with-wildcards", known_as("ada%@example.org")),
    ("email-is-an-expression", known_as("ada@ex.*")),
    ("client-is-an-expression", refreshed_by("bot.*")),
    ("client-id-without-tag", refreshed_by("bot+work@example.org")),
    ("refresh-by-last-half", refreshed_as(25, "f" * 40, 40)),
    ("refresh-with-wildcards", refreshed_as(60, "%", 0)),
    ("bots-make-admin-keys", keyed("bot", "admin")),
    ("unknown-beside-known-is-all", keyed_with("guest", "nothing")),
    ("key-scopes-split-at-commas", keyed_with("guest,admin")),
    ("key-scopes-flattened", keyed_with(["guest", "admin"])),
    ("key-scope-star-is-all", keyed_with("*")),
):
    sees(_name)(_probe)


@sees("unknown-role-is-admin")
async def unknown_role(api: Api) -> bool:
    body = {"email": "boss@example.org", "password": "Sesame-1", "role": "boss"}
    answer = await api.ask("POST", "/v2/users", "admin", json=body)
    return answer.is_success and (await tokens_of(api, read(answer)))["scope"] == "admin"


@sees("client-id-by-local-part")
async def client_elsewhere(api: Api) -> bool:
    local = api.server.accounts["bot"].email.partition("@")[0]
    return (
        await api.post_refresh(
            read(await api.login("bot"))["refreshToken"], f"{local}@elsewhere.example"
        )
    ).is_success


# --- Two conditions at once --------------------------------------------------------------------


async def post_beside(api: Api, bearer: str, token: str, client: str) -> bool:
    """Whether a POST refresh with a bearer is answered with tokens."""
    body = {"refreshToken": token, "clientId": client}
    return (await api.ask("POST", "/v2/auth/token", bearer, json=body)).is_success


@sees("key-instead-of-client-id")
async def beside_a_key(api: Api) -> bool:
    key = read(await api.key(["guest"]))["token"]
    return await post_beside(
        api, key, read(await api.login("bot"))["refreshToken"], "guest@example.org"
    )


@sees("expired-bearer-instead-of-client-id")
async def beside_the_own_expired_bearer(api: Api) -> bool:
    old = api.token("bot", exp=int(api.server.clock.now()) - 100)
    return await post_beside(
        api, old, read(await api.login("bot"))["refreshToken"], "guest@example.org"
    )


@sees("bearer-instead-of-secret")
async def beside_the_own_bearer(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return await post_beside(api, "bot", token[:25] + "0" * 80, api.server.accounts["bot"].email)


@sees("client-id-excuses-foreign-bearer")
async def client_beside_a_foreign_bearer(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (
        await api.get_refresh("guest", token, clientId=api.server.accounts["bot"].email)
    ).is_success


@sees("key-refreshes-for-all")
async def refreshed_by_a_key(api: Api) -> bool:
    key = read(await api.key(["guest"]))["token"]
    return (await api.get_refresh(key, read(await api.login("bot"))["refreshToken"])).is_success


@sees("wrong-secret-ends-all-sessions")
async def ended_by_a_stranger(api: Api) -> bool:
    email, token = api.server.accounts["bot"].email, read(await api.login("bot"))["refreshToken"]
    await api.post_refresh(token[:25] + read(await api.login("guest"))["refreshToken"][25:], email)
    return not (await api.post_refresh(token, email)).is_success


@sees("signature-of-another-token")
async def signed_elsewhere(api: Api) -> bool:
    admin, guest = [read(await api.login(role))["token"] for role in ("admin", "guest")]
    return await api.accepted(f"{admin.rpartition('.')[0]}.{guest.rpartition('.')[2]}")


def of_two_headers(method: str, first: str, last: str) -> Probe:
    """Whether of two Authorization headers the last one deletes a service, or refreshes its user's
    token.
    """

    async def probe(api: Api) -> bool:
        headers = [("Authorization", f"Bearer {api.token(role)}") for role in (first, last)]
        if method == "DELETE":
            return (
                await api.http.delete(f"/v2/services/{api.put('services')}", headers=headers)
            ).is_success
        params = {"refreshToken": read(await api.login(last))["refreshToken"]}
        return (await api.http.get("/v2/auth/token", headers=headers, params=params)).is_success

    return probe


sees("second-header-at-deletes")(of_two_headers("DELETE", "guest", "admin"))
sees("second-header-at-refresh")(of_two_headers("GET", "guest", "bot"))


# --- Histories ---------------------------------------------------------------------------------


@sees("role-cached-until-restart")
async def still_an_agent(api: Api) -> bool:
    user = await made(api, role="agent")
    assert not await api.accepted((await tokens_of(api, user))["token"])
    await change(api, user, role="admin")
    return not await api.accepted((await tokens_of(api, user))["token"])


@sees("lowered-role-kept-by-log-in")
async def still_an_admin(api: Api) -> bool:
    user = await made(api, role="admin")
    await tokens_of(api, user)
    await change(api, user, role="guest")
    return bool((await tokens_of(api, user))["scope"] == "admin")


@sees("lowered-role-is-not-stored")
async def admin_for_good(api: Api) -> bool:
    user = await made(api, role="guest")
    await change(api, user, role="admin")
    await change(api, user, role="agent")
    return bool(api.server.resources.stored("users", user["id"])["role"] == "admin")


@sees("new-role-is-shown-and-not-stored")
async def guest_for_good(api: Api) -> bool:
    user = await made(api, role="guest")
    await change(api, user, role="admin")
    return bool(api.server.resources.stored("users", user["id"])["role"] == "guest")


@sees("get-refresh-after-password-change")
async def refreshed_after_a_new_password(api: Api) -> bool:
    user = await made(api)
    before = await tokens_of(api, user)
    await change(api, user, password="Another-2")
    return (await api.get_refresh(before["token"], before["refreshToken"])).is_success


@sees("deleted-user-logs-in")
async def logged_in_after_the_end(api: Api) -> bool:
    user = await made(api)
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    return (await log_in(api, user["email"], "Sesame-1")).is_success


@sees("refresh-tokens-by-address")
async def refreshed_by_the_heir(api: Api) -> bool:
    user = await made(api, email="ada@example.org")
    token = (await tokens_of(api, user))["refreshToken"]
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    await made(api, email="ada@example.org")
    return (await api.post_refresh(token, "ada@example.org")).is_success


@sees("key-outlives-its-user")
async def key_of_a_deleted_user(api: Api) -> bool:
    user = await made(api, role="admin")
    key = read(await api.key(["admin"], user=user["id"]))["token"]
    assert await api.accepted(key)
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    return await api.accepted(key)


# --- What counts, and what is shown ------------------------------------------------------------


@sees("user-shows-local-auth")
async def fetched_with_hash(api: Api) -> bool:
    return "auth" in read(await api.ask("GET", f"/v2/users/{(await made(api))['id']}", "admin"))
