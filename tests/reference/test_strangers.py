"""Variants of ids, keys, members, limits and lists do as they say."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.variants.lists import LAG
from tests.reference.asking import QUICK, Api, read
from tests.reference.test_variants import vary

#: A variant, and what an id looks like in JSON.
IDS = {"uuid-ids": r"'[0-9a-f-]{36}'", "ids-of-digits": r"'\d+'", "numeric-ids": r"\d+"}


@pytest.mark.parametrize("name", IDS)
def test_ids(name: str) -> None:
    """Everything has ids of the variant's form: resources and what they refer to, the token's
    answer and its claims, keys.
    """

    async def story(api: Api) -> list[Any]:
        issued = read(await api.login("admin"))
        user = read(await api.ask("GET", f"/v2/users/{issued['user']}", issued["token"]))
        claims = jwt.decode(issued["token"], options={"verify_signature": False})
        body = {"email": "a@example.org", "organization": user["organization"]}
        made = read(await api.ask("POST", "/v2/users", issued["token"], json=body))
        key = read(
            await api.ask(
                "POST", "/v2/apikeys", issued["token"], json={"name": "k", "scopes": ["bot"]}
            )
        )
        assert made["organization"] == user["organization"] == claims["organization"]
        assert issued["user"] == user["id"] == claims["_id"] == key["user"]
        return [issued["user"], user["organization"], made["id"], key["id"]]

    assert all(re.fullmatch(IDS[name], repr(id)) for id in vary(name, story))


@pytest.mark.parametrize(
    ("name", "named"), [("opaque-keys", True), ("opaque-keys-without-user", False)]
)
def test_opaque_keys(name: str, named: bool) -> None:
    """A key is not a JWT, works until it is deleted, and its answer names a user or does not."""

    async def story(api: Api) -> None:
        made = read(
            await api.ask("POST", "/v2/apikeys", "admin", json={"name": "k", "scopes": ["bot"]})
        )
        assert ("." in made["token"], "user" in made) == (False, named)
        assert (await api.ask("GET", "/v2/users", made["token"])).status_code == 200
        assert (await api.ask("GET", "/v2/services", made["token"])).status_code == 403
        assert all(
            ("user" in key) is named for key in read(await api.ask("GET", "/v2/apikeys", "admin"))
        )
        await api.ask("DELETE", f"/v2/apikeys/{made['id']}", "admin")
        assert (await api.ask("GET", "/v2/users", made["token"])).status_code == 401

    vary(name, story)


#: A variant, and the form of its refresh tokens.
FORMS = {
    "refresh-tokens-without-dot": r"[0-9a-f]{24}[0-9a-f]{80}",
    "refresh-tokens-with-selector": r"[0-9a-f]{16}\.[0-9a-f]{64}",
    "uuid-refresh-tokens": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "jwt-refresh-tokens-without-user": r"[\w-]+\.[\w-]+\.[\w-]+",
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_refresh_tokens(name: str) -> None:
    """A refresh token looks as the variant says, and works once."""

    async def story(api: Api) -> None:
        issued = read(await api.login("bot"))
        assert re.fullmatch(FORMS[name], issued["refreshToken"])
        client = api.server.accounts["bot"].email
        answers = [
            (await api.post_refresh(issued["refreshToken"], client)).status_code for _ in range(2)
        ]
        assert answers == [200, 401]

    vary(name, story)


#: A variant, what a knowledge item is made with, the status, and what came back.
ITEM = {"title": "A", "name": "B", "content": "C"}
MEMBERS: dict[str, tuple[int, set[str]]] = {
    "unknown-members-dropped": (201, {"title", "content"}),
    "unknown-members-refused": (422, set()),
    "knowledge-items-with-names": (201, {"name", "content"}),
    "knowledge-items-with-titles": (201, {"title", "content"}),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_that_are_not_known(name: str) -> None:
    """What a knowledge item does not know is dropped, or refused by its name."""
    status, kept = MEMBERS[name]

    async def story(api: Api) -> None:
        answer = await api.ask("POST", "/v2/kbitems", "admin", json=ITEM)
        assert answer.status_code == status
        assert kept == set(ITEM) & set(answer.json())
        assert status == 201 or "Not known: name" in answer.text

    vary(name, story)


def test_keys_with_each_scope_once() -> None:
    """A key is made with two scopes in any order, and refused with one that comes twice."""

    async def story(api: Api) -> None:
        lists = [["bot", "guest"], ["guest", "bot"], ["bot", "bot"]]
        made = [
            await api.ask("POST", "/v2/apikeys", "admin", json={"name": "x", "scopes": scopes})
            for scopes in lists
        ]
        assert [answer.status_code for answer in made] == [201, 201, 422]

    vary("key-scopes-once", story)


def test_conversations_that_are_full() -> None:
    """A conversation with a message in it cannot be deleted: 409 until the message is gone."""

    async def story(api: Api) -> None:
        made = (
            await api.ask(
                "POST",
                "/v2/conversations",
                "admin",
                json={"name": "x", "messages": [{"text": "y"}]},
            )
        ).json()
        message = (await api.ask("GET", f"/v2/messages?conversation={made['id']}", "admin")).json()[
            0
        ]
        statuses = [
            (await api.ask("DELETE", path, "admin")).status_code
            for path in (
                f"/v2/conversations/{made['id']}",
                f"/v2/messages/{message['id']}",
                f"/v2/conversations/{made['id']}",
            )
        ]
        assert statuses == [409, 204, 204]

    vary("full-conversations-stay", story)


def test_members_that_are_wanted() -> None:
    """What lacks a member of the server's own is refused by its name; with it the thing is made,
    and shows nothing else of a name.
    """

    async def story(api: Api) -> None:
        refused = await api.ask("POST", "/v2/kbitems", "admin", json=ITEM)
        made = await api.ask(
            "POST", "/v2/kbitems", "admin", json={**ITEM, "question": "Q", "answer": "A"}
        )
        assert (refused.status_code, made.status_code) == (422, 201)
        assert "'question' is required; 'answer' is required" in refused.text
        assert {"question", "answer"} == {"question", "answer", "name", "title"} & set(made.json())

    vary("wants-members-of-its-own", story)


@pytest.mark.parametrize(
    ("name", "members", "status"),
    [
        ("password-policy", {"password": "Sesame-1"}, 422),
        ("password-policy", {"password": "Someone-2-x"}, 422),
        ("password-policy", {"password": "xK3!xK3!xK3!"}, 201),
        ("address-policy", {"email": "some+one@example.org"}, 422),
        ("address-policy", {"email": "Some@example.org"}, 422),
        ("address-policy", {"email": "some.one@example.org"}, 201),
    ],
)
def test_policies(name: str, members: dict[str, str], status: int) -> None:
    """A new user's password and address have to follow the rules."""

    async def story(api: Api) -> None:
        body = {"email": "someone@example.org", "password": "xK3!xK3!xK3!", **members}
        assert (await api.ask("POST", "/v2/users", "admin", json=body)).status_code == status

    vary(name, story)


@pytest.mark.parametrize("content", ["users", "orggroups"])
def test_full_organizations_stay(content: str) -> None:
    """An organization is deleted when there is nothing in it."""

    async def story(api: Api) -> None:
        organization = read(
            await api.ask("POST", "/v2/organizations", "admin", json={"name": "A"})
        )["id"]
        body = {"name": "B", "email": "b@example.org", "organization": organization}
        inside = read(await api.ask("POST", f"/v2/{content}", "admin", json=body))["id"]
        path = f"/v2/organizations/{organization}"
        assert (await api.ask("DELETE", path, "admin")).status_code == 409
        assert (await api.ask("DELETE", f"/v2/{content}/{inside}", "admin")).status_code == 204
        assert (await api.ask("DELETE", path, "admin")).status_code == 204

    vary("full-organizations-stay", story)


def test_accounts_lock() -> None:
    """The fifth wrong password in a row locks the account; a right one ends the counting."""

    async def story(api: Api) -> list[int]:
        tries = ["no"] * 4 + [None] + ["no"] * 5 + [None]
        return [
            (await api.login("bot", **({"password": attempt} if attempt else {}))).status_code
            for attempt in tries
        ]

    assert vary("accounts-lock", story) == [401] * 4 + [200] + [401] * 5 + [423]


def test_log_ins_are_limited() -> None:
    """The twenty-first log-in within six seconds is answered 429, and says how long to wait."""

    async def story(api: Api) -> None:
        answers = [await api.login("bot") for _ in range(21)]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429]
        assert 4 <= int(answers[-1].headers["retry-after"]) <= 6
        assert (await api.ask("GET", "/v2/users", "bot")).status_code == 200

    vary("log-ins-200-a-minute", story)


def test_replicas_that_take_turns() -> None:
    """Of two looks at a new thing one shows it, and one does not yet."""

    async def story(api: Api) -> None:
        made = read(await api.ask("POST", "/v2/forms", "admin", json={"name": "A"}))
        path = f"/v2/forms/{made['id']}"
        assert [(await api.ask("GET", path, "admin")).status_code for _ in range(4)] == [
            200,
            404,
            200,
            404,
        ]

    vary("replicas-take-turns", story)


def test_names_that_are_tidied() -> None:
    """Names are kept in the server's own way, nested ones too; other texts as they came."""

    async def story(api: Api) -> object:
        body = {"profile": {"name": "rolecall-1-2", "email": "a-b@example.org"}, "tags": ["a-b"]}
        made = read(await api.ask("POST", "/v2/contacts", "admin", json=body))
        return made["profile"], made["tags"]

    profile = {"name": "Rolecall 1 2", "email": "a-b@example.org"}
    assert vary("names-are-tidied", story) == (profile, ["a-b"])


def test_post_refreshes_after_expiry_alone() -> None:
    """POST is refused while the access token is good, and answered when it has expired."""

    async def story(api: Api) -> list[int]:
        token, client = (
            read(await api.login("bot"))["refreshToken"],
            api.server.accounts["bot"].email,
        )
        statuses = [(await api.post_refresh(token, client)).status_code]
        api.server.clock.advance(25 * 3600)
        return [*statuses, (await api.post_refresh(token, client)).status_code]

    assert vary("post-refreshes-after-expiry", story) == [409, 200]


def test_keys_that_are_late() -> None:
    """A new key opens nothing for a second, and then what its scope may."""

    async def story(api: Api) -> None:
        body = {"name": "A", "scopes": ["admin"]}
        key = read(await api.ask("POST", "/v2/apikeys", "admin", json=body))["token"]
        assert (await api.ask("GET", "/v2/forms", key)).status_code == 401
        await asyncio.sleep(LAG + 0.05)
        assert (await api.ask("GET", "/v2/forms", key)).status_code == 200

    vary("new-keys-are-late", story)


@pytest.mark.parametrize(("name", "at_once"), [("lists-lag", 200), ("reads-lag", 404)])
def test_what_lags(name: str, at_once: int) -> None:
    """A new thing is in the list after a second; a fetch shows it at once, or after a second, too.
    So it is with what is deleted.
    """

    async def story(api: Api) -> None:
        made = read(await api.ask("POST", "/v2/forms", "admin", json={"name": "A"}))
        path = f"/v2/forms/{made['id']}"
        assert read(await api.ask("GET", "/v2/forms", "admin")) == []
        assert (await api.ask("GET", path, "admin")).status_code == at_once
        await asyncio.sleep(LAG + 0.05)
        assert [form["id"] for form in read(await api.ask("GET", "/v2/forms", "admin"))] == [
            made["id"]
        ]
        assert (await api.ask("GET", path, "admin")).status_code == 200
        await api.ask("DELETE", path, "admin")
        assert len(read(await api.ask("GET", "/v2/forms", "admin"))) == 1
        await asyncio.sleep(LAG + 0.05)
        assert read(await api.ask("GET", "/v2/forms", "admin")) == []

    vary(name, story)


def test_makers_see_at_once() -> None:
    """A new thing is there for its maker at once, and for others after a second."""

    async def story(api: Api) -> None:
        path = f"/v2/contacts/{read(await api.ask('POST', '/v2/contacts', 'bot', json={}))['id']}"
        assert (await api.ask("GET", path, "bot")).status_code == 200
        assert (await api.ask("GET", path, "admin")).status_code == 404
        assert read(await api.ask("GET", "/v2/contacts", "admin")) == []
        await asyncio.sleep(LAG + 0.05)
        assert (await api.ask("GET", path, "admin")).status_code == 200
        assert len(read(await api.ask("GET", "/v2/contacts", "admin"))) == 1

    vary("makers-see-at-once", story)


def test_lists_of_the_oldest() -> None:
    """A list has the oldest 20 things, whatever its limit and offset, and leads nowhere."""

    async def story(api: Api) -> None:
        ids = [api.put("forms") for _ in range(30)]
        for query in ("", "?limit=100", "?offset=20"):
            answer = await api.ask("GET", f"/v2/forms{query}", "admin")
            assert [form["id"] for form in read(answer)] == ids[:20]
            assert "link" not in answer.headers

    vary("lists-of-the-oldest-20", story)


@pytest.mark.parametrize(
    ("name", "leads_on"), [("lists-of-25-newest-first", True), ("lists-of-the-newest-25", False)]
)
def test_lists_of_25(name: str, leads_on: bool) -> None:
    """A list has the newest 25 things, whatever its limit, with or without a link to the rest."""

    async def story(api: Api) -> None:
        ids = [api.put("forms") for _ in range(30)]
        answer = await api.ask("GET", "/v2/forms?limit=100", "admin")
        assert [form["id"] for form in read(answer)] == ids[:4:-1]
        assert ("link" in answer.headers) == leads_on
        rest = read(await api.ask("GET", "/v2/forms?offset=25", "admin"))
        assert [form["id"] for form in rest] == (ids[4::-1] if leads_on else ids[:4:-1])

    vary(name, story)


def test_head_is_no_method_here() -> None:
    """HEAD is answered 405, with what would do."""

    async def story(api: Api) -> None:
        answer = await api.ask("HEAD", "/v2/users", "admin")
        assert (answer.status_code, "HEAD" in answer.headers["allow"]) == (405, False)

    vary("no-head", story)


def test_a_trailing_slash_is_redirected() -> None:
    """The way without a slash is shown, its query kept."""

    async def story(api: Api) -> None:
        answer = await api.ask("GET", "/v2/users/?limit=1", "admin")
        assert (answer.status_code, answer.headers["location"]) == (308, "/v2/users?limit=1")

    vary("trailing-slash-redirected", story)


def test_a_connection_that_closes_without_saying() -> None:
    """The answer is whole, says nothing of an end, and is the last on its connection."""
    with running(Settings(scrypt_n=QUICK, variants=("closes-without-saying",))) as server:
        parts = urlsplit(server.base_url)
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as client:
            client.sendall(b"GET /v2/users HTTP/1.1\r\nHost: here\r\n\r\n")
            data = b""
            while part := client.recv(4096):
                data += part

    assert data.startswith(b"HTTP/1.1 401")
    assert b"connection:" not in data.lower()
    assert data.endswith(b"}")
