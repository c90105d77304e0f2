"""Questions that show the faults of exceptions from denials."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from tests.reference.asking import Api, Probe, read, sees


def opens(role: str, method: str, path: str, **options: object) -> Probe:
    """Whether a role gets a good answer to a request; in the path, {resource} is a new thing of
    that kind, {self} the user's id, {guest} and {bot} those of others.
    """

    async def probe(api: Api) -> bool:
        made = {
            name: api.put(name)
            for name in ("organizations", "contacts", "conversations", "services", "kbitems")
            if f"{{{name}}}" in path
        }
        made |= {"self": api.user(role)["id"], "organization": api.user(role)["organization"]}
        made |= {name: api.user(name)["id"] for name in ("guest", "bot")}
        answer = await api.ask(method, path.format(**made), role, **options)
        return answer.status_code < 400

    return probe


for _name, _probe in (
    ("own-organization-fetched", opens("guest", "GET", "/v2/organizations/{organization}")),
    (
        "own-organization-updated",
        opens("agent", "PATCH", "/v2/organizations/{organization}", json={"meta": {}}),
    ),
    (
        "agents-close-conversations",
        opens("agent", "PATCH", "/v2/conversations/{conversations}", json={"status": "closed"}),
    ),
    ("bots-annotate-users", opens("bot", "PATCH", "/v2/users/{guest}", json={"meta": {"a": "b"}})),
    ("tags-unguarded", opens("agent", "PATCH", "/v2/contacts/{contacts}", json={"tags": ["a"]})),
    ("list-of-oneself-unguarded", opens("guest", "GET", "/v2/users?id={self}")),
    ("list-by-id-unguarded", opens("guest", "GET", "/v2/services?id={services}")),
    (
        "list-of-own-organization-unguarded",
        opens("guest", "GET", "/v2/forms?organization={organization}"),
    ),
    ("list-of-one-unguarded", opens("guest", "GET", "/v2/services?limit=1")),
    ("list-since-unguarded", opens("guest", "GET", "/v2/services?createdAt=>=2020")),
    ("csv-export-unguarded", opens("guest", "GET", "/v2/services", headers={"Accept": "text/csv"})),
    ("verbose-fetch-unguarded", opens("guest", "GET", "/v2/services/{services}?verbose=true")),
    ("forms-unguarded", opens("guest", "POST", "/v2/services", data={"name": "Mine"})),
    (
        "delete-with-body-unguarded",
        opens("guest", "DELETE", "/v2/services/{services}", json={"id": 1}),
    ),
    (
        "not-modified-before-guard",
        opens("guest", "GET", "/v2/services", headers={"If-None-Match": "*"}),
    ),
    (
        "scripts-of-pages-unguarded",
        opens("guest", "GET", "/v2/services", headers={"X-Requested-With": "XMLHttpRequest"}),
    ),
    ("get-with-body-unguarded", opens("guest", "GET", "/v2/services", json={"name": "all"})),
    (
        "trusts-scope-header",
        opens("guest", "GET", "/v2/services", headers={"X-User-Scope": "admin"}),
    ),
    ("guard-on-literal-prefix", opens("guest", "GET", "/v2/Services")),
    ("encoded-prefix-unguarded", opens("guest", "GET", "/v2/%6bbitems")),
    (
        "put-of-services-unguarded",
        opens("guest", "PUT", "/v2/services/{services}", json={"name": "Mine"}),
    ),
    ("head-of-things-unguarded", opens("guest", "HEAD", "/v2/services/{services}")),
    (
        "children-of-organizations-unguarded",
        opens("guest", "GET", "/v2/organizations/{organization}/services/{services}"),
    ),
    (
        "override-checked-as-create",
        opens(
            "agent", "POST", "/v2/kbitems/{kbitems}", headers={"X-HTTP-Method-Override": "DELETE"}
        ),
    ),
):
    sees(_name)(_probe)


@sees("override-of-get-honoured")
async def gone_by_get(api: Api) -> bool:
    id = api.put("contacts")
    await api.ask("GET", f"/v2/contacts/{id}", "bot", headers={"X-HTTP-Method": "DELETE"})
    return api.server.store.get("contacts", id) is None


@sees("makers-delete-their-own", "first-participant-updates", "own-conversations-messages-listed")
async def own_conversation(api: Api) -> bool:
    id = read(await api.ask("POST", "/v2/conversations", "agent", json={"name": "Ours"}))["id"]
    answers = [
        await api.ask("GET", f"/v2/messages?conversation={id}", "agent"),
        await api.ask("PATCH", f"/v2/conversations/{id}", "agent", json={"name": "Mine"}),
        await api.ask("DELETE", f"/v2/conversations/{id}", "agent"),
    ]
    return any(answer.is_success for answer in answers)


@sees("makers-fetch-their-own")
async def own_message(api: Api) -> bool:
    path = f"/v2/conversations/{api.put('conversations')}/messages"
    id = read(await api.ask("POST", path, "guest", json={"text": "Mine"}))["id"]
    return (await api.ask("GET", f"/v2/messages/{id}", "guest")).is_success


@sees("self-by-id-in-body", "self-by-parameter")
async def oneself_besides(api: Api) -> bool:
    own, other = api.user("guest")["id"], api.user("agent")["id"]
    by_body = await api.ask(
        "PATCH", f"/v2/users/{other}", "guest", json={"id": own, "title": "Mine"}
    )
    by_query = await api.ask(
        "PATCH", f"/v2/users/{other}?id={own}", "guest", json={"title": "Mine"}
    )
    return by_body.is_success or by_query.is_success


@sees("message-author-from-body")
async def in_anothers_name(api: Api) -> bool:
    other, conversation = api.user("admin")["id"], api.put("conversations")
    path, body = f"/v2/conversations/{conversation}/messages", {"text": "Hello", "user": other}
    return bool(read(await api.ask("POST", path, "guest", json=body))["user"] == other)


@sees("self-by-mailbox-prefix", "self-by-local-part", "self-by-moment")
async def nearly_oneself(api: Api) -> bool:
    own = await api.new_user(email="near@example.org")
    others = [
        await api.new_user(email=email) for email in ("near2@example.org", "near@example.com")
    ]
    token = api.server.issuer.write(api.server.issuer.claims(own))
    return any(
        [(await api.ask("GET", f"/v2/users/{other['id']}", token)).is_success for other in others]
    )


@sees("lists-cached-before-guard", "things-cached-before-guard")
async def after_somebody_who_may(api: Api) -> bool:
    answers = []
    for path in ("/v2/services", f"/v2/services/{api.put('services')}"):
        await api.ask("GET", path, "admin")
        answers.append(await api.ask("GET", path, "guest"))
    return any(answer.is_success for answer in answers)


@sees("nested-messages-unguarded")
async def messages_below(api: Api) -> bool:
    return (
        await api.ask("GET", f"/v2/conversations/{api.put('conversations')}/messages", "guest")
    ).is_success


@sees("create-writes-over")
async def written_over(api: Api) -> bool:
    conversation = api.put("conversations")
    path = f"/v2/conversations/{conversation}/messages"
    id = read(await api.ask("POST", path, "bot", json={"text": "Yours"}))["id"]
    await api.ask("POST", path, "guest", json={"text": "Mine", "id": id})
    return "Mine" in str(api.server.store.get("messages", id))


@sees("organizations-made-inside")
async def made_inside(api: Api) -> bool:
    before = len(api.server.store.page("organizations", 100, 0))
    await api.ask(
        "POST",
        "/v2/conversations",
        "agent",
        json={"organization": {"name": "Mine"}, "participants": []},
    )
    return len(api.server.store.page("organizations", 100, 0)) > before


@sees("null-role-is-the-default", "empty-role-is-the-default")
async def role_not_given(api: Api) -> bool:
    id = api.user("guest")["id"]
    for role in (None, ""):
        await api.ask("PATCH", f"/v2/users/{id}", "guest", json={"role": role, "title": "Mine"})
    return str(api.server.resources.stored("users", id)["role"]) != "guest"


@sees("unnamed-role-is-the-default", "unnamed-role-of-others-is-the-default")
async def role_not_named(api: Api) -> bool:
    id = api.user("guest")["id"]
    await api.ask("PATCH", f"/v2/users/{id}", "admin", json={"title": "New"})
    return str(api.server.resources.stored("users", id)["role"]) != "guest"


@sees("update-drops-the-password")
async def password_not_named(api: Api) -> bool:
    user = api.user("guest")
    await api.ask("PATCH", f"/v2/users/{user['id']}", "admin", json={"title": "New"})
    return not (await api.login("guest")).is_success


@sees("lists-never-dirty", "params-never-dirty", "content-only-once")
async def lost_members(api: Api) -> bool:
    lost = []
    for resource, members in (
        ("forms", {"tags": ["a"]}),
        ("services", {"params": {"a": 1}}),
        ("kbitems", {"content": "New"}),
    ):
        id = api.put(resource)
        await api.ask("PATCH", f"/v2/{resource}/{id}", "admin", json=members)
        lost.append(not members.items() <= api.server.resources.stored(resource, id).items())
    return any(lost)


@sees("update-drops-the-rest")
async def dropped_members(api: Api) -> bool:
    id = api.put("contacts")
    for members in ({"meta": {"note": "Kept"}}, {"name": "New"}):
        await api.ask("PATCH", f"/v2/contacts/{id}", "admin", json=members)
    return "meta" not in api.server.resources.stored("contacts", id)


@sees("denied-delete-marks", "denied-update-counts", "denied-delete-hides")
async def traces(api: Api) -> bool:
    id = api.put("services")
    before = api.server.store.get("services", id)
    await api.ask("PATCH", f"/v2/services/{id}", "bot", json={"name": "Mine"})
    await api.ask("DELETE", f"/v2/services/{id}", "bot")
    listed = id in (await api.ask("GET", "/v2/services", "admin")).text
    return api.server.store.get("services", id) != before or not listed


@sees("expired-heads-let-in", "expired-filtered-lists-let-in")
async def expired_in_other_shapes(api: Api) -> bool:
    old = api.token("admin", exp=int(api.server.clock.now()) - 100)
    answers = [
        await api.ask("HEAD", "/v2/services", old),
        await api.ask("GET", "/v2/services?limit=1", old),
    ]
    return any(answer.is_success for answer in answers)


@sees("trusts-user-in-query")
async def for_the_admin(api: Api) -> bool:
    path = f"/v2/services?userId={api.user('admin')['id']}"
    return (await api.ask("GET", path, "guest")).is_success


@sees("anonymous-not-modified")
async def not_modified(api: Api) -> bool:
    tag = (await api.ask("GET", "/v2/services", "admin")).headers.get("etag", "")
    answer = await api.http.get("/v2/services", headers={"If-None-Match": tag})
    return answer.status_code == 304
