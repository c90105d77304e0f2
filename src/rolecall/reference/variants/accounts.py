"""Variants of what a change of an account does besides."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.errors import Refusal
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant


@variant("same-password-refused")
def same_password_refused(server: Server) -> None:
    """A new password that is the old one is refused with 422: passwords are the server's to rule
    (AMB-21).
    """
    update_account = server.resources.update_account

    @instead_of(server.resources.update_account)
    async def another(id: str, members: Document) -> None:
        password, account = members.get("password"), server.store.account(id)
        if isinstance(password, str) and await server.tokens.password_matches(password, account):
            raise Refusal(422, "The new password is the old one")
        await update_account(id, members)


@variant("new-email-ends-sessions")
def new_email_ends_sessions(server: Server) -> None:
    """A change of e-mail ends the user's refresh tokens, with the old clientId and the new one:
    what becomes of old refresh tokens is the server's to say (AMB-08).
    """
    set_email = server.store.set_email

    @instead_of(server.store.set_email)
    def ended(id: str, email: str) -> None:
        before = server.store.account(id)
        set_email(id, email)
        if before is None or before.email != email:
            server.store.forget_refresh_tokens(id)
