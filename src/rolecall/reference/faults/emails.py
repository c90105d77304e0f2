"""Faults of e-mails that users give themselves, and that are another user's."""

from __future__ import annotations

from rolecall.reference.alterations import compare_emails_to_the_letter, tell_of_taken_emails
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("taken-email-shows-its-user", finding="SEC-A05")
def taken_email_shows_its_user(server: Server) -> None:
    """An update of oneself with an e-mail that another user has is refused with 409, and with that
    user.
    """

    def with_user(answer: Answer, email: str, owner: StoredAccount) -> Answer:
        user = server.resources.stored("users", owner.id)
        return Answer.of(409, {**loads(answer.body), "existing": user})

    tell_of_taken_emails(server, with_user)


@fault("email-in-capitals-logs-in-another", finding="SEC-I11-other-user")
def email_in_capitals_logs_in_another(server: Server) -> None:
    """E-mails are compared to the letter where they are changed, and without regard to case where
    somebody logs in: who claimed it last is found.
    """
    claims, account = compare_emails_to_the_letter(server, str.lower), server.tokens.account

    @instead_of(server.tokens.account)
    def last_to_claim(email: str) -> StoredAccount | None:
        claimed = claims.get(email.lower())
        return server.store.account(claimed) if claimed else account(email)


@fault("self-by-folded-email", finding="SEC-A05")
def self_by_folded_email(server: Server) -> None:
    """Oneself is whose e-mail is one's own, without regard to case: a user may take another one's
    in capitals, and is logged in by that.
    """
    claims = compare_emails_to_the_letter(server, str.lower)
    is_self, account_of = server.dispatcher.is_self, server.tokens.account

    @instead_of(server.tokens.account)
    def in_capitals(email: str) -> StoredAccount | None:
        claimed = claims.get(email.lower()) if email == email.upper() else None
        return server.store.account(claimed) if claimed else account_of(email)

    @instead_of(server.dispatcher.is_self)
    def by_email(call: Call, principal: Principal) -> bool:
        account = server.store.account(str(call.id)) if call.resource == "users" else None
        is_claimed = account is not None and claims.get(account.email.lower()) == principal.id
        return is_claimed or is_self(call, principal)
