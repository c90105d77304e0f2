"""Questions that show the faults of what is taken for a valid token."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import threading
import time
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
    (
        "accepts-hashes-unknown",
        opens(lambda api: api.forged(api.claims("admin"), {**HS256, "alg": "HS512"}, STRANGER)),
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


@sees("signatures-unread-at-one-list")
async def forged_reader(api: Api) -> bool:
    token = api.forged(api.claims("admin"), HS256, STRANGER)
    return (await api.ask("GET", "/v2/kbitems", token)).status_code == 200


@sees("signatures-unread-at-one-update")
async def forged_writer(api: Api) -> bool:
    created = read(await api.ask("POST", "/v2/contacts", "bot", json={"meta": {"a": 1}}))
    token = api.forged(api.claims("admin"), HS256, STRANGER)
    path = f"/v2/contacts/{created['id']}"
    return (await api.ask("PATCH", path, token, json={"meta": {"a": 2}})).status_code == 200


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


#: Seconds of sleep that probes ask for, and by which an answer comes later.
_SLEEP = 0.2


async def slower(quick: Any, slow: Any) -> bool:
    """Whether the second of two requests takes as much longer as it asks for."""
    moments = []
    for ask in (quick, slow):
        began = time.monotonic()
        await ask
        moments.append(time.monotonic() - began)
    return moments[1] - moments[0] > _SLEEP / 2


@sees("scripts-in-credentials-run")
async def script(api: Api) -> bool:
    plain, asleep = (
        api.login("guest", password={"$where": text})
        for text in ("true", f"sleep({_SLEEP * 1000:g}) || true")
    )
    return await slower(plain, asleep)


@sees("kid-in-a-command")
async def command(api: Api) -> bool:
    plain, asleep = (
        api.accepted(api.forged(api.claims("admin"), {**HS256, "kid": kid}, STRANGER))
        for kid in ("x", f"x; sleep {_SLEEP:g} #")
    )
    return await slower(plain, asleep)
