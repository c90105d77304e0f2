"""Faults of comparing a password, an e-mail, a clientId or a refresh token with the one kept."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from rolecall.reference.alterations import note_tokens
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.refresh_acceptance import client_excused
from rolecall.reference.faults.registry import fault
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

BCRYPT = 72
"""Bytes of its input that bcrypt looks at."""

# --- passwords ----------------------------------------------------------------------------------


def _passwords_as(server: Server, seen: Callable[[str], str]) -> None:
    """Hash and compare what an algorithm sees of a password, instead of the password."""
    hash_one, compare = server.passwords.hash, server.passwords.compare

    @instead_of(server.passwords.hash)
    def kept(password: str) -> str:
        return hash_one(seen(password))

    @instead_of(server.passwords.compare)
    def compared(password: str, kept: str) -> bool:
        return compare(seen(password), kept)


@fault("password-of-72-bytes", finding="ISSUE-refused")
def password_of_72_bytes(server: Server) -> None:
    """What follows the first 72 bytes of a password is neither hashed nor compared.

    Modelled on kelektiv/node.bcrypt.js issue 192.
    """
    _passwords_as(
        server,
        lambda password: password.encode("utf-8", "replace")[:BCRYPT].decode("utf-8", "ignore"),
    )


@fault("password-ends-at-nul", finding="ISSUE-refused")
def password_ends_at_nul(server: Server) -> None:
    """A password ends at its first NUL, as C texts do: the right one with a NUL and anything behind
    it opens the account.

    Modelled on kelektiv/node.bcrypt.js issue 774.
    """
    text = server.tokens.text

    @instead_of(server.tokens.text)
    def as_in_c(body: Document, name: str) -> str:
        value = body.get(name)
        if name == "password" and isinstance(value, str):
            return text({name: value.partition("\0")[0]}, name)
        return text(body, name)


@fault("password-zero-equals-text", finding="ISSUE-refused")
def password_zero_equals_text(server: Server) -> None:
    """A number is compared with a text as databases and PHP do it: 0 equals every password that
    begins with no digit.

    Modelled on CVE-2013-0233.
    """
    text, matches = server.tokens.text, server.tokens.password_matches
    number = "\0number "

    @instead_of(server.tokens.text)
    def any_type(body: Document, name: str) -> str:
        value = body.get(name)
        return (
            f"{number}{value}"
            if name == "password" and type(value) in (int, float)
            else text(body, name)
        )

    @instead_of(server.tokens.password_matches)
    async def loosely(password: str, account: StoredAccount | None) -> bool:
        if password.startswith(number):
            return account is not None and float(password.removeprefix(number)) == 0
        return await matches(password, account)


# --- e-mails -----------------------------------------------------------------------------------


def _oldest(server: Server, email: str, seen: Callable[[str], str]) -> StoredAccount | None:
    """The account made first whose e-mail is seen as this one is."""
    for body in server.store.containing("users"):
        account = server.store.account(loads(body.encode())["id"])
        if account is not None and seen(account.email) == seen(email):
            return account
    return None


@fault("user-read-by-folded-email", finding="SEC-I11-other-user")
def user_read_by_folded_email(server: Server) -> None:
    """The password is checked with the very account; the user is then read again by the folded
    e-mail, and the oldest is meant.

    Who registers an address that looks like the victim's, and folds to it, is logged in as the
    victim.

    Modelled on https://engineering.atspotify.com/2013/06/creative-usernames and CVE-2019-19844.
    """
    login = server.tokens.login

    @instead_of(server.tokens.login)
    async def read_again(body: Document) -> Answer:
        answer = await login(body)
        meant = _oldest(
            server, body["email"], lambda email: unicodedata.normalize("NFKC", email).casefold()
        )
        if meant is None or meant.id == loads(answer.body)["user"]:
            return answer
        return server.tokens.tokens(server.tokens.user(meant.id))


@fault("email-without-dots", finding="SEC-I11-other-user")
def email_without_dots(server: Server) -> None:
    """Dots before the @ are dropped when an account is looked up, whosever domain it is; the oldest
    that fits is meant.

    Modelled on validatorjs/validator.js pull request 319.
    """

    def undotted(email: str) -> str:
        local, at, domain = email.lower().partition("@")
        return local.replace(".", "") + at + domain

    @instead_of(server.tokens.account)
    def by_undotted(email: str) -> StoredAccount | None:
        return _oldest(server, email, undotted)


# --- clientId ----------------------------------------------------------------------------------


def _client(server: Server, alike: Callable[[str, str], bool]) -> None:
    """Compare the clientId with the e-mail of the refresh token's user in another way."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def loosely(call: Call, body: Document) -> Answer:
        token, client = body.get("refreshToken"), body.get("clientId")
        row = server.store.refresh_token(digest(token)) if isinstance(token, str) else None
        account = server.store.account(row.user) if row is not None else None
        if account is not None and isinstance(client, str) and alike(client, account.email):
            body = {**body, "clientId": account.email}
        return after(call, body)


@fault("client-id-contained", finding="REFRESH-client")
def client_id_contained(server: Server) -> None:
    """The clientId has to be contained in the user's e-mail, so a part of it is enough.

    Modelled on CVE-2024-53861.
    """
    _client(server, lambda client, email: client in email)


@fault("client-id-is-a-pattern", finding="REFRESH-client")
def client_id_is_a_pattern(server: Server) -> None:
    """The clientId is compared with LIKE, so that capitals do not matter: a percent sign is any
    text, an underscore any letter.

    Modelled on binarylogic/authlogic issue 321.
    """

    def like(client: str, email: str) -> bool:
        pattern = re.escape(client).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, email, re.IGNORECASE) is not None

    _client(server, like)


@fault("client-id-empty-unchecked", finding="REFRESH-client")
def client_id_empty_unchecked(server: Server) -> None:
    """A clientId is compared if there is something in it: empty or null it is not.

    Modelled on ArnaudGuiovanna/tutor-mcp issue 30.
    """
    client_excused(server, lambda body: "clientId" in body and body["clientId"] in ("", None))


@fault("client-id-unchecked-beside-bearer", finding="REFRESH-client")
def client_id_unchecked_beside_bearer(server: Server) -> None:
    """POST refresh with an Authorization header does not look at the clientId.

    Modelled on giantswarm/mcp-oauth issue 178.
    """
    after, check = server.tokens.refresh_after_expiry, server.refresh.check_client
    identified = False

    @instead_of(server.tokens.refresh_after_expiry)
    def noted(call: Call, body: Document) -> Answer:
        nonlocal identified
        identified = call.header(b"authorization") is not None
        return after(call, body)

    @instead_of(server.refresh.check_client)
    def unless_identified(row: RefreshRow, client: StoredAccount | None) -> None:
        if not identified:
            check(row, client)


# --- refresh tokens ----------------------------------------------------------------------------


def _secret(token: str) -> str:
    """What stands behind the user's id in a refresh token."""
    return token.rpartition(".")[2]


def _kept_as(server: Server, seen: Callable[[str], str]) -> None:
    """Keep and look up what is seen of a refresh token, instead of the token."""
    find, whole = server.refresh.find, note_tokens(server, seen)

    @instead_of(server.refresh.find)
    def looked_up(token: str) -> RefreshRow:
        return find(whole.get(seen(token), token))


@fault("refresh-token-of-72-bytes", finding="REFRESH-whole-token")
def refresh_token_of_72_bytes(server: Server) -> None:
    """Refresh tokens are kept as bcrypt hashes of 72 bytes: the characters behind them may differ.

    Modelled on mguay22/nestjs-social-auth-refresh issue 1.
    """
    _kept_as(server, lambda token: token[:BCRYPT])


@fault("first-half-of-refresh-token-ignored", finding="REFRESH-whole-token")
def first_half_of_refresh_token_ignored(server: Server) -> None:
    """Of a refresh token the secret is hashed and looked up; the user's id before it may be any, or
    that of another.

    Modelled on gchq/stroom issue 4436.
    """
    _kept_as(server, _secret)


@fault("secret-of-anybody-refreshes", finding="SEC-E12")
def secret_of_anybody_refreshes(server: Server) -> None:
    """A refresh token's first half says whose it is, its second half has to be the secret of some
    token: not of the same one.

    Modelled on gchq/stroom issue 4436.
    """
    find, whole = server.refresh.find, note_tokens(server, _secret)

    @instead_of(server.refresh.find)
    def in_two_steps(token: str) -> RefreshRow:
        user, _, secret = token.rpartition(".")
        row = find(whole.get(secret, token))
        return row if row.user == user else RefreshRow(row.hash, user, row.issued, row.used)


@fault("bearer-compared-with-first-half", finding="REFRESH-whole-token")
def bearer_compared_with_first_half(server: Server) -> None:
    """GET refresh compares the bearer with the id in the refresh token, and then takes the user of
    the row that its secret finds.

    Modelled on idenplane/idenplane issue 532.
    """
    find, check = server.refresh.find, server.refresh.check_bearer
    whole = note_tokens(server, _secret)
    said = ""

    @instead_of(server.refresh.find)
    def by_secret(token: str) -> RefreshRow:
        nonlocal said
        said, _, secret = token.rpartition(".")
        try:
            return find(token)
        except Refusal:
            return find(whole.get(secret, token))

    @instead_of(server.refresh.check_bearer)
    def first_half(row: RefreshRow, principal: Principal) -> None:
        check(RefreshRow(row.hash, said, row.issued, row.used), principal)


@fault("own-bearer-needs-no-secret", finding="REFRESH-unknown-token")
def own_bearer_needs_no_secret(server: Server) -> None:
    """GET refresh knows by the bearer who is asking, and wants no more of the refresh token than
    that it begins with that user's id.

    Modelled on SecureBananaLabs/bug-bounty issue 12445.
    """
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def by_bearer(call: Call) -> Answer:
        try:
            return before(call)
        except Refusal:
            principal = server.tokens.bearer_of_refresh(call)
            if principal.credential != "token" or not server.tokens.refresh_parameter(
                call
            ).startswith(principal.id):
                raise
            return server.tokens.tokens(server.tokens.user(principal.id))
