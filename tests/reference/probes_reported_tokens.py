"""Questions that show the faults of `faults/reported` about log-ins, refreshes, tokens, keys and
what becomes of users.
"""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

import httpx

from rolecall.reference.tokens import SigningKey
from tests.reference.asking import Api, Probe, read, sees

DAY = 24 * 60 * 60
STRANGER = SigningKey.shared(b"k" * 32)
HS256 = {"alg": "HS256", "typ": "JWT"}

Document = dict[str, Any]


async def log_in(api: Api, email: str, password: object) -> httpx.Response:
    """A log-in with these."""
    return await api.ask("POST", "/v2/auth/token", json={"email": email, "password": password})


async def made(api: Api, **members: Any) -> Document:
    """A user of one's own, with what it logs in with."""
    user = await api.new_user(**members)
    assert "id" in user, user
    return user


async def tokens_of(api: Api, user: Document) -> Document:
    """The token answer of a log-in of a user of one's own."""
    document: Document = read(await log_in(api, user["email"], "Sesame-1"))
    return document


async def change(api: Api, user: Document, **members: Any) -> None:
    """An update of a user by the admin."""
    answer = await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json=members)
    assert answer.status_code == 200, answer.text


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


# --- comparing ----------------------------------------------------------------------------------


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


# --- histories ----------------------------------------------------------------------------------


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


# --- tokens -------------------------------------------------------------------------------------


@sees("bearer-of-refresh-only-decoded")
async def forged_bearer(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (await api.get_refresh(api.forged(api.claims("bot"), HS256, STRANGER), token)).is_success


@sees("client-id-in-place-of-bearer")
async def no_bearer(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (
        await api.get_refresh(None, token, clientId=api.server.accounts["bot"].email)
    ).is_success


@sees("admin-refreshes-for-anybody")
async def admins_bearer(api: Api) -> bool:
    return (
        await api.get_refresh("admin", read(await api.login("guest"))["refreshToken"])
    ).is_success


@sees("signature-of-zeros")
async def zeros(api: Api) -> bool:
    header = {"alg": api.server.verifier.key.algorithm, "typ": "JWT"}
    return await api.accepted(api.forged(api.claims("admin"), header, signature="A" * 86))


@sees("error-tells-the-right-signature")
async def told(api: Api) -> bool:
    right = api.token("guest")
    answer = await api.ask("GET", "/v2/services", right.rpartition(".")[0] + "." + "A" * 43)
    return right.rpartition(".")[2] in answer.text


def says(member: str, value: object = None) -> Probe:
    """Whether the claim of a token is missing or of another type than value."""

    async def probe(api: Api) -> bool:
        document = read(await api.login("bot"))
        claims = api.server.verifier.document(document["token"].split(".")[1])
        return type(claims.get(member)) is not type(value)

    return probe


sees("scope-in-another-claim")(says("scope", ""))
sees("times-are-texts")(says("exp", 1))


@sees("issued-in-milliseconds")
async def milliseconds(api: Api) -> bool:
    claims = api.server.verifier.document(read(await api.login("bot"))["token"].split(".")[1])
    return bool(claims["iat"] > claims["exp"])


@sees("token-names-the-email")
async def names_the_email(api: Api) -> bool:
    document = read(await api.login("bot"))
    return bool(
        api.server.verifier.document(document["token"].split(".")[1])["_id"] != document["user"]
    )


@sees("widest-of-three-scope-claims")
async def other_claim(api: Api) -> bool:
    return await api.accepted(api.token("guest", scp=["admin"]))


@sees("role-instead-of-scope")
async def lower_scope(api: Api) -> bool:
    return await api.accepted(api.token("admin", scope="guest"))


@sees("writes-by-role")
async def writes(api: Api) -> bool:
    return (await api.attempt("create-form", api.token("admin", scope="guest")))[1]


@sees("verified-tokens-kept-by-signature")
async def other_payload(api: Api) -> bool:
    guest = read(await api.login("guest"))["token"]
    await api.ask("GET", "/v2/services", guest)
    head, _, signature = guest.split(".")
    payload = api.token("admin").split(".")[1]
    return await api.accepted(f"{head}.{payload}.{signature}")


@sees("callers-kept-by-organization-and-scope")
async def other_guest(api: Api) -> bool:
    own = [f"/v2/users/{api.server.accounts[name].id}" for name in ("guest", "guest2")]
    assert (await api.ask("GET", own[0], read(await api.login("guest"))["token"])).is_success
    return not (await api.ask("GET", own[1], read(await api.login("guest2"))["token"])).is_success


# --- time ---------------------------------------------------------------------------------------


def still(method: str, path: str, role: str = "admin", before: bool = False) -> Probe:
    """Whether an expired token does something, perhaps just after it did it while it was good."""

    async def probe(api: Api) -> bool:
        place = path.format(id=api.server.accounts[role].id, conversation=api.put("conversations"))
        token = read(await api.login(role))["token"]
        body = {"json": {"text": "Hello"}} if method == "POST" else {}
        if before:
            assert (await api.ask(method, place, token, **body)).is_success
        api.server.clock.advance(DAY + 100)
        return (await api.ask(method, place, token, **body)).is_success

    return probe


sees("verified-tokens-outlive-their-end", "answers-kept-by-token")(
    still("GET", "/v2/services", before=True)
)
sees("expired-heads-still")(still("HEAD", "/v2/services"))
sees("expired-nested-still")(still("POST", "/v2/conversations/{conversation}/messages"))
sees("expired-searches-still")(still("GET", "/v2/services?limit=1"))
sees("expired-self-still")(still("GET", "/v2/users/{id}", "guest"))


@sees("clock-behind-by-the-zone")
async def an_hour_late(api: Api) -> bool:
    now = int(api.server.clock.now())
    return await api.accepted(api.token("admin", iat=now - DAY - 3600, exp=now - 3600))


@sees("lifetime-counted-in-minutes-on-post")
async def a_short_life(api: Api) -> bool:
    issued = read(await api.login("bot"))
    new = read(await api.post_refresh(issued["refreshToken"], api.server.accounts["bot"].email))
    claims = api.server.verifier.document(new["token"].split(".")[1])
    return bool(claims["exp"] - claims["iat"] < DAY)


@sees("expired-bearer-refreshes-with-client-id", "expired-bearer-refreshes-for-an-hour")
async def expired_bearer(api: Api) -> bool:
    issued = read(await api.login("bot"))
    api.server.clock.advance(DAY + 100)
    email = api.server.accounts["bot"].email
    return (
        await api.get_refresh(issued["token"], issued["refreshToken"], clientId=email)
    ).is_success


# --- API keys -----------------------------------------------------------------------------------


def keyed(role: str, *scopes: str) -> Probe:
    """Whether a role gets a key with these scopes that may do what an admin may."""

    async def probe(api: Api) -> bool:
        body = {"name": "key", "scopes": list(scopes)}
        answer = await api.ask("POST", "/v2/apikeys", role, json=body)
        return answer.is_success and await api.accepted(read(answer)["token"])

    return probe


sees("key-above-its-maker")(keyed("guest", "admin"))
sees("key-checked-by-its-first-scope")(keyed("guest", "guest", "admin"))
sees("key-scopes-ranked-by-alphabet")(keyed("guest", "admin"))
sees("key-of-unknown-scopes-may-all")(keyed("admin", "nothing"))
sees("key-scopes-searched")(keyed("admin", "no-admin"))


@sees("key-of-an-unknown-scope-may-write")
async def writes_with_a_name(api: Api) -> bool:
    answer = await api.key(["nothing"])
    return answer.is_success and (await api.attempt("create-form", read(answer)["token"]))[1]


@sees("revoked-key-kept-in-cache", "revoked-key-only-hidden")
async def revoked(api: Api) -> bool:
    key = read(await api.key(["admin"]))
    assert await api.accepted(key["token"])
    assert (await api.ask("DELETE", f"/v2/apikeys/{key['id']}", "admin")).is_success
    return await api.accepted(key["token"])


@sees("key-of-a-deleted-user")
async def of_a_deleted_user(api: Api) -> bool:
    user = await made(api, role="admin")
    key = read(await api.key(["admin"], user=user["id"]))
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    return await api.accepted(key["token"])


@sees("key-becomes-a-session")
async def key_as_refresh_token(api: Api) -> bool:
    key = read(await api.key(["guest"]))["token"]
    return (await api.post_refresh(key, api.server.accounts["admin"].email)).is_success


@sees("keys-listed-in-clear")
async def listed(api: Api) -> bool:
    key = read(await api.key(["guest"]))
    return key["token"] in (await api.ask("GET", "/v2/apikeys", "admin")).text


@sees("key-fetched-in-clear")
async def fetched(api: Api) -> bool:
    key = read(await api.key(["guest"]))
    return key["token"] in (await api.ask("GET", f"/v2/apikeys/{key['id']}", "admin")).text


@sees("key-reads-as-its-user")
async def reads(api: Api) -> bool:
    return await api.accepted(read(await api.key(["guest"]))["token"])


# --- what is shown ------------------------------------------------------------------------------


@sees("update-shows-the-hash")
async def updated(api: Api) -> bool:
    user = await made(api)
    return "passwordHash" in read(
        await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"name": "New"})
    )


@sees("create-shows-the-password")
async def created(api: Api) -> bool:
    return (await made(api)).get("password") == "Sesame-1"


@sees("users-of-lists-show-the-hash")
async def in_lists(api: Api) -> bool:
    return "passwordHash" in (await api.ask("GET", "/v2/users", "admin")).text
