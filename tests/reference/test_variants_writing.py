"""Variants of how things are written differ as they say."""

from __future__ import annotations

from typing import Any

from rolecall.reference.variants.writing import MERGE_PATCH
from tests.reference.asking import Api, read
from tests.reference.test_variants import vary


def test_what_was_created_is_at_its_location() -> None:
    """A create has no body, and its Location leads to what was made."""

    async def story(api: Api) -> None:
        created = await api.ask("POST", "/v2/contacts", "bot", json={"meta": {"a": 1}})
        assert (created.status_code, created.content) == (201, b"")
        there = await api.ask("GET", created.headers["location"], "bot")
        assert read(there)["meta"] == {"a": 1}

    vary("created-is-at-its-location", story)


def test_writes_want_a_precondition() -> None:
    """An update and a delete are done with If-Match alone; who may not is refused either way."""

    async def story(api: Api) -> None:
        created = read(await api.ask("POST", "/v2/contacts", "bot", json={"meta": {"a": 1}}))
        path, given = f"/v2/contacts/{created['id']}", {"If-Match": "*"}
        for method, status in (("PATCH", 200), ("DELETE", 204)):
            body: dict[str, Any] = {"json": {"meta": {}}} if method == "PATCH" else {}
            for headers in ({}, given):
                denied = await api.ask(method, path, "guest", headers=headers, **body)
                assert denied.status_code == 403
            assert (await api.ask(method, path, "admin", **body)).status_code == 428
            done = await api.ask(method, path, "admin", headers=given, **body)
            assert done.status_code == status

    vary("writes-want-a-precondition", story)


def test_updates_are_merge_patches() -> None:
    """An update is done as a merge patch alone; who may not is refused either way."""

    async def story(api: Api) -> None:
        created = read(await api.ask("POST", "/v2/contacts", "bot", json={"meta": {"a": 1}}))
        path, body = f"/v2/contacts/{created['id']}", b'{"meta":{"b":2}}'
        for kind, status in (("application/json", 415), (MERGE_PATCH, 200)):
            headers = {"content-type": kind}
            denied = await api.ask("PATCH", path, "guest", headers=headers, content=body)
            assert denied.status_code == 403
            answer = await api.ask("PATCH", path, "bot", headers=headers, content=body)
            assert (answer.status_code, answer.headers.get("accept-patch")) == (
                status,
                MERGE_PATCH if status == 415 else None,
            )
        assert read(await api.ask("GET", path, "bot"))["meta"] == {"b": 2}

    vary("updates-are-merge-patches", story)


def test_put_replaces() -> None:
    """PUT leaves out what it does not name, but for whose a thing is; PATCH leaves it."""

    async def story(api: Api) -> None:
        body = {"meta": {"a": 1}, "profile": {"name": "x"}}
        created = read(await api.ask("POST", "/v2/contacts", "bot", json=body))
        path = f"/v2/contacts/{created['id']}"
        patched = read(await api.ask("PATCH", path, "bot", json={"profile": {"name": "y"}}))
        put = read(await api.ask("PUT", path, "bot", json={"profile": {"name": "z"}}))
        assert patched["meta"] == {"a": 1}
        assert "meta" not in put
        assert (put["profile"], put["organization"]) == ({"name": "z"}, created["organization"])
        assert (await api.ask("PUT", path, "guest", json={})).status_code == 403

    vary("put-replaces", story)
