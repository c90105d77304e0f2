"""Questions that show the faults of what is taken for a valid token, and of its time."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from rolecall.reference.strict_json import dumps
from rolecall.reference.tokens import SigningKey
from rolecall.reference.variants.tokens import public_key_of
from tests.reference.asking import Api, Probe, read, sees

HOUR = 60 * 60
HS256 = {"alg": "HS256", "typ": "JWT"}
STRANGER = SigningKey.shared(b"k" * 32)

Forge = Callable[[Api], str]


def opens(forge: Forge) -> Probe:
    """Whether a forged token is accepted."""

    async def probe(api: Api) -> bool:
        return await api.accepted(forge(api))

    return probe


def crashes(forge: Forge) -> Probe:
    """Whether a strange token ends in a 500."""

    async def probe(api: Api) -> bool:
        headers = {b"Authorization": b"Bearer " + forge(api).encode("utf-8")}
        return (await api.http.get("/v2/services", headers=headers)).status_code == 500

    return probe


def unsigned(algorithm: object) -> Forge:
    """An admin's claims without a signature."""
    return lambda api: api.forged(api.claims("admin"), {"alg": algorithm, "typ": "JWT"})


def signed(**claims: Any) -> Forge:
    """A guest's token with other claims, signed by the server."""
    return lambda api: api.token("guest", **claims)


def edited(api: Api, name: str, value: object) -> str:
    """A guest's token with a claim changed under the old signature."""
    token = api.token("guest")
    head, payload, signature = token.split(".")
    claims = {**api.server.verifier.document(payload), name: value}
    return f"{head}.{urlsafe_b64encode(dumps(claims).encode()).rstrip(b'=').decode()}.{signature}"


def cut(api: Api, keep: int) -> str:
    """An admin's token with less of its signature."""
    head, payload, signature = api.token("admin").split(".")
    return f"{head}.{payload}.{signature[:keep]}"


def flipped(api: Api) -> str:
    """An admin's token with another last byte in its signature."""
    head, payload, signature = api.token("admin").split(".")
    key = api.server.verifier.key
    right = key.sign(f"{head}.{payload}".encode())
    wrong = right[:-1] + bytes([right[-1] ^ 0x10])
    assert signature
    return f"{head}.{payload}.{urlsafe_b64encode(wrong).rstrip(b'=').decode()}"


def spoiled(api: Api) -> str:
    """An admin's token with characters in it that do not belong there."""
    head, payload, signature = api.token("admin").split(".")
    return f"{head}.{payload[:5]}={payload[5:]}.{signature}"


def json_serialised(api: Api) -> str:
    """An admin's token in another serialisation."""
    head, payload, signature = api.token("admin").split(".")
    return dumps({"protected": head, "payload": payload, "signature": signature})


def own_jwk(api: Api) -> str:
    """An admin's claims signed with a key that comes along."""
    secret = urlsafe_b64encode(b"k" * 32).rstrip(b"=").decode()
    return api.forged(api.claims("admin"), {**HS256, "jwk": {"kty": "oct", "k": secret}}, STRANGER)


def with_public_key(api: Api) -> str:
    """An admin's claims signed with the server's public key for a secret."""
    verify_with = api.server.verifier.key.verify_with
    if isinstance(verify_with, bytes):
        return "there.is.none"
    secret = SigningKey.shared(public_key_of(api.server)[0])
    return api.forged(api.claims("admin"), HS256, secret)


def header_of(api: Api, **members: object) -> str:
    """An admin's token with more in its header, signed by the server."""
    return api.forged(api.claims("admin"), {**HS256, **members}, api.server.issuer.key)


for _name, _probe in (
    ("accepts-alg-none", opens(unsigned("none"))),
    ("accepts-alg-none-in-other-letters", opens(unsigned("nOnE"))),
    ("accepts-missing-alg", opens(unsigned(None))),
    ("strange-alg-crashes", crashes(unsigned(["HS256"]))),
    ("ignores-signature", opens(lambda api: cut(api, 0))),
    ("accepts-empty-signature", opens(lambda api: cut(api, 0))),
    ("signature-compared-by-its-beginning", opens(lambda api: cut(api, 20))),
    ("last-byte-of-signature-ignored", opens(flipped)),
    ("accepts-more-parts", opens(lambda api: f"{api.token('admin')}.more")),
    ("strange-token-crashes", crashes(lambda api: "opaque")),
    ("accepts-edited-scope", opens(lambda api: edited(api, "scope", "admin"))),
    ("accepts-any-key", opens(lambda api: api.forged(api.claims("admin"), HS256, STRANGER))),
    (
        "weak-signing-key",
        opens(lambda api: api.forged(api.claims("admin"), HS256, SigningKey.shared(b"secret"))),
    ),
    ("accepts-public-key-as-secret", opens(with_public_key)),
    (
        "algorithm-of-the-header",
        opens(
            lambda api: api.forged(
                api.claims("admin"),
                {**HS256, "alg": "HS512"},
                SigningKey("HS512", api.server.signing_key.encode(), None),
            )
        ),
    ),
    ("honours-embedded-jwk", opens(own_jwk)),
    (
        "kid-is-a-path",
        opens(
            lambda api: api.forged(
                api.claims("admin"), {**HS256, "kid": "../../dev/null"}, SigningKey.shared(b"")
            )
        ),
    ),
    ("strange-kid-crashes", crashes(lambda api: header_of(api, kid={"a": 1}))),
    ("ignores-crit", opens(lambda api: header_of(api, crit=["exp"]))),
    ("accepts-json-serialisation", opens(json_serialised)),
    ("lenient-base64", opens(spoiled)),
    ("scope-by-substring", opens(signed(scope="superadmins"))),
    ("scope-by-beginning", opens(signed(scope="administrator"))),
    ("scope-without-case", opens(signed(scope="Admin"))),
    ("scope-separated-by-anything", opens(signed(scope="guest,admin"))),
    ("unknown-scope-is-admin", opens(signed(scope="guest unknown"))),
    ("missing-scope-is-admin", opens(signed(scope=None))),
    ("scope-array-accepted", opens(signed(scope=["admin"]))),
    ("missing-exp-accepted", opens(lambda api: api.token("admin", exp=None))),
    ("ignores-nbf", opens(lambda api: api.token("admin", nbf=int(api.server.clock.now()) + HOUR))),
    (
        "millisecond-exp-accepted",
        opens(lambda api: api.token("admin", exp=int(api.server.clock.now() * 1000))),
    ),
    ("text-exp-accepted", opens(lambda api: api.token("admin", exp="tomorrow"))),
    (
        "algorithm-without-key-unchecked",
        opens(lambda api: api.forged(api.claims("admin"), {"alg": "RS256"}, STRANGER)),
    ),
    ("padding-behind-a-signature", opens(lambda api: f"{api.token('admin')}=")),
    ("strange-exp-crashes", crashes(lambda api: api.token("admin", exp=[1]))),
    (
        "leeway-of-an-hour",
        opens(lambda api: api.token("admin", exp=int(api.server.clock.now()) - 3000)),
    ),
    (
        "leeway-of-five-minutes",
        opens(lambda api: api.token("admin", exp=int(api.server.clock.now()) - 200)),
    ),
    (
        "expires-off-by-one",
        opens(lambda api: api.token("admin", exp=int(api.server.clock.now()) - 1)),
    ),
    ("long-token-crashes", crashes(lambda api: "x" * 8000)),
    ("foreign-characters-crash", crashes(lambda api: "grüß.gott.x")),
):
    sees(_name)(_probe)


@sees("widest-of-duplicate-claims")
async def duplicate_claims(api: Api) -> bool:
    claims = dumps(api.claims("guest"))[:-1] + ',"scope":"admin"}'
    head = urlsafe_b64encode(dumps(HS256).encode()).rstrip(b"=").decode()
    message = f"{head}.{urlsafe_b64encode(claims.encode()).rstrip(b'=').decode()}"
    signature = api.server.issuer.key.sign(message.encode())
    return await api.accepted(f"{message}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@sees("accepts-edited-user")
async def edited_user(api: Api) -> bool:
    other = api.user("guest2")["id"]
    return (
        await api.ask("GET", f"/v2/users/{other}", edited(api, "_id", other))
    ).status_code == 200


class _KeySet(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.called = True  # type: ignore[attr-defined]  # what the test asks for
        secret = urlsafe_b64encode(b"k" * 32).rstrip(b"=").decode()
        body = dumps({"keys": [{"kty": "oct", "k": secret}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


async def at_jku(api: Api) -> tuple[bool, bool]:
    """Whether the place of a key is called, and the key used."""
    with HTTPServer(("127.0.0.1", 0), _KeySet) as listener:
        threading.Thread(target=listener.handle_request, daemon=True).start()
        header = {**HS256, "jku": f"http://127.0.0.1:{listener.server_port}/keys"}
        accepted = await api.accepted(api.forged(api.claims("admin"), header, STRANGER))
        called = getattr(listener, "called", False)
        if not called:  # let the thread go
            await api.http.get(str(header["jku"]))
        return called, accepted


@sees("honours-jku")
async def jku_used(api: Api) -> bool:
    return (await at_jku(api))[1]


@sees("calls-jku")
async def jku_called(api: Api) -> bool:
    called, accepted = await at_jku(api)
    return called and not accepted


@sees("refresh-jwt-as-bearer")
async def refresh_jwt(api: Api) -> bool:
    return await api.accepted(read(await api.login("admin"))["refreshToken"])


@sees("unknown-user-accepted")
async def unknown_user(api: Api) -> bool:
    return await api.accepted(api.token("admin", _id="f" * 24))


@sees("strange-user-crashes")
async def strange_user(api: Api) -> bool:
    return (await api.ask("GET", "/v2/users", api.token("admin", _id=["x"]))).status_code == 500


@sees("deleted-user-accepted")
async def deleted_user(api: Api) -> bool:
    user = await api.new_user("bot")
    token = read(await api.ask("POST", "/v2/auth/token", json=_of(user)))["token"]
    await api.ask("DELETE", f"/v2/users/{user['id']}", "admin")
    return (await api.ask("GET", "/v2/users", token)).status_code == 200


@sees("disabled-user-accepted")
async def disabled_user(api: Api) -> bool:
    user = await api.new_user("bot")
    token = read(await api.ask("POST", "/v2/auth/token", json=_of(user)))["token"]
    await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"status": "disabled"})
    return (await api.ask("GET", "/v2/users", token)).status_code == 200


def _of(user: dict[str, Any]) -> dict[str, str]:
    return {"email": user["email"], "password": "Sesame-1"}


@sees("ignores-audience")
async def foreign_audience(api: Api) -> bool:
    issued = api.server.verifier.document(read(await api.login("admin"))["token"].split(".")[1])
    return "aud" in issued and await api.accepted(api.token("admin", aud="others"))


# --- where the token is carried -----------------------------------------------------------------


def carried(
    method: str = "GET", path: str = "/v2/services", expected: int = 401, **headers: str
) -> Callable[[Callable[[str], dict[str, str]]], Probe]:
    """Whether an admin's token works when it is carried in another way."""

    def with_headers(make: Callable[[str], dict[str, str]]) -> Probe:
        async def probe(api: Api) -> bool:
            answer = await api.http.request(
                method, path, headers=make(api.token("admin")) | headers
            )
            return answer.status_code != expected

        return probe

    return with_headers


sees("anonymous-reads")(carried()(lambda token: {}))
sees("anonymous-writes")(carried("DELETE", f"/v2/services/{'0' * 24}")(lambda token: {}))
sees("anonymous-lists-knowledge")(carried(path="/v2/kbitems")(lambda token: {}))
sees("anonymous-200-empty")(carried()(lambda token: {}))
sees("anonymous-redirected")(carried()(lambda token: {}))
sees("anonymous-crashes")(carried()(lambda token: {}))
sees("any-scheme")(carried()(lambda token: {"Authorization": f"Basic {token}"}))
sees("no-scheme")(carried()(lambda token: {"Authorization": token}))
sees("token-in-cookie")(carried()(lambda token: {"Cookie": f"token={token}"}))


@sees("capitals-of-the-scheme-refused")
async def capitals(api: Api) -> bool:
    headers = {"Authorization": f"BEARER {api.token('admin')}"}
    return (await api.ask("GET", "/v2/services", headers=headers)).status_code == 401


@sees("long-token-414")
async def long_token(api: Api) -> bool:
    return (await api.ask("GET", "/v2/services", "x" * 9000)).status_code == 414


@sees("bare-bearer-is-guest")
async def bare_bearer(api: Api) -> bool:
    path = f"/v2/users/{api.user('guest')['id']}"
    return (await api.http.get(path, headers={"Authorization": "Bearer"})).status_code != 401


@sees("anonymous-write-applies")
async def anonymous_create(api: Api) -> bool:
    await api.ask("POST", "/v2/contacts", json={"meta": {}})
    return api.server.store.newest("contacts") is not None


@sees("token-in-query")
async def in_query(api: Api) -> bool:
    answer = await api.ask("GET", f"/v2/services?access_token={api.token('admin')}")
    return answer.status_code == 200


@sees("token-in-body")
async def in_body(api: Api) -> bool:
    answer = await api.ask(
        "POST", "/v2/services", json={"name": "x", "access_token": api.token("admin")}
    )
    return answer.status_code == 201


@sees("two-headers-differ")
async def two_headers(api: Api) -> bool:
    values = [("Authorization", f"Bearer {api.token(role)}") for role in ("admin", "guest")]
    list_, item = api.put("services"), api.put("services")
    statuses = {
        (await api.http.get(path, headers=values)).status_code
        for path in ("/v2/services", f"/v2/services/{item}")
    }
    return len(statuses) > 1 and bool(list_)


@sees("token-echoed-in-header")
async def echoed(api: Api) -> bool:
    return "a.b.c" in str((await api.ask("GET", "/v2/users", "a.b.c")).headers)


@sees("trusts-user-headers")
async def user_headers(api: Api) -> bool:
    return (
        await api.ask("GET", "/v2/services", "guest", headers={"X-Role": "admin"})
    ).status_code == 200


@sees("trusts-original-url")
async def original_url(api: Api) -> bool:
    own = f"/v2/users/{api.user('guest')['id']}"
    answer = await api.ask("GET", own, "guest", headers={"X-Original-URL": "/v2/services"})
    return answer.content.startswith(b"[")


@sees("acts-as-another")
async def another(api: Api) -> bool:
    return (
        await api.ask("GET", f"/v2/users/{api.user('guest2')['id']}", "guest2")
    ).status_code != 200


@sees("invalid-signature-is-guest")
async def still_guest(api: Api) -> bool:
    id = api.put("conversations")
    return (await api.ask("GET", f"/v2/conversations/{id}", cut(api, 20))).status_code == 200


# --- time ---------------------------------------------------------------------------------------


def lifetime(role: str = "guest") -> Probe:
    """Whether a token lives for other than 24 hours."""

    async def probe(api: Api) -> bool:
        claims = api.server.verifier.document(read(await api.login(role))["token"].split(".")[1])
        return bool(claims.get("exp", 0) - claims["iat"] != 24 * HOUR)

    return probe


for _name in (
    "lifetime-14-days",
    "lifetime-one-hour",
    "lifetime-25-hours",
    "lifetime-in-milliseconds",
    "no-exp",
):
    sees(_name)(lifetime())
sees("lifetime-of-bots-a-year")(lifetime("bot"))


def after(seconds: int, method: str, path: str, expected: int) -> Probe:
    """Whether a request with a token of this age is answered otherwise than expected."""

    async def probe(api: Api) -> bool:
        token = api.token("admin")
        api.server.clock.advance(seconds)
        body = {"json": {"name": "late"}} if method == "POST" else {}
        return (await api.ask(method, path, token, **body)).status_code != expected

    return probe


DAY = 24 * HOUR + 1
sees("dies-after-an-hour")(after(2 * HOUR, "GET", "/v2/services", 200))
sees("dies-five-minutes-early")(after(DAY - 61, "GET", "/v2/services", 200))
for _name in ("never-expires", "expired-401", "expired-400", "expired-404", "expired-500"):
    sees(_name)(after(DAY, "GET", "/v2/services", 403))
for _name in ("expired-401-on-lists", "expired-lists-still"):
    sees(_name)(after(DAY, "GET", "/v2/services", 403))
for _name in ("expired-401-on-writes", "expired-writes-still"):
    sees(_name)(after(DAY, "POST", "/v2/services", 403))
sees("expired-fetches-still")(after(DAY, "GET", f"/v2/services/{'0' * 24}", 403))


@sees("expired-write-applies")
async def late_write(api: Api) -> bool:
    token = api.token("admin")
    api.server.clock.advance(DAY)
    await api.ask("POST", "/v2/services", token, json={"name": "late"})
    return api.server.store.newest("services") is not None


@sees("expired-and-tampered-refreshes")
async def expired_and_tampered(api: Api) -> bool:
    issued = read(await api.login("admin"))
    head, payload, _ = issued["token"].split(".")
    api.server.clock.advance(DAY)
    answer = await api.get_refresh(f"{head}.{payload}.{'A' * 43}", issued["refreshToken"])
    return answer.status_code == 200
