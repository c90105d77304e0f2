"""The nine resources."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.reference.settings import Settings
from tests.reference.asking import BODIES, QUICK, Api, read, with_api

Told = Callable[..., Any]


@pytest.mark.parametrize("resource", BODIES)
def test_life_of_a_resource(resource: str, told: Told) -> None:
    """Created, fetched, listed, updated and deleted, a resource is what was said of it."""

    async def story(api: Api) -> None:
        path, body = f"/v2/{resource}", BODIES[resource]
        if resource == "messages":
            path = f"/v2/conversations/{api.put('conversations')}/messages"
        created = await api.ask("POST", path, "admin", json=body)
        document = read(created)
        item = f"/v2/{resource}/{document['id']}"

        assert created.status_code == 201
        assert body.items() <= document.items()
        assert re.fullmatch(r"[0-9a-f]{24}", document["id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["createdAt"])
        assert read(await api.ask("GET", item, "admin")) == document
        assert read(await api.ask("GET", f"/v2/{resource}?id={document['id']}", "admin")) == [
            document
        ]

        updated = await api.ask(
            "PATCH", item, "admin", json={"meta": {"a": 1}, "id": "x", "createdAt": "x"}
        )
        assert updated.status_code == 200
        assert read(updated) == {
            **document,
            "meta": {"a": 1},
            "updatedAt": read(updated)["updatedAt"],
        }
        await api.ask("PATCH", item, "admin", json={"meta": {"b": 2}})
        assert read(await api.ask("GET", item, "admin"))["meta"] == {"b": 2}

        deleted = await api.ask("DELETE", item, "admin")
        assert (deleted.status_code, deleted.content) == (204, b"")
        for method in ("GET", "PATCH", "DELETE"):
            assert (await api.ask(method, item, "admin", json={})).status_code == 404

    told(story)


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("organizations", {}),
        ("forms", {"name": ""}),
        ("forms", {"name": 5}),
        ("services", {"name": "x", "params": []}),
        ("users", {"name": "x"}),
        ("users", {"email": "no-address"}),
        ("users", {"email": ["a@b.c"]}),
        ("users", {"email": "a@b.c", "role": "root"}),
        ("users", {"email": "a@b.c", "password": 5}),
        ("messages", {"text": "x"}),
        ("messages", []),
        ("conversations", {"participants": ["x"]}),
        ("conversations", {"messages": [{}]}),
        ("contacts", {"$where": "1"}),
        ("contacts", []),
        ("contacts", "text"),
    ],
    ids=str,
)
def test_wrong_bodies_create_nothing(resource: str, body: Any, told: Told) -> None:
    """A create that lacks a member or has a wrong type is answered 400 and leaves nothing."""

    async def story(api: Api) -> None:
        before = api.server.store.newest(resource)
        assert (await api.ask("POST", f"/v2/{resource}", "admin", json=body)).status_code == 400
        assert api.server.store.newest(resource) == before

    told(story)


def test_addresses_are_unique(told: Told) -> None:
    """A second user with an address, in whatever case, is answered 409."""

    async def story(api: Api) -> None:
        user, other = await api.new_user(), await api.new_user()
        body = {"email": user["email"].upper()}
        assert (await api.ask("POST", "/v2/users", "admin", json=body)).status_code == 409
        assert (
            await api.ask("PATCH", f"/v2/users/{other['id']}", "admin", json=body)
        ).status_code == 409
        assert (
            read(await api.ask("GET", f"/v2/users/{other['id']}", "admin"))["email"]
            == other["email"]
        )

    told(story)


def test_passwords_are_not_shown(told: Told) -> None:
    """No answer about a user holds the password, or a hash of it."""

    async def story(api: Api) -> None:
        user = await api.new_user()
        answer = await api.ask("GET", f"/v2/users/{user['id']}", "admin")
        assert "password" not in user
        assert "password" not in read(answer)

    told(story)


def test_pages_and_links() -> None:
    """A list comes in pages of a hundred, or as asked, and Link leads through them all once."""

    async def story(api: Api) -> None:
        ids = [api.put("contacts") for _ in range(130)]
        first = await api.ask("GET", "/v2/contacts", "admin")
        assert len(read(first)) == 100
        assert 'rel="next"' in first.headers["link"]

        found, url = [], "/v2/contacts?limit=50&sort=-id"
        while url:
            answer = await api.ask("GET", url, "admin")
            found += [item["id"] for item in read(answer)]
            link = re.fullmatch(r'<(http://[^>]+)>; rel="next"', answer.headers.get("link", ""))
            url = link[1] if link else ""
        assert found == sorted(ids, reverse=True)

    with_api(Settings(scrypt_n=QUICK), story)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("profile.name=Ada", 2),
        ("profile.name=Bob", 1),
        ("profile.name=~AD", 2),
        ("profile.name=%5EA", 2),
        ("profile.name=[Ada,Bob]", 3),
        ("profile.name=%5BAda%2C+Bob%5D", 3),
        ("meta.age=41", 1),
        ("meta.age=>40", 1),
        ("meta.vip=true", 1),
        ("tags=x", 1),
        ("profile.name=Nobody", 0),
        ("nothing=1", 0),
        ("limit=1", 1),
        ("limit=1&offset=3", 0),
        ("limit=1000000000", 3),
    ],
)
def test_filters(query: str, count: int) -> None:
    """Any other name in the query filters on that field, as the vendor's client writes it."""

    async def story(api: Api) -> None:
        for body in (
            {"profile": {"name": "Ada"}, "meta": {"age": 41, "vip": True}},
            {"profile": {"name": "Ada"}, "meta": {"age": 40}, "tags": ["x", "y"]},
            {"profile": {"name": "Bob"}},
        ):
            await api.ask("POST", "/v2/contacts", "admin", json=body)
        assert len(read(await api.ask("GET", f"/v2/contacts?{query}", "admin"))) == count

    with_api(Settings(scrypt_n=QUICK), story)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=1e9", "offset=-1", "limit=" + "9" * 99]
)
def test_strange_pages(query: str, told: Told) -> None:
    """A limit or an offset that is not a number of things is answered 400."""

    async def story(api: Api) -> None:
        assert (await api.ask("GET", f"/v2/users?{query}", "admin")).status_code == 400

    told(story)


def test_select(told: Told) -> None:
    """Only the fields asked for, and the id."""

    async def story(api: Api) -> None:
        user = api.user("guest")
        answer = await api.ask("GET", f"/v2/users/{user['id']}?select=role,%20email", "guest")
        assert read(answer) == {name: user[name] for name in ("id", "role", "email")}

    told(story)


def test_populate_of_unknown_and_deep_paths(told: Told) -> None:
    """A path that leads nowhere is ignored; one through a list of objects is followed."""

    async def story(api: Api) -> None:
        form = api.put("forms")
        body = {"name": "x", "categories": [{"name": "a", "forms": [form, "gone"]}]}
        organization = read(await api.ask("POST", "/v2/organizations", "admin", json=body))
        path = f"/v2/organizations/{organization['id']}?populate=categories.forms,nothing.else"
        forms = read(await api.ask("GET", path, "admin"))["categories"][0]["forms"]
        assert (forms[0]["name"], forms[1]) == ("Survey", "gone")

    told(story)


def test_lists_that_need_a_filter(told: Told) -> None:
    """Lists of messages, and of conversations by meta, need one of their filters."""

    async def story(api: Api) -> None:
        for path, status in (
            ("/v2/messages", 400),
            ("/v2/messages?text=x", 400),
            ("/v2/messages?type=chat", 200),
            ("/v2/conversations?meta.intent=x", 400),
            ("/v2/conversations?meta.intent=x&status=active", 200),
        ):
            assert (await api.ask("GET", path, "admin")).status_code == status

    told(story)


def test_conversation_with_messages(told: Told) -> None:
    """The creator comes first, those invited after; messages in the body are posted."""

    async def story(api: Api) -> None:
        agent, guest = api.user("agent")["id"], api.user("guest")["id"]
        body = {
            "name": "x",
            "participants": [{"user": guest}],
            "messages": [{"text": "one"}, {"text": "two"}],
        }
        conversation = read(await api.ask("POST", "/v2/conversations", "agent", json=body))
        assert [participant["user"] for participant in conversation["participants"]] == [
            agent,
            guest,
        ]

        path = f"/v2/conversations/{conversation['id']}"
        posted = await api.ask(
            "POST", f"{path}/messages", "guest", json=[{"text": "three"}, {"text": "four"}]
        )
        assert [message["user"] for message in read(posted)] == [guest, guest]
        listed = read(
            await api.ask("GET", f"/v2/messages?conversation={conversation['id']}", "bot")
        )
        assert [message["text"] for message in listed] == ["one", "two", "three", "four"]
        shown = read(await api.ask("GET", f"{path}?populate=messages", "bot"))
        assert shown["messages"] == listed
        assert "messages" not in read(await api.ask("GET", f"{path}?populate=messages", "guest"))

    told(story)


def test_flat_create_of_messages(told: Told) -> None:
    """POST /v2/messages takes the conversation from the body."""

    async def story(api: Api) -> None:
        id = api.put("conversations")
        answer = await api.ask(
            "POST", "/v2/messages", "guest", json={"text": "x", "conversation": id}
        )
        assert (answer.status_code, read(answer)["conversation"]) == (201, id)

    told(story)


def test_set_command(told: Told) -> None:
    """/set key value shows in the conversation's meta."""

    async def story(api: Api) -> None:
        path = f"/v2/conversations/{api.put('conversations')}"
        await api.ask("POST", f"{path}/messages", "guest", json={"text": "/set color dark red"})
        await api.ask("POST", f"{path}/messages", "guest", json={"text": "/set size"})
        assert read(await api.ask("GET", path, "guest"))["meta"] == {
            "color": "dark red",
            "size": "",
        }

    told(story)


def test_unknown_conversation(told: Told) -> None:
    """A message to nowhere is answered as the vendor's client expects."""

    async def story(api: Api) -> None:
        path = f"/v2/conversations/{'0' * 24}/messages"
        answer = await api.ask("POST", path, "guest", json={"text": "x"})
        assert (answer.status_code, read(answer)["error"]["message"]) == (
            404,
            "Conversation not found",
        )
        assert (await api.ask("GET", path, "guest")).status_code == 405

    told(story)


def test_texts_of_all_kinds_are_kept(told: Told) -> None:
    """What a client writes comes back as it was, half a surrogate pair included."""

    async def story(api: Api) -> None:
        for text in ("grüß dich", "雪", "\U0001f600", "a\u0000b", '"quoted"'):
            contact = read(
                await api.ask("POST", "/v2/contacts", "admin", json={"meta": {"text": text}})
            )
            assert contact["meta"]["text"] == text
        headers = {"Content-Type": "application/json"}
        content = b'{"title":"\\ud800"}'
        answer = await api.ask("POST", "/v2/kbitems", "admin", content=content, headers=headers)
        assert answer.status_code == 201
        content = b'{"email":"\\ud800@b.c"}'
        answer = await api.ask("POST", "/v2/users", "admin", content=content, headers=headers)
        assert answer.status_code == 400

    told(story)
