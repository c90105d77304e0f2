"""Questions that show the faults modelled on public reports of who may do what."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

import httpx

from tests.reference.asking import BODIES, Api, Probe, read, sees

TOLD = "http://reference.test"


async def log_in(api: Api, user: dict[str, Any]) -> str:
    """A token of a user that was made with `Api.new_user`."""
    return str(read(await api.login("guest", email=user["email"], password="Sesame-1"))["token"])


def document(api: Api, resource: str, id: str) -> dict[str, Any]:
    """What is in the store."""
    return dict(api.server.resources.stored(resource, id))


async def talk(api: Api, who: str, *others: str, **members: Any) -> str:
    """A conversation made by one, with others in it; its id."""
    participants = [{"user": api.user(other)["id"]} for other in others]
    answer = await api.ask(
        "POST", "/v2/conversations", who, json={"participants": participants, **members}
    )
    return str(read(answer)["id"])


# --- spellings ---------------------------------------------------------------------------------


def spelled(path: str, resource: str) -> Probe:
    """Whether a path in another spelling shows a guest a thing; {} is its id."""

    async def probe(api: Api) -> bool:
        id = api.put(resource)
        return (await api.ask("GET", f"{TOLD}{path.replace('{}', id)}", "guest")).status_code == 200

    return probe


sees("guard-of-two-prefixes-minds-case")(spelled("/v2/Contacts/{}", "contacts"))
sees("guard-of-a-prefix-sees-it-encoded")(spelled("/v2/%6frggroups/{}", "orggroups"))
sees("router-decodes-twice")(spelled("/v2/%2575sers", "users"))
sees("router-trims-ids")(spelled("/v2/forms/{}%20", "forms"))
sees("guards-pattern-ends-at-a-line-break")(spelled("/v2/users%0a", "users"))
sees("slash-behind-two-prefixes")(spelled("/v2/kbitems/{}/", "kbitems"))
sees("rules-are-looked-up-by-url")(spelled("/v2/services?limit=5", "services"))

# --- methods ------------------------------------------------------------------------------------


def changed_by(method: str, resource: str, who: str, body: dict[str, Any]) -> Probe:
    """Whether a request with a method changes, or removes, a thing."""

    async def probe(api: Api) -> bool:
        id = api.put(resource)
        before = document(api, resource, id)
        await api.ask(method, f"/v2/{resource}/{id}", who, json=body)
        return document(api, resource, id) != before

    return probe


sees("post-to-an-item-updates")(changed_by("POST", "conversations", "agent", {"name": "Mine"}))
sees("put-of-messages-unguarded")(changed_by("PUT", "messages", "guest", {"text": "Mine"}))
sees("method-in-the-body")(changed_by("POST", "services", "guest", {"_method": "DELETE"}))


@sees("head-of-two-items-unguarded")
async def head_of_a_group(api: Api) -> bool:
    return (
        await api.ask("HEAD", f"/v2/orggroups/{api.put('orggroups')}", "guest")
    ).status_code == 200


# --- nested routes -----------------------------------------------------------------------------


@sees("messages-listed-under-their-conversation")
async def nested_list(api: Api) -> bool:
    conversation = await talk(api, "admin", messages=[{"text": "secret"}])
    return (
        "secret"
        in (await api.ask("GET", f"/v2/conversations/{conversation}/messages", "guest")).text
    )


@sees("messages-reached-through-their-conversation")
async def nested_item(api: Api) -> bool:
    message = api.put("messages")
    await api.ask(
        "DELETE", f"/v2/conversations/{api.put('conversations')}/messages/{message}", "guest"
    )
    return document(api, "messages", message) == {}


@sees("members-of-organizations-unguarded")
async def nested_members(api: Api) -> bool:
    answer = await api.ask(
        "GET", f"/v2/organizations/{api.user('guest')['organization']}/users", "guest"
    )
    return "admin@example.org" in answer.text


# --- requests that are dressed otherwise -------------------------------------------------------


@sees("page-of-a-refusal-shows-it")
async def page(api: Api) -> bool:
    return (
        "admin@example.org"
        in (await api.ask("GET", "/v2/users", "guest", headers={"Accept": "text/html"})).text
    )


@sees("type-with-a-charset-unguarded")
async def charset(api: Api) -> bool:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return (
        await api.ask("POST", "/v2/contacts", "guest", content=b"{}", headers=headers)
    ).status_code == 201


@sees("requests-without-body-unguarded")
async def no_body(api: Api) -> bool:
    return (await api.ask("POST", "/v2/contacts", "guest")).status_code == 201


@sees("contacts-made-in-bulk")
async def bulk(api: Api) -> bool:
    return (
        await api.ask("POST", "/v2/contacts", "guest", json=[BODIES["contacts"]])
    ).status_code == 201


# --- caches ------------------------------------------------------------------------------------


async def after_the_admin(api: Api, path: str, **options: Any) -> httpx.Response:
    """What a guest is answered right after an admin."""
    await api.ask("GET", path, "admin")
    return await api.ask("GET", path, "guest", **options)


@sees("lists-cached-by-url", "decisions-cached-by-url")
async def cached_list(api: Api) -> bool:
    return (await after_the_admin(api, "/v2/users")).status_code == 200


@sees("things-cached-for-their-organization")
async def cached_thing(api: Api) -> bool:
    return (await after_the_admin(api, f"/v2/forms/{api.put('forms')}")).status_code == 200


@sees("services-cached-for-those-with-a-token")
async def cached_services(api: Api) -> bool:
    return (await after_the_admin(api, "/v2/services")).status_code == 200


@sees("refusals-cached-by-url")
async def cached_refusal(api: Api) -> bool:
    await api.ask("GET", "/v2/users", "guest")
    return (await api.ask("GET", "/v2/users", "admin")).status_code == 403


@sees("refusals-with-the-cached-body")
async def cached_body(api: Api) -> bool:
    return "admin@example.org" in (await after_the_admin(api, "/v2/users")).text


@sees("not-modified-before-the-guard")
async def not_modified(api: Api) -> bool:
    return (
        await after_the_admin(api, "/v2/users", headers={"If-None-Match": "*"})
    ).status_code == 304


@sees("not-modified-to-who-knows-the-tag")
async def not_modified_by_its_tag(api: Api) -> bool:
    tag = (await api.ask("GET", "/v2/users", "admin")).headers.get("etag", '"none"')
    headers = {"If-None-Match": tag}
    return (await api.ask("GET", "/v2/users", "guest", headers=headers)).status_code == 304


# --- owners ------------------------------------------------------------------------------------


@sees("participants-update-conversations")
async def renamed(api: Api) -> bool:
    conversation = await talk(api, "admin", "guest")
    return (
        await api.ask("PATCH", f"/v2/conversations/{conversation}", "guest", json={"name": "Mine"})
    ).status_code == 200


async def said(api: Api, who: str) -> str:
    """The id of a message posted by somebody."""
    answer = await api.ask(
        "POST",
        f"/v2/conversations/{api.put('conversations')}/messages",
        who,
        json={"text": "Hello"},
    )
    return str(read(answer)["id"])


@sees("authors-edit-their-messages")
async def edited(api: Api) -> bool:
    return (
        await api.ask(
            "PATCH", f"/v2/messages/{await said(api, 'guest')}", "guest", json={"text": "No"}
        )
    ).status_code == 200


@sees("everybody-invites-guests")
async def invited(api: Api) -> bool:
    guest = {"givenName": "G", "email": "g@example.org", "password": "Sesame-1", "role": "guest"}
    return (await api.ask("POST", "/v2/users", "agent", json=guest)).is_success


@sees("makers-fetch-what-they-made")
async def fetched(api: Api) -> bool:
    return (
        await api.ask("GET", f"/v2/messages/{await said(api, 'guest')}", "guest")
    ).status_code == 200


@sees("makers-delete-what-they-made")
async def deleted(api: Api) -> bool:
    return (
        await api.ask("DELETE", f"/v2/conversations/{await talk(api, 'agent')}", "agent")
    ).status_code == 204


@sees("participants-list-the-messages")
async def listed(api: Api) -> bool:
    return (
        await api.ask(
            "GET", f"/v2/messages?conversation={await talk(api, 'admin', 'guest')}", "guest"
        )
    ).status_code == 200


@sees("own-organization-is-open")
async def organization(api: Api) -> bool:
    return (
        await api.ask("GET", f"/v2/organizations/{api.user('guest')['organization']}", "guest")
    ).status_code == 200


@sees("participants-look-each-other-up")
async def looked_up(api: Api) -> bool:
    await talk(api, "admin", "guest")
    return (
        await api.ask("GET", f"/v2/users/{api.user('admin')['id']}", "guest")
    ).status_code == 200


@sees("users-delete-themselves")
async def deletes_itself(api: Api) -> bool:
    return (
        await api.ask("DELETE", f"/v2/users/{api.user('guest')['id']}", "guest")
    ).status_code == 204


@sees("whatever-names-me-is-mine")
async def named(api: Api) -> bool:
    return (
        await api.ask("GET", f"/v2/users?email={api.user('guest')['email']}", "guest")
    ).status_code == 200


async def other_is_changed(api: Api, path: str, **body: Any) -> bool:
    """Whether a guest changes another guest."""
    own, other = api.user("guest")["id"], api.user("guest2")["id"]
    await api.ask(
        "PATCH", path.format(own=own, other=other), "guest", json={"displayName": "Mine", **body}
    )
    return api.user("guest2").get("displayName") == "Mine"


@sees("body-names-the-caller")
async def by_body(api: Api) -> bool:
    return await other_is_changed(api, "/v2/users/{other}", id=api.user("guest")["id"])


@sees("query-names-another")
async def by_query(api: Api) -> bool:
    return await other_is_changed(api, "/v2/users/{own}?id={other}")


@sees("id-is-a-pattern")
async def by_pattern(api: Api) -> bool:
    answer = await api.ask("GET", f"{TOLD}/v2/users/%25", "guest2")
    return answer.status_code == 200 and read(answer)["id"] != api.user("guest2")["id"]


@sees("same-second-is-oneself")
async def same_second(api: Api) -> bool:
    # a second may end between two of them, and not between all
    users = [await api.new_user() for _ in range(4)]
    token = await log_in(api, users[1])
    answers = [await api.ask("GET", f"/v2/users/{user['id']}", token) for user in users]
    return sum(answer.status_code == 200 for answer in answers) > 1


# --- narrower lists ----------------------------------------------------------------------------


def narrowed(path: str) -> Probe:
    """Whether a guest may list what is narrowed down."""

    async def probe(api: Api) -> bool:
        path_of = path.format(own=api.user("guest")["organization"], id=api.put("conversations"))
        return (await api.ask("GET", path_of, "guest")).status_code == 200

    return probe


sees("limit-of-one-is-a-fetch")(narrowed("/v2/conversations?limit=1"))
sees("list-by-id-is-a-fetch")(narrowed("/v2/conversations?id={id}"))
sees("search-is-for-everybody")(narrowed("/v2/users?name=~a"))
sees("names-are-for-everybody")(narrowed("/v2/users?select=name"))
sees("populated-lists-unguarded")(narrowed("/v2/users?populate=organization"))
sees("further-pages-unguarded")(narrowed("/v2/users?offset=1"))
sees("colleagues-list-each-other")(narrowed("/v2/users?organization={own}"))
sees("no-ids-are-all-mine")(narrowed("/v2/users?id=[]"))
