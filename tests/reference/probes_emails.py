"""Questions that show the faults of e-mails that are another user's."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from typing import Any

import httpx

from tests.reference.asking import Api, sees


async def claim(api: Api, email: str) -> tuple[dict[str, Any], str, httpx.Response]:
    """A user who gives itself an e-mail: the user, its token and the answer."""
    user = await api.new_user("guest")
    login = await api.login("guest", email=user["email"], password="Sesame-1")
    token = str(login.json()["token"])
    answer = await api.ask("PATCH", f"/v2/users/{user['id']}", token, json={"email": email})
    return user, token, answer


@sees("taken-email-shows-its-user")
async def role_of_the_owner(api: Api) -> bool:
    _, _, answer = await claim(api, api.user("admin")["email"])
    return answer.status_code == 409 and '"role"' in answer.text


@sees("email-in-capitals-logs-in-another")
async def logged_in_by_the_owners_email(api: Api) -> bool:
    owner = await api.new_user("guest")
    user, _, _ = await claim(api, owner["email"].upper())
    login = await api.login("guest", email=owner["email"], password="Sesame-1")
    return bool(login.json().get("user") == user["id"])


@sees("self-by-folded-email")
async def fetched_as_oneself(api: Api) -> bool:
    owner = api.user("admin")
    _, token, _ = await claim(api, owner["email"].upper())
    return (await api.ask("GET", f"/v2/users/{owner['id']}", token)).is_success
