"""Variants of refresh tokens and of the two ways to refresh."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant


@variant("refresh-tokens-rotate")
def refresh_tokens_rotate(server: Server) -> None:
    """A refresh token is good for one use; the baseline, by name."""


@variant("refresh-tokens-stay")
def refresh_tokens_stay(server: Server) -> None:
    """A refresh answers with the same refresh token again, and it goes on working."""
    _never_used_up(server)
    following = server.tokens.next_refresh_token

    @instead_of(server.tokens.next_refresh_token)
    def same(user: Document, old: str | None) -> str:
        return old or following(user, old)


@variant("refresh-tokens-reusable")
def refresh_tokens_reusable(server: Server) -> None:
    """A refresh gives a new refresh token, and the old one goes on working."""
    _never_used_up(server)


def _never_used_up(server: Server) -> None:
    @instead_of(server.refresh.usable)
    def always(row: RefreshRow) -> bool:
        return True


@variant("refresh-grace-window")
def refresh_grace_window(server: Server) -> None:
    """A refresh token that was used goes on working for 30 seconds."""

    @instead_of(server.refresh.usable)
    def a_while(row: RefreshRow) -> bool:
        return row.used is None or server.clock.now() < row.used + 30

    @instead_of(server.refresh.consume)
    def first_use(row: RefreshRow) -> None:
        if row.used is None:
            server.store.use_refresh_token(row.hash, server.clock.now())


@variant("post-refreshes-after-expiry", "trouble")
def post_refreshes_after_expiry(server: Server) -> None:
    """POST refreshes once the access token has expired; before that there is GET."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def not_before(call: Call, body: Document) -> Answer:
        row = server.refresh.find(server.tokens.text(body, "refreshToken"))
        if server.clock.now() < row.issued + server.issuer.lifetime():
            raise Refusal(409, "The access token is still good: use GET")
        return after(call, body)


@variant("refresh-tokens-are-gone")
def refresh_tokens_are_gone(server: Server) -> None:
    """A refresh token that is not there, or not any more, is answered 410 (RFC 9110 15.5.11)."""
    find = server.refresh.find

    @instead_of(server.refresh.find)
    def gone(token: str) -> RefreshRow:
        try:
            return find(token)
        except Refusal:
            raise Refusal(410, "There is no such refresh token any more") from None


@variant("refresh-reuse-ends-family")
def refresh_reuse_ends_family(server: Server) -> None:
    """A refresh token that is used twice kills all refresh tokens that came from it (RFC 9700,
    4.14.2).
    """
    family: dict[str, str] = {}
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def related(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        new = digest(loads(answer.body)["refreshToken"])
        family[new] = family.get(digest(old), new) if old else new
        return answer

    find = server.refresh.find

    @instead_of(server.refresh.find)
    def watched(token: str) -> RefreshRow:
        row = server.store.refresh_token(digest(token))
        if row is not None and row.used is not None:
            for member in [hash for hash, head in family.items() if head == family.get(row.hash)]:
                server.store.use_refresh_token(member, server.clock.now())
        return find(token)


@variant("opaque-refresh-tokens")
def opaque_refresh_tokens(server: Server) -> None:
    """A refresh token is a text of chance that says nothing about its user."""

    @instead_of(server.refresh.secret)
    def opaque(user: str) -> str:
        return secrets.token_urlsafe(40)

    @instead_of(server.refresh.well_formed)
    def any_form(token: str) -> bool:
        return True


@variant("jwt-refresh-tokens")
def jwt_refresh_tokens(server: Server) -> None:
    """A refresh token is a JWT with the grant type refresh_token, as older references show."""

    @instead_of(server.refresh.secret)
    def jwt(user: str) -> str:
        issued = int(server.clock.now())
        return server.issuer.write(
            {
                "_id": user,
                "scope": server.resources.stored("users", user)["role"],
                "grant_type": "refresh_token",
                "jti": secrets.token_hex(16),
                "iat": issued,
                "exp": issued + 90 * 24 * 60 * 60,
            }
        )

    @instead_of(server.refresh.well_formed)
    def any_form(token: str) -> bool:
        return True


@variant("refresh-tokens-without-dot")
def refresh_tokens_without_dot(server: Server) -> None:
    """A refresh token begins with its user's id, without a dot behind it."""
    _formed(server, lambda user: f"{user}{secrets.token_hex(40)}")


@variant("refresh-tokens-with-selector")
def refresh_tokens_with_selector(server: Server) -> None:
    """A refresh token is the key of a row and a secret, with a dot between them; neither says
    anything about its user.
    """
    _formed(server, lambda user: f"{secrets.token_hex(8)}.{secrets.token_hex(32)}")


@variant("uuid-refresh-tokens")
def uuid_refresh_tokens(server: Server) -> None:
    """A refresh token is a UUID."""
    _formed(server, lambda user: str(uuid.uuid4()))


@variant("jwt-refresh-tokens-without-user")
def jwt_refresh_tokens_without_user(server: Server) -> None:
    """A refresh token is a JWT that says no more than its jti and when it was made."""
    _formed(
        server,
        lambda user: server.issuer.write(
            {
                "grant_type": "refresh_token",
                "jti": secrets.token_hex(16),
                "iat": int(server.clock.now()),
            }
        ),
    )


def _formed(server: Server, make: Callable[[str], str]) -> None:
    """Make refresh tokens of another form; any form is looked up."""

    @instead_of(server.refresh.secret)
    def formed(user: str) -> str:
        return make(user)

    @instead_of(server.refresh.well_formed)
    def any_form(token: str) -> bool:
        return True


@variant("post-refresh-refuses-authorization")
def post_refresh_refuses_authorization(server: Server) -> None:
    """POST refresh with an Authorization header is refused: the specification says without one."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def public(call: Call, body: Document) -> Answer:
        if call.header(b"authorization") is not None:
            raise Refusal(400, "No Authorization header is expected here")
        return after(call, body)


@variant("post-refresh-ignores-authorization")
def post_refresh_ignores_authorization(server: Server) -> None:
    """POST refresh does not look at a stale Authorization header; the baseline, by name."""


@variant("refresh-token-counts-beside-a-password")
def refresh_token_counts_beside_a_password(server: Server) -> None:
    """A body with both ways in it is a refresh; what it says of a log-in is not looked at."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def refreshing(call: Call) -> Answer:
        body = call.json() if call.method == "POST" else None
        if isinstance(body, dict) and "refreshToken" in body:
            return server.tokens.refresh_after_expiry(call, body)
        return await answer(call)
