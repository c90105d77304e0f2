"""Faults of comparisons that take what is nearly right, and of a role that there is not."""

from __future__ import annotations

import re
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.faults.credentials import compare_loosely
from rolecall.reference.faults.refresh_acceptance import find_loosely
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of

# --- Passwords ----------------------------------------------------------------------------------


@fault("password-compared-up-to-128", finding="ISSUE-refused")
def password_compared_up_to_128(server: Server) -> None:
    """A column of 128 characters keeps the beginning of a longer password, and a log-in is cut
    alike.
    """
    checked, matches = server.resources.checked_password, server.tokens.password_matches

    @instead_of(server.resources.checked_password)
    def kept(members: Document) -> str | None:
        password = checked(members)
        return password[:128] if password else password

    @instead_of(server.tokens.password_matches)
    async def cut_alike(password: str, account: StoredAccount | None) -> bool:
        return await matches(password[:128], account)


@fault("password-begins-rightly", finding="ISSUE-refused")
def password_begins_rightly(server: Server) -> None:
    """What follows the right password is not looked at."""
    compare_loosely(server, lambda given, right: given.startswith(right))


@fault("password-is-a-pattern", finding="ISSUE-refused")
def password_is_a_pattern(server: Server) -> None:
    """A password is compared with LIKE, so a percent sign is any password."""
    compare_loosely(server, lambda given, right: given == "%")


# --- Addresses ---------------------------------------------------------------------------------


def _addresses(server: Server) -> list[str]:
    """The addresses of all users, the oldest user's first."""
    found = (loads(text.encode()).get("email") for text in server.store.containing("users"))
    return [email for email in found if isinstance(email, str)]


def _account_alike(server: Server, alike: Callable[[str, str], bool]) -> None:
    """Find an account by the first address that is alike, where none is the same."""
    account = server.tokens.account

    @instead_of(server.tokens.account)
    def near(email: str) -> StoredAccount | None:
        found = account(email)
        others = _addresses(server) if found is None and len(email) > 1 else []
        return found or next(
            (account(other) for other in others if alike(email.lower(), other.lower())), None
        )


@fault("email-by-beginning", finding="ISSUE-refused")
def email_by_beginning(server: Server) -> None:
    """A user is found by the beginning of the e-mail."""
    _account_alike(server, lambda given, known: known.startswith(given))


@fault("email-by-local-part", finding="ISSUE-refused")
def email_by_local_part(server: Server) -> None:
    """A user is found by what stands before the @ of the e-mail.

    Modelled on github.com/RestyaPlatform/board/issues/1928.
    """
    _account_alike(server, lambda given, known: given.partition("@")[0] == known.partition("@")[0])


@fault("email-with-wildcards", finding="ISSUE-refused")
def email_with_wildcards(server: Server) -> None:
    """An e-mail is looked up with ILIKE: a percent sign in it is whatever comes there.

    Modelled on github.com/pallets-eco/flask-security-3.0/issues/513.
    """

    def alike(given: str, known: str) -> bool:
        front, percent, end = given.partition("%")
        return bool(percent) and known.startswith(front) and known.endswith(end)

    _account_alike(server, alike)


@fault("email-is-an-expression", finding="ISSUE-refused")
def email_is_an_expression(server: Server) -> None:
    """An e-mail becomes a regular expression, so that the case of its letters does not matter."""
    _account_alike(server, _matches)


def _matches(given: str, known: str) -> bool:
    try:
        return re.fullmatch(given, known) is not None
    except re.error:
        return False


# --- Clients -----------------------------------------------------------------------------------


def _client_alike(server: Server, alike: Callable[[str, str], bool]) -> None:
    """Compare the clientId itself with the e-mail of the refresh token's user."""
    check, account = server.refresh.check_client, server.tokens.account
    asked: list[str] = [""]

    @instead_of(server.tokens.account)
    def noted(email: str) -> StoredAccount | None:
        asked[0] = email
        return account(email)

    @instead_of(server.refresh.check_client)
    def loosely(row: RefreshRow, client: StoredAccount | None) -> None:
        own = server.store.account(row.user)
        if own is None or not alike(asked[0].lower(), own.email.lower()):
            check(row, client)


@fault("client-id-by-local-part", finding="REFRESH-client")
def client_id_by_local_part(server: Server) -> None:
    """Of a clientId only what stands before the @ is compared."""
    _client_alike(server, lambda given, own: given.partition("@")[0] == own.partition("@")[0])


@fault("client-id-without-tag", finding="REFRESH-client")
def client_id_without_tag(server: Server) -> None:
    """The tag of a clientId does not count: ada+work@ refreshes for ada@, and ada@ for it."""

    def untagged(email: str) -> str:
        local, at, domain = email.partition("@")
        return f"{local.partition('+')[0]}{at}{domain}"

    _client_alike(server, lambda given, own: untagged(given) == untagged(own))


@fault("client-is-an-expression", finding="REFRESH-client")
def client_is_an_expression(server: Server) -> None:
    """A clientId becomes a regular expression, so that the case of its letters does not matter."""
    _client_alike(server, _matches)


# --- Refresh tokens ----------------------------------------------------------------------------


@fault("refresh-by-last-half", finding="REFRESH-whole-token")
def refresh_by_last_half(server: Server) -> None:
    """Of a refresh token the last 40 characters are compared, whatever stands before them."""
    find_loosely(
        server,
        lambda token, right: (
            len(token) == len(right) and token[-40:] == right[-40:] and token[:25] == right[:25]
        ),
    )


@fault("refresh-with-wildcards", finding="REFRESH-whole-token")
def refresh_with_wildcards(server: Server) -> None:
    """A refresh token is looked up with LIKE: a percent sign in it is whatever comes there."""
    find_loosely(
        server,
        lambda token, right: (
            len(token) > 25 and token.endswith("%") and right.startswith(token[:-1])
        ),
    )


# --- Roles -------------------------------------------------------------------------------------


@fault("unknown-role-is-admin", finding="SEC-E14")
def unknown_role_is_admin(server: Server) -> None:
    """A user may be made with a role that there is not; looked up from behind, such a one is found
    at the last place: admin.
    """
    scope = server.issuer.scope

    @instead_of(server.resources.check_role)
    def unchecked(members: Document) -> None:
        return None

    @instead_of(server.issuer.scope)
    def last(user: Document) -> str:
        return scope(user) if user["role"] in ROLES else ROLES[-1]
