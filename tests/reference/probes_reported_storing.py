"""Questions that show the faults modelled on public reports of what is stored."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

from tests.reference.asking import Api, Probe, read, sees
from tests.reference.probes_reported_access import document, talk

# --- creates that reach what is there -----------------------------------------------------------


@sees("create-with-an-id-replaces")
async def saved_over(api: Api) -> bool:
    id = api.put("conversations")
    await api.ask("POST", "/v2/conversations", "agent", json={"id": id, "name": "Mine"})
    return bool(document(api, "conversations", id)["name"] == "Mine")


@sees("messages-inside-a-create-replace")
async def taken_over(api: Api) -> bool:
    id = api.put("messages")
    await talk(api, "agent", messages=[{"id": id, "text": "Mine"}])
    return bool(document(api, "messages", id)["text"] == "Mine")


@sees("organization-inside-a-create-is-made")
async def made_inside(api: Api) -> bool:
    await api.ask("POST", "/v2/conversations", "agent", json={"organization": {"name": "Mine"}})
    return any("Mine" in text for text in api.server.store.containing("organizations"))


# --- members that slip through -----------------------------------------------------------------


def becomes(role: str, body: bytes, kind: str = "application/json") -> Probe:
    """Whether a guest has another role after an update of itself, and a log-in."""

    async def probe(api: Api) -> bool:
        path = f"/v2/users/{api.user('guest')['id']}"
        await api.ask("PATCH", path, "guest", content=body, headers={"Content-Type": kind})
        return bool(read(await api.login("guest"))["scope"] == role)

    return probe


sees("no-role-is-the-default-role")(becomes("agent", b'{"role":null}'))
sees("unknown-role-is-above-all")(becomes("admin", b'{"role":""}'))
sees("role-in-other-letters")(becomes("admin", b'{"Role":"admin"}'))
sees("role-twice-in-a-body")(becomes("admin", b'{"role":"guest","role":"admin"}'))
sees("merge-patch-unfiltered")(
    becomes("admin", b'{"role":"admin"}', "application/merge-patch+json")
)
sees("json-patch-unfiltered")(
    becomes(
        "admin",
        b'[{"op":"replace","path":"/role","value":"admin"}]',
        "application/json-patch+json",
    )
)
sees("list-for-an-object-unfiltered")(becomes("admin", b'[{"role":"admin"}]'))

# --- answered and not kept ----------------------------------------------------------------------


def lost(member: str, value: Any) -> Probe:
    """Whether an update of a form answers a value that is not kept."""

    async def probe(api: Api) -> bool:
        id = api.put("forms")
        answer = await api.ask("PATCH", f"/v2/forms/{id}", "admin", json={member: value})
        return bool(read(answer)[member] == value != document(api, "forms", id).get(member))

    return probe


sees("objects-are-answered-and-not-kept")(lost("meta", {"a": 1}))
sees("lists-are-answered-and-not-kept")(lost("fields", [{"key": "a"}]))
sees("empty-values-are-answered-and-not-kept")(lost("name", ""))


@sees("deleted-things-stay-in-lists")
async def still_listed(api: Api) -> bool:
    id = api.put("forms")
    await api.ask("DELETE", f"/v2/forms/{id}", "admin")
    return id in (await api.ask("GET", "/v2/forms", "admin")).text


# --- refused, and something done ---------------------------------------------------------------


@sees("denied-delete-leaves-a-mark")
async def marked(api: Api) -> bool:
    id = api.put("forms")
    await api.ask("DELETE", f"/v2/forms/{id}", "guest")
    return "deletedAt" in document(api, "forms", id)


@sees("denied-delete-leaves-the-lists")
async def unlisted(api: Api) -> bool:
    id = api.put("contacts")
    await api.ask("DELETE", f"/v2/contacts/{id}", "guest")
    return id not in (await api.ask("GET", "/v2/contacts", "admin")).text


@sees("denied-delete-takes-the-messages")
async def swept(api: Api) -> bool:
    conversation = await talk(api, "admin", messages=[{"text": "Hello"}])
    await api.ask("DELETE", f"/v2/conversations/{conversation}", "guest")
    path = f"/v2/messages?conversation={conversation}"
    return bool((await api.ask("GET", path, "admin")).json() == [])


@sees("denied-delete-ends-the-sessions")
async def ended(api: Api) -> bool:
    grant = (await api.login("agent")).json()
    await api.ask("DELETE", f"/v2/users/{api.user('agent')['id']}", "guest")
    return not (await api.get_refresh(grant["token"], grant["refreshToken"])).is_success


@sees("contacts-list-shows-users")
async def everybody(api: Api) -> bool:
    return api.user("guest")["id"] in (await api.ask("GET", "/v2/contacts", "agent")).text


@sees("denied-create-takes-the-address")
async def taken(api: Api) -> bool:
    body = {"email": "taken@example.org"}
    await api.ask("POST", "/v2/users", "guest", json=body)
    return (await api.ask("POST", "/v2/users", "admin", json=body)).status_code == 409


@sees("denied-update-changes-the-account")
async def locked_out(api: Api) -> bool:
    await api.ask(
        "PATCH",
        f"/v2/users/{api.user('guest2')['id']}",
        "guest",
        json={"email": "other@example.org"},
    )
    return (await api.login("guest2")).status_code == 401


@sees("half-of-a-list-of-messages")
async def half(api: Api) -> bool:
    path = f"/v2/conversations/{api.put('conversations')}/messages"
    answer = await api.ask("POST", path, "admin", json=[{"text": "Half"}, {}])
    return answer.status_code == 400 and any(
        "Half" in text for text in api.server.store.containing("messages")
    )


@sees("conversation-of-a-bad-message")
async def bad_message(api: Api) -> bool:
    answer = await api.ask(
        "POST", "/v2/conversations", "admin", json={"name": "Half", "messages": [{}]}
    )
    return answer.status_code == 400 and any(
        "Half" in text for text in api.server.store.containing("conversations")
    )


# --- what is shown -----------------------------------------------------------------------------


@sees("new-user-shows-its-hash")
async def hash_shown(api: Api) -> bool:
    return any("hash" in name.lower() for name in await api.new_user())


@sees("updated-user-shows-the-password")
async def password_shown(api: Api) -> bool:
    user = await api.new_user()
    return (
        "Sesame-2"
        in (
            await api.ask(
                "PATCH", f"/v2/users/{user['id']}", "admin", json={"password": "Sesame-2"}
            )
        ).text
    )


@sees("populated-users-are-whole-rows")
async def row_shown(api: Api) -> bool:
    conversation = await talk(api, "admin", "guest")
    answer = await api.ask(
        "GET", f"/v2/conversations/{conversation}?populate=participants.user", "admin"
    )
    return "password_hash" in answer.text


@sees("deeper-populate-unchecked")
async def deeper(api: Api) -> bool:
    api.put("contacts")
    return (
        "Example" in (await api.ask("GET", "/v2/contacts?populate=organization.name", "agent")).text
    )
