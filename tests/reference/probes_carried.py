"""Questions that show the faults of what answers carry."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

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
