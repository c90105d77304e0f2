"""Which users a request about users is tried on, in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rolecall.spec.loading import load_specification
from rolecall.toolkit.telling_users import another_account

SPEC = load_specification()
WORLD: Any = SimpleNamespace(roles=SPEC.roles)


def test_a_denied_fetch_takes_turns_with_users() -> None:
    """Who may not fetch users is tried on those nearest to the lowest and to the highest role
    first, and never on the own account's; other operations have no such turns.
    """

    def asked_for(operation: str, role: str) -> list[str]:
        return [another_account(WORLD, SPEC.operations[operation], role, turn) for turn in range(4)]

    assert asked_for("fetch-user", "agent") == ["guest", "admin", "bot", "bot"]
    assert asked_for("fetch-user", "guest") == ["agent", "admin", "bot", "bot"]
    assert asked_for("list-users", "agent") == ["", "", "", ""]
    assert asked_for("fetch-contact", "agent") == ["", "", "", ""]
