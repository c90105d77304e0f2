"""Faults of what is granted later, or for a wish, and of what an answer of the token endpoint tells
beside its members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import unauthorized
from rolecall.reference.faults.expiry import DAY
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of

#: Whether a grant is one to be changed: its user, and whether it is of a refresh.
Chosen = Callable[[Document, bool], bool]


def _from_the(number: int, *, of_refreshes: bool) -> Chosen:
    """The grants of a user from this one on, of log-ins or of refreshes."""
    counted: Counter[str] = Counter()

    def chosen(user: Document, is_refresh: bool) -> bool:
        counted[user["id"]] += is_refresh is of_refreshes
        return is_refresh is of_refreshes and counted[user["id"]] >= number

    return chosen


def _lives(server: Server, chosen: Chosen, seconds: int) -> None:
    """Let tokens of chosen grants live for another time."""
    tokens, lifetime, now = server.tokens.tokens, server.issuer.lifetime, [False]

    @instead_of(server.tokens.tokens)
    def granted(user: Document, old: str | None = None) -> Answer:
        now[0] = chosen(user, old is not None)
        try:
            return tokens(user, old)
        finally:
            now[0] = False

    @instead_of(server.issuer.lifetime)
    def lasting() -> int:
        return seconds if now[0] else lifetime()


def _says_lowest_scope(server: Server, chosen: Chosen) -> None:
    """Let the answers of chosen grants say the lowest scope; their JWT says the right one."""
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def granted(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        if chosen(user, old is not None):
            answer.body = dumps({**loads(answer.body), "scope": ROLES[0]}).encode()
        return answer


# --- later ones --------------------------------------------------------------------------------


@fault("second-login-lives-two-days", finding="ISSUE-lifetime")
def second_login_lives_two_days(server: Server) -> None:
    """From a user's second log-in on, a known device, tokens live for two days."""
    _lives(server, _from_the(2, of_refreshes=False), 2 * DAY)


@fault("third-refresh-lives-a-week", finding="REFRESH-new-token")
def third_refresh_lives_a_week(server: Server) -> None:
    """From a user's third refresh on, a busy client, tokens live for a week."""
    _lives(server, _from_the(3, of_refreshes=True), 7 * DAY)


@fault("second-login-says-lowest-scope", finding="ISSUE-scope")
def second_login_says_lowest_scope(server: Server) -> None:
    """From a user's second log-in on the answer says scope guest, a default for sessions that go
    on; the JWT has the right one.
    """
    _says_lowest_scope(server, _from_the(2, of_refreshes=False))


@fault("third-refresh-says-lowest-scope", finding="REFRESH-same-user")
def third_refresh_says_lowest_scope(server: Server) -> None:
    """From a user's third refresh on the answer says scope guest; the JWT has the right one."""
    _says_lowest_scope(server, _from_the(3, of_refreshes=True))


# --- for a wish --------------------------------------------------------------------------------


def _for_a_wish(server: Server, seconds: Callable[[Document], object]) -> None:
    """Let the token of a log-in live for as long as its body asks."""
    wish: ContextVar[object] = ContextVar("wish", default=None)
    login, lifetime = server.tokens.login, server.issuer.lifetime

    @instead_of(server.tokens.login)
    async def asked(body: Document) -> Answer:
        token = wish.set(seconds(body))
        try:
            return await login(body)
        finally:
            wish.reset(token)

    @instead_of(server.issuer.lifetime)
    def lasting() -> int:
        wanted = wish.get()
        return wanted if type(wanted) is int else lifetime()


@fault("remember-me-lives-a-month", finding="SEC-I12")
def remember_me_lives_a_month(server: Server) -> None:
    """A log-in with rememberMe gets a token that lives for thirty days."""
    _for_a_wish(server, lambda body: 30 * DAY if body.get("rememberMe") is True else None)


@fault("expires-in-is-believed", finding="SEC-I12")
def expires_in_is_believed(server: Server) -> None:
    """A log-in with expiresIn gets a token that lives for so many seconds, where it is a number."""
    _for_a_wish(server, lambda body: body.get("expiresIn"))


@fault("login-grants-scope-of-query", finding="SEC-I12")
def login_grants_scope_of_query(server: Server) -> None:
    """A log-in with a scope in its query, as at an OAuth endpoint, gets that scope."""
    wish: ContextVar[str] = ContextVar("scope", default="")
    answer, scope = server.tokens.answer, server.issuer.scope

    @instead_of(server.tokens.answer)
    async def asked(call: Call) -> Answer:
        wish.set(dict(call.query).get("scope", "") if call.method == "POST" else "")
        return await answer(call)

    @instead_of(server.issuer.scope)
    def granted(user: Document) -> str:
        return wish.get() if wish.get() in ROLES else scope(user)


# --- beside the members ------------------------------------------------------------------------


@fault("refresh-token-in-link", finding="SEC-R20")
def refresh_token_in_link(server: Server) -> None:
    """A log-in says in a Link where it is renewed, with the refresh token in that URL."""
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def linked(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        new = loads(answer.body)["refreshToken"]
        answer.headers["Link"] = f'</v2/auth/token?refreshToken={new}>; rel="refresh"'
        return answer


@fault("refused-login-quotes-the-hash", finding="SEC-I20")
def refused_login_quotes_the_hash(server: Server) -> None:
    """A wrong password is refused with the text of the comparison that failed."""

    @instead_of(server.tokens.wrong_credentials)
    def quoted(account: StoredAccount | None) -> Exception:
        kept = (account.password if account else None) or "none"
        return unauthorized(f"the password does not match scrypt:{kept}")
