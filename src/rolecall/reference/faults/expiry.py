"""Faults of the 24 hours, and of what follows them."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, forbidden
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Expired, Principal

HOUR = 60 * 60
DAY = 24 * HOUR


def _lives(server: Server, seconds: int, role: str | None = None) -> None:
    """Issue tokens for another time."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def other(user: Document) -> Document:
        document = claims(user)
        if role in (None, user["role"]):
            document["exp"] = document["iat"] + seconds
        return document


@fault("lifetime-14-days", finding="ISSUE-lifetime")
def lifetime_14_days(server: Server) -> None:
    """A token lives for 14 days, as the one in the specification's example does."""
    _lives(server, 14 * DAY)


@fault("lifetime-one-hour", finding="ISSUE-lifetime")
def lifetime_one_hour(server: Server) -> None:
    """A token lives for one hour."""
    _lives(server, HOUR)


@fault("lifetime-25-hours", finding="ISSUE-lifetime")
def lifetime_25_hours(server: Server) -> None:
    """A token lives for 25 hours."""
    _lives(server, 25 * HOUR)


@fault("lifetime-in-milliseconds", finding="ISSUE-lifetime")
def lifetime_in_milliseconds(server: Server) -> None:
    """A token's exp is in milliseconds, and lives 50,000 years."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def other(user: Document) -> Document:
        document = claims(user)
        document["exp"] *= 1000
        return document

    endless_expiry(server)
    expires_at = server.tokens.expires_at

    @instead_of(server.tokens.expires_at)
    def shown(claims: Document) -> str:
        return expires_at({**claims, "exp": claims["exp"] // 1000})


@fault("lifetime-of-bots-a-year", finding="ISSUE-lifetime")
def lifetime_of_bots_a_year(server: Server) -> None:
    """The tokens of bots live for a year."""
    _lives(server, 365 * DAY, "bot")


@fault("no-exp", finding="ISSUE-jwt")
def no_exp(server: Server) -> None:
    """A token has no exp, and no end."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def endless(user: Document) -> Document:
        return {name: value for name, value in claims(user).items() if name != "exp"}

    missing_exp_accepted(server)


@fault("dies-after-an-hour", finding="EXPIRY-not-before", needs=("clock",))
def dies_after_an_hour(server: Server) -> None:
    """A token says 24 hours, and is refused after one."""
    check = server.verifier.check_times

    @instead_of(server.verifier.check_times)
    def impatient(claims: Document) -> None:
        check(claims)
        if server.clock.now() > claims.get("iat", 0) + HOUR:
            raise server.verifier.expiry()


@fault("dies-five-minutes-early", finding="EXPIRY-not-before", needs=("clock",))
def dies_five_minutes_early(server: Server) -> None:
    """A token is refused five minutes before its end."""
    _expires(server, lambda exp: server.clock.now() >= exp - 300)


def _expires(server: Server, when: Callable[[int], bool]) -> None:
    @instead_of(server.verifier.expired)
    def expired(exp: int) -> bool:
        return when(exp)


@fault("never-expires", finding="EXPIRY-403", needs=("clock",))
def never_expires(server: Server) -> None:
    """The end of a token is written into it and never looked at."""
    _expires(server, lambda exp: False)


@fault("leeway-of-an-hour", finding="SEC-T03-beyond-leeway", needs=("signing-key",))
def leeway_of_an_hour(server: Server) -> None:
    """A token is good for an hour after its end."""
    _expires(server, lambda exp: server.clock.now() >= exp + HOUR)


@fault("leeway-of-five-minutes", finding="SEC-T03-beyond-leeway", needs=("signing-key",))
def leeway_of_five_minutes(server: Server) -> None:
    """A token is good for five minutes after its end."""
    _expires(server, lambda exp: server.clock.now() >= exp + 300)


@fault("expires-off-by-one", finding="SEC-T03", needs=("signing-key",))
def expires_off_by_one(server: Server) -> None:
    """Whole seconds are compared, one too late: a token is good for the second after its end."""
    _expires(server, lambda exp: int(server.clock.now()) > exp + 1)


def _expired_as(
    server: Server, status: int, message: str, where: Callable[[Call], bool] = lambda call: True
) -> None:
    """Answer an expired token in another way."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def otherwise(call: Call) -> Principal:
        try:
            return authenticate(call)
        except Expired as expired:
            if not where(call):
                raise
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            raise Refusal(status, message, headers) from expired


@fault("expired-401", finding="EXPIRY-403", needs=("clock",))
def expired_401(server: Server) -> None:
    """An expired token is answered 401."""
    _expired_as(server, 401, "jwt expired")


@fault("expired-400", finding="EXPIRY-403", needs=("clock",))
def expired_400(server: Server) -> None:
    """An expired token is answered 400."""
    _expired_as(server, 400, "The token has expired")


@fault("expired-404", finding="EXPIRY-403", needs=("clock",))
def expired_404(server: Server) -> None:
    """An expired token is answered 404."""
    _expired_as(server, 404, "Not found")


@fault("expired-500", finding="EXPIRY-403", needs=("clock",))
def expired_500(server: Server) -> None:
    """An expired token ends in a crash."""
    _expired_as(server, 500, "Internal server error")


@fault("expired-401-on-lists", finding="EXPIRY-403", needs=("clock",))
def expired_401_on_lists(server: Server) -> None:
    """An expired token is answered 401 on lists only."""
    _expired_as(server, 401, "jwt expired", lambda call: call.verb == "GET" and call.id is None)


@fault("expired-401-on-writes", finding="EXPIRY-403", needs=("clock",))
def expired_401_on_writes(server: Server) -> None:
    """An expired token is answered 401 on writes only."""
    _expired_as(server, 401, "jwt expired", lambda call: call.verb != "GET")


def ignore_expiry(server: Server, where: Callable[[Call], bool]) -> None:
    """Let an expired token through in some places."""
    authenticate = server.guard.authenticate

    @instead_of(server.guard.authenticate)
    def lenient(call: Call) -> Principal:
        try:
            return authenticate(call)
        except Expired:
            if not where(call):
                raise
            return despite_expiry(server, call)


def despite_expiry(server: Server, call: Call) -> Principal:
    """The caller, if only the token's time is over."""
    return server.verifier.person(server.verifier.checked_claims(server.bearer.token(call)))


def refresh_by_expired_bearers(server: Server, where: Callable[[Call], bool]) -> None:
    """Let an expired token be the bearer of GET refresh, for some requests."""
    bearer = server.tokens.bearer_of_refresh

    @instead_of(server.tokens.bearer_of_refresh)
    def patient(call: Call) -> Principal:
        try:
            return bearer(call)
        except Expired:
            if not where(call):
                raise
            return despite_expiry(server, call)


@fault("expired-lists-still", finding="EXPIRY-403", needs=("clock",))
def expired_lists_still(server: Server) -> None:
    """With an expired token one can still list."""
    ignore_expiry(
        server, lambda call: call.verb == "GET" and call.id is None and call.resource != ""
    )


@fault("expired-fetches-still", finding="EXPIRY-403", needs=("clock",))
def expired_fetches_still(server: Server) -> None:
    """With an expired token one can still fetch."""
    ignore_expiry(server, lambda call: call.verb == "GET" and call.id is not None)


@fault("expired-writes-still", finding="EXPIRY-403", needs=("clock",))
def expired_writes_still(server: Server) -> None:
    """With an expired token one can still write."""
    ignore_expiry(server, lambda call: call.verb != "GET")


@fault("expired-write-applies", finding="EXPIRY-no-effect", needs=("clock",))
def expired_write_applies(server: Server) -> None:
    """A write with an expired token is refused with 403, and done."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def too_late(call: Call) -> Answer:
        try:
            return await answer(call)
        except Expired:
            principal = despite_expiry(server, call)
            operation = server.dispatcher.operation(call, principal)
            if call.verb != "GET" and server.dispatcher.permitted(call, principal, operation):
                await server.dispatcher.perform(call, principal, operation)
            raise forbidden() from None


@fault("missing-exp-accepted", finding="SEC-T07", needs=("signing-key",))
def missing_exp_accepted(server: Server) -> None:
    """A token without exp never ends."""

    @instead_of(server.verifier.endless)
    def forgiven() -> None:
        return None


@fault("ignores-nbf", finding="SEC-T05", needs=("signing-key",))
def ignores_nbf(server: Server) -> None:
    """A token is good before its time."""

    @instead_of(server.verifier.premature)
    def never(nbf: int) -> bool:
        return False


@fault("millisecond-exp-accepted", finding="SEC-T08-milliseconds", needs=("signing-key",))
def endless_expiry(server: Server) -> None:
    """An exp in milliseconds is taken for seconds, and lives 50,000 years."""
    check = server.verifier.check_times

    @instead_of(server.verifier.check_times)
    def patient(claims: Document) -> None:
        exp = claims.get("exp")
        if isinstance(exp, int) and exp > 10**12:
            claims = {**claims, "exp": int(server.clock.now()) + DAY}
        check(claims)


@fault("text-exp-accepted", finding="SEC-T08", needs=("signing-key",))
def text_exp_accepted(server: Server) -> None:
    """An exp that is not a number never comes."""
    check = server.verifier.check_times

    @instead_of(server.verifier.check_times)
    def patient(claims: Document) -> None:
        if "exp" in claims and not isinstance(claims["exp"], (int, float)):
            claims = {**claims, "exp": int(server.clock.now()) + DAY}
        check(claims)


@fault("strange-exp-crashes", finding="SEC-T08", needs=("signing-key",))
def strange_exp_crashes(server: Server) -> None:
    """An exp that is not a number ends in a crash."""
    instant = server.verifier.instant

    @instead_of(server.verifier.instant)
    def fragile(value: object) -> int:
        if not isinstance(value, (int, float)):
            raise TypeError("exp")
        return instant(value)


@fault("expired-and-tampered-refreshes", finding="SEC-T10", needs=("clock",))
def expired_and_tampered_refreshes(server: Server) -> None:
    """On GET refresh the signature of an expired token is not looked at; that of a good one is."""
    bearer = server.tokens.bearer_of_refresh

    @instead_of(server.tokens.bearer_of_refresh)
    def careless(call: Call) -> Principal:
        try:
            return bearer(call)
        except Expired:
            raise
        except Refusal:
            parts = server.bearer.token(call).split(".")
            if len(parts) != 3:
                raise
            claims = server.verifier.document(parts[1])
            if claims.get("exp", 0) > server.clock.now():
                raise
            return server.verifier.person(claims)
