"""Questions that show the reported faults of tokens, their time, and API keys."""

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


# --- tokens ------------------------------------------------------------------------------------


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


# --- time --------------------------------------------------------------------------------------


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


# --- API keys ----------------------------------------------------------------------------------


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


@sees("keys-make-keys-as-their-user")
async def key_by_key(api: Api) -> bool:
    key = read(await api.key(["guest"]))["token"]
    body = {"name": "key", "scopes": ["admin"]}
    answer = await api.ask("POST", "/v2/apikeys", key, json=body)
    return answer.is_success and await api.accepted(read(answer)["token"])


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


# --- what is shown -----------------------------------------------------------------------------


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


@sees("users-of-lists-show-their-refresh-token")
async def tokens_in_lists(api: Api) -> bool:
    await api.login("bot")
    return "refreshToken" in (await api.ask("GET", "/v2/users", "admin")).text
