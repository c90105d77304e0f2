"""Faults of which refresh token is taken, and from whom."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.expiry import refresh_by_expired_bearers
from rolecall.reference.faults.registry import fault
from rolecall.reference.refresh import digest
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- which refresh token is taken ---------------------------------------------------------------


def find_loosely(server: Server, alike: Callable[[str, str], bool]) -> None:
    """Find a refresh token by another measure than equality; the tokens are kept for that."""
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
                if (
                    row is not None
                    and token != other
                    and alike(token, other)
                    and server.refresh.usable(row)
                ):
                    return row
            raise


@fault("refresh-by-beginning", finding="REFRESH-whole-token")
def refresh_by_beginning(server: Server) -> None:
    """The beginning of a refresh token will do, as in the specification's examples."""
    find_loosely(server, lambda token, right: len(token) > 25 and right.startswith(token))


@fault("refresh-by-user-id", finding="REFRESH-whole-token")
def refresh_by_user_id(server: Server) -> None:
    """The user's id will do, with or without the dot."""
    find_loosely(server, lambda token, right: token in (right[:24], right[:25]))


@fault("refresh-with-something-behind", finding="REFRESH-whole-token")
def refresh_with_something_behind(server: Server) -> None:
    """What follows a refresh token is not looked at."""
    find_loosely(server, lambda token, right: token.startswith(right))


@fault("refresh-without-case", finding="REFRESH-whole-token")
def refresh_without_case(server: Server) -> None:
    """Refresh tokens are compared without regard to case."""
    find_loosely(server, lambda token, right: token.lower() == right)


@fault("refresh-by-secret-of-79", finding="REFRESH-whole-token")
def refresh_by_secret_of_79(server: Server) -> None:
    """The last digit of a refresh token does not count."""
    find_loosely(server, lambda token, right: token == right[:-1] or token[:-1] == right[:-1])


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
            if (
                not server.refresh.well_formed(token)
                or known
                or not server.store.get("users", user)
            ):
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
    def everybody(row: RefreshRow, client: StoredAccount | None) -> None:
        if client is None or client.id != "*":
            check(row, client)

    account = server.tokens.account

    @instead_of(server.tokens.account)
    def star(email: str) -> StoredAccount | None:
        return StoredAccount("*", "*", None) if email == "*" else account(email)


@fault("operator-in-query", finding="SEC-R15")
def operator_in_query(server: Server) -> None:
    """refreshToken[$ne]=x in the query finds a refresh token of the bearer."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def found(call: Call) -> Answer:
        if any(name.startswith("refreshToken[") for name, _ in call.query):
            return server.tokens.tokens(server.guard.authenticate(call).user, "*")
        return before(call)


# --- who may use it ----------------------------------------------------------------------------


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
    refresh_by_expired_bearers(server, lambda call: True)


@fault("client-id-unchecked", finding="REFRESH-client")
def client_id_unchecked(server: Server) -> None:
    """POST refresh asks for a clientId and does not look at it."""

    @instead_of(server.refresh.check_client)
    def unread(row: RefreshRow, client: StoredAccount | None) -> None:
        return None


@fault("client-id-of-anybody", finding="REFRESH-client")
def client_id_of_anybody(server: Server) -> None:
    """POST refresh takes the clientId of any user there is."""

    @instead_of(server.refresh.check_client)
    def anybody(row: RefreshRow, client: StoredAccount | None) -> None:
        if client is None:
            raise server.refresh.refused()


@fault("client-id-of-the-same-role", finding="REFRESH-client")
def client_id_of_the_same_role(server: Server) -> None:
    """A client is a kind of user: POST refresh takes the clientId of any user of the same role."""
    check = server.refresh.check_client

    @instead_of(server.refresh.check_client)
    def of_its_kind(row: RefreshRow, client: StoredAccount | None) -> None:
        if client is None or not have_one_role(server, client.id, row.user):
            check(row, client)


@fault("foreign-bearer-of-the-same-role", finding="REFRESH-get-foreign")
def foreign_bearer_of_the_same_role(server: Server) -> None:
    """GET refresh compares the scope of the bearer with that of the refresh token, not the users:
    nobody gets more than before.
    """
    check = server.refresh.check_bearer

    @instead_of(server.refresh.check_bearer)
    def of_its_scope(row: RefreshRow, principal: Principal) -> None:
        if not have_one_role(server, principal.id, row.user):
            check(row, principal)


@fault("client-id-of-bots-unchecked", finding="REFRESH-client")
def client_id_of_bots_unchecked(server: Server) -> None:
    """The clientId is compared for people alone: the e-mails of bots are made up."""
    check = server.refresh.check_client

    @instead_of(server.refresh.check_client)
    def of_people(row: RefreshRow, client: StoredAccount | None) -> None:
        if server.resources.stored("users", row.user).get("role") != "bot":
            check(row, client)


@fault("client-id-of-an-admin", finding="REFRESH-client")
def client_id_of_an_admin(server: Server) -> None:
    """An admin may do all, it was thought: the e-mail of one as clientId refreshes for anybody."""
    check = server.refresh.check_client

    @instead_of(server.refresh.check_client)
    def or_an_admin(row: RefreshRow, client: StoredAccount | None) -> None:
        user = server.resources.stored("users", client.id) if client else {}
        if user.get("role") != "admin":
            check(row, client)


@fault("bots-refresh-for-anybody", finding="REFRESH-get-foreign")
def bots_refresh_for_anybody(server: Server) -> None:
    """GET refresh takes anybody's refresh token beside the bearer of a bot: it acts for users."""
    check = server.refresh.check_bearer

    @instead_of(server.refresh.check_bearer)
    def or_a_bot(row: RefreshRow, principal: Principal) -> None:
        if principal.user.get("role") != "bot":
            check(row, principal)


def have_one_role(server: Server, *users: str) -> bool:
    """Whether users have the same role."""
    return len({server.resources.stored("users", id).get("role") for id in users}) == 1


@fault("client-id-optional", finding="REFRESH-client")
def client_id_optional(server: Server) -> None:
    """POST refresh takes the clientId if there is one."""
    client_excused(server, lambda body: "clientId" not in body)


def client_excused(server: Server, where: Callable[[Document], bool]) -> None:
    """Put the right clientId into some bodies of POST refresh."""
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def completed(call: Call, body: Document) -> Answer:
        if where(body):
            row = server.refresh.find(server.tokens.text(body, "refreshToken"))
            account = server.store.account(row.user)
            body = {**body, "clientId": account.email if account else ""}
        return after(call, body)


@fault("client-id-is-user-id", finding="REFRESH-client")
def client_id_is_user_id(server: Server) -> None:
    """POST refresh takes the user's id for a clientId as well."""
    account = server.tokens.account

    @instead_of(server.tokens.account)
    def either(email: str) -> StoredAccount | None:
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
