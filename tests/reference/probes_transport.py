"""Questions that show the faults of where a token is carried, and of its time."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tests.reference.asking import Api, Probe, read, sees
from tests.reference.probes_tokens import HOUR, cut

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
sees("anonymous-tables")(carried()(lambda token: {"Accept": "text/csv"}))
sees("anonymous-with-a-slash")(carried(path="/v2/services/")(lambda token: {}))
sees("public-path-in-the-query")(carried(path="/v2/services?a=/v2/auth/token")(lambda token: {}))
sees("public-path-in-front")(
    carried(path="/v2/auth/token/%2e%2e/%2e%2e/services")(lambda token: {})
)
sees("public-path-with-parameters")(
    carried(path="/v2/auth/token/..;/..;/services")(lambda token: {})
)
sees("anonymous-200-empty")(carried()(lambda token: {}))
sees("anonymous-redirected")(carried()(lambda token: {}))
sees("anonymous-crashes")(carried()(lambda token: {}))
sees("any-scheme")(carried()(lambda token: {"Authorization": f"Basic {token}"}))
sees("no-scheme")(carried()(lambda token: {"Authorization": token}))
sees("token-in-cookie")(carried()(lambda token: {"Cookie": f"token={token}"}))
sees("token-in-another-header")(carried()(lambda token: {"X-Access-Token": token}))


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


async def lets_guest_in(api: Api, query: str = "", **options: Any) -> bool:
    """Whether a guest reads what only an admin may, asking in this way."""
    answer = await api.ask("GET", f"/v2/services{query}", "guest", **options)
    return answer.status_code == 200


@sees("trusts-user-headers")
async def user_headers(api: Api) -> bool:
    return await lets_guest_in(api, headers={"X-Role": "admin"})


@sees("basic-log-ins")
async def basic_log_in(api: Api) -> bool:
    account = api.server.accounts["admin"]
    login = b64encode(f"{account.email}:{account.password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    return (await api.http.get("/v2/services", headers=headers)).is_success


@sees("token-as-user-of-basic")
async def user_of_basic(api: Api) -> bool:
    login = b64encode(f"{api.token('admin')}:".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    return (await api.http.get("/v2/services", headers=headers)).is_success


@sees("token-in-parameter-jwt")
async def parameter_jwt(api: Api) -> bool:
    return (await api.http.get("/v2/services", params={"jwt": api.token("admin")})).is_success


@sees("trusts-role-cookie")
async def role_cookie(api: Api) -> bool:
    return await lets_guest_in(api, headers={"Cookie": "theme=dark; role=admin"})


@sees("trusts-role-in-query")
async def role_in_query(api: Api) -> bool:
    return await lets_guest_in(api, "?role=admin")


@sees("trusts-this-machine")
async def from_this_machine(api: Api) -> bool:
    return await lets_guest_in(api, headers={"X-Forwarded-For": "127.0.0.1"})


@sees("trusts-its-own-pages")
async def from_its_own_page(api: Api) -> bool:
    origin = f"http://{api.http.base_url.netloc.decode()}"
    return await lets_guest_in(api, headers={"Origin": origin})


@sees("session-of-a-request")
async def cookie_of_a_request(api: Api) -> bool:
    given = (await api.ask("GET", "/v2/services", "admin")).headers.get("set-cookie", "")
    headers = {"Cookie": given.partition(";")[0]}
    return (await api.http.get("/v2/services", headers=headers)).status_code == 200


@sees("session-beside-a-token")
async def cookie_beside_a_dead_token(api: Api) -> bool:
    given = (await api.ask("GET", "/v2/services", "admin")).headers.get("set-cookie", "")
    headers = {"Cookie": given.partition(";")[0], "Authorization": "Bearer dead"}
    return (await api.http.get("/v2/services", headers=headers)).status_code == 200


@sees("session-cookie")
async def own_cookie(api: Api) -> bool:
    given = (await api.login("admin")).headers.get("set-cookie", "").partition(";")[0]
    return (await api.http.get("/v2/services", headers={"Cookie": given})).status_code == 200


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


@sees("bad-tokens-422")
async def cannot_be_processed(api: Api) -> bool:
    return (await api.ask("GET", "/v2/services", cut(api, 20))).status_code == 422


# --- time --------------------------------------------------------------------------------------


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
