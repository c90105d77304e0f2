"""The permission table of the reference server, and its edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rolecall.reference.permissions import LOWEST_SCOPE, RANK
from rolecall.reference.settings import ROLES
from tests.reference.asking import Api

Told = Callable[..., Any]

DELETE_OTHER = {name for name in LOWEST_SCOPE if name.startswith("delete-")} - {
    "delete-knowledge-item"
}


def test_table_has_47_operations_and_188_cells() -> None:
    """The 40 rows are 47 operations, since "Delete other resource" stands for eight."""
    rows = {
        "delete-other" if name in DELETE_OTHER else name: lowest
        for name, lowest in LOWEST_SCOPE.items()
    }
    allowed = sum(len(ROLES) - RANK[lowest] for lowest in rows.values())

    assert len(LOWEST_SCOPE) == 47
    assert len(rows) == 40
    assert (allowed, 160 - allowed) == (82, 78)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", LOWEST_SCOPE)
def test_cell(operation: str, role: str, told: Told) -> None:
    """What a role may do happens, and what it may not is refused with 403 and does not."""
    allowed = RANK[role] >= RANK[LOWEST_SCOPE[operation]]

    async def story(api: Api) -> None:
        for token in (api.token(role), (await api.key([role], role)).json()["token"]):
            answer, happened = await api.attempt(operation, token)
            account = api.server.store.account_by_email("new@example.org")
            if account:
                api.server.store.remove("users", account.id)

            assert happened is allowed
            assert answer.is_success if allowed else answer.status_code == 403

    told(story)


def test_guest_reaches_no_other_guest(told: Told) -> None:
    """Another user is not oneself, whatever the body, the query or the spelling of the id says."""

    async def story(api: Api) -> None:
        own, other = api.user("guest")["id"], api.user("guest2")["id"]
        reads = [f"/v2/users/{other}", f"/v2/users/{own.upper()}", f"/v2/users/{other}?id={own}"]
        for path in reads:
            assert (await api.ask("GET", path, "guest")).status_code == 403
        answer = await api.ask(
            "PATCH", f"/v2/users/{other}", "guest", json={"id": own, "displayName": "x"}
        )
        assert answer.status_code == 403
        assert "displayName" not in api.user("guest2")

    told(story)


@pytest.mark.parametrize("role", ["guest", "agent", "bot"])
@pytest.mark.parametrize(
    "body",
    [
        {"role": "admin"},
        {"scope": "admin", "scopes": ["admin"]},
        {"_id": "0" * 24, "id": "0" * 24},
        {"email": "other@example.org"},
        {"password": "other"},
        {"organization": "0" * 24, "organizations": [{"role": "admin"}]},
        {"profile": {"role": "admin"}, "user": {"role": "admin"}},
        {"status": "disabled", "verified": True, "permissions": ["*"]},
    ],
    ids="-".join,
)
def test_own_profile_gives_no_rights(role: str, body: dict[str, Any], told: Told) -> None:
    """Members of one's own user that only an admin sets are ignored, and a login is as before."""

    async def story(api: Api) -> None:
        before = api.user(role)
        answer = await api.ask(
            "PATCH", f"/v2/users/{before['id']}", role, json={**body, "displayName": "Me"}
        )

        assert answer.status_code == 200
        assert api.user(role) == {
            **before,
            "displayName": "Me",
            "updatedAt": answer.json()["updatedAt"],
        }
        assert (await api.login(role)).json()["scope"] == role

    told(story)


@pytest.mark.parametrize("name", ["$set", "user.role", "$where"])
def test_operators_are_no_members(name: str, told: Told) -> None:
    """A member named like a database operator or a path is refused."""

    async def story(api: Api) -> None:
        path = f"/v2/users/{api.user('guest')['id']}"
        answer = await api.ask("PATCH", path, "guest", json={name: {"role": "admin"}})

        assert answer.status_code == 400

    told(story)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/services/",
        "//v2/services",
        "/v2//services",
        "/V2/services",
        "/v2/Services",
        "/v2/./services",
        "/v2/users/../services",
        "/v2/%2e/services",
        "/v2/services;x",
        "/v2/services.json",
        "/v1/services",
        "/services",
    ],
)
def test_no_way_around_by_spelling(path: str, told: Told) -> None:
    """A path that is spelled otherwise leads nowhere, or to where permissions are looked at."""

    async def story(api: Api) -> None:
        api.put("services")
        url = f"{api.http.base_url}".rstrip("/") + path
        answer = await api.ask("GET", url, "guest")

        assert answer.status_code in (403, 404)

    told(story)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_method_is_the_one_on_the_wire(header: str, told: Told) -> None:
    """No header changes the method."""

    async def story(api: Api) -> None:
        id = api.put("conversations")
        await api.ask("GET", f"/v2/conversations/{id}", "guest", headers={header: "DELETE"})
        await api.ask(
            "POST", f"/v2/conversations/{id}?_method=DELETE", "admin", headers={header: "DELETE"}
        )

        assert api.server.store.get("conversations", id)

    told(story)


def test_head_is_guarded_like_get(told: Told) -> None:
    """HEAD has the status of GET and no body."""

    async def story(api: Api) -> None:
        denied = await api.ask("HEAD", "/v2/services", "guest")
        allowed = await api.ask("HEAD", "/v2/services", "admin")

        assert (denied.status_code, denied.content) == (403, b"")
        assert (allowed.status_code, allowed.content) == (200, b"")
        assert (await api.ask("HEAD", "/v2/services")).status_code == 401

    told(story)


def test_other_methods(told: Told) -> None:
    """OPTIONS shows no data; PUT and TRACE are not allowed and say what is."""

    async def story(api: Api) -> None:
        options = await api.ask("OPTIONS", "/v2/users")
        put = await api.ask(
            "PUT", f"/v2/users/{api.user('guest')['id']}", "admin", json={"name": "x"}
        )
        trace = await api.ask("TRACE", "/v2/users", "admin")

        assert (options.status_code, options.content) == (204, b"")
        assert (put.status_code, put.headers["allow"]) == (405, "GET, HEAD, PATCH, DELETE")
        assert trace.status_code == 405

    told(story)


def test_order_of_checks(told: Told) -> None:
    """401 comes before 403, 403 before 404, 404 before 400."""

    async def story(api: Api) -> None:
        path = f"/v2/services/{'0' * 24}"
        assert (await api.ask("PATCH", path, content=b"{")).status_code == 401
        assert (await api.ask("PATCH", path, "guest", content=b"{")).status_code == 403
        assert (await api.ask("PATCH", path, "admin", content=b"{")).status_code == 404
        path = f"/v2/services/{api.put('services')}"
        headers = {"Content-Type": "application/json"}
        assert (
            await api.ask("PATCH", path, "admin", content=b"{", headers=headers)
        ).status_code == 400

    told(story)


def test_populate_shows_only_what_may_be_fetched(told: Told) -> None:
    """An agent sees the id of an organization in a list of contacts, a bot the organization."""

    async def story(api: Api) -> None:
        api.put("contacts")
        agent = await api.ask("GET", "/v2/contacts?populate=organization", "agent")
        bot = await api.ask("GET", "/v2/contacts?populate=organization", "bot")

        assert isinstance(agent.json()[0]["organization"], str)
        assert bot.json()[0]["organization"]["name"] == "Example"

    told(story)
