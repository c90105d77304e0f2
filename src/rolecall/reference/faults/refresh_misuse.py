"""Faults of a refresh that asks for more, comes twice, or comes at the wrong time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request, forbidden
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of


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
    _wished_scope(
        server, lambda call: dict(call.query).get("scope") if call.method == "GET" else None
    )


@fault("refresh-for-user-of-body", finding="SEC-R16")
def refresh_for_user_of_body(server: Server) -> None:
    """The tokens of a POST refresh are those of the user whom a member userId names."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def of_named(call: Call, body: Document) -> Answer:
        answer, named = after(call, body), server.resources.stored("users", f"{body.get('userId')}")
        return server.tokens.tokens(named, "*") if named else answer


@fault("get-refresh-for-client-id", finding="SEC-R16")
def get_refresh_for_client_id(server: Server) -> None:
    """GET refresh takes a clientId as POST does, and its user is who the new tokens are for."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def of_client(call: Call) -> Answer:
        answer, client = before(call), server.tokens.account(dict(call.query).get("clientId", ""))
        return server.tokens.tokens(server.tokens.user(client.id), "*") if client else answer


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
    """With both ways in one body the token has the refresh token's user and the login's scope."""

    @instead_of(server.tokens.mixed)
    async def both(body: Document) -> Answer:
        answer = await server.tokens.login({name: body.get(name) for name in ("email", "password")})
        row = server.refresh.find(server.tokens.text(body, "refreshToken"))
        user = server.tokens.user(row.user)
        wider = max(user["role"], loads(answer.body)["scope"], key=lambda role: RANK.get(role, -1))
        return server.tokens.tokens({**user, "role": wider})


@fault("any-password-beside-a-refresh-token", finding="SEC-R14")
def any_password_beside_a_refresh_token(server: Server) -> None:
    """With both ways in one body it is enough that one of them is right: the refresh token is, and
    whoever is named by the e-mail logs in.
    """

    @instead_of(server.tokens.mixed)
    async def either(body: Document) -> Answer:
        server.refresh.find(server.tokens.text(body, "refreshToken"))
        account = server.tokens.account(server.tokens.text(body, "email"))
        if account is None:
            raise bad_request("Nobody has this e-mail address")
        return server.tokens.tokens(server.tokens.user(account.id))


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
        key = refresh_token_in(call)
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


def refresh_token_in(call: Call) -> str:
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
