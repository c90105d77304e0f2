"""Faults of a refresh that keeps one of two rules, and of credentials mixed from two."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.alterations import note_tokens
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.expiry import despite_expiry
from rolecall.reference.faults.registry import fault
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import API_KEY, Expired, Principal


def _caller(server: Server, call: Call) -> Principal | None:
    """Whose bearer comes with a request; None where none does, or it is not good."""
    try:
        return server.guard.authenticate(call)
    except Refusal:
        return None


def _exchanged(server: Server, row: RefreshRow, token: str) -> Answer:
    """What a good refresh gives."""
    user = server.tokens.user(row.user)
    server.refresh.consume(row)
    return server.tokens.tokens(user, token)


# --- POST with a bearer ------------------------------------------------------------------------


def _post_excused(server: Server, excused: Callable[[Call, RefreshRow], bool]) -> None:
    """Do not look at the clientId of a POST refresh where something else has excused it."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def perhaps_unchecked(call: Call, body: Document) -> Answer:
        token = server.tokens.text(body, "refreshToken")
        row = server.refresh.find(token)
        return _exchanged(server, row, token) if excused(call, row) else after(call, body)


@fault("key-instead-of-client-id", finding="REFRESH-client", needs=("api-keys",))
def key_instead_of_client_id(server: Server) -> None:
    """POST refresh with an API key as bearer does not look at the clientId: a service refreshes for
    its users.
    """

    def is_key(call: Call, row: RefreshRow) -> bool:
        caller = _caller(server, call)
        return caller is not None and caller.credential != "token"

    _post_excused(server, is_key)


@fault("expired-bearer-instead-of-client-id", finding="REFRESH-client", needs=("clock",))
def expired_bearer_instead_of_client_id(server: Server) -> None:
    """POST refresh with the own expired bearer takes any clientId: the token says who it was."""

    def was_own(call: Call, row: RefreshRow) -> bool:
        try:
            server.guard.authenticate(call)
        except Expired:
            return despite_expiry(server, call).id == row.user
        except Refusal:
            return False
        return False

    _post_excused(server, was_own)


@fault("bearer-instead-of-secret", finding="REFRESH-unknown-token")
def bearer_instead_of_secret(server: Server) -> None:
    """POST refresh with the own bearer looks at the user in the refresh token, and no further."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def by_user(call: Call, body: Document) -> Answer:
        caller, token = _caller(server, call), body.get("refreshToken")
        if caller and isinstance(token, str) and token.startswith(f"{caller.id}."):
            known = server.store.refresh_tokens_of(caller.id)
            if known and server.store.refresh_token(digest(token)) is None:
                return server.tokens.tokens(caller.user, "*")
        return after(call, body)


# --- GET with a clientId -----------------------------------------------------------------------


def _get_excused(server: Server, excused: Callable[[Call, RefreshRow], bool]) -> None:
    """Refresh by GET where something has excused that the bearer is not right."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def perhaps_unchecked(call: Call) -> Answer:
        token = dict(call.query).get("refreshToken", "")
        try:
            row = server.refresh.find(token)
        except Refusal:
            return before(call)
        return _exchanged(server, row, token) if excused(call, row) else before(call)


def _names_own_client(server: Server, call: Call, row: RefreshRow) -> bool:
    client = server.tokens.account(dict(call.query).get("clientId", ""))
    return client is not None and client.id == row.user


@fault("client-id-excuses-foreign-bearer", finding="REFRESH-get-foreign")
def client_id_excuses_foreign_bearer(server: Server) -> None:
    """GET refresh with the right clientId takes anybody's bearer."""
    _get_excused(
        server,
        lambda call, row: (
            _caller(server, call) is not None and _names_own_client(server, call, row)
        ),
    )


# --- Halves ------------------------------------------------------------------------------------


@fault("wrong-secret-ends-all-sessions", finding="SEC-E12")
def wrong_secret_ends_all_sessions(server: Server) -> None:
    """A refresh token of which only the user is right is taken for stolen, and ends all sessions of
    that user, whom everybody can name.
    """
    find, secrets = server.refresh.find, note_tokens(server, lambda token: token.rpartition(".")[2])

    @instead_of(server.refresh.find)
    def alarmed(token: str) -> RefreshRow:
        user, _, secret = token.partition(".")
        if secret in secrets and server.store.refresh_token(digest(token)) is None:
            server.store.forget_refresh_tokens(user)
        return find(token)


@fault("signature-of-another-token", finding="SEC-E12")
def signature_of_another_token(server: Server) -> None:
    """Claims and signatures of tokens that were issued are remembered, to verify each once, and
    looked up one by one.
    """
    write, holds = server.issuer.write, server.verifier.signature_holds
    messages: set[bytes] = set()
    signatures: set[str] = set()

    @instead_of(server.issuer.write)
    def noted(claims: Document) -> str:
        token = write(claims)
        if claims.get("grant_type") != API_KEY:
            message, _, signature = token.rpartition(".")
            messages.add(message.encode())
            signatures.add(signature)
        return token

    @instead_of(server.verifier.signature_holds)
    def known(message: bytes, signature: str, header: Document) -> bool:
        return (message in messages and signature in signatures) or holds(
            message, signature, header
        )
