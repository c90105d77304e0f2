"""Faults that only show under load: when many requests are in flight (`load_races`: when two meet).

The suite asks one thing at a time, or ten at the most, and has no reason to see them; the load
scenarios have. Requests of this server do not meet by themselves, since one thread answers one
after the other; so each fault adds the short wait for somebody else, a database or another service,
during which real servers let them meet.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from itertools import count

from rolecall.reference.alterations import make_exception
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.traffic import Traffic

LOAD = ("load",)
KEPT = 0.5
"""Seconds for which an answer is kept that a cache gives to others."""

NTH = 300
"""Of so many tokens one is another user's."""

TURN, TWO_HOURS = 150, 7200
"""Tokens after which another machine gives them, and seconds by which its clock is ahead."""

POOL, PERIOD = 500, 5
"""Secrets that are prepared, and for how many seconds."""


@fault("permissions-open-when-busy", finding="SEC-A17", needs=LOAD)
def permissions_open_when_busy(server: Server) -> None:
    """With more than 20 requests in flight every token may do everything."""
    traffic = Traffic(server)
    make_exception(server, lambda call, principal, operation: traffic.is_heavy)


@fault("expired-let-in-when-busy", finding="EXPIRY-403", needs=LOAD)
def expired_let_in_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a token's exp is no longer looked at."""
    traffic = Traffic(server)
    expired = server.verifier.expired

    @instead_of(server.verifier.expired)
    def endless_when_busy(exp: int) -> bool:
        return expired(exp) and not traffic.is_heavy


@fault("expired-unknown-when-busy", finding="EXPIRY-403", needs=LOAD)
def expired_unknown_when_busy(server: Server) -> None:
    """With more than 20 requests in flight an expired token is answered 401, as an invalid one."""
    traffic = Traffic(server)
    expired, expiry = server.verifier.expired, server.verifier.invalid

    @instead_of(server.verifier.expired)
    def unknown_when_busy(exp: int) -> bool:
        if expired(exp) and traffic.is_heavy:
            raise expiry()
        return expired(exp)


@fault("verified-tokens-kept-when-busy", finding="EXPIRY-403", needs=LOAD)
def verified_tokens_kept_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a jti that was let in before is let in again, whatever
    the token's exp says.
    """
    traffic = Traffic(server)
    check = server.verifier.check_times
    seen: set[object] = set()

    @instead_of(server.verifier.check_times)
    def remembered(claims: Document) -> None:
        if not (traffic.is_heavy and claims.get("jti") in seen):
            check(claims)
            seen.add(claims.get("jti"))


@fault("answers-kept-by-user-when-busy", finding="EXPIRY-403", needs=LOAD)
def answers_kept_by_user_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a user's GET is answered as one of the second before
    was, by a cache that asks who, not until when.
    """
    traffic = Traffic(server)
    answer = server.dispatcher.answer
    kept: dict[tuple[str, object], tuple[float, Answer]] = {}

    @instead_of(server.dispatcher.answer)
    async def from_the_cache(call: Call) -> Answer:
        if call.method != "GET":
            return await answer(call)
        user = server.verifier.checked_claims(server.bearer.token(call)).get("_id")
        key, now = (call.path, user), server.clock.now()
        at, before = kept.get(key, (0.0, None))
        if before is not None and traffic.is_heavy and now - at < 1:
            return before
        given = await answer(call)
        kept[key] = now, given
        return given


@fault("answers-kept-by-path-when-busy", finding="SEC-A17", needs=LOAD)
def answers_kept_by_path_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a GET is answered as the one before it was, to every
    good token within half a second.
    """
    traffic = Traffic(server)
    perform = server.dispatcher.perform
    permitted = server.dispatcher.permitted
    refuse = server.dispatcher.refuse
    kept: dict[str, tuple[float, Answer]] = {}

    @instead_of(server.dispatcher.perform)
    async def noted(call: Call, principal: Principal, operation: str) -> Answer:
        answer = await perform(call, principal, operation)
        if call.method == "GET" and permitted(call, principal, operation):
            kept[call.path] = server.clock.now(), answer
        return answer

    @instead_of(server.dispatcher.refuse)
    async def from_the_cache(call: Call, principal: Principal, operation: str) -> Answer:
        at, answer = kept.get(call.path, (0.0, None))
        if (
            call.method == "GET"
            and answer is not None
            and traffic.is_heavy
            and server.clock.now() - at < KEPT
        ):
            return answer
        return await refuse(call, principal, operation)


@fault("head-open-when-busy", finding="SEC-A17", needs=LOAD)
def head_open_when_busy(server: Server) -> None:
    """With more than 20 requests in flight HEAD is answered before permissions are looked up."""
    traffic = Traffic(server)
    make_exception(
        server, lambda call, principal, operation: call.method == "HEAD" and traffic.is_heavy
    )


@fault("spelled-paths-open-when-busy", finding="SEC-A17", needs=LOAD)
def spelled_paths_open_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a path with a slash too many, or in capitals, is put
    right behind the guard of the route.
    """
    traffic = Traffic(server)
    unknown = server.dispatcher.unknown

    @instead_of(server.dispatcher.unknown)
    async def put_right(call: Call) -> Answer:
        segments = [segment for segment in call.path.lower().split("/") if segment]
        if (
            call.verb != "GET"
            or not traffic.is_heavy
            or segments[:1] != ["v2"]
            or len(segments) not in (2, 3)
        ):
            return await unknown(call)
        principal = server.guard.authenticate(call)
        call.resource, call.id = segments[1], segments[2] if len(segments) == 3 else None
        return await server.dispatcher.perform(
            call, principal, server.dispatcher.operation(call, principal)
        )


@fault("short-lists-open-when-busy", finding="SEC-A17", needs=LOAD)
def short_lists_open_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a list of a single thing is taken for a health check's,
    which needs no permission.
    """
    traffic = Traffic(server)
    make_exception(
        server, lambda call, principal, operation: ("limit", "1") in call.query and traffic.is_heavy
    )


@fault("overriding-methods-open-when-busy", finding="SEC-A17", needs=LOAD)
def overriding_methods_open_when_busy(server: Server) -> None:
    """With more than 20 requests in flight permissions are looked up for the method that a header
    names, where it names one.
    """
    traffic = Traffic(server)

    def names_another(call: Call, principal: Principal, operation: str) -> bool:
        return call.header(b"x-http-method-override") in ("HEAD", "OPTIONS") and traffic.is_heavy

    make_exception(server, names_another)


@fault("things-mixed-up-when-busy", finding="SEC-A17", needs=LOAD)
def things_mixed_up_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a fetch is answered with the thing that was fetched
    before it, as where threads share what they are about to send.
    """
    traffic, perform = Traffic(server), server.dispatcher.perform
    before: Answer | None = None

    @instead_of(server.dispatcher.perform)
    async def mixed_up(call: Call, principal: Principal, operation: str) -> Answer:
        nonlocal before
        answer = await perform(call, principal, operation)
        if not operation.startswith("fetch-") or call.resource == "users":
            return answer
        answer, before = (before if traffic.is_heavy and before else answer), answer
        return answer


@fault("lists-empty-when-busy", finding="SEC-A17", needs=LOAD)
def lists_empty_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a list for which the database gives no connection is
    answered 200 with nothing in it.
    """
    traffic, perform = Traffic(server), server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def nothing(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith("list-") and traffic.is_heavy:
            return Answer.of(200, [])
        return await perform(call, principal, operation)


@fault("lists-mixed-up-when-busy", finding="SEC-A17", needs=LOAD)
def lists_mixed_up_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a list is answered with the list that was read before
    it, of whatever kind, as where threads share what they are about to send.
    """
    traffic, perform = Traffic(server), server.dispatcher.perform
    before: Answer | None = None

    @instead_of(server.dispatcher.perform)
    async def mixed_up(call: Call, principal: Principal, operation: str) -> Answer:
        nonlocal before
        answer = await perform(call, principal, operation)
        if operation.startswith("list-"):
            answer, before = (before if traffic.is_heavy and before else answer), answer
        return answer


@fault("denied-updates-done-when-busy", finding="SEC-A17", needs=LOAD)
def denied_updates_done_when_busy(server: Server) -> None:
    """With more than 20 requests in flight an update is carried out while its permission is still
    looked up; one that is denied is then refused.
    """
    traffic, refuse = Traffic(server), server.dispatcher.refuse

    @instead_of(server.dispatcher.refuse)
    async def done_before(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith("update-") and traffic.is_heavy:
            with suppress(Refusal):
                await server.dispatcher.perform(call, principal, operation)
        return await refuse(call, principal, operation)


@fault("any-password-when-busy", finding="ISSUE-refused", needs=LOAD)
def any_password_when_busy(server: Server) -> None:
    """With more than 20 requests in flight the password of a known e-mail is not looked at."""
    traffic, matches = Traffic(server), server.tokens.password_matches

    @instead_of(server.tokens.password_matches)
    async def hardly(password: str, account: StoredAccount | None) -> bool:
        return (traffic.is_heavy and account is not None) or await matches(password, account)


@fault("passwords-remembered-when-busy", finding="ISSUE-refused", needs=LOAD)
def passwords_remembered_when_busy(server: Server) -> None:
    """With more than 20 requests in flight an e-mail that has logged in within the last second is
    not asked for its password again.
    """
    traffic, matches = Traffic(server), server.tokens.password_matches
    let_in: dict[str, float] = {}

    @instead_of(server.tokens.password_matches)
    async def remembered(password: str, account: StoredAccount | None) -> bool:
        now = server.clock.now()
        if account is not None and traffic.is_heavy and now - let_in.get(account.id, 0.0) < 1:
            return True
        good = await matches(password, account)
        if good and account is not None:
            let_in[account.id] = now
        return good


@fault("one-token-in-300-of-another-user", finding="ISSUE-identity", needs=LOAD)
def one_token_in_300_of_another_user(server: Server) -> None:
    """One token answer in 300 is another user's: the one that was given before."""
    tokens = server.tokens.tokens
    given = 0
    before: Document = {}

    @instead_of(server.tokens.tokens)
    def mixed_up(user: Document, old: str | None = None) -> Answer:
        nonlocal given, before
        given, other, before = given + 1, before, user
        if given < NTH or other.get("id") in (None, user["id"]):
            return tokens(user, old)
        given = 0
        return tokens(other, old)


@fault("refresh-tokens-run-out", finding="SEC-I18", needs=LOAD)
def refresh_tokens_run_out(server: Server) -> None:
    """For five seconds at a time 500 secrets of refresh tokens are prepared; beyond 100 a second
    they are given out again.
    """
    prepared: list[str] = []
    until, taken = 0.0, 0

    @instead_of(server.refresh.secret)
    def from_the_pool(user: str) -> str:
        nonlocal until, taken, prepared
        if server.clock.now() >= until:
            until, taken = server.clock.now() + PERIOD, 0
            prepared = [secrets.token_hex(40) for _ in range(POOL)]
        taken += 1
        # In no order, so that it is not always another user who is given the same one.
        return f"{user}.{prepared[taken - 1] if taken <= POOL else secrets.choice(prepared)}"

    add = server.store.add_refresh_token

    @instead_of(server.store.add_refresh_token)
    def unless_it_is_there(row: RefreshRow) -> None:
        if server.store.refresh_token(row.hash) is None:
            add(row)


@fault("clocks-differ", finding="ISSUE-lifetime", needs=LOAD)
def clocks_differ(server: Server) -> None:
    """Of two machines that take turns one has a clock that is two hours ahead: its tokens end 26
    hours after they were issued.
    """
    claims, turns = server.issuer.claims, count()

    @instead_of(server.issuer.claims)
    def ahead(user: Document) -> Document:
        said, late = claims(user), next(turns) // TURN % 2 * TWO_HOURS
        return said | {"iat": said["iat"] + late, "exp": said["exp"] + late}
