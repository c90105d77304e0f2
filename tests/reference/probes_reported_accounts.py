"""Questions that show the reported faults of accounts, log-ins and refreshes."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

from tests.reference.asking import Api, Probe, read, sees
from tests.reference.probes_reported_tokens import Document, change, log_in, made, tokens_of

# --- accounts -----------------------------------------------------------------------------------


async def without_password(api: Api) -> Document:
    """A user who was made without a password."""
    document: Document = read(
        await api.ask(
            "POST", "/v2/users", "admin", json={"email": "bare@example.org", "role": "guest"}
        )
    )
    return document


@sees("no-password-any-password")
async def any_password(api: Api) -> bool:
    return (await log_in(api, (await without_password(api))["email"], "whatever")).is_success


@sees("no-password-empty-password")
async def empty_password(api: Api) -> bool:
    return (await log_in(api, (await without_password(api))["email"], "")).is_success


@sees("no-password-is-the-id")
async def id_for_password(api: Api) -> bool:
    user = await without_password(api)
    return (await log_in(api, user["email"], user["id"])).is_success


@sees("no-role-may-all")
async def no_role(api: Api) -> bool:
    body = {"email": "bare@example.org", "password": "Sesame-1"}
    user = read(await api.ask("POST", "/v2/users", "admin", json=body))
    return bool((await tokens_of(api, user))["scope"] != user["role"])


@sees("inactive-user-logs-in", "disabled-user-gets-tokens")
async def inactive(api: Api) -> bool:
    user = await made(api, status="inactive")
    return (await log_in(api, user["email"], "Sesame-1")).is_success


# --- comparing ---------------------------------------------------------------------------------


def opened_by(password: str, given: object) -> Probe:
    """Whether an account with a password is opened by another."""

    async def probe(api: Api) -> bool:
        user = await made(api, password=password)
        return (await log_in(api, user["email"], given)).is_success

    return probe


sees("password-of-72-bytes")(opened_by("x" * 72 + "right", "x" * 72 + "wrong"))
sees("password-ends-at-nul")(opened_by("Sesame-1", "Sesame-1\0 and more"))
sees("password-zero-equals-text")(opened_by("Sesame-1", 0))


def becomes(first: str, second: str) -> Probe:
    """Whether who has the second address is taken for who has the first."""

    async def probe(api: Api) -> bool:
        victim = await made(api, email=first)
        other = await made(api, email=second, password="Other-23")
        own = await log_in(api, other["email"], "Other-23")
        return not own.is_success or read(own)["user"] == victim["id"]

    return probe


sees("user-read-by-folded-email")(becomes("mike@example.org", "m\uff49ke@example.org"))
sees("email-without-dots")(becomes("ada.lovelace@example.org", "adalovelace@example.org"))


def refreshed_by(client: Any, **headers: str) -> Probe:
    """Whether a bot's refresh token is taken with another clientId."""

    async def probe(api: Api) -> bool:
        token = read(await api.login("bot"))["refreshToken"]
        body = {"refreshToken": token, "clientId": client}
        return (await api.ask("POST", "/v2/auth/token", json=body, headers=headers)).is_success

    return probe


sees("client-id-contained")(refreshed_by("bot"))
sees("client-id-is-a-pattern")(refreshed_by("bot%"))
sees("client-id-empty-unchecked")(refreshed_by(None))
sees("client-id-unchecked-beside-bearer")(
    refreshed_by("guest@example.org", Authorization="Bearer anything")
)


@sees("refresh-token-of-72-bytes")
async def another_tail(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (
        await api.post_refresh(token[:72] + "f" * 33, api.server.accounts["bot"].email)
    ).is_success


@sees("first-half-of-refresh-token-ignored")
async def another_head(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (
        await api.post_refresh("0" * 24 + token[24:], api.server.accounts["bot"].email)
    ).is_success


@sees("own-bearer-needs-no-secret")
async def no_secret(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (await api.get_refresh("bot", token[:25] + "0" * 80)).is_success


async def halves(api: Api, head: str, tail: str) -> str:
    """The first half of one's refresh token with the second of another's."""
    first, second = [read(await api.login(role))["refreshToken"] for role in (head, tail)]
    return str(first[:24] + second[24:])


@sees("secret-of-anybody-refreshes")
async def of_two(api: Api) -> bool:
    mixed = await halves(api, "admin", "guest")
    answer = await api.post_refresh(mixed, api.server.accounts["admin"].email)
    return answer.is_success and read(answer)["scope"] == "admin"


@sees("bearer-compared-with-first-half")
async def of_two_by_get(api: Api) -> bool:
    answer = await api.get_refresh("guest", await halves(api, "guest", "admin"))
    return answer.is_success and read(answer)["scope"] == "admin"


# --- histories ---------------------------------------------------------------------------------


async def promoted(api: Api, path: str, role: str = "bot") -> Document:
    """What a refresh gives an agent who has another role since."""
    user = await made(api, role="agent")
    before = await tokens_of(api, user)
    await change(api, user, role=role)
    if path == "GET":
        answer = await api.get_refresh(before["token"], before["refreshToken"])
    else:
        answer = await api.post_refresh(before["refreshToken"], user["email"])
    document: Document = read(answer)
    return document


@sees("refreshed-role-copied-from-bearer")
async def role_by_get(api: Api) -> bool:
    return bool((await promoted(api, "GET"))["scope"] == "agent")


@sees("promotion-needs-a-log-in", "scope-of-answer-is-the-old-role")
async def role_by_post(api: Api) -> bool:
    return bool((await promoted(api, "POST"))["scope"] == "agent")


@sees("role-cached-at-log-in")
async def role_by_log_in(api: Api) -> bool:
    user = await made(api, role="agent")
    await tokens_of(api, user)
    await change(api, user, role="bot")
    return bool((await tokens_of(api, user))["scope"] == "agent")


@sees("deleted-user-refreshes")
async def refreshed_after_the_end(api: Api) -> bool:
    user = await made(api)
    before = await tokens_of(api, user)
    await api.post_refresh("x", user["email"])
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    return (await api.post_refresh(before["refreshToken"], user["email"])).is_success


@sees("renewed-sessions-outlive-the-password")
async def renewed_before_the_change(api: Api) -> bool:
    user = await made(api)
    token = (await tokens_of(api, user))["refreshToken"]
    renewed = read(await api.post_refresh(token, user["email"]))["refreshToken"]
    await change(api, user, password="Another-2")
    return (await api.post_refresh(renewed, user["email"])).is_success


@sees("disabled-user-refreshes")
async def refreshed_though_disabled(api: Api) -> bool:
    user = await made(api)
    before = await tokens_of(api, user)
    await change(api, user, status="inactive")
    return (await api.post_refresh(before["refreshToken"], user["email"])).is_success


@sees("token-follows-the-email")
async def the_next_user(api: Api) -> bool:
    user = await made(api, role="admin", email="ada@example.org")
    token = (await tokens_of(api, user))["token"]
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    assert not await api.accepted(token)
    await made(api, role="admin", email="ada@example.org")
    return await api.accepted(token)


@sees("users-kept-after-their-end")
async def still_there(api: Api) -> bool:
    user = await made(api, role="admin")
    token = (await tokens_of(api, user))["token"]
    assert await api.accepted(token)
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    return await api.accepted(token)


@sees("old-email-logs-in")
async def by_the_old_address(api: Api) -> bool:
    user = await made(api, email="ada@example.org")
    await tokens_of(api, user)
    await change(api, user, email="ada.lovelace@example.org")
    return (await log_in(api, "ada@example.org", "Sesame-1")).is_success


@sees("old-password-remembered")
async def by_the_old_password(api: Api) -> bool:
    user = await made(api)
    await tokens_of(api, user)
    await change(api, user, password="Another-2")
    return (await log_in(api, user["email"], "Sesame-1")).is_success


@sees("log-ins-kept-by-72-bytes")
async def by_eight_letters(api: Api) -> bool:
    bot = api.server.accounts["bot"]
    assert (await api.login("bot")).is_success
    return (await log_in(api, bot.email, f"{bot.password}"[:8] + "wrong")).is_success


@sees("refreshes-answered-by-user")
async def by_any_second_half(api: Api) -> bool:
    email, token = api.server.accounts["bot"].email, read(await api.login("bot"))["refreshToken"]
    assert (await api.post_refresh(token, email)).is_success
    return (await api.post_refresh(token[:25] + "0" * 80, email)).is_success
