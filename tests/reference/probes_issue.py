"""Questions that show the faults of how tokens are issued."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt

from rolecall.reference.lockout import MOST_WRONG
from rolecall.reference.tokens import LIFETIME
from tests.reference.asking import Api, Probe, read, sees


def answered(
    right: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], bool], role: str = "guest"
) -> Probe:
    """Whether the answer to a login, or a claim in it, is wrong for the user."""

    async def probe(api: Api) -> bool:
        answer = await api.login(role)
        body = read(answer)
        try:
            claims = api.server.verifier.document(body["token"].split(".")[1])
            return answer.status_code != 200 or not right(body, claims, api.user(role))
        except (KeyError, IndexError):
            return True

    return probe


for _name in ("login-202", "token-in-another-field", "opaque-access-token"):
    sees(_name)(answered(lambda body, claims, user: True))
for _name, _field in (
    ("login-without-token-type", "tokenType"),
    ("login-without-refresh-token", "refreshToken"),
    ("login-without-user", "user"),
    ("login-without-scope", "scope"),
):
    sees(_name)(
        answered(lambda body, claims, user, field=_field: field in body)  # type: ignore[misc]
    )
sees("token-type-is-jwt")(answered(lambda body, claims, user: body["tokenType"] == "Bearer"))
sees("user-of-another")(answered(lambda body, claims, user: body["user"] == claims["_id"]))
sees("scope-of-answer-differs")(
    answered(lambda body, claims, user: body["scope"] == claims["scope"])
)
sees("jwt-without-iat")(answered(lambda body, claims, user: "iat" in claims))
sees("jwt-without-user")(answered(lambda body, claims, user: "_id" in claims))
for _name in (
    "scope-claim-array",
    "scope-claim-with-commas",
    "scope-claim-with-two-spaces",
    "scope-claim-with-unknown-name",
):
    sees(_name)(
        answered(lambda body, claims, user: claims["scope"] in ("bot", "guest agent bot"), "bot")
    )
sees("scope-too-wide")(answered(lambda body, claims, user: body["scope"] == user["role"]))
sees("scope-too-narrow")(answered(lambda body, claims, user: body["scope"] == user["role"], "bot"))
sees("password-hash-in-token")(answered(lambda body, claims, user: "password" not in claims))


@sees("token-of-the-last-login")
async def last_login(api: Api) -> bool:
    await api.login("guest")
    body = read(await api.login("agent"))
    return bool(api.server.verifier.document(body["token"].split(".")[1])["_id"] != body["user"])


@sees("same-token-for-every-login")
async def two_logins(api: Api) -> bool:
    return bool(read(await api.login("guest"))["token"] == read(await api.login("guest"))["token"])


@sees("counted-refresh-tokens")
async def refresh_secrets(api: Api) -> bool:
    secret: str = read(await api.login("guest"))["refreshToken"].split(".")[1]
    return secret.count("0") > 40


@sees("tokens-may-be-cached")
async def cached(api: Api) -> bool:
    return bool((await api.login("guest")).headers.get("cache-control") != "no-store")


def let_in(**members: Callable[[str], Any]) -> Probe:
    """Whether a login works with credentials that were changed; the right ones are given to the
    changes.
    """

    async def probe(api: Api) -> bool:
        credentials = api.server.accounts["guest"]
        right = {"email": credentials.email, "password": str(credentials.password)}
        changed = {name: change(right[name]) for name, change in members.items()}
        return (await api.login("guest", **changed)).status_code == 200

    return probe


sees("any-password")(let_in(password=lambda right: "wrong"))
sees("password-without-case")(let_in(password=lambda right: right.swapcase()))
sees("password-by-beginning")(let_in(password=lambda right: right[:5]))
sees("password-cut-at-eight")(let_in(password=lambda right: right[:8] + "else"))
sees("password-trimmed")(let_in(password=lambda right: f" {right} "))
sees("empty-password")(let_in(password=lambda right: ""))
sees("missing-password")(let_in(password=lambda right: None))
sees("password-in-array")(let_in(password=lambda right: [right]))
sees("operator-as-email")(let_in(email=lambda right: {"$ne": None}))
sees("operator-as-password")(let_in(password=lambda right: {"$ne": None}))


@sees("strange-credentials-crash")
async def strange_credentials(api: Api) -> bool:
    return (await api.login("guest", password=1)).status_code == 500


@sees("login-by-query")
async def by_query(api: Api) -> bool:
    one = api.server.accounts["guest"]
    params = {"email": one.email, "password": str(one.password)}
    return (await api.ask("POST", "/v2/auth/token", params=params)).status_code == 200


@sees("login-by-form")
async def by_form(api: Api) -> bool:
    one = api.server.accounts["guest"]
    form = {"email": one.email, "password": str(one.password)}
    return (await api.ask("POST", "/v2/auth/token", data=form)).status_code == 200


@sees("login-of-any-type")
async def by_text(api: Api) -> bool:
    one = api.server.accounts["guest"]
    text = f'{{"email":"{one.email}","password":"{one.password}"}}'
    headers = {"Content-Type": "text/plain"}
    return (
        await api.ask("POST", "/v2/auth/token", content=text, headers=headers)
    ).status_code == 200


def crash_of(content: bytes) -> Probe:
    """Whether a body ends in a 500."""

    async def probe(api: Api) -> bool:
        headers = {"Content-Type": "application/json"}
        answer = await api.ask("POST", "/v2/auth/token", content=content, headers=headers)
        return answer.status_code == 500

    return probe


sees("bad-json-crashes")(crash_of(b'{"email":'))
sees("large-body-crashes")(crash_of(b" " * (1024 * 1024 + 1)))


@sees("email-is-a-pattern")
async def pattern(api: Api) -> bool:
    one, password = await api.new_user(email="one.or.other@example.org"), "Sesame-1"
    await api.new_user(email="one_or.other@example.org")
    answer = await api.login("guest", email="one_or.other@example.org", password=password)
    return bool(read(answer).get("user") == one["id"])


@sees("email-tag-ignored")
async def tag(api: Api) -> bool:
    one, password = await api.new_user(email="ada@example.org"), "Sesame-1"
    await api.new_user(email="ada+work@example.org")
    answer = await api.login("guest", email="ada+work@example.org", password=password)
    return bool(read(answer).get("user") == one["id"])


@sees("strange-body-401")
async def strange_body(api: Api) -> bool:
    return (await api.ask("POST", "/v2/auth/token", content="<auth/>")).status_code == 401


@sees("duplicate-credentials")
async def duplicates(api: Api) -> bool:
    one = api.server.accounts["guest"]
    text = f'{{"email":"admin@example.org","email":"{one.email}","password":"{one.password}"}}'
    headers = {"Content-Type": "application/json"}
    return (
        await api.ask("POST", "/v2/auth/token", content=text, headers=headers)
    ).status_code == 200


def wished(**members: str) -> Probe:
    """Whether a login is given the scope it asks for."""

    async def probe(api: Api) -> bool:
        return bool(read(await api.login("guest", **members)).get("scope") == "admin")

    return probe


sees("login-grants-scope-of-body")(wished(scope="admin"))
sees("login-grants-role-of-body")(wished(role="admin"))


@sees("login-grants-scope-of-query")
async def scope_of_query(api: Api) -> bool:
    one = api.server.accounts["guest"]
    body = {"email": one.email, "password": one.password}
    answer = await api.ask("POST", "/v2/auth/token?scope=admin", json=body)
    return bool(read(answer)["scope"] == "admin")


@sees("login-grants-lifetime-of-body")
async def long_life(api: Api) -> bool:
    claims = jwt.decode(
        read(await api.login("guest", lifetime=10**9))["token"], options={"verify_signature": False}
    )
    return bool(claims["exp"] - claims["iat"] == 10**9)


@sees("put-issues-tokens")
async def put(api: Api) -> bool:
    one = api.server.accounts["guest"]
    body = {"email": one.email, "password": one.password}
    return (await api.ask("PUT", "/v2/auth/token", json=body)).status_code == 200


@sees("get-without-refresh-token")
async def get(api: Api) -> bool:
    return (await api.ask("GET", "/v2/auth/token", "guest")).status_code == 200


@sees("other-methods-404")
async def other_methods(api: Api) -> bool:
    return (await api.ask("DELETE", "/v2/auth/token", "guest")).status_code == 404


@sees("passwords-guessed-for-ever")
async def passwords_guessed(api: Api) -> bool:
    answers = [
        await api.login("guest", password=f"wrong-{number}") for number in range(MOST_WRONG + 1)
    ]
    return answers[-1].status_code == 401


@sees("refresh-tokens-guessed-for-ever")
async def refresh_tokens_guessed(api: Api) -> bool:
    answers = [
        await api.post_refresh(f"{number:024x}", "guest@example.org")
        for number in range(MOST_WRONG + 1)
    ]
    return answers[-1].status_code == 401


def lives(**members: object) -> Probe:
    """Whether a second log-in, with these members, is given a token of another length of life."""

    async def probe(api: Api) -> bool:
        await api.login("guest")
        body = read(await api.login("guest", **members))
        claims = api.server.verifier.document(body["token"].split(".")[1])
        return bool(claims["exp"] - claims["iat"] != LIFETIME)

    return probe


sees("second-login-lives-two-days")(lives())
sees("remember-me-lives-a-month")(lives(rememberMe=True))
sees("expires-in-is-believed")(lives(expiresIn=1))


@sees("second-login-says-lowest-scope")
async def second_login(api: Api) -> bool:
    await api.login("admin")
    return bool(read(await api.login("admin"))["scope"] == "guest")


async def third_refresh(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer to an admin's third refresh, and its claims."""
    body = read(await api.login("admin"))
    for _ in range(3):
        body = read(await api.get_refresh(body["token"], body["refreshToken"]))
    return body, api.server.verifier.document(body["token"].split(".")[1])


@sees("third-refresh-lives-a-week")
async def third_refresh_lives(api: Api) -> bool:
    _, claims = await third_refresh(api)
    return bool(claims["exp"] - claims["iat"] != LIFETIME)


@sees("third-refresh-says-lowest-scope")
async def third_refresh_says(api: Api) -> bool:
    body, claims = await third_refresh(api)
    return bool(body["scope"] != claims["scope"])


@sees("refresh-token-in-link")
async def linked(api: Api) -> bool:
    answer = await api.login("guest")
    return read(answer)["refreshToken"] in answer.headers.get("link", "")


@sees("refused-login-quotes-the-hash")
async def quoted(api: Api) -> bool:
    return "scrypt:" in (await api.login("guest", password="wrong")).text
