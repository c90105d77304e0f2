"""Questions that show faults of what is looked up, and of updates that say nothing of a role."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

from tests.reference.asking import Api, Probe, sees


def nearly_a_key(*, other: Any) -> Probe:
    """Whether something that is made of a key and its answer opens what the key opens."""

    async def probe(api: Api) -> bool:
        made = (await api.key(["admin"])).json()
        return (await api.ask("GET", "/v2/services", other(made))).status_code == 200

    return probe


for _name, _other in (
    ("keys-looked-up-by-pattern", lambda made: "%"),
    ("keys-known-by-their-beginning", lambda made: made["token"][:-1]),
    ("keys-in-any-letters", lambda made: made["token"].upper()),
    ("id-of-a-key-is-a-key", lambda made: made["id"]),
):
    sees(_name)(nearly_a_key(other=_other))


@sees("id-in-body-decides-behind-a-replica")
async def anothers_name(api: Api) -> bool:
    path = f"/v2/users/{api.user('guest')['id']}"
    body = {"name": "Changed", "id": api.user("agent")["id"]}
    shown = (await api.ask("PATCH", path, "guest", json=body)).json()
    return bool(shown["id"] == api.user("agent")["id"] and api.user("agent")["name"] == "Changed")


@sees("subrequests-unguarded")
async def subrequest(api: Api) -> bool:
    headers = {"X-Middleware-Subrequest": ":".join(["middleware"] * 5)}
    return (await api.ask("GET", "/v2/services", "guest", headers=headers)).status_code == 200


def after_update(query: str = "", **options: Any) -> Probe:
    """Whether a guest has another role after an update of its own user."""

    async def probe(api: Api) -> bool:
        path = f"/v2/users/{api.user('guest')['id']}{query}"
        await api.ask("PATCH", path, "guest", **options)
        return bool(api.user("guest")["role"] != "guest")

    return probe


for _name, _probe in (
    ("own-role-by-prototype", after_update(json={"__proto__": {"role": "admin"}})),
    (
        "own-role-by-constructor",
        after_update(json={"constructor": {"prototype": {"role": "admin"}}}),
    ),
    (
        "own-role-by-attributes",
        after_update(json={"data": {"attributes": {"role": "admin"}}}),
    ),
    ("own-role-by-group", after_update(json={"groups": ["admin"]})),
    ("own-role-with-a-space", after_update(json={"role ": "admin"})),
    ("own-role-by-query", after_update("?role=admin", json={"name": "Ada"})),
    (
        "own-role-by-form",
        after_update(
            content=b"role=admin", headers={"Content-Type": "application/x-www-form-urlencoded"}
        ),
    ),
    ("new-password-resets-the-role", after_update(json={"password": "Sesame-1-Sesame"})),
    ("own-email-resets-the-role", after_update(json={"email": "guest@example.org"})),
):
    sees(_name)(_probe)


@sees("client-id-as-it-was-at-issue")
async def refresh_by_the_old_address(api: Api) -> bool:
    old = api.user("guest")["email"]
    token = (await api.login("guest")).json()["refreshToken"]
    path = f"/v2/users/{api.user('guest')['id']}"
    await api.ask("PATCH", path, "admin", json={"email": "ada@example.org"})
    body = {"refreshToken": token, "clientId": old}
    return (await api.http.post("/v2/auth/token", json=body)).is_success


@sees("own-role-in-the-whole-document")
async def sent_back(api: Api) -> bool:
    user = api.user("guest")
    path = f"/v2/users/{user['id']}"
    known = (await api.ask("GET", path, "guest")).json()
    await api.ask("PATCH", path, "guest", json={**known, "role": "admin"})
    return bool(api.user("guest")["role"] == "admin")


@sees("own-role-by-participation")
async def taken_part(api: Api) -> bool:
    part = {"user": api.user("agent")["id"], "role": "admin"}
    await api.ask("POST", "/v2/conversations", "agent", json={"participants": [part]})
    return bool(api.user("agent")["role"] == "admin")
