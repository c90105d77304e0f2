"""Faults that let an expired token in for one form of request."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Call
from rolecall.reference.faults.exceptions import query_of
from rolecall.reference.faults.registry import fault
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- expired tokens -----------------------------------------------------------------------------


def _let_in_expired(server: Server, applies: Callable[[Call], bool]) -> None:
    """Do not look at the end of a token for some requests."""
    authenticate = server.guard.authenticate
    expired = server.verifier.expired
    looked_away: list[bool] = []

    @instead_of(server.verifier.expired)
    def unless_away(exp: int) -> bool:
        return not looked_away and expired(exp)

    @instead_of(server.guard.authenticate)
    def leniently(call: Call) -> Principal:
        if applies(call):
            looked_away.append(True)
        try:
            return authenticate(call)
        finally:
            looked_away.clear()


@fault("expired-heads-let-in", finding="EXPIRY-403", needs=("clock",))
def expired_heads_let_in(server: Server) -> None:
    """HEAD is answered to tokens that have expired, so that monitors go on."""
    _let_in_expired(server, lambda call: call.method == "HEAD")


@fault("expired-on-a-connection-let-in", finding="EXPIRY-403", needs=("clock",))
def expired_on_a_connection_let_in(server: Server) -> None:
    """A token is looked at once on each connection, and is good there while that is open."""
    known: set[tuple[object, str | None]] = set()

    def place(call: Call) -> tuple[object, str | None]:
        return call.scope.get("client"), call.header(b"authorization")

    _let_in_expired(server, lambda call: place(call) in known)
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def remembered(call: Call) -> Principal:
        principal = authenticate(call)
        known.add(place(call))
        return principal


@fault("expired-filtered-lists-let-in", finding="EXPIRY-403", needs=("clock",))
def expired_filtered_lists_let_in(server: Server) -> None:
    """A list by id, or of one thing, is answered to tokens that have expired."""
    _let_in_expired(
        server,
        lambda call: (
            call.verb == "GET" and call.id is None and bool({"id", "limit"} & set(query_of(call)))
        ),
    )
