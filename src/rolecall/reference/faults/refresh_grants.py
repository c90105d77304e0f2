"""Faults of what a refresh gives."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from math import inf

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import bad_request, method_not_allowed
from rolecall.reference.faults.expiry import DAY
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import SigningKey, compact

_path: ContextVar[str] = ContextVar("path", default="login")


def _refreshed(
    server: Server, change: Callable[[Document, Document, str], Document], path: str = ""
) -> None:
    """Change what a refresh answers: the answer, the user and the old refresh token are given."""
    tokens = server.tokens.tokens
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def noted(call: Call) -> Answer:
        _path.set(call.method)
        return await answer(call)

    @instead_of(server.tokens.tokens)
    def changed(user: Document, old: str | None = None) -> Answer:
        given = tokens(user, old)
        if old is not None and path in ("", _path.get()):
            given.body = dumps(change(loads(given.body), user, old)).encode()
        return given


@fault("get-refresh-missing", finding="REFRESH-get")
def get_refresh_missing(server: Server) -> None:
    """GET does not refresh."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def only_post(call: Call) -> Answer:
        if call.method == "GET":
            raise method_not_allowed("POST")
        return await answer(call)


@fault("post-refresh-missing", finding="REFRESH-after-expiry", needs=("clock",))
def post_refresh_missing(server: Server) -> None:
    """POST does not refresh."""

    @instead_of(server.tokens.refresh_after_expiry)
    def login_only(call: Call, body: Document) -> Answer:
        raise bad_request("email has to be a text")


@fault("post-refresh-needs-bearer", finding="REFRESH-after-expiry", needs=("clock",))
def post_refresh_needs_bearer(server: Server) -> None:
    """POST refresh asks for an Authorization header."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def guarded(call: Call, body: Document) -> Answer:
        server.bearer.token(call)
        return after(call, body)


@fault("guests-refresh-by-get-alone", finding="REFRESH-post")
def guests_refresh_by_get_alone(server: Server) -> None:
    """POST refreshes for every role but the lowest."""
    user = server.tokens.user
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def unless_guest(call: Call, body: Document) -> Answer:
        row = server.refresh.find(server.tokens.text(body, "refreshToken"))
        if user(row.user)["role"] == ROLES[0]:
            raise bad_request("Guests refresh by GET")
        return after(call, body)


@fault("post-refresh-before-expiry-only", finding="REFRESH-after-expiry", needs=("clock",))
def post_refresh_before_expiry_only(server: Server) -> None:
    """POST refresh is refused once 24 hours have passed."""
    usable = server.refresh.usable

    @instead_of(server.refresh.usable)
    def young(row: RefreshRow) -> bool:
        return usable(row) and server.clock.now() < row.issued + DAY


def _without(name: str) -> Callable[[Document, Document, str], Document]:
    return lambda document, user, old: {
        key: value for key, value in document.items() if key != name
    }


@fault("get-refresh-omits-refresh-token", finding="REFRESH-get")
def get_refresh_omits_refresh_token(server: Server) -> None:
    """GET refresh answers without a refresh token."""
    _refreshed(server, _without("refreshToken"), "GET")


@fault("post-refresh-omits-refresh-token", finding="REFRESH-post")
def post_refresh_omits_refresh_token(server: Server) -> None:
    """POST refresh answers without a refresh token."""
    _refreshed(server, _without("refreshToken"), "POST")


@fault("get-refresh-omits-scope", finding="REFRESH-get")
def get_refresh_omits_scope(server: Server) -> None:
    """GET refresh answers without the scope."""
    _refreshed(server, _without("scope"), "GET")


@fault("post-refresh-omits-user", finding="REFRESH-post")
def post_refresh_omits_user(server: Server) -> None:
    """POST refresh answers without the user."""
    _refreshed(server, _without("user"), "POST")


@fault("refresh-gives-same-access-token", finding="REFRESH-new-token")
def refresh_gives_same_access_token(server: Server) -> None:
    """A refresh answers with the access token that the user had before."""
    tokens = server.tokens.tokens
    last: dict[str, str] = {}

    @instead_of(server.tokens.tokens)
    def same(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        document = loads(answer.body)
        # one per refresh token, so that two sessions of a user do not meet
        document["token"] = last.pop(old or "", document["token"])
        last[document["refreshToken"]] = document["token"]
        answer.body = dumps(document).encode()
        return answer


@fault("refresh-gives-dead-access-token", finding="REFRESH-new-token")
def refresh_gives_dead_access_token(server: Server) -> None:
    """The access token of a refresh is signed with a key that the server does not check with."""
    dead = SigningKey.shared(b"an old key that was rotated long ago")
    _refreshed(
        server,
        lambda document, user, old: document | {"token": compact(dead, server.issuer.claims(user))},
    )


@fault("refresh-gives-14-days", finding="REFRESH-new-token")
def refresh_gives_14_days(server: Server) -> None:
    """The access token of a refresh lives for 14 days."""

    def longer(document: Document, user: Document, old: str) -> Document:
        claims = server.issuer.claims(user)
        return document | {"token": server.issuer.write(claims | {"exp": claims["iat"] + 14 * DAY})}

    _refreshed(server, longer)


@fault("refresh-keeps-the-end", finding="EXPIRY-not-before", needs=("clock",))
def refresh_keeps_the_end(server: Server) -> None:
    """The token of a refresh before expiry says 24 hours, and is refused when the one before it
    ends.
    """
    ends: dict[str, int] = {}
    end: ContextVar[int] = ContextVar("end", default=0)
    before, write = server.tokens.refresh_before_expiry, server.issuer.write
    check = server.verifier.check_times

    @instead_of(server.tokens.refresh_before_expiry)
    def kept(call: Call) -> Answer:
        end.set(server.guard.authenticate(call).claims.get("exp", 0))  # an API key has none
        return before(call)

    @instead_of(server.issuer.write)
    def noted(claims: Document) -> str:
        if end.get():
            ends[claims["jti"]] = end.get()
        return write(claims)

    @instead_of(server.verifier.check_times)
    def impatient(claims: Document) -> None:
        check(claims)
        if server.clock.now() >= ends.get(claims.get("jti", ""), inf):
            raise server.verifier.expiry()


@fault("refresh-gives-dead-refresh-token", finding="REFRESH-chain")
def refresh_gives_dead_refresh_token(server: Server) -> None:
    """The refresh token of a refresh does not work."""
    _refreshed(
        server,
        lambda document, user, old: document | {"refreshToken": server.refresh.secret(user["id"])},
    )


@fault("refresh-gives-used-refresh-token", finding="REFRESH-chain")
def refresh_gives_used_refresh_token(server: Server) -> None:
    """A refresh answers with the refresh token that it has just used up."""
    _refreshed(server, lambda document, user, old: document | {"refreshToken": old})


@fault("chain-of-three", finding="REFRESH-chain")
def chain_of_three(server: Server) -> None:
    """The fourth refresh in a row fails."""
    depth: dict[str, int] = {}
    _refreshed(server, lambda document, user, old: _deeper(document, old, depth))
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def tired(token: str) -> RefreshRow:
        if depth.get(token, 0) >= 3:
            raise server.refresh.refused()
        return find(token)


def _deeper(document: Document, old: str, depth: dict[str, int]) -> Document:
    depth[document["refreshToken"]] = depth.get(old, 0) + 1
    return document


@fault("paths-do-not-mix", finding="REFRESH-chain")
def paths_do_not_mix(server: Server) -> None:
    """A refresh token that came from GET works with GET only, one from POST with POST."""
    path: dict[str, str] = {}
    _refreshed(server, lambda document, user, old: _noted(document, path))
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def same_path(token: str) -> RefreshRow:
        if path.get(token, _path.get()) != _path.get():
            raise server.refresh.refused()
        return find(token)


def _noted(document: Document, path: dict[str, str]) -> Document:
    path[document["refreshToken"]] = _path.get()
    return document


def _scope(server: Server, change: Callable[[str], str]) -> None:
    """Give a refreshed token another scope."""

    def other(document: Document, user: Document, old: str) -> Document:
        scope = change(user["role"])
        claims = server.issuer.claims(user) | {"scope": scope}
        return document | {"token": server.issuer.write(claims), "scope": scope}

    _refreshed(server, other)


@fault("refresh-widens-scope", finding="REFRESH-same-user")
def refresh_widens_scope(server: Server) -> None:
    """A refreshed token has the next higher scope."""
    _scope(server, lambda role: ROLES[min(RANK[role] + 1, 3)])


@fault("refresh-narrows-scope", finding="REFRESH-same-user")
def refresh_narrows_scope(server: Server) -> None:
    """A refreshed token has the scope guest."""
    _scope(server, lambda role: "guest")


@fault("refresh-gives-another-user", finding="REFRESH-same-user")
def refresh_gives_another_user(server: Server) -> None:
    """A refreshed token is the second guest's."""

    def other(document: Document, user: Document, old: str) -> Document:
        second = server.resources.stored("users", server.accounts["guest2"].id)
        claims = server.issuer.claims(second)
        return document | {
            "token": server.issuer.write(claims),
            "user": second["id"],
            "scope": claims["scope"],
        }

    _refreshed(server, other)
