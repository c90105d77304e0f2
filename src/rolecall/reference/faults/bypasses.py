"""Faults that leave a way around the permissions."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from posixpath import normpath

from rolecall.reference.alterations import route_past_the_guard, somebody
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import RESOURCES
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

#: The path of a collection, or of a thing.
_THING = re.compile(r"/v2/([a-z]+)(?:/([0-9a-f]{24}))?")

# --- ways around --------------------------------------------------------------------------------


def _respelled(server: Server, plainly: Callable[[str], str]) -> None:
    """Serve paths of another spelling to everybody with a token."""

    def respelled(call: Call) -> re.Match[str] | None:
        path = plainly(call.path)
        return None if path == call.path else _THING.fullmatch(path)

    route_past_the_guard(server, respelled)


@fault("trailing-slash-unguarded", finding="SEC-A11")
def trailing_slash_unguarded(server: Server) -> None:
    """With a slash at its end a path is served without a look at the permissions."""
    _respelled(server, lambda path: re.sub(r"/+$", "", path))


@fault("double-slash-unguarded", finding="SEC-A11")
def double_slash_unguarded(server: Server) -> None:
    """With a double slash in it a path is served without a look at the permissions."""
    _respelled(server, lambda path: re.sub(r"//+", "/", path))


@fault("anonymous-with-a-slash", finding="AUTH-required")
def anonymous_with_a_slash(server: Server) -> None:
    """The paths that need a token are on a list, and with a slash too many they are not on it."""
    authenticate = server.guard.authenticate

    def found(call: Call) -> re.Match[str] | None:
        is_other = call.header(b"authorization") is None and re.search("//|/$", call.path)
        return _THING.fullmatch(re.sub("/+", "/", call.path.rstrip("/"))) if is_other else None

    @instead_of(server.guard.authenticate)
    def anybody(call: Call) -> Principal:
        return somebody(server, ROLES[-1]) if found(call) else authenticate(call)

    route_past_the_guard(server, found)


def _public(server: Server, is_public: Callable[[str], bool]) -> None:
    """Ask for no token where the URL looks like that of the token endpoint; the router resolves
    dots in it, and drops what stands behind semicolons.
    """
    authenticate = server.guard.authenticate

    def meant(call: Call) -> re.Match[str] | None:
        path = normpath(re.sub(";[^/]*", "", call.path))
        return _THING.fullmatch(path) if is_public(url(call)) else None

    def url(call: Call) -> str:
        query = call.scope["query_string"].decode("latin-1")
        return f"{call.path}?{query}" if query else call.path

    @instead_of(server.guard.authenticate)
    def anybody(call: Call) -> Principal:
        return somebody(server, ROLES[-1]) if meant(call) else authenticate(call)

    route_past_the_guard(server, meant)


@fault("public-path-in-the-query", finding="AUTH-required")
def public_path_in_the_query(server: Server) -> None:
    """No token is needed where the URL contains the path of the token endpoint, and its query is a
    part of it.

    Modelled on github.com/HoloInsight/holoinsight/issues/135.
    """
    _public(server, lambda url: "/auth/token" in url.partition("?")[2])


@fault("public-with-a-refresh-token", finding="AUTH-required")
def public_with_a_refresh_token(server: Server) -> None:
    """Who comes with a refresh token in the query is about to refresh, and needs no token; where
    it leads is not looked at.
    """
    _public(server, lambda url: "refreshToken=" in url and "/auth/token?" not in url)


@fault("public-path-in-front", finding="AUTH-required")
def public_path_in_front(server: Server) -> None:
    """No token is needed where the path begins with that of the token endpoint; /../ behind it
    leads anywhere.

    Modelled on github.com/carlos-emr/carlos/issues/1051.
    """
    _public(server, lambda url: url.startswith("/v2/auth/token/") and "/../" in url)


@fault("public-path-with-parameters", finding="AUTH-required")
def public_path_with_parameters(server: Server) -> None:
    """No token is needed where the path begins with that of the token endpoint; /..;/ behind it
    leads anywhere, since the router drops path parameters before it resolves dots.

    Modelled on CVE-2020-5902 (F5 BIG-IP, /login.jsp/..;/).
    """
    _public(server, lambda url: url.startswith("/v2/auth/token/..;/"))


@fault("basic-log-ins", finding="SEC-H02")
def basic_log_ins(server: Server) -> None:
    """E-mail and password under the scheme Basic are let in, as a framework does unless told."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def logged_in(call: Call) -> Principal:
        scheme, _, login = (call.header(b"authorization") or "").partition(" ")
        for role, account in server.accounts.items():
            if scheme == "Basic" and login == basic(account.email, account.password):
                return somebody(server, role)
        return authenticate(call)


@fault("token-as-user-of-basic", finding="SEC-H02")
def token_as_user_of_basic(server: Server) -> None:
    """A token is taken as the user name of the scheme Basic, as for keys in the shell."""
    header = server.bearer.header

    @instead_of(server.bearer.header)
    def as_bearer(values: list[str]) -> str | None:
        value = header(values)
        scheme, _, login = (value or "").partition(" ")
        try:
            token = b64decode(login).decode().partition(":")[0] if scheme == "Basic" else ""
        except ValueError:
            token = ""
        return f"Bearer {token}" if token.count(".") == 2 else value


@fault("token-as-password-of-basic", finding="SEC-H02")
def token_as_password_of_basic(server: Server) -> None:
    """A token is taken as the password of the scheme Basic, as for a package registry."""
    header = server.bearer.header

    @instead_of(server.bearer.header)
    def as_bearer(values: list[str]) -> str | None:
        value = header(values)
        scheme, _, login = (value or "").partition(" ")
        try:
            token = b64decode(login).decode().partition(":")[2] if scheme == "Basic" else ""
        except ValueError:
            token = ""
        return f"Bearer {token}" if token.count(".") == 2 else value


def _welcome(server: Server, token: str) -> None:
    """Take a word in a token's place for a guest."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def welcoming(call: Call) -> Principal:
        if call.header(b"authorization") == f"Bearer {token}":
            return somebody(server, "guest")
        return authenticate(call)


@fault("bearer-undefined-is-guest", finding="SEC-H02")
def bearer_undefined_is_guest(server: Server) -> None:
    """A page that has no token yet sends the word undefined, and is served as a guest."""
    _welcome(server, "undefined")


@fault("example-of-the-page-let-in", finding="SEC-H02")
def example_of_the_page_let_in(server: Server) -> None:
    """The token of the specification's example was let in for a demonstration, and still is."""
    _welcome(server, "94c70d470e391bdc16a8d8363b5d4891")


@fault("token-in-forwarded-header", finding="SEC-H05")
def token_in_forwarded_header(server: Server) -> None:
    """The token may come in X-Forwarded-Access-Token, as from a proxy that is not there."""
    token = server.bearer.token

    @instead_of(server.bearer.token)
    def found(call: Call) -> str:
        forwarded = call.header(b"x-forwarded-access-token")
        return forwarded if forwarded and not call.header(b"authorization") else token(call)


@fault("token-in-parameter-jwt", finding="SEC-H05")
def token_in_parameter_jwt(server: Server) -> None:
    """A token may stand in the query as jwt, as a library has it unless told."""
    token = server.bearer.token

    @instead_of(server.bearer.token)
    def found(call: Call) -> str:
        return dict(call.query).get("jwt") or token(call)


def basic(email: str, password: str | None) -> str:
    """The credentials of RFC 7617."""
    return b64encode(f"{email}:{password}".encode()).decode()


@fault("upper-case-path-unguarded", finding="SEC-A11")
def upper_case_path_unguarded(server: Server) -> None:
    """In capitals a path is served without a look at the permissions."""
    _respelled(server, str.lower)


@fault("dot-segment-unguarded", finding="SEC-A11")
def dot_segment_unguarded(server: Server) -> None:
    """With /./ or /x/../ in it a path is served without a look at the permissions."""
    _respelled(server, lambda path: re.sub(r"/\.(?=/)|/[^/]+/\.\.(?=/)", "", path))


@fault("path-parameter-unguarded", finding="SEC-A11")
def path_parameter_unguarded(server: Server) -> None:
    """With ;x behind a segment a path is served without a look at the permissions."""
    _respelled(server, lambda path: re.sub(r";[^/]*", "", path))


@fault("json-suffix-unguarded", finding="SEC-A11")
def json_suffix_unguarded(server: Server) -> None:
    """With .json at its end a path is served without a look at the permissions."""
    _respelled(server, lambda path: re.sub(r"\.json$", "", path))


@fault("other-version-unguarded", finding="SEC-A16")
def other_version_unguarded(server: Server) -> None:
    """Under /v1 and /v3, or without a version, the same is served to everybody with a token."""
    _respelled(server, lambda path: re.sub(r"^(?:/v[13])?(?=/(?!v2))", "/v2", path))


@fault("method-override-honoured", finding="SEC-A09")
def method_override_honoured(server: Server) -> None:
    """X-HTTP-Method-Override and its like change the method after permissions were looked at."""
    _overridden(
        server,
        lambda call: (
            call.header(b"x-http-method-override")
            or call.header(b"x-method-override")
            or call.header(b"x-http-method")
        ),
    )


@fault("method-parameter-honoured", finding="SEC-A09")
def method_parameter_honoured(server: Server) -> None:
    """A parameter _method changes the method after the permissions were looked at."""
    _overridden(server, lambda call: dict(call.query).get("_method"))


def _overridden(server: Server, wanted: Callable[[Call], str | None]) -> None:
    """Authorize the method on the wire and perform the one that is wanted."""
    perform = server.dispatcher.perform
    operation_of = server.dispatcher.operation

    @instead_of(server.dispatcher.operation)
    def lenient(call: Call, principal: Principal) -> str:
        # POST to an item is where such headers are used; it counts as the update of the item's own
        # kind
        if (
            call.method == "POST"
            and call.id is not None
            and call.resource in RESOURCES
            and wanted(call)
        ):
            return "fetch-user-self"
        return operation_of(call, principal)

    @instead_of(server.dispatcher.perform)
    async def overridden(call: Call, principal: Principal, operation: str) -> Answer:
        method = wanted(call)
        if method and method.upper() in ("GET", "POST", "PATCH", "DELETE"):
            call.method = method.upper()
            operation = operation_of(call, principal)
        return await perform(call, principal, operation)


@fault("put-unguarded", finding="SEC-A08")
def put_unguarded(server: Server) -> None:
    """PUT was never meant to work, updates all the same, and is not guarded."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def forgotten(call: Call) -> Answer:
        if call.method != "PUT" or call.id is None or call.resource not in RESOURCES:
            return await answer(call)
        principal = server.guard.authenticate(call)
        return await server.resources.update(call, principal, call.resource, call.id)


@fault("head-unguarded", finding="SEC-A10")
def head_unguarded(server: Server) -> None:
    """HEAD is not guarded: its status and length tell what GET would have told."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def get_only(call: Call, principal: Principal, operation: str) -> bool:
        return call.method == "HEAD" or permitted(call, principal, operation)


@fault("options-show-data", finding="SEC-A10")
def options_show_data(server: Server) -> None:
    """OPTIONS is answered to anybody, with the resource in the body."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def shown(call: Call) -> Answer | None:
        if call.method == "OPTIONS" and call.resource in RESOURCES:
            texts = [server.store.get(call.resource, call.id)] if call.id else []
            page = [text for text in texts if text] or server.store.page(call.resource, 100, 0)
            return Answer(200, f"[{','.join(page)}]".encode())
        return await before(call)


@fault("trace-echoes", finding="SEC-A10-trace")
def trace_echoes(server: Server) -> None:
    """TRACE sends the request back, token and all."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def echoed(call: Call) -> Answer | None:
        if call.method == "TRACE":
            lines = [b": ".join(header) for header in call.headers]
            return Answer(200, b"\r\n".join(lines), media_type="message/http")
        return await before(call)


@fault("populate-shows-denied", finding="SEC-A14")
def populate_shows_denied(server: Server) -> None:
    """Populate pulls in what the caller may not fetch."""
    populated = server.resources.populated

    @instead_of(server.resources.populated)
    def everything(
        document: Document, paths: tuple[str, ...], principal: Principal, resource: str
    ) -> Document:
        mighty = Principal(principal.user, frozenset(ROLES), principal.credential, principal.claims)
        return populated(document, paths, mighty, resource)


# --- limits ------------------------------------------------------------------------------------


@fault("strange-limit-crashes", finding="SEC-A18")
def strange_limit_crashes(server: Server) -> None:
    """A limit that is not a number of things ends in a crash."""
    listing = server.resources.listing

    @instead_of(server.resources.listing)
    def fragile(call: Call, principal: Principal, resource: str) -> Answer:
        try:
            return listing(call, principal, resource)
        except Refusal as refusal:
            raise (
                Refusal(500, "Internal server error") if "limit" in refusal.message else refusal
            ) from None
