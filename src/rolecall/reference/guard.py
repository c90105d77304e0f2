"""Who is calling, and whether that is enough."""

from __future__ import annotations

from rolecall.reference.bearer import BearerReader
from rolecall.reference.call import Call
from rolecall.reference.permissions import Permissions
from rolecall.reference.tokens import Principal, TokenVerifier


class Guard:
    """Stands before everything but the token endpoint."""

    def __init__(
        self, bearer: BearerReader, verifier: TokenVerifier, permissions: Permissions
    ) -> None:
        self.bearer = bearer
        self.verifier = verifier
        self.permissions = permissions

    def authenticate(self, call: Call) -> Principal:
        """The caller, or 401; 403 if the token has expired."""
        return self.verifier.principal(self.bearer.token(call))

    def may(self, principal: Principal, operation: str) -> bool:
        """Whether the caller's scopes suffice."""
        return self.permissions.allows(principal.scopes, operation, principal.credential)
