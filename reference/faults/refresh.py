"""Faults of the two ways to refresh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request, forbidden, method_not_allowed
from rolecall.reference.faults.expiry import DAY, despite_expiry
from rolecall.reference.faults.registry import fault
from rolecall.reference.jsontext import Document, dumps, loads
from rolecall.reference.permissions import RANK
from rolecall.reference.refresh import digest
from rolecall.reference.settings import ROLES
from rolecall.reference.store import Account, RefreshRow
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Expired, Principal, SigningKey, compact

# --- which refresh token is taken --------------------------------------------------------------------------


def _loosely(server: Server, alike: Callable[[str, str], bool]) -> None:
    """Find a refresh token by another measure than equality. What they are is remembered for that."""
    issue = server.refresh.issue
    find = server.refresh.find
    issued: list[str] = []

    @instead_of(server.refresh.issue)
    def remembered(user: str) -> str:
        token = issue(user)
        issued.append(token)
        return token

    @instead_of(server.refresh.find)
    def loosely(token: str) -> RefreshRow:
        try:
            return find(token)
        except Refusal:
            for other in reversed(issued):
                row = server.store.refresh_token(digest(other))
                if row is not None and token != other and alike(token, other) and server.refresh.usable(row):
                    return row
            raise


@fault("refresh-by-beginning", finding="REFRESH-whole-token")
def refresh_by_beginning(server: Server) -> None:
    """The beginning of a refresh token will do, as in the specification's examples."""
    _loosely(server, lambda token, right: len(token) > 25 and right.startswith(token))


@fault("refresh-by-user-id", finding="REFRESH-whole-token")
def refresh_by_user_id(server: Server) -> None:
    """The user's id will do, with or without the dot."""
    _loosely(server, lambda token, right: token in (right[:24], right[:25]))


@fault("refresh-with-something-behind", finding="REFRESH-whole-token")
def refresh_with_something_behind(server: Server) -> None:
    """What follows a refresh token is not looked at."""
    _loosely(server, lambda token, right: token.startswith(right))


@fault("refresh-without-case", finding="REFRESH-whole-token")
def refresh_without_case(server: Server) -> None:
    """Refresh tokens are compared without regard to case."""
    _loosely(server, lambda token, right: token.lower() == right)


@fault("refresh-by-secret-of-79", finding="REFRESH-whole-token")
def refresh_by_secret_of_79(server: Server) -> None:
    """The last digit of a refresh token does not count."""
    _loosely(server, lambda token, right: token == right[:-1] or token[:-1] == right[:-1])


@fault("unknown-refresh-token", finding="REFRESH-unknown-token")
def unknown_refresh_token(server: Server) -> None:
    """A refresh token of the right form is good if the user in it exists."""
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def by_user(token: str) -> RefreshRow:
        try:
            return find(token)
        except Refusal:
            user = token.partition(".")[0]
            known = server.store.refresh_token(digest(token))
            if not server.refresh.well_formed(token) or known or not server.store.get("users", user):
                raise
            return RefreshRow(digest(token), user, server.clock.now(), None)


@fault("access-token-as-refresh-token", finding="REFRESH-token-kinds")
def access_token_as_refresh_token(server: Server) -> None:
    """An access token will do for a refresh token."""
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def either(token: str) -> RefreshRow:
        if token.count(".") == 2:
            principal = server.verifier.principal(token)
            return RefreshRow(digest(token), principal.id, server.clock.now(), None)
        return find(token)


@fault("refresh-token-as-bearer", finding="REFRESH-token-kinds")
def refresh_token_as_bearer(server: Server) -> None:
    """A refresh token will do for an access token."""
    principal = server.verifier.principal

    @instead_of(server.verifier.principal)
    def either(token: str) -> Principal:
        if not server.refresh.well_formed(token):
            return principal(token)
        row = server.refresh.find(token)
        user = server.tokens.user(row.user)
        return Principal(user, frozenset({user["role"]}), "token", {})


def _literally(server: Server, *names: str) -> None:
    """Let an object stand for a text, as a database that is asked too literally would."""
    text = server.tokens.text

    @instead_of(server.tokens.text)
    def asked(body: Document, name: str) -> str:
        value = body.get(name)
        if name in names and isinstance(value, dict) and any(key.startswith("$") for key in value):
            return "*"
        return text(body, name)


@fault("operator-as-refresh-token", finding="SEC-R15")
def operator_as_refresh_token(server: Server) -> None:
    """An object like {"$ne": null} for a refresh token finds one of the client's own."""
    _literally(server, "refreshToken")
    refresh = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def found(call: Call, body: Document) -> Answer:
        client = body.get("clientId")
        account = server.tokens.account(client) if isinstance(client, str) else None
        if isinstance(body.get("refreshToken"), dict) and account:
            return server.tokens.tokens(server.tokens.user(account.id), "*")
        return refresh(call, body)


@fault("operator-as-client-id", finding="SEC-R15")
def operator_as_client_id(server: Server) -> None:
    """An object like {"$ne": null} for a clientId is everybody."""
    _literally(server, "clientId")
    check = server.refresh.check_client

    @instead_of(server.refresh.check_client)
    def everybody(row: RefreshRow, client: Account | None) -> None:
        if client is None or client.id != "*":
            check(row, client)

    account = server.tokens.account

    @instead_of(server.tokens.account)
    def star(email: str) -> Account | None:
        return Account("*", "*", None) if email == "*" else account(email)


@fault("operator-in-query", finding="SEC-R15")
def operator_in_query(server: Server) -> None:
    """refreshToken[$ne]=x in the query finds a refresh token of the bearer."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def found(call: Call) -> Answer:
        if any(name.startswith("refreshToken[") for name, _ in call.query):
            return server.tokens.tokens(server.guard.authenticate(call).user, "*")
        return before(call)


# --- who may use it ----------------------------------------------------------------------------------------


@fault("refresh-of-foreign-bearer", finding="REFRESH-get-foreign")
def refresh_of_foreign_bearer(server: Server) -> None:
    """GET refresh does not ask whose bearer came with the refresh token."""

    @instead_of(server.refresh.check_bearer)
    def unasked(row: RefreshRow, principal: Principal) -> None:
        return None


@fault("refresh-for-foreign-bearer", finding="REFRESH-get-foreign")
def refresh_for_foreign_bearer(server: Server) -> None:
    """GET refresh with somebody else's refresh token gives tokens of the bearer's user."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def of_bearer(call: Call) -> Answer:
        principal = server.guard.authenticate(call)
        row = server.refresh.find(server.tokens.refresh_parameter(call))
        if row.user != principal.id:
            return server.tokens.tokens(principal.user, "*")
        return before(call)


@fault("foreign-bearer-burns-refresh-token", finding="REFRESH-get-foreign")
def foreign_bearer_burns_refresh_token(server: Server) -> None:
    """GET refresh with somebody else's refresh token is refused, and the refresh token dead."""
    check = server.refresh.check_bearer

    @instead_of(server.refresh.check_bearer)
    def burning(row: RefreshRow, principal: Principal) -> None:
        try:
            check(row, principal)
        except Refusal:
            server.refresh.consume(row)
            raise


@fault("refresh-without-bearer", finding="REFRESH-get-bearer")
def refresh_without_bearer(server: Server) -> None:
    """GET refresh needs no access token."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def public(call: Call) -> Answer:
        if call.header(b"authorization") is not None:
            return before(call)
        token = server.tokens.refresh_parameter(call)
        row = server.refresh.find(token)
        server.refresh.consume(row)
        return server.tokens.tokens(server.tokens.user(row.user), token)


@fault("refresh-with-expired-bearer", finding="REFRESH-get-expired", needs=("clock",))
def refresh_with_expired_bearer(server: Server) -> None:
    """GET refresh takes an expired access token."""
    bearer = server.tokens.bearer_of_refresh

    @instead_of(server.tokens.bearer_of_refresh)
    def patient(call: Call) -> Principal:
        try:
            return bearer(call)
        except Expired:
            return despite_expiry(server, call)


@fault("client-id-unchecked", finding="REFRESH-client")
def client_id_unchecked(server: Server) -> None:
    """POST refresh asks for a clientId and does not look at it."""

    @instead_of(server.refresh.check_client)
    def unread(row: RefreshRow, client: Account | None) -> None:
        return None


@fault("client-id-of-anybody", finding="REFRESH-client")
def client_id_of_anybody(server: Server) -> None:
    """POST refresh takes the clientId of any user there is."""

    @instead_of(server.refresh.check_client)
    def anybody(row: RefreshRow, client: Account | None) -> None:
        if client is None:
            raise server.refresh.refused()


@fault("client-id-optional", finding="REFRESH-client")
def client_id_optional(server: Server) -> None:
    """POST refresh takes the clientId if there is one."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def completed(call: Call, body: Document) -> Answer:
        if "clientId" not in body:
            row = server.refresh.find(server.tokens.text(body, "refreshToken"))
            account = server.store.account(row.user)
            body = {**body, "clientId": account.email if account else ""}
        return after(call, body)


@fault("client-id-is-user-id", finding="REFRESH-client")
def client_id_is_user_id(server: Server) -> None:
    """POST refresh takes the user's id for a clientId as well."""
    account = server.tokens.account

    @instead_of(server.tokens.account)
    def either(email: str) -> Account | None:
        return account(email) or server.store.account(email)


@fault("client-id-decides", finding="REFRESH-client")
def client_id_decides(server: Server) -> None:
    """POST refresh with any good refresh token gives tokens of the user whom the clientId names."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def of_client(call: Call, body: Document) -> Answer:
        row = server.refresh.find(server.tokens.text(body, "refreshToken"))
        client = server.tokens.account(server.tokens.text(body, "clientId"))
        if client is not None and client.id != row.user:
            return server.tokens.tokens(server.tokens.user(client.id), "*")
        return after(call, body)


# --- what comes back ---------------------------------------------------------------------------------------

_path: ContextVar[str] = ContextVar("path", default="login")


def _refreshed(server: Server, change: Callable[[Document, Document, str], Document], path: str = "") -> None:
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
    """There is no GET refresh."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def only_post(call: Call) -> Answer:
        if call.method == "GET":
            raise method_not_allowed("POST")
        return await answer(call)


@fault("post-refresh-missing", finding="REFRESH-post")
def post_refresh_missing(server: Server) -> None:
    """There is no POST refresh."""

    @instead_of(server.tokens.refresh_after_expiry)
    def login_only(call: Call, body: Document) -> Answer:
        raise bad_request("email has to be a text")


@fault("post-refresh-needs-bearer", finding="REFRESH-post")
def post_refresh_needs_bearer(server: Server) -> None:
    """POST refresh asks for an Authorization header."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def guarded(call: Call, body: Document) -> Answer:
        server.bearer.token(call)
        return after(call, body)


@fault("post-refresh-before-expiry-only", finding="REFRESH-after-expiry", needs=("clock",))
def post_refresh_before_expiry_only(server: Server) -> None:
    """POST refresh is refused once 24 hours have passed."""
    usable = server.refresh.usable

    @instead_of(server.refresh.usable)
    def young(row: RefreshRow) -> bool:
        return usable(row) and server.clock.now() < row.issued + DAY


def _without(name: str) -> Callable[[Document, Document, str], Document]:
    return lambda document, user, old: {key: value for key, value in document.items() if key != name}


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
    """The access token of a refresh is signed with a key that nobody checks with."""
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


@fault("refresh-gives-dead-refresh-token", finding="REFRESH-chain")
def refresh_gives_dead_refresh_token(server: Server) -> None:
    """The refresh token of a refresh does not work."""
    _refreshed(
        server, lambda document, user, old: document | {"refreshToken": server.refresh.secret(user["id"])}
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


# --- what else may go wrong --------------------------------------------------------------------------------


@fault("stale-role-after-refresh", finding="SEC-R17")
def stale_role_after_refresh(server: Server) -> None:
    """A refreshed token has the role that the user had at the login."""
    roles: dict[str, str] = {}
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def stale(user: Document, old: str | None = None) -> Answer:
        role = roles.pop(old or "", user["role"])
        answer = tokens({**user, "role": role}, old)
        roles[loads(answer.body)["refreshToken"]] = role
        return answer


@fault("refresh-after-password-change", finding="SEC-R18")
def refresh_after_password_change(server: Server) -> None:
    """A refresh token outlives the password it was issued for."""
    update = server.resources.update_account

    @instead_of(server.resources.update_account)
    async def forgetful(id: str, members: Document) -> None:
        rows = server.store.refresh_tokens_of(id)
        await update(id, members)
        for row in rows:
            if server.store.refresh_token(row.hash) is None:
                server.store.add_refresh_token(row)


def _wished_scope(server: Server, wish: Callable[[Call], object]) -> None:
    """Let a refresh ask for a scope."""
    answer = server.tokens.answer
    scope = server.issuer.scope
    wished: ContextVar[object] = ContextVar("wished", default=None)

    @instead_of(server.tokens.answer)
    async def noted(call: Call) -> Answer:
        wished.set(wish(call))
        return await answer(call)

    @instead_of(server.issuer.scope)
    def granted(user: Document) -> str:
        return str(wished.get()) if wished.get() in ROLES else scope(user)


@fault("refresh-grants-scope-of-body", finding="SEC-R16")
def refresh_grants_scope_of_body(server: Server) -> None:
    """A POST refresh with a member scope gets that scope."""

    def scope(call: Call) -> object:
        body = call.json() if call.method == "POST" else None
        return body.get("scope") if isinstance(body, dict) and "refreshToken" in body else None

    _wished_scope(server, scope)


@fault("refresh-grants-scope-of-query", finding="SEC-R16")
def refresh_grants_scope_of_query(server: Server) -> None:
    """A GET refresh with a parameter scope gets that scope."""
    _wished_scope(server, lambda call: dict(call.query).get("scope") if call.method == "GET" else None)


@fault("bearer-decides-post-refresh", finding="SEC-R13")
def bearer_decides_post_refresh(server: Server) -> None:
    """POST refresh with somebody's bearer gives tokens of the bearer's user."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def of_bearer(call: Call, body: Document) -> Answer:
        answer = after(call, body)
        try:
            principal = server.guard.authenticate(call)
        except Refusal:
            return answer
        if principal.id == loads(answer.body)["user"]:
            return answer
        return server.tokens.tokens(principal.user, "*")


@fault("mixed-credentials-widen", finding="SEC-R14")
def mixed_credentials_widen(server: Server) -> None:
    """With both ways in one body the token is the refresh token's user's, with the login's scope."""

    @instead_of(server.tokens.mixed)
    async def both(body: Document) -> Answer:
        answer = await server.tokens.login({name: body.get(name) for name in ("email", "password")})
        row = server.refresh.find(server.tokens.text(body, "refreshToken"))
        user = server.tokens.user(row.user)
        wider = max(user["role"], loads(answer.body)["scope"], key=lambda role: RANK.get(role, -1))
        return server.tokens.tokens({**user, "role": wider})


@fault("head-refreshes", finding="SEC-R22")
def head_refreshes(server: Server) -> None:
    """HEAD on the URL of a refresh uses the refresh token up."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def like_get(call: Call) -> Answer:
        if call.method == "HEAD":
            return server.tokens.refresh_before_expiry(call)
        return await answer(call)


def _busy(server: Server, clash: Callable[[RefreshRow], None]) -> None:
    """Take a moment for every refresh, and do something about a second one with the same token."""
    answer = server.tokens.answer
    consume = server.refresh.consume
    waiting: dict[str, int] = {}
    mine: ContextVar[str] = ContextVar("mine", default="")

    @instead_of(server.tokens.answer)
    async def slowly(call: Call) -> Answer:
        key = _given(call)
        if not key:
            return await answer(call)
        waiting[key] = waiting.get(key, 0) + 1
        mine.set(key)
        try:
            await asyncio.sleep(0.02)
            return await answer(call)
        finally:
            waiting[key] -= 1
            if not waiting[key]:
                del waiting[key]

    @instead_of(server.refresh.consume)
    def checked(row: RefreshRow) -> None:
        if waiting.get(mine.get(), 0) > 1:
            clash(row)
        consume(row)


def _given(call: Call) -> str:
    """The refresh token of a request, wherever it is."""
    if call.method == "GET":
        return dict(call.query).get("refreshToken", "")
    body = call.json() if call.method == "POST" else None
    token = body.get("refreshToken") if isinstance(body, dict) else None
    return token if isinstance(token, str) else ""


@fault("concurrent-refreshes-crash", finding="SEC-R11")
def concurrent_refreshes_crash(server: Server) -> None:
    """Two refreshes with one token at the same time end in a crash."""

    def crash(row: RefreshRow) -> None:
        raise RuntimeError("could not serialize access")

    _busy(server, crash)


@fault("concurrent-refreshes-lock-out", finding="SEC-R11")
def concurrent_refreshes_lock_out(server: Server) -> None:
    """Of two refreshes with one token at the same time none is done, and the user is disabled."""

    def lock_out(row: RefreshRow) -> None:
        document = server.resources.stored("users", row.user) | {"status": "blocked"}
        server.store.replace("users", row.user, dumps(document))
        raise forbidden()

    _busy(server, lock_out)
