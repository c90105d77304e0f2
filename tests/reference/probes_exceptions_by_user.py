"""Questions that show the faults of exceptions by whom a request is about."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from tests.reference.asking import Api, sees
from tests.reference.probes_exceptions import opens

sees("agents-look-guests-up")(opens("agent", "GET", "/v2/users/{guest}"))
sees("bots-delete-guests")(opens("bot", "DELETE", "/v2/users/{guest}"))
sees("agents-configure-bots")(opens("agent", "PATCH", "/v2/users/{bot}", json={"givenName": "A"}))
sees("dots-behind-the-own-id")(opens("agent", "GET", "/v2/users/{self}/%2e%2e/{guest}"))
sees("groups-of-ones-organization-listed")(
    opens("guest", "GET", "/v2/orggroups?organizations={organization}")
)


@sees("admins-are-protected")
async def an_admin_stays(api: Api) -> bool:
    path = f"/v2/users/{api.user('admin')['id']}"
    return (await api.ask("DELETE", path, "admin")).status_code == 403


@sees("admins-are-hidden")
async def an_admin_is_not_shown(api: Api) -> bool:
    path = f"/v2/users/{api.user('admin')['id']}"
    return (await api.ask("GET", path, "bot")).status_code == 403


@sees("guests-do-not-find-themselves")
async def a_guest_is_not_found(api: Api) -> bool:
    path = f"/v2/users/{api.user('guest')['id']}"
    return (await api.ask("PATCH", path, "guest", json={"givenName": "G"})).status_code == 404
