"""Questions that show the faults of how a request is dressed, and of trust in what is elsewhere."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from email.utils import formatdate

from rolecall.jwt_forging import compact, own_keys
from tests.reference.asking import Api, read, sees
from tests.reference.probes_exceptions import opens
from tests.reference.probes_tokens import HS256, STRANGER
from tests.reference.probes_transport import carried

for _name, _probe in (
    ("upgrades-unguarded", opens("guest", "GET", "/v2/services", headers={"Upgrade": "websocket"})),
    (
        "streams-unguarded",
        opens("guest", "GET", "/v2/services", headers={"Accept": "text/event-stream"}),
    ),
    (
        "since-a-date-unguarded",
        opens("guest", "GET", "/v2/services", headers={"If-Modified-Since": formatdate(0)}),
    ),
    ("callbacks-unguarded", opens("guest", "GET", "/v2/services?callback=show")),
    (
        "preconditions-unguarded",
        opens("guest", "DELETE", "/v2/services/{services}", headers={"If-Match": "*"}),
    ),
    ("forced-deletes-unguarded", opens("guest", "DELETE", "/v2/services/{services}?force=true")),
    ("dry-runs-unguarded", opens("guest", "DELETE", "/v2/services/{services}?dryRun=true")),
):
    sees(_name)(_probe)
sees("public-with-a-refresh-token")(
    carried(path="/v2/services?refreshToken=none")(lambda token: {})
)


@sees("clock-of-the-sender")
async def long_ago(api: Api) -> bool:
    old = api.token("admin", exp=int(api.server.clock.now()) - 100)
    answer = await api.ask("GET", "/v2/services", old, headers={"Date": formatdate(0, usegmt=True)})
    return answer.is_success


@sees("other-issuers-unread")
async def other_issuer(api: Api) -> bool:
    claims = api.claims("admin", iss="https://elsewhere.example/")
    return await api.accepted(api.forged(claims, HS256, STRANGER))


@sees("other-types-unread")
async def other_type(api: Api) -> bool:
    return await api.accepted(api.forged(api.claims("admin"), {**HS256, "typ": "at+jwt"}, STRANGER))


@sees("honours-embedded-certificate")
async def own_certificate(api: Api) -> bool:
    key = own_keys()["RSA"]
    header = {"alg": key.algorithm, "typ": "JWT", "x5c": list(key.certificates)}
    return await api.accepted(compact(header, api.claims("admin"), key.sign))


@sees("log-in-on-behalf", "log-in-for-the-client")
async def for_another(api: Api) -> bool:
    admin = api.server.accounts["admin"]
    answers = [
        await api.login("guest", onBehalfOf=admin.id),
        await api.login("guest", clientId=admin.email),
    ]
    return any(answer.is_success and read(answer)["user"] == admin.id for answer in answers)


@sees("password-of-admins-opens-all")
async def with_an_admins(api: Api) -> bool:
    return (await api.login("guest", password=api.server.accounts["admin"].password)).is_success


@sees("rights-looked-up-later")
async def first_request(api: Api) -> bool:
    body = read(await api.login("guest"))
    body = read(await api.get_refresh(body["token"], body["refreshToken"]))
    return await api.accepted(body["token"])


@sees("embeds-unguarded")
async def embedded(api: Api) -> bool:
    path = f"/v2/users/{api.user('guest')['id']}?embed=organization"
    return "Example" in (await api.ask("GET", path, "guest")).text


@sees("foreign-bearer-of-the-same-role", "client-id-of-the-same-role")
async def of_one_role(api: Api) -> bool:
    email = (await api.new_user())["email"]
    token = read(await api.login("guest", email=email, password="Sesame-1"))["refreshToken"]
    answers = [
        await api.get_refresh("guest", token),
        await api.post_refresh(token, api.server.accounts["guest"].email),
    ]
    return any(answer.is_success for answer in answers)


@sees("expired-on-a-connection-let-in")
async def let_in_before(api: Api) -> bool:
    token = api.token("admin")
    await api.ask("GET", "/v2/services", token)
    api.server.clock.advance(24 * 60 * 60 + 1)
    return await api.accepted(token)
