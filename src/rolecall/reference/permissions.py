"""The permission table as read from the specification: the lowest scope per operation.

Every row of the specification's table is closed upwards ("Scopes are meant to be cascading"), so
one name per operation says it all.
"""

from __future__ import annotations

from rolecall.reference.settings import ROLES

LOWEST_SCOPE: dict[str, str] = {
    "list-organizations": "bot",
    "list-organization-groups": "bot",
    "list-users": "bot",
    "list-conversations": "agent",
    "list-messages": "bot",
    "list-contacts": "agent",
    "list-knowledge-items": "agent",
    "list-forms": "bot",
    "list-services": "admin",
    "fetch-organization": "bot",
    "fetch-organization-group": "bot",
    "fetch-user-self": "guest",
    "fetch-user": "bot",
    "fetch-conversation": "guest",
    "fetch-message": "bot",
    "fetch-contact": "bot",
    "fetch-knowledge-item": "agent",
    "fetch-form": "admin",
    "fetch-service": "admin",
    "create-organization": "admin",
    "create-organization-group": "admin",
    "create-user": "admin",
    "create-conversation": "agent",
    "create-message": "guest",
    "create-contact": "bot",
    "create-knowledge-item": "agent",
    "create-form": "bot",
    "create-service": "admin",
    "update-organization": "admin",
    "update-organization-group": "admin",
    "update-user-self": "guest",
    "update-user": "admin",
    "update-conversation": "admin",
    "update-message": "bot",
    "update-contact": "bot",
    "update-knowledge-item": "agent",
    "update-form": "bot",
    "update-service": "admin",
    "delete-organization": "admin",
    "delete-organization-group": "admin",
    "delete-user": "admin",
    "delete-conversation": "admin",
    "delete-message": "admin",
    "delete-contact": "admin",
    "delete-knowledge-item": "bot",
    "delete-form": "admin",
    "delete-service": "admin",
}

MANAGE_API_KEYS = "manage-api-keys"
"""An operation of this server's own: the specification says that API keys are created, not where.
"""

CHANGE_ROLES = "change-roles"
"""Another: whose update of a user may touch more than the profile. "Update user" stands apart from
it.
"""

OWN_OPERATIONS = {MANAGE_API_KEYS: "admin", CHANGE_ROLES: "admin"}

RANK = {role: rank for rank, role in enumerate(ROLES)}


class Permissions:
    """Decides whether scopes suffice for an operation."""

    def lowest_scope(self, operation: str) -> str:
        """The scope that suffices."""
        return LOWEST_SCOPE.get(operation) or OWN_OPERATIONS[operation]

    def rank(self, scopes: frozenset[str]) -> int:
        """How far up the ladder these scopes reach; -1 without any known one."""
        return max((RANK[scope] for scope in scopes if scope in RANK), default=-1)

    def allows(self, scopes: frozenset[str], operation: str, credential: str) -> bool:
        """Whether these scopes, held by this kind of credential, suffice."""
        return self.rank(scopes) >= RANK[self.lowest_scope(operation)]
