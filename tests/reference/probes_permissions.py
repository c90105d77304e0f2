"""Questions that show the faults of who may do what."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import asyncio

from rolecall.reference.permissions import LOWEST_SCOPE, RANK
from tests.reference.asking import Api, Probe, read, sees


def cell(operation: str, role: str, credential: str = "token") -> Probe:
    """Whether a cell of the permission table is answered, or carried out, wrongly."""

    async def probe(api: Api) -> bool:
        token = (
            api.token(role)
            if credential == "token"
            else (await api.key([role], role)).json()["token"]
        )
        answer, happened = await api.attempt(operation, token)
        if RANK[role] >= RANK[LOWEST_SCOPE[operation]]:
            return not (answer.is_success and happened)
        return happened or answer.status_code != 403

    return probe


for _name, _probe in (
    ("any-user-fetched-as-self", cell("fetch-user", "guest")),
    ("any-user-updated-as-self", cell("update-user", "bot")),
    ("no-user-is-self", cell("fetch-user-self", "guest")),
    ("bot-without-lower-scopes", cell("list-contacts", "bot")),
    ("agent-without-lower-scopes", cell("create-message", "agent")),
    ("bot-keys-without-lower-scopes", cell("list-contacts", "bot", "key")),
    ("bot-tokens-without-lower-scopes", cell("list-contacts", "bot")),
    ("keys-without-cascade", cell("list-users", "admin", "key")),
    ("items-unguarded", cell("delete-service", "guest")),
    ("collections-unguarded", cell("create-service", "guest")),
    ("item-permission-of-the-list", cell("list-conversations", "guest")),
    ("fetch-permission-of-the-list", cell("fetch-form", "bot")),
    ("reads-unguarded", cell("fetch-service", "guest")),
    ("updates-unguarded", cell("update-service", "guest")),
    ("update-permission-of-create", cell("update-conversation", "agent")),
    ("delete-permission-of-update", cell("delete-message", "bot")),
    ("denied-401", cell("list-services", "bot")),
    ("denied-404", cell("list-services", "bot")),
    ("denied-500", cell("list-services", "bot")),
    ("denied-redirect", cell("list-services", "bot")),
    ("denied-redirect-with-body", cell("list-services", "bot")),
    ("denied-403-with-resource", cell("fetch-service", "bot")),
    ("denied-200-empty-list", cell("list-services", "bot")),
    ("denied-200-empty-object", cell("fetch-service", "bot")),
    ("denied-create-applies", cell("create-service", "bot")),
    ("denied-update-applies", cell("update-service", "bot")),
    ("denied-delete-applies", cell("delete-service", "bot")),
    ("update-does-nothing", cell("update-organization", "admin")),
    ("update-answers-old", cell("update-organization", "admin")),
    ("delete-does-nothing", cell("delete-organization", "admin")),
    ("create-does-nothing-below-admin", cell("create-conversation", "agent")),
    ("list-leaves-out-newest", cell("list-organizations", "bot")),
    ("list-leaves-out-others", cell("list-conversations", "agent")),
    ("list-is-empty", cell("list-organizations", "bot")),
    ("fetch-answers-another", cell("fetch-organization", "bot")),
):
    sees(_name)(_probe)


@sees("key-has-scope-of-user")
async def guest_key_of_admin(api: Api) -> bool:
    key = (await api.key(["guest"], "admin")).json()["token"]
    return await api.accepted(key)


@sees("denied-update-applies-later")
async def changed_in_a_moment(api: Api) -> bool:
    id = api.put("services")
    await api.ask("PATCH", f"/v2/services/{id}", "bot", json={"name": "Mine"})
    await asyncio.sleep(0.08)
    return "Mine" in str(api.server.store.get("services", id))


@sees("denied-delete-applies-later")
async def deleted_in_a_moment(api: Api) -> bool:
    id = api.put("services")
    await api.ask("DELETE", f"/v2/services/{id}", "bot")
    await asyncio.sleep(0.08)
    return api.server.store.get("services", id) is None


@sees("denied-create-applies-a-second-later")
async def made_in_a_second(api: Api) -> bool:
    await api.ask("POST", "/v2/services", "bot", json={"name": "Mine"})
    await asyncio.sleep(1.1)
    return any("Mine" in text for text in api.server.store.containing("services"))


@sees("denied-update-applies-a-second-later")
async def changed_in_a_second(api: Api) -> bool:
    id = api.put("services")
    await api.ask("PATCH", f"/v2/services/{id}", "bot", json={"name": "Mine"})
    await asyncio.sleep(1.1)
    return "Mine" in str(api.server.store.get("services", id))


@sees("denied-update-is-queued")
async def changed_if_unchanged(api: Api) -> bool:
    left_alone, changed = api.put("services"), api.put("services")
    for id in (left_alone, changed):
        await api.ask("PATCH", f"/v2/services/{id}", "bot", json={"name": "Mine"})
    await api.ask("PATCH", f"/v2/services/{changed}", "admin", json={"name": "Theirs"})
    await asyncio.sleep(1.1)
    return "Mine" in str(api.server.store.get("services", left_alone)) and "Theirs" in str(
        api.server.store.get("services", changed)
    )


@sees("denied-status-tells-existence")
async def denied_alike(api: Api) -> bool:
    return (await api.ask("GET", f"/v2/services/{'0' * 24}", "guest")).status_code != 403


@sees("upper-case-id-is-self")
async def upper_case(api: Api) -> bool:
    other = api.user("guest2")["id"].upper()
    answer = await api.ask("GET", f"/v2/users/{other}", "guest")
    return answer.status_code == 200


@sees("hidden-in-lists-only")
async def hidden_in_lists(api: Api) -> bool:
    id, organization = api.put("contacts"), api.put("organizations")
    stranger = await api.new_user("bot", organization=organization)
    token = read(await api.login("bot", email=stranger["email"], password="Sesame-1"))["token"]
    listed, fetched = (
        await api.ask("GET", "/v2/contacts", token),
        await api.ask("GET", f"/v2/contacts/{id}", token),
    )
    return id not in listed.text and fetched.status_code == 200


@sees("id-in-body-decides")
async def other_id_in_body(api: Api) -> bool:
    own, other = api.user("guest")["id"], api.user("guest2")["id"]
    await api.ask("PATCH", f"/v2/users/{own}", "guest", json={"_id": other, "displayName": "Mine"})
    return api.user("guest2").get("displayName") == "Mine"


def spelled(before: str, after: str) -> Probe:
    """Whether a path in another spelling shows a guest what only an admin may see."""

    async def probe(api: Api) -> bool:
        api.put("services")
        url = f"http://reference.test{before}/services{after}"
        return (await api.ask("GET", url, "guest")).status_code == 200

    return probe


sees("trailing-slash-unguarded")(spelled("/v2", "/"))
sees("double-slash-unguarded")(spelled("/v2/", ""))
sees("path-parameter-unguarded")(spelled("/v2", ";x=1"))
sees("json-suffix-unguarded")(spelled("/v2", ".json"))
sees("other-version-unguarded")(spelled("/v1", ""))
sees("upper-case-path-unguarded")(spelled("/V2", ""))
sees("dot-segment-unguarded")(spelled("/v2/%2e", ""))


@sees("method-override-honoured")
async def method_override(api: Api) -> bool:
    id = api.put("conversations")
    await api.ask(
        "GET", f"/v2/conversations/{id}", "guest", headers={"X-HTTP-Method-Override": "DELETE"}
    )
    return api.server.store.get("conversations", id) is None


@sees("method-parameter-honoured")
async def method_parameter(api: Api) -> bool:
    id = api.put("conversations")
    await api.ask("POST", f"/v2/conversations/{id}?_method=DELETE", "guest")
    return api.server.store.get("conversations", id) is None


@sees("put-unguarded")
async def put(api: Api) -> bool:
    id = api.put("services")
    await api.ask("PUT", f"/v2/services/{id}", "guest", json={"name": "Mine"})
    return "Mine" in str(api.server.store.get("services", id))


@sees("created-202")
async def accepted(api: Api) -> bool:
    return (await api.ask("POST", "/v2/contacts", "admin", json={"meta": {}})).status_code == 202


@sees("invalid-create-applies")
async def invalid_create(api: Api) -> bool:
    await api.ask("POST", "/v2/forms", "admin", json={"fields": [], "title": "Half"})
    return api.server.store.newest("forms") is not None


@sees("invalid-update-applies")
async def invalid_update(api: Api) -> bool:
    id = api.put("forms")
    await api.ask("PATCH", f"/v2/forms/{id}", "admin", json={"title": "Half", "fields": "none"})
    return "Half" in str(api.server.store.get("forms", id))


@sees("head-unguarded")
async def head(api: Api) -> bool:
    return (await api.ask("HEAD", "/v2/services", "guest")).status_code != 403


@sees("options-show-data")
async def options(api: Api) -> bool:
    return (await api.ask("OPTIONS", "/v2/users")).content != b""


@sees("trace-echoes")
async def trace(api: Api) -> bool:
    return b"X.Y.Z" in (await api.ask("TRACE", "/v2/users", "X.Y.Z")).content


@sees("populate-shows-denied")
async def populate(api: Api) -> bool:
    api.put("contacts")
    answer = await api.ask("GET", "/v2/contacts?populate=organization", "agent")
    return "Example" in answer.text


def own_profile(body: dict[str, object], at_once: bool = False) -> Probe:
    """Whether a guest becomes an admin by an update of itself."""

    async def probe(api: Api) -> bool:
        before = api.token("guest")
        await api.ask("PATCH", f"/v2/users/{api.user('guest')['id']}", before, json=body)
        later = before if at_once else (await api.login("guest")).json()["token"]
        return await api.accepted(later)

    return probe


sees("own-role-at-next-login")(own_profile({"role": "admin"}))


@sees("own-role-by-put")
async def own_role_by_put(api: Api) -> bool:
    path = f"/v2/users/{api.user('guest')['id']}"
    await api.ask("PUT", path, "guest", json={"role": "admin"})
    return bool(api.user("guest")["role"] == "admin")


sees("own-role-at-once")(own_profile({"role": "admin"}, at_once=True))
sees("own-scope-member")(own_profile({"scope": "admin"}))
sees("own-role-nested")(own_profile({"profile": {"role": "admin"}}))
sees("own-role-by-operator")(own_profile({"$set": {"role": "admin"}}))
sees("own-role-dotted")(own_profile({"user.role": "admin"}))


@sees("own-role-below-the-highest")
async def own_profile_of_a_bot(api: Api) -> bool:
    path = f"/v2/users/{api.user('guest')['id']}"
    await api.ask("PATCH", path, "guest", json={"role": "bot"})
    later = (await api.login("guest")).json()["token"]
    return (await api.ask("GET", "/v2/users", later)).status_code == 200


def key_of(scopes: object, path: str, expected: int) -> Probe:
    """Whether a key is made, or may do, what it should not."""

    async def probe(api: Api) -> bool:
        answer = await api.key(scopes, "guest")
        if answer.status_code != 201:
            return expected != answer.status_code
        return (await api.ask("GET", path, answer.json()["token"])).status_code != expected

    return probe


sees("key-first-scope-only")(key_of(["guest", "bot"], "/v2/users", 200))
sees("key-last-scope-only")(key_of(["bot", "guest"], "/v2/users", 200))
sees("key-lowest-scope")(key_of(["guest", "bot"], "/v2/users", 200))
sees("key-several-scopes-are-admin")(key_of(["guest", "bot"], "/v2/services", 403))
sees("key-duplicates-count")(key_of(["guest", "guest"], "/v2/contacts", 403))
sees("key-without-scopes")(key_of([], "/v2/users", 400))
sees("key-scopes-as-text")(key_of("guest bot", "/v2/users", 400))
sees("key-scopes-without-case")(key_of(["Admin"], "/v2/users", 400))
sees("key-unknown-scopes")(key_of(["root"], "/v2/users", 400))


@sees("strange-limit-crashes")
async def strange_limit(api: Api) -> bool:
    return (await api.ask("GET", "/v2/users?limit=many", "admin")).status_code == 500
