"""Faults that make an exception for how a request is dressed: for a protocol that is to follow, a
condition, a script or a test that it is said to be, and for the clock of who sends it.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from email.utils import parsedate_to_datetime

from rolecall.reference.app import Server
from rolecall.reference.call import Call
from rolecall.reference.faults.exceptions import exempt, query_of
from rolecall.reference.faults.registry import fault
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("upgrades-unguarded", finding="PERM-list-organizations")
def upgrades_unguarded(server: Server) -> None:
    """What asks for a WebSocket is let through, since that looks at permissions by itself; what is
    answered is HTTP all the same.
    """
    exempt(
        server,
        lambda call, principal, operation: call.header(b"upgrade") == "websocket",
    )


@fault("streams-unguarded", finding="PERM-list-organizations")
def streams_unguarded(server: Server) -> None:
    """Whoever accepts a stream of events gets what there is, from a handler that nobody guards."""
    exempt(
        server,
        lambda call, principal, operation: (
            call.verb == "GET" and "text/event-stream" in (call.header(b"accept") or "")
        ),
    )


@fault("since-a-date-unguarded", finding="PERM-list-organizations")
def since_a_date_unguarded(server: Server) -> None:
    """A read on condition (If-Modified-Since) is answered by the cache, which has no guard."""
    exempt(
        server,
        lambda call, principal, operation: (
            call.verb == "GET" and call.header(b"if-modified-since") is not None
        ),
    )


@fault("callbacks-unguarded", finding="PERM-list-organizations")
def callbacks_unguarded(server: Server) -> None:
    """With a callback, as for JSONP, a read is one of a page, which was checked already."""
    exempt(
        server,
        lambda call, principal, operation: call.verb == "GET" and "callback" in query_of(call),
    )


@fault("preconditions-unguarded", finding="PERM-delete-organization")
def preconditions_unguarded(server: Server) -> None:
    """A delete with a precondition (If-Match) goes the way of the synchronising client, which is
    an administrator's.
    """
    exempt(
        server,
        lambda call, principal, operation: (
            call.verb == "DELETE" and call.header(b"if-match") is not None
        ),
    )


@fault("forced-deletes-unguarded", finding="PERM-delete-organization")
def forced_deletes_unguarded(server: Server) -> None:
    """A delete with force=true skips the checks, that of the permissions among them."""
    exempt(
        server,
        lambda call, principal, operation: (
            call.verb == "DELETE" and query_of(call).get("force") == "true"
        ),
    )


@fault("dry-runs-unguarded", finding="PERM-create-organization")
def dry_runs_unguarded(server: Server) -> None:
    """A write with dryRun=true needs no permission, and the parameter was never implemented."""
    exempt(
        server,
        lambda call, principal, operation: (
            call.verb != "GET" and query_of(call).get("dryRun") == "true"
        ),
    )


@fault("tenants-by-header-unguarded", finding="PERM-list-organizations")
def tenants_by_header_unguarded(server: Server) -> None:
    """A header says in which organization the caller is at work, and what somebody may there is
    still to be looked up.
    """
    exempt(
        server,
        lambda call, principal, operation: call.header(b"x-organization-id") is not None,
    )


@fault("old-versions-by-header-unguarded", finding="PERM-list-organizations")
def old_versions_by_header_unguarded(server: Server) -> None:
    """A header asks for the first version of the API, which had no permissions."""
    exempt(server, lambda call, principal, operation: call.header(b"x-api-version") == "1")


@fault("vendor-media-types-unguarded", finding="PERM-list-organizations")
def vendor_media_types_unguarded(server: Server) -> None:
    """A media type of the vendor's own leads to handlers of another version, without a guard."""
    exempt(
        server,
        lambda call, principal, operation: "application/vnd." in (call.header(b"accept") or ""),
    )


@fault("signed-requests-unguarded", finding="PERM-list-organizations")
def signed_requests_unguarded(server: Server) -> None:
    """A request with the signature of a webhook comes from a service of the platform's own; the
    signature is checked where there is a secret.
    """
    exempt(
        server,
        lambda call, principal, operation: call.header(b"x-hub-signature") is not None,
    )


@fault("prefetches-unguarded", finding="PERM-list-organizations")
def prefetches_unguarded(server: Server) -> None:
    """What a browser fetches beforehand is filled from the cache, and shown to nobody yet."""
    exempt(server, lambda call, principal, operation: call.header(b"purpose") == "prefetch")


@fault("includes-unguarded", finding="PERM-list-organizations")
def includes_unguarded(server: Server) -> None:
    """With include a read is one of the newer handlers', which look at what is included alone."""
    exempt(
        server,
        lambda call, principal, operation: call.verb == "GET" and "include" in query_of(call),
    )


@fault("deleted-things-unguarded", finding="PERM-list-organizations")
def deleted_things_unguarded(server: Server) -> None:
    """Who asks for deleted things besides is in the back office, where the page was guarded."""
    exempt(
        server,
        lambda call, principal, operation: query_of(call).get("includeDeleted") == "true",
    )


@fault("clock-of-the-sender", finding="EXPIRY-403", needs=("clock",))
def clock_of_the_sender(server: Server) -> None:
    """Whether a token has expired is looked up at the Date of the request, if it has one."""
    authenticate, expired = server.guard.authenticate, server.verifier.expired
    sent: ContextVar[float | None] = ContextVar("sent", default=None)

    @instead_of(server.guard.authenticate)
    def dated(call: Call) -> Principal:
        moment = None
        with suppress(ValueError):
            moment = parsedate_to_datetime(call.header(b"date") or "").timestamp()
        token = sent.set(moment)
        try:
            return authenticate(call)
        finally:
            sent.reset(token)

    @instead_of(server.verifier.expired)
    def by_their_clock(exp: int) -> bool:
        moment = sent.get()
        return expired(exp) if moment is None else moment >= exp
