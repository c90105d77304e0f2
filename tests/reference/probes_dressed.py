"""Questions that show the faults of how a request is dressed, and of trust in what is elsewhere."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from base64 import b64encode
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
    (
        "tenants-by-header-unguarded",
        opens("guest", "GET", "/v2/services", headers={"X-Organization-Id": "1"}),
    ),
    (
        "old-versions-by-header-unguarded",
        opens("guest", "GET", "/v2/services", headers={"X-Api-Version": "1"}),
    ),
    (
        "vendor-media-types-unguarded",
        opens("guest", "GET", "/v2/services", headers={"Accept": "application/vnd.web1on1.v1"}),
    ),
    (
        "signed-requests-unguarded",
        opens("guest", "GET", "/v2/services", headers={"X-Hub-Signature": "sha1=00"}),
    ),
    (
        "prefetches-unguarded",
        opens("guest", "GET", "/v2/services", headers={"Purpose": "prefetch"}),
    ),
    ("includes-unguarded", opens("guest", "GET", "/v2/services?include=organization")),
    ("deleted-things-unguarded", opens("guest", "GET", "/v2/services?includeDeleted=true")),
    (
        "who-joins-updates",
        opens("guest", "PATCH", "/v2/conversations/{conversations}", json={"participants": []}),
    ),
    (
        "params-of-services-unguarded",
        opens("guest", "PATCH", "/v2/services/{services}", json={"params": {}}),
    ),
    (
        "trusts-the-vendors-client",
        opens("guest", "GET", "/v2/services", headers={"User-Agent": "chipchat/0.7.18"}),
    ),
    (
        "trusts-certificate-header",
        opens("guest", "GET", "/v2/services", headers={"X-SSL-Client-Verify": "SUCCESS"}),
    ),
):
    sees(_name)(_probe)
sees("public-with-a-refresh-token")(
    carried(path="/v2/services?refreshToken=none")(lambda token: {})
)
sees("token-in-forwarded-header")(carried()(lambda token: {"X-Forwarded-Access-Token": token}))
sees("token-as-password-of-basic")(
    carried()(lambda token: {"Authorization": f"Basic {b64encode(f':{token}'.encode()).decode()}"})
)


@sees("bearer-undefined-is-guest", "example-of-the-page-let-in")
async def words(api: Api) -> bool:
    path = f"/v2/conversations/{api.put('conversations')}"
    answers = [
        await api.ask("GET", path, token)
        for token in ("undefined", "94c70d470e391bdc16a8d8363b5d4891")
    ]
    return any(answer.is_success for answer in answers)


@sees("alg-none-beside-a-signature")
async def signed_with_none(api: Api) -> bool:
    header = {"alg": "none", "typ": "JWT"}
    return await api.accepted(api.forged(api.claims("admin"), header, signature="AAAA"))


@sees("client-id-of-bots-unchecked", "client-id-of-an-admin")
async def of_bots(api: Api) -> bool:
    token = read(await api.login("bot"))["refreshToken"]
    return (await api.post_refresh(token, api.server.accounts["admin"].email)).is_success


@sees("bots-refresh-for-anybody")
async def beside_a_bot(api: Api) -> bool:
    token = read(await api.login("guest"))["refreshToken"]
    return (await api.get_refresh("bot", token)).is_success


@sees("log-in-as-the-header-says")
async def acting_as_admin(api: Api) -> bool:
    guest, admin = api.server.accounts["guest"], api.user("admin")["id"]
    body = {"email": guest.email, "password": guest.password}
    answer = await api.ask("POST", "/v2/auth/token", json=body, headers={"X-Act-As": admin})
    return bool(read(answer).get("user") == admin)


@sees("bearer-of-admins-logs-in")
async def without_password(api: Api) -> bool:
    body = {"email": api.server.accounts["guest"].email}
    return (await api.ask("POST", "/v2/auth/token", "admin", json=body)).is_success


@sees("denied-delete-drops-the-password")
async def locked_out(api: Api) -> bool:
    user = await api.new_user()
    await api.ask("DELETE", f"/v2/users/{user['id']}", "guest")
    answer = await api.login("guest", email=user["email"], password="Sesame-1")
    return not answer.is_success


@sees("denied-403-with-ids")
async def ids_of_services(api: Api) -> bool:
    id = api.put("services")
    return id in (await api.ask("GET", "/v2/services", "guest")).text


@sees("strangers-unguarded")
async def stranger(api: Api) -> bool:
    user = await api.new_user(organization=api.put("organizations"))
    token = read(await api.login("guest", email=user["email"], password="Sesame-1"))["token"]
    return (await api.ask("GET", f"/v2/forms/{api.put('forms')}", token)).is_success


@sees("new-bots-are-admins")
async def new_bot(api: Api) -> bool:
    email = (await api.new_user("bot"))["email"]
    answer = read(await api.login("guest", email=email, password="Sesame-1"))
    return bool(answer["scope"] == "admin")


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


@sees("strangers-of-this-machine")
async def strangers(api: Api) -> bool:
    headers = {"X-Forwarded-For": "127.0.0.1"}
    return (await api.ask("GET", "/v2/services", headers=headers)).status_code == 200
