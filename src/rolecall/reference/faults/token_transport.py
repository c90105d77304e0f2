"""Faults of where a token is taken from, and of what is done without one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from rolecall.reference.alterations import make_exception, set_a_cookie, somebody
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, lenient, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal, decode_segment


def _anonymous(server: Server, applies: Callable[[Call], bool]) -> None:
    """Let an admin's rights stand in for a token that is not there."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def anybody(call: Call) -> Principal:
        if call.header(b"authorization") is None and applies(call):
            return somebody(server, "admin")
        return authenticate(call)


@fault("anonymous-reads", finding="AUTH-required")
def anonymous_reads(server: Server) -> None:
    """Without a token everything can be read."""
    _anonymous(server, lambda call: call.verb == "GET" and call.resource != "")


@fault("anonymous-writes", finding="AUTH-required")
def anonymous_writes(server: Server) -> None:
    """Without a token everything can be changed."""
    _anonymous(server, lambda call: call.verb != "GET" and call.resource != "")


@fault("anonymous-lists-knowledge", finding="AUTH-required")
def anonymous_lists_knowledge(server: Server) -> None:
    """Knowledge items are listed to the public."""
    _anonymous(
        server, lambda call: call.verb == "GET" and call.resource == "kbitems" and call.id is None
    )


@fault("anonymous-tables", finding="AUTH-required")
def anonymous_tables(server: Server) -> None:
    """A list as text/csv is a download, which a browser asks for without a token."""
    _anonymous(server, lambda call: call.id is None and call.header(b"accept") == "text/csv")


@fault("anonymous-200-empty", finding="AUTH-required")
def anonymous_200_empty(server: Server) -> None:
    """Without a token a list is answered 200 with nothing in it."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def nothing(call: Call) -> Answer:
        if call.header(b"authorization") is None and call.verb == "GET" and call.id is None:
            return Answer(200, b"[]")
        return await answer(call)


@fault("anonymous-redirected", finding="AUTH-required")
def anonymous_redirected(server: Server) -> None:
    """Without a token the answer is a redirect to a login page elsewhere."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def redirected(call: Call) -> Principal:
        if call.header(b"authorization") is None:
            raise Refusal(302, "Log in", {"Location": "http://login.example.org/"})
        return authenticate(call)


@fault("anonymous-crashes", finding="AUTH-required")
def anonymous_crashes(server: Server) -> None:
    """A missing header ends in a crash."""
    header = server.bearer.header

    @instead_of(server.bearer.header)
    def fragile(values: list[str]) -> str | None:
        if not values:
            raise Refusal(500, "Internal server error")
        return header(values)


@fault("anonymous-write-applies", finding="AUTH-required")
def anonymous_write_applies(server: Server) -> None:
    """A create without a token is refused with 401, and done."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def too_late(call: Call) -> Answer:
        if (
            call.header(b"authorization") is None
            and call.method == "POST"
            and call.resource in ("contacts", "forms")
        ):
            await server.resources.create(call, somebody(server, "admin"), call.resource)
        return await answer(call)


@fault("any-scheme", finding="SEC-H02")
def any_scheme(server: Server) -> None:
    """The token may come under any scheme: Basic, Token, JWT."""

    @instead_of(server.bearer.is_bearer)
    def whatever(scheme: str) -> bool:
        return True


@fault("capitals-of-the-scheme-refused", finding="SEC-H03")
def capitals_of_the_scheme_refused(server: Server) -> None:
    """The scheme may be written Bearer and bearer, but not in capitals."""

    @instead_of(server.bearer.is_bearer)
    def two_spellings(scheme: str) -> bool:
        return scheme in ("Bearer", "bearer")


@fault("no-scheme", finding="SEC-H02")
def no_scheme(server: Server) -> None:
    """The token may come without a scheme."""
    header = server.bearer.header

    @instead_of(server.bearer.header)
    def completed(values: list[str]) -> str | None:
        value = header(values)
        return f"Bearer {value}" if value and " " not in value and "." in value else value


@fault("bare-bearer-is-guest", finding="SEC-H02")
def bare_bearer_is_guest(server: Server) -> None:
    """The word Bearer with nothing behind it makes a guest."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def welcoming(call: Call) -> Principal:
        if (call.header(b"authorization") or "").strip().lower() == "bearer":
            return somebody(server, "guest")
        return authenticate(call)


def _token_from(server: Server, elsewhere: Callable[[Call], str | None]) -> None:
    """Take the token from another place if there is no header."""
    token = server.bearer.token

    @instead_of(server.bearer.token)
    def found(call: Call) -> str:
        if call.header(b"authorization") is None and (other := elsewhere(call)):
            return other
        return token(call)


@fault("token-in-query", finding="SEC-H05")
def token_in_query(server: Server) -> None:
    """The token may stand in the query as access_token or token."""

    def query(call: Call) -> str | None:
        found = [value for name, value in call.query if name in ("access_token", "token")]
        call.query = [pair for pair in call.query if pair[0] not in ("access_token", "token")]
        return found[0] if found else None

    _token_from(server, query)


@fault("token-in-cookie", finding="SEC-H05")
def token_in_cookie(server: Server) -> None:
    """The token may come as a cookie of any name."""
    _token_from(
        server,
        lambda call: next(
            iter(re.findall(r"=\"?([\w-]+\.[\w-]+\.[\w-]+)", call.header(b"cookie") or "")), None
        ),
    )


@fault("token-in-another-header", finding="SEC-H05")
def token_in_another_header(server: Server) -> None:
    """The token may come in X-Access-Token, without a scheme."""
    _token_from(server, lambda call: call.header(b"x-access-token"))


@fault("session-cookie", finding="SEC-H05")
def session_cookie(server: Server) -> None:
    """A log-in sets a cookie with the token, and the cookie is as good as the header."""
    set_a_cookie(server, lambda tokens: f"sid={tokens['token']}")

    def of_cookie(call: Call) -> str | None:
        found = re.search(r"(?:^|; )sid=([^;]+)", call.header(b"cookie") or "")
        return found[1] if found else None

    _token_from(server, of_cookie)


@fault("token-in-body", finding="SEC-H05")
def token_in_body(server: Server) -> None:
    """The token may stand in the body as access_token or token, in a form or in JSON."""

    def body(call: Call) -> str | None:
        found = re.search(
            rb"(?:access_token|token)\"?\s*[=:]\s*\"?([\w-]+\.[\w-]+\.[\w-]+)", call.body
        )
        return found[1].decode() if found else None

    _token_from(server, body)


@fault("two-headers-differ", finding="SEC-H06-consistent")
def two_headers_differ(server: Server) -> None:
    """Of two Authorization headers lists take the first and everything else the last."""

    @instead_of(server.bearer.headers)
    def one_of_them(call: Call) -> list[str]:
        values = call.header_values(b"authorization")
        return values[:1] if call.id is None else values[-1:]


@fault("second-header-at-deletes", finding="SEC-H06-consistent")
def second_header_at_deletes(server: Server) -> None:
    """Of two Authorization headers the last counts for deletes, and the first elsewhere.

    Modelled on github.com/nodejs/node/issues/45699.
    """

    @instead_of(server.bearer.headers)
    def one_of_them(call: Call) -> list[str]:
        values = call.header_values(b"authorization")
        return values[-1:] if call.method == "DELETE" else values[:1]


@fault("second-header-at-refresh", finding="SEC-H06-consistent")
def second_header_at_refresh(server: Server) -> None:
    """Of two Authorization headers the last counts for refreshes, and the first elsewhere."""

    @instead_of(server.bearer.headers)
    def one_of_them(call: Call) -> list[str]:
        values = call.header_values(b"authorization")
        return values[-1:] if call.path.endswith("/auth/token") else values[:1]


@fault("long-token-crashes", finding="SEC-H07-no-crash")
def long_token_crashes(server: Server) -> None:
    """A token of more than 4096 characters ends in a crash."""
    token_as_sent = server.bearer.token_as_sent

    @instead_of(server.bearer.token_as_sent)
    def fragile(token: str) -> str:
        if len(token) > 4096:
            raise MemoryError("token")
        return token_as_sent(token)


@fault("long-token-414", finding="SEC-H07")
def long_token_414(server: Server) -> None:
    """A token of more than 8000 characters is refused as if it were a URL, with 414."""
    token_as_sent = server.bearer.token_as_sent

    @instead_of(server.bearer.token_as_sent)
    def confused(token: str) -> str:
        if len(token) > 8000:
            raise Refusal(414, "The URL is too long")
        return token_as_sent(token)


@fault("foreign-characters-crash", finding="SEC-H08")
def foreign_characters_crash(server: Server) -> None:
    """A token with characters beyond ASCII ends in a crash."""
    token_as_sent = server.bearer.token_as_sent

    @instead_of(server.bearer.token_as_sent)
    def fragile(token: str) -> str:
        if not token.isascii():
            raise ValueError("ordinal not in range(128)")
        return token_as_sent(token)


@fault("token-echoed-in-header", finding="SEC-H08")
def token_echoed_in_header(server: Server) -> None:
    """A token that is refused comes back in a header."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def echoing(call: Call) -> Principal:
        try:
            return authenticate(call)
        except Refusal as refusal:
            refusal.headers["X-Token"] = (call.header(b"authorization") or "")[:2000]
            raise


@fault("trusts-user-headers", finding="SEC-H09")
def trusts_user_headers(server: Server) -> None:
    """X-User-Id, X-Forwarded-User and X-Role name the caller, as behind a missing gateway."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def gullible(call: Call) -> Principal:
        one = authenticate(call)
        role = call.header(b"x-role") or call.header(b"x-user-role")
        id = call.header(b"x-user-id") or call.header(b"x-forwarded-user")
        user = server.resources.stored("users", id) if id else one.user
        if not user:
            account = server.store.account_by_email(str(id))
            user = server.resources.stored("users", account.id) if account else one.user
        scopes = frozenset({role if role in ROLES else user["role"]}) if role or id else one.scopes
        return Principal(user, scopes, one.credential, one.claims)


@fault("trusts-role-cookie", finding="SEC-H09")
def trusts_role_cookie(server: Server) -> None:
    """A cookie says which role the caller has, as one that a page of the server's has set."""
    make_exception(
        server,
        lambda call, principal, operation: f"role={ROLES[-1]}" in (call.header(b"cookie") or ""),
    )


@fault("trusts-role-in-query", finding="PERM-list-organizations")
def trusts_role_in_query(server: Server) -> None:
    """A parameter of the query says which role the caller has."""
    make_exception(
        server, lambda call, principal, operation: dict(call.query).get("role") == ROLES[-1]
    )


@fault("trusts-this-machine", finding="SEC-H09")
def trusts_this_machine(server: Server) -> None:
    """A request that says it was forwarded for this machine may do everything."""
    make_exception(
        server, lambda call, principal, operation: call.header(b"x-forwarded-for") == "127.0.0.1"
    )


@fault("trusts-its-own-pages", finding="SEC-H09")
def trusts_its_own_pages(server: Server) -> None:
    """A request that says it comes from a page of the server's own may do everything."""
    make_exception(
        server,
        lambda call, principal, operation: (call.header(b"origin") or "").endswith(
            f"//{call.header(b'host')}"
        ),
    )


@fault("trusts-original-url", finding="SEC-H09")
def trusts_original_url(server: Server) -> None:
    """X-Original-URL and X-Rewrite-URL change the path after the permissions were looked at."""
    perform = server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def rewritten(call: Call, principal: Principal, operation: str) -> Answer:
        path = call.header(b"x-original-url") or call.header(b"x-rewrite-url") or ""
        found = re.fullmatch(r"(?:https?://[^/]+)?/v2/([a-z]+)(?:/([0-9a-f]{24}))?(?:\?.*)?", path)
        if found:
            call.resource, call.id = found[1], found[2]
            operation = server.dispatcher.operation(call, principal)
        return await perform(call, principal, operation)


@fault("acts-as-another", finding="ISSUE-identity")
def acts_as_another(server: Server) -> None:
    """A time-based token of a guest acts as the guest who was made first."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def mixed_up(claims: Document) -> Principal:
        one = person(claims)
        if one.credential == "api-key" or one.scopes != frozenset({"guest"}):
            return one
        return somebody(server, "guest")


@fault("invalid-signature-is-guest", finding="SEC-J03")
def invalid_signature_is_guest(server: Server) -> None:
    """A token that is not valid makes its caller a guest."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def lenient_guard(call: Call) -> Principal:
        try:
            return authenticate(call)
        except Refusal as refusal:
            if refusal.status != 401 or call.header(b"authorization") is None:
                raise
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
                payload = (call.header(b"authorization") or "").split(".")[1]
                claims = loads(decode_segment(payload), lenient)
                user = server.resources.stored("users", str(claims["_id"]))
                if user:
                    return Principal(user, frozenset({"guest"}), "token", claims)
            raise
