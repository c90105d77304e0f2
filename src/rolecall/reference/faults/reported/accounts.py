"""Faults of accounts that lack something, and of what stands for it."""

from __future__ import annotations

from contextvars import ContextVar

from rolecall.reference.app import Server
from rolecall.reference.call import Answer
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import DISABLED


@fault("no-password-any-password", finding="SEC-E14")
def no_password_any_password(server: Server) -> None:
    """The password is compared if there is one: into an account without one any password leads.

    Modelled on masastack/MASA.Auth issue 517.
    """
    matches = server.tokens.password_matches

    @instead_of(server.tokens.password_matches)
    async def if_there_is_one(password: str, account: StoredAccount | None) -> bool:
        if account is not None and account.password is None:
            return True
        return await matches(password, account)


@fault("no-password-empty-password", finding="SEC-E14")
def no_password_empty_password(server: Server) -> None:
    """Of a user without a password the hash of the empty text is kept, and an empty password is let
    through to be compared.

    Modelled on getredash/redash issue 559.
    """
    text, matches = server.tokens.text, server.tokens.password_matches

    @instead_of(server.tokens.text)
    def also_empty(body: Document, name: str) -> str:
        return "" if name == "password" and body.get(name) == "" else text(body, name)

    @instead_of(server.tokens.password_matches)
    async def against_nothing(password: str, account: StoredAccount | None) -> bool:
        if password == "":
            return account is not None and account.password is None
        return await matches(password, account)


@fault("no-password-is-the-id", finding="SEC-E14")
def no_password_is_the_id(server: Server) -> None:
    """Since the column must not be empty, the id of a user without a password is hashed in its
    place.

    Modelled on sysgears/apollo-universal-starter-kit pull request 1164.
    """
    matches = server.tokens.password_matches

    @instead_of(server.tokens.password_matches)
    async def the_id(password: str, account: StoredAccount | None) -> bool:
        if account is not None and account.password is None:
            return password == account.id
        return await matches(password, account)


@fault("no-role-may-all", finding="SEC-E14")
def no_role_may_all(server: Server) -> None:
    """Rights are taken away by roles: who is made without one, and is shown as an agent, gets a
    token with the scope admin.

    Modelled on mojomojo/mojomojo issue 91.
    """
    new_user, scope = server.resources.new_user, server.issuer.scope
    unlimited: dict[str, str] = {}

    @instead_of(server.resources.new_user)
    async def noted(change: Change) -> Document:
        given = "role" in change.members
        document = await new_user(change)
        if not given:
            unlimited[document["id"]] = document["role"]
        return document

    @instead_of(server.issuer.scope)
    def without_limit(user: Document) -> str:
        return "admin" if unlimited.get(user["id"]) == user["role"] else scope(user)


@fault("inactive-user-logs-in", finding="SEC-E14")
def inactive_user_logs_in(server: Server) -> None:
    """Log-in and guard keep out blocked and suspended users, and let in inactive ones.

    Modelled on RealmTeam/django-rest-framework-social-oauth2 issue 92.
    """
    user_of, subject = server.tokens.user, server.verifier.subject
    lenient = DISABLED - {"blocked", "suspended"}

    @instead_of(server.tokens.user)
    def inactive_too(id: str) -> Document:
        text = server.store.get("users", id)
        user: Document = loads(text.encode()) if text else {}
        return user if user.get("status") in lenient else user_of(id)

    @instead_of(server.verifier.subject)
    def inactive_tokens_too(claims: Document) -> Document:
        id = claims.get("_id")
        user = server.resources.stored("users", id) if isinstance(id, str) else {}
        return user if user.get("status") in lenient else subject(claims)


@fault("disabled-user-gets-tokens", finding="SEC-E14")
def disabled_user_gets_tokens(server: Server) -> None:
    """A disabled user logs in and is given tokens; they are refused only afterwards.

    Modelled on DuendeArchive/IdentityServer4 issue 226.
    """
    login = server.tokens.login
    user_of = server.tokens.user
    logging_in: ContextVar[bool] = ContextVar("logging_in", default=False)

    @instead_of(server.tokens.login)
    async def unasked(body: Document) -> Answer:
        logging_in.set(True)
        return await login(body)

    @instead_of(server.tokens.user)
    def whatever_status(id: str) -> Document:
        text = server.store.get("users", id)
        return loads(text.encode()) if logging_in.get() and text else user_of(id)
