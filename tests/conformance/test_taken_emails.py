"""What an answer tells of the user who has an e-mail."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.test_taken_emails import told_of
from tests.support.exchanges import exchange

NAME = "rolecall-7-create-user"
EMAIL = "rolecall-7-create-user@example.org"
VICTIM: Any = SimpleNamespace(
    fixture=SimpleNamespace(id="17", name=NAME), account=SimpleNamespace(email=EMAIL)
)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"error": {"message": f"{EMAIL} is taken"}}, ""),
        ({"error": {"message": f"{EMAIL.upper()} is taken", "by": {"id": "17"}}}, ""),
        ({"by": {"id": "17", "email": EMAIL, "type": "user"}}, ""),
        ({"id": "18", "role": "guest", "status": "active"}, ""),
        ({"by": {"id": "17", "role": "guest"}}, "role"),
        ({"existing": {"id": "17", "status": "active", "role": "guest"}}, "status, role"),
        ({"error": {"message": f"{EMAIL} belongs to {NAME}"}}, "its name"),
    ],
)
def test_what_is_told_of_the_owner(document: dict[str, Any], told: str) -> None:
    """The e-mail that was sent, and an id, tell nothing; a role, a name and the rest do."""
    answer = exchange(status=409, body=json.dumps(document).encode())

    assert told_of(VICTIM, answer) == told
