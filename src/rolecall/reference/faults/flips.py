"""Generated faults: one cell of the permission table turned over, for tokens and API keys."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.faults.registry import Fault, add
from rolecall.reference.permissions import LOWEST_SCOPE, RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.switches import instead_of


def flip(cell: str, role: str) -> Fault:
    """The fault of one cell."""
    allowed = RANK[role] >= RANK[LOWEST_SCOPE[cell]]

    def apply(server: Server) -> None:
        permissions = server.permissions
        allows = permissions.allows

        @instead_of(permissions.allows)
        def flipped(scopes: frozenset[str], operation: str, credential: str) -> bool:
            if operation == cell and permissions.rank(scopes) == RANK[role]:
                return not allowed
            return allows(scopes, operation, credential)

    done = "is refused" if allowed else "is let do"
    return Fault(f"flip-{cell}-{role}", f"PERM-{cell}", f"{role} {done} {cell}.", apply)


for _operation in LOWEST_SCOPE:
    for _role in ROLES:
        add(flip(_operation, _role))
