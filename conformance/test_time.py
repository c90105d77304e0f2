"""Time: a token is accepted from its beginning to its end, however its exp is written."""

from __future__ import annotations

from rolecall.evidence import Exchange, cite
from rolecall.jwt_forging import Parts, with_member
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested, TransientFailure
from rolecall.spec.claims import numeric_date
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.attacker import Attacker, skew, unissued
from rolecall.toolkit.clock import TOO_FAR_APART, by_issue, date_of
from rolecall.toolkit.expectations import expect_no_crash
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import EXPIRY, each, requirement
from rolecall.toolkit.throwaway_users import any_session, fresh_session
from rolecall.toolkit.world import World

_DAY = 24 * 60 * 60
_TRIES = 5  # to be answered within one and the same second


async def ended(seconds: float, world: World, attacker: Attacker) -> str:
    """A well signed token of the highest role that ended so many seconds ago."""
    end = int(await attacker.now() - seconds)
    return await attacker.made(
        await world.user(world.highest), iat=end - world.dialect.lifetime, exp=end
    )


# --- The end -----------------------------------------------------------------------------------

#: Seconds after a token's end. A minute is more than any leeway for clocks that differ (RFC 7519
#: 4.1.4).
AGES = {"61-seconds": 61, "five-minutes": 300}


@requirement("SEC-T03-beyond-leeway")
@each("age", AGES)
async def test_a_token_is_refused_a_minute_after_its_end(
    age: str, world: World, attacker: Attacker
) -> None:
    """A token that ended more than a minute ago, or a day ago, is rejected."""
    token, older = await ended(AGES[age], world, attacker), await ended(_DAY, world, attacker)

    for protected_request in await attacker.protected_requests():
        answer = await world.perform(
            protected_request, unissued(token), attack="SEC-T03-beyond-leeway"
        )

        control = await world.perform(
            protected_request, unissued(older), attack="SEC-T03-beyond-leeway"
        )
        if control.ok or control.status >= 500:
            raise Inconclusive("a refusal of a token that ended a day ago", "EXPIRY-403")
        expect_no_crash(answer)
        if answer.ok:
            raise Finding(
                f"refused {AGES[age]} s after its end", f"{answer.status}: let in", answer
            )


async def at_the_second(after: int, world: World, attacker: Attacker, attack: str) -> Exchange:
    """The answer to a token whose end was so many whole seconds before the very second in which it
    was answered.

    That second is what a new token's iat says, which a log-in of ours has just given; it is over
    when the Date is another. One that is let in after its end may come later as well.

    Raises:
        NotApplicable: the target does not say what second it has, or says two.
        Inconclusive: no answer came within the second.
    """
    admin = await world.user(world.highest)
    protected_request = (await attacker.protected_requests())[0]
    for _ in range(_TRIES):
        grant = (await fresh_session(world, world.roles[0])).grant
        second, date = second_of(grant)
        end = second - after
        token = await attacker.made(admin, iat=end - world.dialect.lifetime, exp=end)
        answer = await world.perform(protected_request, unissued(token), attack=attack)
        if date_of(answer) == date or (after and answer.ok):
            return cite(answer, "answer")
    raise Inconclusive(
        "an answer within the second that was asked about", "the latency of the target"
    )


def second_of(grant: Grant) -> tuple[int, float]:
    """The second in which a log-in was answered, by its new token and by its Date.

    Raises:
        NotApplicable: the two are not the same, or one of them is not there.
    """
    issued, date = numeric_date(grant.claims, "iat"), date_of(grant.exchange)
    cite(grant.exchange, "answer")
    if date is None:
        raise NotApplicable(
            "the target does not tell what second it has: its answers have no Date header"
        )
    if issued is None or not 0 <= date - int(issued) <= 1:
        raise NotApplicable(
            "the target does not tell what second it has: its Date header and a new token's iat "
            "do not say the same"
        )
    return int(issued), date


@requirement("SEC-T03")
async def test_a_token_is_refused_a_second_after_its_end(world: World, attacker: Attacker) -> None:
    """A token whose end was in the second before is not let in."""
    answer = await at_the_second(1, world, attacker, "SEC-T03")

    if answer.ok:
        raise Finding(
            "refused one second after its end, without leeway", f"{answer.status}: let in", answer
        )


@requirement("SEC-T04")
async def test_the_second_in_which_a_token_ends(
    world: World, attacker: Attacker, judge: Judge
) -> None:
    """Whether a token is accepted in the very second of its end is noted."""
    answer = await at_the_second(0, world, attacker, "SEC-T04")

    judge.note(
        "in the second of its end a token is "
        f"{'let in' if answer.ok else f'refused ({answer.status})'}"
    )


@requirement("SEC-T10")
@each("where", ("fetch-user-self", "refresh"))
async def test_expired_and_tampered_with(
    where: str, world: World, attacker: Attacker, judge: Judge
) -> None:
    """A live token whose end was moved into the past under the old signature is not let in, and
    refreshes nothing.
    """
    live = await any_session(world, world.roles[0])
    issued = live.grant.exchange.at
    token = Parts.of(live.token).edited(iat=int(issued) - 2 * _DAY, exp=int(issued) - _DAY)

    await present(where, token, live, world, attacker, judge)


@requirement("SEC-T10", phase=EXPIRY)
@each("where", ("fetch-user-self", "refresh"))
async def test_really_expired_and_tampered_with(
    where: str, world: World, expiry: Expiry, attacker: Attacker, judge: Judge
) -> None:
    """A token that has really expired, with a changed signature, is not let in, and refreshes
    nothing.
    """
    for expired in await expiry.spare():
        token = Parts.of(expired.caller.token).with_last_byte_changed()

        async with expiry.logged_in_again(expired) as live:
            await present(where, token, live, world, attacker, judge)


async def present(
    where: str, token: str, live: Caller, world: World, attacker: Attacker, judge: Judge
) -> None:
    """Present a token instead of a live one: at the caller's own user, or as the bearer of a
    refresh.
    """
    refresh_token = live.grant.refresh_token
    if where != "refresh":
        request = await world.request(world.spec.operations[where], live)
        answer = await world.perform(request, unissued(token), attack="SEC-T10")
        attacker.check_rejected(answer, request, (*world.dialect.anonymous, *world.dialect.expired))
        await world.alive(live, answer.finished)
        return
    answer = await world.tokens.refresh_get(
        refresh_token, bearer=token, caller="nobody", attack="SEC-T10"
    )
    judge.expect_no_token(answer)
    await judge.control_refresh(
        world.tokens.refresh_get(refresh_token, bearer=live.token, caller=str(live)), live
    )


# --- The beginning -----------------------------------------------------------------------------


@requirement("SEC-T05")
async def test_a_token_is_refused_before_its_time(world: World, attacker: Attacker) -> None:
    """A well signed token that is not to be used for another hour (nbf) is not let in."""
    token = await attacker.made(
        await world.user(world.highest), nbf=int(await attacker.now()) + 3600
    )

    await attacker.expect_rejected(token, attack="SEC-T05")


@requirement("SEC-T06")
async def test_a_token_from_the_future(world: World, attacker: Attacker, judge: Judge) -> None:
    """Whether a token issued an hour ahead is accepted is noted."""
    now = int(await attacker.now())
    token = await attacker.made(
        await world.user(world.highest), iat=now + 3600, exp=now + 3600 + world.dialect.lifetime
    )
    protected_request = (await attacker.protected_requests())[0]

    answer = await world.perform(protected_request, unissued(token), attack="SEC-T06")

    judge.note(
        f"a token issued in an hour is {'let in' if answer.ok else f'refused ({answer.status})'}"
    )


# --- What the end looks like -------------------------------------------------------------------


@requirement("SEC-T07")
async def test_a_token_without_end_is_refused(world: World, attacker: Attacker) -> None:
    """A well signed time-based token without exp is not let in."""
    admin = await world.user(world.highest)
    await tell_from_key(admin, world)
    token = await attacker.made(admin, without="exp")

    await attacker.expect_rejected(
        token, attack="SEC-T07", statuses=(*attacker.unreadable, *world.dialect.expired)
    )


async def tell_from_key(caller: Caller, world: World) -> None:
    """Make sure that a token without exp is no API key, which may have none.

    Raises:
        NotApplicable: it says everything of itself that an API key says.
    """
    try:
        key = Parts.of((await world.key(caller.role)).token).claims
    except TransientFailure:
        raise
    except (NotTested, Inconclusive):
        return
    own = Parts.of(caller.token).claims
    if (
        "exp" not in key
        and key.keys() <= own.keys()
        and key.get("grant_type") == own.get("grant_type")
    ):
        cite(caller.grant.exchange, "answer")
        raise NotApplicable("a token without exp cannot be told from an API key, by its claims")


#: Claims `exp` as JSON text that are no instant, or one that is over. "{past}" is an hour ago,
#: "{ahead}" in an hour.
NO_END = {
    "text": '"tomorrow"',
    "text-of-the-past": '"{past}"',
    "fraction-of-the-past": "{past}.5",
    "negative": "-1",
    "null": "null",
    "array": "[{ahead}]",
    "object": '{"$gt":{ahead}}',
    "true": "true",
}

#: Instants that are far away, or that a number of 32 or 64 bits cannot hold: they may be refused or
#: believed.
FAR_ENDS = {
    "2-to-the-31": "2147483648",
    "2-to-the-53-and-1": "9007199254740993",
    "10-to-the-400": "1e400",
}


async def ending(text: str, world: World, attacker: Attacker) -> str:
    """A well signed token of the highest role whose exp is written like this."""
    admin, now = await world.user(world.highest), int(await attacker.now())
    value = text.replace("{past}", str(now - 3600)).replace("{ahead}", str(now + 3600))
    claims = {**Parts.of(admin.token).claims, "iat": now - 7200}
    return await attacker.made(admin, body=with_member(claims, "exp", value))


@requirement("SEC-T08")
@each("end", NO_END)
async def test_an_end_that_is_none_is_refused(end: str, world: World, attacker: Attacker) -> None:
    """A well signed token whose exp is not a number, or a number in the past, is not let in, and
    nothing breaks.
    """
    token = await ending(NO_END[end], world, attacker)

    await attacker.expect_rejected(
        token,
        attack="SEC-T08",
        protected_requests=[await attacker.protected_request_for(end, NO_END)],
        statuses=(*attacker.unreadable, *world.dialect.expired),
    )


@requirement("SEC-T08")
@each("end", FAR_ENDS)
async def test_an_end_far_away_breaks_nothing(end: str, world: World, attacker: Attacker) -> None:
    """A well signed token with a very large exp is refused, or believed; nothing breaks."""
    token = await ending(FAR_ENDS[end], world, attacker)

    protected_request = await attacker.protected_request_for(end, FAR_ENDS)
    answer = await world.perform(protected_request, unissued(token), attack="SEC-T08")
    if not answer.ok:
        attacker.check_rejected(
            answer, protected_request, (*attacker.unreadable, *world.dialect.expired)
        )


@requirement("SEC-T08-milliseconds")
async def test_milliseconds_do_not_last_for_ages(world: World, attacker: Attacker) -> None:
    """A well signed token of two days ago whose exp is in milliseconds is over: it does not live
    for 50,000 years.

    A server may let in such a token for the 24 hours after its iat, so that one has to be older.
    """
    issued = int(await attacker.now()) - 2 * _DAY
    end = (issued + world.dialect.lifetime) * 1000
    token = await attacker.made(await world.user(world.highest), iat=issued, exp=end)

    statuses = (*attacker.unreadable, *world.dialect.expired)
    await attacker.expect_rejected(token, attack="SEC-T08-milliseconds", statuses=statuses)


# --- The clock ---------------------------------------------------------------------------------

_WARN = 5.0  # seconds


@requirement("SEC-T11")
async def test_the_clock_is_right(world: World, judge: Judge) -> None:
    """The target's clock, by its Date header, is within five seconds of ours."""
    grant = (await fresh_session(world, world.roles[0])).grant
    answer = grant.exchange
    if not answer.header("date"):
        raise NotApplicable("the target does not tell its time: its answers have no Date header")
    cite(answer, "answer")
    low, high = skew(answer)

    if low > _WARN or high < -_WARN:
        is_judged = max(low, -high) <= TOO_FAR_APART or by_issue(grant) is not None
        beyond = "" if is_judged else "; what depends on time was not judged"
        raise Finding(
            f"a clock within {_WARN:g} s of ours", f"{(low + high) / 2:+.1f} s{beyond}", answer
        )
