"""Faults that permit a denied request, or let a stranger in, by what its head says besides."""

from __future__ import annotations

import hashlib

from rolecall.reference.alterations import make_exception, somebody
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.exceptions import exempt, query_of
from rolecall.reference.faults.registry import fault
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("scripts-of-pages-unguarded", finding="PERM-list-organizations")
def scripts_of_pages_unguarded(server: Server) -> None:
    """What a script of a page asks for (X-Requested-With) was checked by the page already."""
    exempt(
        server,
        lambda call, principal, operation: call.header(b"x-requested-with") == "XMLHttpRequest",
    )


@fault("get-with-body-unguarded", finding="PERM-list-organizations")
def get_with_body_unguarded(server: Server) -> None:
    """A GET that has a body is passed on as a search, which nobody guards."""
    exempt(server, lambda call, principal, operation: call.verb == "GET" and bool(call.body))


@fault("trusts-user-in-query", finding="PERM-list-organizations")
def trusts_user_in_query(server: Server) -> None:
    """A parameter of the query says for which user a request is made."""
    make_exception(
        server,
        lambda call, principal, operation: (
            query_of(call).get("userId") == server.accounts["admin"].id
        ),
    )


@fault("trusts-scope-header", finding="SEC-H09")
def trusts_scope_header(server: Server) -> None:
    """A header that a gateway is to set says which scope the caller has."""
    make_exception(
        server, lambda call, principal, operation: call.header(b"x-user-scope") == "admin"
    )


@fault("subrequests-unguarded", finding="SEC-H09")
def subrequests_unguarded(server: Server) -> None:
    """A header says that a request comes from the server itself, whose guard has seen it before.

    Modelled on CVE-2025-29927 (Next.js).
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            (call.header(b"x-middleware-subrequest") or "").split(":").count("middleware") >= 5
        ),
    )


@fault("anonymous-not-modified", finding="AUTH-required")
def anonymous_not_modified(server: Server) -> None:
    """Reads have an ETag, and whoever knows it is told that nothing has changed, before anybody
    asks for a token.
    """
    answer, known = server.dispatcher.answer, dict[str, str]()

    @instead_of(server.dispatcher.answer)
    async def by_tag(call: Call) -> Answer:
        wanted, is_known = call.header(b"if-none-match"), call.header(b"authorization") is not None
        if not is_known and wanted and known.get(call.path) == wanted:
            return Answer(304, headers={"ETag": wanted})
        given = await answer(call)
        if call.verb == "GET" and given.status == 200 and is_known:
            tag = f'"{hashlib.sha256(given.body).hexdigest()[:16]}"'
            known[call.path] = given.headers["ETag"] = tag
        return given


@fault("trusts-certificate-header", finding="SEC-H09")
def trusts_certificate_header(server: Server) -> None:
    """A header says that the certificate of the client was verified, as a proxy would that is not
    there.
    """
    make_exception(
        server,
        lambda call, principal, operation: call.header(b"x-ssl-client-verify") == "SUCCESS",
    )


@fault("trusts-the-vendors-client", finding="PERM-list-organizations")
def trusts_the_vendors_client(server: Server) -> None:
    """What calls itself the vendor's client (User-Agent) is one of the own bots, and may do
    everything.
    """
    make_exception(
        server,
        lambda call, principal, operation: (call.header(b"user-agent") or "").startswith(
            "chipchat/"
        ),
    )


@fault("strangers-of-this-machine", finding="SEC-H09")
def strangers_of_this_machine(server: Server) -> None:
    """Who was forwarded for this machine is its own monitoring, and needs no token.

    Modelled on CWE-290, authentication bypass by spoofing.
    """
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def local(call: Call) -> Principal:
        is_stranger = call.header(b"authorization") is None
        if is_stranger and call.header(b"x-forwarded-for") == "127.0.0.1":
            return somebody(server, "admin")
        return authenticate(call)
