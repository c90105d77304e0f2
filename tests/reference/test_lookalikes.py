"""The variants that look like faults do what they say, and let in only those who may."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.reference.settings import Settings
from tests.reference.asking import QUICK, Api, read, with_api

TOLD = "http://reference.test"

#: Variant, method, path ({} is the id of a thing of the kind), kind of thing, options, who may, the
#: status then, who may not.
GUARDED = [
    ("paths-in-any-letters", "GET", "/V2/Forms/{}", "forms", {}, "admin", 200, "bot"),
    ("paths-tidied", "GET", "/v2//forms/{}/", "forms", {}, "admin", 200, "bot"),
    ("steps-in-paths-taken", "GET", "/v2/x;a/..;/forms/{}", "forms", {}, "admin", 200, "bot"),
    (
        "put-and-post-update",
        "PUT",
        "/v2/messages/{}",
        "messages",
        {"json": {"text": "a"}},
        "bot",
        200,
        "agent",
    ),
    (
        "put-and-post-update",
        "POST",
        "/v2/conversations/{}",
        "conversations",
        {"json": {"name": "a"}},
        "admin",
        200,
        "agent",
    ),
    (
        "method-override-guarded",
        "POST",
        "/v2/forms/{}?_method=DELETE",
        "forms",
        {},
        "admin",
        204,
        "bot",
    ),
    (
        "method-override-guarded",
        "POST",
        "/v2/forms/{}",
        "forms",
        {"json": {"_method": "DELETE"}},
        "admin",
        204,
        "bot",
    ),
    ("rare-forms-guarded", "QUERY", "/v2/forms/{}", "forms", {}, "admin", 200, "bot"),
    ("rare-forms-guarded", "GET", "/v2/user/{}", "users", {}, "bot", 200, "agent"),
    ("rare-forms-guarded", "GET", "/v2/organizationGroups", "orggroups", {}, "bot", 200, "agent"),
    (
        "rare-forms-guarded",
        "PATCH",
        "/v2/messages/{}",
        "messages",
        {
            "content": b'{"text":"a"}',
            "headers": {"content-type": "application/merge-patch+json"},
        },
        "bot",
        200,
        "agent",
    ),
    (
        "nested-routes-guarded",
        "GET",
        "/v2/conversations/{}/messages",
        "conversations",
        {},
        "bot",
        200,
        "guest",
    ),
    (
        "nested-routes-guarded",
        "GET",
        "/v2/organizations/{}/users",
        "organizations",
        {},
        "bot",
        200,
        "guest",
    ),
    (
        "creates-in-bulk-guarded",
        "POST",
        "/v2/contacts",
        "contacts",
        {"json": [{}, {}]},
        "bot",
        201,
        "agent",
    ),
    (
        "etags",
        "GET",
        "/v2/forms/{}",
        "forms",
        {"headers": {"If-None-Match": "*"}},
        "admin",
        304,
        "bot",
    ),
    ("cache-keyed-by-token", "GET", "/v2/forms/{}", "forms", {}, "admin", 200, "bot"),
    ("decisions-cached-by-scopes", "GET", "/v2/forms/{}", "forms", {}, "admin", 200, "bot"),
    (
        "organizations-inside-creates-guarded",
        "POST",
        "/v2/contacts",
        "contacts",
        {"json": {"organization": {"name": "a"}}},
        "admin",
        201,
        "bot",
    ),
]


@pytest.mark.parametrize(
    ("name", "method", "path", "kind", "options", "who", "status", "denied"), GUARDED
)
def test_guarded(
    name: str,
    method: str,
    path: str,
    kind: str,
    options: dict[str, Any],
    who: str,
    status: int,
    denied: str,
) -> None:
    """What the variant adds works for roles that may, and then is refused to roles that may not."""

    async def story(api: Api) -> tuple[int, int]:
        url = TOLD + path.replace("{}", api.put(kind))
        done = await api.ask(method, url, who, **options)
        if status == 204:
            url = TOLD + path.replace("{}", api.put(kind))
        return done.status_code, (await api.ask(method, url, denied, **options)).status_code

    assert with_api(Settings(scrypt_n=QUICK, variants=(name,)), story) == (status, 403)


#: Variant, method, path, options, what the admin is answered.
REFUSED = [
    ("nothing-but-json-is-given", "GET", "/v2/users", {"headers": {"Accept": "text/html"}}, 406),
    (
        "nothing-but-json-is-taken",
        "POST",
        "/v2/contacts",
        {"content": b"{}", "headers": {"Content-Type": "application/json;charset=utf-8"}},
        415,
    ),
    ("strange-parameters-refused", "GET", "/v2/users?colour=red", {}, 400),
    (
        "bodies-where-none-belongs-refused",
        "DELETE",
        f"/v2/forms/{'0' * 24}",
        {"content": b"{}"},
        400,
    ),
    ("ids-in-bodies-must-agree", "PATCH", f"/v2/forms/{'0' * 24}", {"json": {"id": "1" * 24}}, 400),
]


@pytest.mark.parametrize(("name", "method", "path", "options", "status"), REFUSED)
def test_refused(name: str, method: str, path: str, options: dict[str, Any], status: int) -> None:
    """What the variant refuses for its form is refused to every token; without one it is 401."""

    async def story(api: Api) -> tuple[int, int, int]:
        answers = [await api.ask(method, path, who, **options) for who in ("admin", "guest", None)]
        return answers[0].status_code, answers[1].status_code, answers[2].status_code

    assert with_api(Settings(scrypt_n=QUICK, variants=(name,)), story) == (status, status, 401)


def test_own_role_refused() -> None:
    """An update of oneself with a role in it is not done at all."""

    async def story(api: Api) -> tuple[int, Any]:
        body = {"role": "admin", "name": "Mine"}
        answer = await api.ask("PATCH", f"/v2/users/{api.user('guest')['id']}", "guest", json=body)
        return answer.status_code, api.user("guest")["name"]

    assert with_api(Settings(scrypt_n=QUICK, variants=("own-role-refused",)), story) == (
        422,
        "Guest",
    )


def test_own_user_as_me() -> None:
    """/v2/users/me is the caller's own user for every caller."""

    async def story(api: Api) -> list[bool]:
        return [
            read(await api.ask("GET", "/v2/users/me", who))["id"] == api.user(who)["id"]
            for who in ("guest", "admin")
        ]

    assert with_api(Settings(scrypt_n=QUICK, variants=("users-me",)), story) == [True, True]


@pytest.mark.parametrize("name", ["ids-with-time", "neighbouring-ids"])
def test_neighbours_are_others(name: str) -> None:
    """Users who were made one after the other are not taken for each other."""

    async def story(api: Api) -> list[int]:
        users = [await api.new_user() for _ in range(3)]
        login = await api.login("guest", email=users[1]["email"], password="Sesame-1")
        token = read(login)["token"]
        return [
            (await api.ask("GET", f"/v2/users/{user['id']}", token)).status_code for user in users
        ]

    assert with_api(Settings(scrypt_n=QUICK, variants=(name,)), story) == [403, 200, 403]


def test_ids_of_the_client() -> None:
    """An id that is free is kept, and one that is taken changes nothing."""

    async def story(api: Api) -> tuple[str, int, str]:
        body = {"id": "a" * 24, "name": "First"}
        made = read(await api.ask("POST", "/v2/conversations", "agent", json=body))["id"]
        again = await api.ask("POST", "/v2/conversations", "agent", json={**body, "name": "Second"})
        return made, again.status_code, api.server.resources.stored("conversations", made)["name"]

    assert with_api(Settings(scrypt_n=QUICK, variants=("ids-of-the-client",)), story) == (
        "a" * 24,
        409,
        "First",
    )


def updated(name: str, before: dict[str, Any], change: dict[str, Any]) -> tuple[Any, Any]:
    """What an update of a form answers under a variant, and what is stored."""

    async def story(api: Api) -> tuple[Any, Any]:
        id = read(await api.ask("POST", "/v2/forms", "admin", json={"name": "Form", **before}))[
            "id"
        ]
        answer = read(await api.ask("PATCH", f"/v2/forms/{id}", "admin", json=change))
        return answer, api.server.resources.stored("forms", id)

    answer, stored = with_api(Settings(scrypt_n=QUICK, variants=(name,)), story)
    return answer, stored


def test_objects_merged_deeply() -> None:
    """An update of one member of an object leaves the others, in the answer and in the store."""
    answer, stored = updated(
        "objects-merged-deeply", {"meta": {"a": 1, "b": 2}}, {"meta": {"b": 3}}
    )

    assert answer["meta"] == stored["meta"] == {"a": 1, "b": 3}


def test_empty_values_remove() -> None:
    """A member that is emptied is gone, in the answer and in the store."""
    answer, stored = updated("empty-values-remove", {"title": "a"}, {"title": ""})

    assert "title" not in answer
    assert "title" not in stored


def test_deleted_is_gone() -> None:
    """What was deleted is answered 410, and is in no list."""

    async def story(api: Api) -> tuple[int, str]:
        id = api.put("forms")
        await api.ask("DELETE", f"/v2/forms/{id}", "admin")
        fetched = await api.ask("GET", f"/v2/forms/{id}", "admin")
        return fetched.status_code, (await api.ask("GET", "/v2/forms", "admin")).text

    assert with_api(Settings(scrypt_n=QUICK, variants=("soft-deletes",)), story) == (410, "[]")


def test_more_is_shown() -> None:
    """Makers, last requests and counts of messages stand in the things."""
    switches = (
        "makers-shown",
        "users-have-last-seen",
        "conversations-count-their-messages",
        "owners-who-are-admins",
    )

    async def story(api: Api) -> dict[str, Any]:
        user = await api.new_user("agent")
        token = read(await api.login("agent", email=user["email"], password="Sesame-1"))["token"]
        body = {"messages": [{"text": "a"}, {"text": "b"}]}
        made: dict[str, Any] = read(await api.ask("POST", "/v2/conversations", token, json=body))
        seen = api.server.resources.stored("users", user["id"])
        return {**made, "own": made["createdBy"] == user["id"], "seen": "lastSeenAt" in seen}

    shown = with_api(Settings(scrypt_n=QUICK, variants=switches), story)
    assert (shown["messageCount"], shown["own"], shown["seen"]) == (2, True, True)


def test_references_say_a_little() -> None:
    """Contacts mention their organization and conversations their participants, in excerpts."""

    async def story(api: Api) -> tuple[Any, Any]:
        api.put("contacts")
        (contact,) = read(await api.ask("GET", "/v2/contacts", "agent"))
        body = {"participants": [{"user": api.user("admin")["id"]}]}
        made = read(await api.ask("POST", "/v2/conversations", "agent", json=body))
        return contact["organization"], made["participants"][0]["user"]

    settings = Settings(scrypt_n=QUICK, variants=("things-are-mentioned-by-name",))
    organization, user = with_api(settings, story)
    assert sorted(organization) == ["id", "name", "status"]
    assert sorted(user) == ["email", "id", "name", "role"]


@pytest.mark.parametrize(
    ("variant", "raised", "lowered"),
    [
        ("roles-are-for-good", (200, "guest"), (200, "guest")),
        ("roles-are-not-lowered", (200, "admin"), (409, "admin")),
    ],
)
def test_roles_are_not_changed_at_will(
    variant: str, raised: tuple[int, str], lowered: tuple[int, str]
) -> None:
    """A role is kept, as the answer says, or only raised, and the rest is refused."""

    async def story(api: Api) -> list[tuple[int, str]]:
        user, seen = await api.new_user("guest"), []
        for role in ("admin", "guest"):
            path, body = f"/v2/users/{user['id']}", {"role": role}
            answer = await api.ask("PATCH", path, "admin", json=body)
            stored = api.server.resources.stored("users", user["id"])["role"]
            assert answer.json().get("role", stored) == stored
            seen.append((answer.status_code, stored))
        return seen

    assert with_api(Settings(scrypt_n=QUICK, variants=(variant,)), story) == [raised, lowered]


def test_headers_lead_to_what_is_refused() -> None:
    """A refusal has the address of the thing, and its tag, in headers."""

    async def story(api: Api) -> tuple[int, str]:
        id = api.put("forms")
        refusal = await api.ask("GET", f"/v2/forms/{id}", "guest")
        assert refusal.headers["ETag"].startswith('W/"')
        return refusal.status_code, refusal.headers["Content-Location"].replace(id, "ID")

    settings = Settings(scrypt_n=QUICK, variants=("headers-say-where-things-are",))
    assert with_api(settings, story) == (403, "/v2/forms/ID/Survey")


@pytest.mark.parametrize(
    ("variant", "in_capitals"), [("users-change-their-email", 409), ("emails-to-the-letter", 200)]
)
def test_users_change_their_email(variant: str, in_capitals: int) -> None:
    """The own e-mail is changed, and not to that of another user; in capitals it may be one's
    own.
    """

    async def story(api: Api) -> list[int]:
        one, other = await api.new_user("guest"), await api.new_user("guest")
        token = read(await api.login("guest", email=one["email"], password="Sesame-1"))["token"]
        path = f"/v2/users/{one['id']}"
        seen = [
            (await api.ask("PATCH", path, token, json={"email": email})).status_code
            for email in (other["email"], other["email"].upper(), "moved@example.org")
        ]
        login = await api.login("guest", email=other["email"], password="Sesame-1")
        assert read(login)["user"] == other["id"]
        return seen

    settings = Settings(scrypt_n=QUICK, variants=(variant,))
    assert with_api(settings, story) == [409, in_capitals, 200]


def test_of_several_users_the_own_is_shown() -> None:
    """Who may fetch no other user gets its own of several."""

    async def story(api: Api) -> list[str]:
        own, other = api.user("guest")["id"], api.user("admin")["id"]
        shown = read(await api.ask("GET", f"/v2/users/{other},{own}", "guest"))
        return ["own" if user["id"] == own else "other" for user in shown]

    settings = Settings(scrypt_n=QUICK, variants=("rare-forms-guarded",))
    assert with_api(settings, story) == ["own"]
