"""Faults of where a signature is looked at: not at every route, not for every algorithm."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _unread_where(server: Server, careless: Callable[[Call], bool]) -> None:
    """Read tokens without a look at their signature where a request is of such a kind."""
    authenticate, holds = server.guard.authenticate, server.verifier.signature_holds
    is_careless = False

    @instead_of(server.guard.authenticate)
    def authenticated(call: Call) -> Principal:
        nonlocal is_careless
        is_careless = careless(call)
        try:
            return authenticate(call)
        finally:
            is_careless = False

    @instead_of(server.verifier.signature_holds)
    def believing(message: bytes, signature: str, header: Document) -> bool:
        return is_careless or holds(message, signature, header)


@fault("signatures-unread-at-one-list", finding="AUTH-required")
def signatures_unread_at_one_list(server: Server) -> None:
    """The list of knowledge items decodes a token to know who asks, and does not verify it."""
    _unread_where(
        server,
        lambda call: call.resource == "kbitems" and call.id is None and call.verb == "GET",
    )


@fault("signatures-unread-at-one-update", finding="AUTH-required")
def signatures_unread_at_one_update(server: Server) -> None:
    """The update of a contact, which is of another part, trusts that a gateway verified tokens."""
    _unread_where(server, lambda call: call.resource == "contacts" and call.verb == "PATCH")


@fault("accepts-hashes-unknown", finding="SEC-J06")
def accepts_hashes_unknown(server: Server) -> None:
    """An HS algorithm that is not the server's own falls through the verification."""
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def falling_through(message: bytes, signature: str, header: Document) -> bool:
        algorithm = header.get("alg")
        is_unknown = algorithm != server.verifier.key.algorithm
        return (is_unknown and algorithm in ("HS384", "HS512")) or holds(message, signature, header)


@fault("alg-none-beside-a-signature", finding="SEC-J02")
def alg_none_beside_a_signature(server: Server) -> None:
    """Alg none is refused where there is no signature, which is how it comes in the book; one that
    is there is not looked at.
    """
    holds = server.verifier.signature_holds

    @instead_of(server.verifier.signature_holds)
    def unless_empty(message: bytes, signature: str, header: Document) -> bool:
        if header.get("alg") == "none":
            return bool(signature)
        return holds(message, signature, header)


@fault("bad-tokens-422", finding="SEC-J03")
def bad_tokens_422(server: Server) -> None:
    """A token that is none of the server's is answered 422, as by Flask-JWT-Extended."""
    checked = server.verifier.checked_claims

    @instead_of(server.verifier.checked_claims)
    def not_processed(token: str) -> Document:
        try:
            return checked(token)
        except Refusal as refusal:
            raise Refusal(422, refusal.message) from None
