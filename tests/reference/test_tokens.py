"""What is taken for a valid token, and what not."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.reference.settings import Settings
from rolecall.reference.strict_json import dumps
from rolecall.reference.tokens import SigningKey
from tests.reference.asking import QUICK, Api, read, with_api
from tests.reference.probes_tokens import (
    HS256,
    STRANGER,
    cut,
    edited,
    flipped,
    header_of,
    json_serialised,
    own_jwk,
    spoiled,
)

Told = Callable[..., Any]

HOUR = 60 * 60

NOT_VALID: dict[str, Callable[[Api], str]] = {
    "alg-none": lambda api: api.forged(api.claims("admin"), {"alg": "none"}),
    "alg-None": lambda api: api.forged(api.claims("admin"), {"alg": "None"}),
    "no-alg": lambda api: api.forged(api.claims("admin"), {"typ": "JWT"}, api.server.issuer.key),
    "alg-null": lambda api: api.forged(api.claims("admin"), {"alg": None}, api.server.issuer.key),
    "alg-array": lambda api: api.forged(
        api.claims("admin"), {"alg": ["HS256"]}, api.server.issuer.key
    ),
    "alg-hs512": lambda api: api.forged(
        api.claims("admin"),
        {"alg": "HS512"},
        SigningKey("HS512", api.server.signing_key.encode(), None),
    ),
    "two-parts": lambda api: ".".join(api.token("admin").split(".")[:2]),
    "four-parts": lambda api: api.token("admin") + ".x",
    "no-signature": lambda api: cut(api, 0),
    "short-signature": lambda api: cut(api, 20),
    "flipped-signature": flipped,
    "edited-scope": lambda api: edited(api, "scope", "admin"),
    "other-key": lambda api: api.forged(api.claims("admin"), HS256, STRANGER),
    "empty-key": lambda api: api.forged(api.claims("admin"), HS256, SigningKey.shared(b"")),
    "own-jwk": own_jwk,
    "crit": lambda api: header_of(api, crit=["exp"]),
    "json-serialised": json_serialised,
    "padded": spoiled,
    "header-not-object": lambda api: f"{urlsafe_b64encode(b'[1]').rstrip(b'=').decode()}.e30.AAAA",
    "unknown-user": lambda api: api.token("admin", _id="f" * 24),
    "empty-user": lambda api: api.token("admin", _id=""),
    "no-user": lambda api: api.token("admin", _id=None),
    "array-user": lambda api: api.token("admin", _id=["x"]),
    "no-exp": lambda api: api.token("admin", exp=None),
    "text-exp": lambda api: api.token("admin", exp="99999999999"),
    "float-exp": lambda api: api.token("admin", exp=1e10),
    "true-exp": lambda api: api.token("admin", exp=True),
    "millisecond-exp": lambda api: api.token("admin", exp=int(api.server.clock.now() * 1000)),
    "huge-exp": lambda api: api.token("admin", exp=2**53 + 1),
    "nbf": lambda api: api.token("admin", nbf=int(api.server.clock.now()) + HOUR),
    "text-nbf": lambda api: api.token("admin", nbf="now"),
    "refresh-grant": lambda api: api.token("admin", grant_type="refresh_token"),
    "unknown-key": lambda api: api.token("admin", grant_type="api_key", exp=None),
    "scope-array": lambda api: api.token("admin", scope=["admin"]),
    "no-scope": lambda api: api.token("admin", scope=None),
    "empty-scope": lambda api: api.token("admin", scope=""),
    "scope-with-space": lambda api: api.token("admin", scope="admin "),
    "scope-with-two-spaces": lambda api: api.token("admin", scope="guest  admin"),
    "opaque": lambda api: "94c70d470e391bdc16a8d8363b5d4891",
}


@pytest.mark.parametrize("name", NOT_VALID)
def test_not_a_valid_token(name: str, told: Told) -> None:
    """401 with a challenge, on a read and on a write alike, and nothing is repeated."""

    async def story(api: Api) -> None:
        token = NOT_VALID[name](api)
        for method, path in (("GET", "/v2/services"), ("POST", "/v2/services")):
            answer = await api.ask(
                method, path, token, json={"name": "x"} if method == "POST" else None
            )

            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert not token.strip() or token not in answer.text

    told(story)


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("admin", 200),
        ("guest admin", 200),
        ("admin guest", 200),
        ("guest unknown", 403),
        ("Admin", 403),
        ("administrator", 403),
        ("guest,admin", 403),
        ("guest\tadmin", 403),
        ("bot", 403),
    ],
)
def test_scope_is_exact_names_between_spaces(scope: str, status: int, told: Told) -> None:
    """No substring, no other case and no other separator makes an admin."""

    async def story(api: Api) -> None:
        assert (
            await api.ask("GET", "/v2/services", api.token("admin", scope=scope))
        ).status_code == status

    told(story)


def test_duplicate_claims_are_refused(told: Told) -> None:
    """A token that says two things about one claim says nothing."""

    async def story(api: Api) -> None:
        claims = dumps(api.claims("guest"))[:-1] + ',"scope":"admin"}'
        parts = [
            urlsafe_b64encode(part).rstrip(b"=")
            for part in (dumps(HS256).encode(), claims.encode())
        ]
        signature = urlsafe_b64encode(api.server.issuer.key.sign(b".".join(parts))).rstrip(b"=")
        token = b".".join([*parts, signature]).decode()

        assert (await api.ask("GET", "/v2/contacts", token)).status_code == 401

    told(story)


def test_expiry() -> None:
    """A token works to its last second, and reads and writes are answered 403 from its end on."""

    async def story(api: Api) -> None:
        token = api.token("admin")
        api.server.clock.advance(24 * HOUR - 5)
        assert (await api.ask("GET", "/v2/services", token)).status_code == 200
        api.server.clock.advance(5)
        for method, path in (
            ("GET", "/v2/services"),
            ("POST", "/v2/services"),
            ("GET", "/v2/nothing"),
        ):
            answer = await api.ask(method, path, token)
            assert (answer.status_code, answer.json()["error"]["message"]) == (
                403,
                "Permission Denied",
            )
        assert api.server.store.newest("services") is None

    with_api(Settings(scrypt_n=QUICK), story)


@pytest.mark.parametrize("ago", [1, 61, 300, 24 * HOUR])
def test_no_leeway(ago: int, told: Told) -> None:
    """A token that ended a second ago has ended."""

    async def story(api: Api) -> None:
        token = api.token("admin", exp=int(api.server.clock.now()) - ago)
        assert (await api.ask("GET", "/v2/services", token)).status_code == 403

    told(story)


def test_expired_in_the_vendors_dialect() -> None:
    """The vendor's client refreshes on 401 "jwt expired"."""

    async def story(api: Api) -> None:
        token = api.token("admin")
        api.server.clock.advance(24 * HOUR)
        answer = await api.ask("GET", "/v2/services", token)
        assert (answer.status_code, answer.json()["error"]["message"]) == (401, "jwt expired")

    with_api(Settings(scrypt_n=QUICK, dialect="sdk"), story)


def test_deleted_and_disabled_users(told: Told) -> None:
    """The tokens of a user who is gone or disabled no longer work."""

    async def story(api: Api) -> None:
        for end in ("DELETE", "PATCH"):
            user = await api.new_user("bot")
            body = {"email": user["email"], "password": "Sesame-1"}
            token = read(await api.ask("POST", "/v2/auth/token", json=body))["token"]
            assert (await api.ask("GET", "/v2/users", token)).status_code == 200
            json = {"status": "disabled"} if end == "PATCH" else None
            await api.ask(end, f"/v2/users/{user['id']}", "admin", json=json)
            assert (await api.ask("GET", "/v2/users", token)).status_code == 401
            assert (await api.ask("POST", "/v2/auth/token", json=body)).status_code == 401

    told(story)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("Bearer {}", 200),
        ("bearer {}", 200),
        ("BEARER {}", 200),
        ("Bearer  {}", 401),
        ("Bearer\t{}", 401),
        ("Basic {}", 401),
        ("Token {}", 401),
        ("{}", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_scheme(value: str, status: int, told: Told) -> None:
    """The scheme is Bearer, in any case, with one space behind it."""

    async def story(api: Api) -> None:
        headers = {"Authorization": value.format(api.token("admin"))}
        assert (await api.http.get("/v2/services", headers=headers)).status_code == status

    told(story)


def test_token_is_taken_from_the_header_only(told: Told) -> None:
    """A token in the query, in a cookie or in a body is not accepted."""

    async def story(api: Api) -> None:
        token = api.token("admin")
        form = {"access_token": token, "name": "x"}
        answers = [
            await api.http.get(f"/v2/services?access_token={token}&token={token}"),
            await api.http.get("/v2/services", headers={"Cookie": f"token={token}"}),
            await api.http.post("/v2/services", data=form),
            await api.http.post("/v2/services", json=form),
        ]
        assert [answer.status_code for answer in answers] == [401] * 4

    told(story)


def test_two_authorization_headers(told: Told) -> None:
    """Two headers are refused, whatever their order."""

    async def story(api: Api) -> None:
        for roles in (("guest", "admin"), ("admin", "guest")):
            headers = [("Authorization", f"Bearer {api.token(role)}") for role in roles]
            assert (await api.http.get("/v2/services", headers=headers)).status_code == 400

    told(story)


@pytest.mark.parametrize("length", [1, 8_000, 64_000, 1_000_000])
def test_long_tokens(length: int, told: Told) -> None:
    """A token of any length is refused without a crash."""

    async def story(api: Api) -> None:
        assert (await api.ask("GET", "/v2/services", "x" * length)).status_code in (401, 431)

    told(story)


def test_foreign_characters_in_a_token(told: Told) -> None:
    """Characters beyond ASCII are refused without a crash."""

    async def story(api: Api) -> None:
        headers = {b"Authorization": "Bearer grüß.gött.ß".encode()}
        assert (await api.http.get("/v2/services", headers=headers)).status_code == 401

    told(story)
