"""Questions that show the faults of what answers carry."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

from base64 import urlsafe_b64decode

from tests.reference.asking import Api, sees


@sees("contacts-hold-their-organization")
async def level_of_the_organization(api: Api) -> bool:
    api.put("contacts")
    return any(
        isinstance(contact["organization"], dict) and contact["organization"].get("level") == 1
        for contact in (await api.ask("GET", "/v2/contacts", "agent")).json()
    )


@sees("participants-are-whole-users")
async def participants_status(api: Api) -> bool:
    body = {"participants": [{"user": api.user("admin")["id"]}]}
    made = (await api.ask("POST", "/v2/conversations", "agent", json=body)).json()
    shown = (await api.ask("GET", f"/v2/conversations/{made['id']}", "guest")).json()
    return "status" in shown["participants"][0]["user"]


@sees("denied-403-with-data-header")
async def data_in_a_header(api: Api) -> bool:
    api.put("services")
    return "Hook" in (await api.ask("GET", "/v2/services", "guest")).headers.get("X-Data", "")


@sees("denied-403-with-base64-header")
async def base64_in_a_header(api: Api) -> bool:
    api.put("services")
    shown = (await api.ask("GET", "/v2/services", "guest")).headers.get("X-Debug", "")
    return b"Hook" in urlsafe_b64decode(shown)
