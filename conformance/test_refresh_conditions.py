"""Refresh with two conditions at once: each rule holds in combination with the others."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from rolecall.evidence import Exchange, cite, note
from rolecall.jwt_forging import Parts
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.tokens import TOKEN_PATH, Caller
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import EXPIRY, each, requirement
from rolecall.toolkit.refresh_tokens import altered_end, never_issued
from rolecall.toolkit.throwaway_users import (
    any_session,
    changeable,
    fresh_session,
    refreshes_before_expiry,
)
from rolecall.toolkit.world import World

# --- One rule broken, and called otherwise than usual -------------------------------------------


@dataclass(frozen=True)
class RefreshCall:
    """A refresh that breaks one ``rule``, by its requirement, and is unusual in something that does
    not mend it.

    ``bearer``: own, own and damaged, another's, the highest role's, an API key, or none. ``token``:
    whole, altered, or never issued. ``client``: the own e-mail, an unknown one, another user's, the
    bearer's, or none. GET sends a clientId in the query.
    """

    rule: str
    method: str
    bearer: str
    token: str = "whole"  # noqa: S105  # how it is, not what
    client: str = ""


#: Each rule under each way to call, pairwise. Alone the rules are broken in test_refresh.py.
CALLS = {
    "get-with-client-id-for-bearer": RefreshCall("REFRESH-get-bearer", "get", "", client="own"),
    "get-with-damaged-bearer": RefreshCall("REFRESH-get-bearer", "get", "damaged"),
    "get-with-bearer-of-the-highest-role": RefreshCall("REFRESH-get-foreign", "get", "highest"),
    "get-with-bearer-of-another-and-client-id": RefreshCall(
        "REFRESH-get-foreign", "get", "another", client="own"
    ),
    "get-with-altered-token-and-client-id": RefreshCall(
        "REFRESH-whole-token", "get", "own", "altered", "own"
    ),
    "get-with-unknown-token-and-client-id": RefreshCall(
        "REFRESH-unknown-token", "get", "own", "unknown", "own"
    ),
    "post-with-altered-token-and-own-bearer": RefreshCall(
        "REFRESH-whole-token", "post", "own", "altered", "own"
    ),
    "post-with-altered-token-and-bearer-of-the-highest-role": RefreshCall(
        "REFRESH-whole-token", "post", "highest", "altered", "own"
    ),
    "post-with-unknown-token-and-own-bearer": RefreshCall(
        "REFRESH-unknown-token", "post", "own", "unknown", "own"
    ),
    "post-with-unknown-token-and-key": RefreshCall(
        "REFRESH-unknown-token", "post", "key", "unknown", "own"
    ),
    "post-with-client-id-of-another-and-own-bearer": RefreshCall(
        "REFRESH-client", "post", "own", client="another"
    ),
    "post-with-client-id-and-bearer-of-another": RefreshCall(
        "REFRESH-client", "post", "another", client="another"
    ),
    "post-without-client-id-and-bearer-of-the-highest-role": RefreshCall(
        "REFRESH-client", "post", "highest"
    ),
    "post-with-unknown-client-id-and-key": RefreshCall(
        "REFRESH-client", "post", "key", client="unknown"
    ),
}
#: The same with a bearer that has expired, which is the caller's own.
EXPIRED_CALLS = {
    "get-with-expired-bearer-and-client-id": RefreshCall(
        "REFRESH-get-expired", "get", "own", client="own"
    ),
    "post-with-expired-bearer-and-client-id-of-another": RefreshCall(
        "REFRESH-client", "post", "own", client="another"
    ),
    "post-with-expired-bearer-and-altered-token": RefreshCall(
        "REFRESH-whole-token", "post", "own", "altered", "own"
    ),
}


def calls(cases: dict[str, RefreshCall], *, phase: int | None = None) -> pytest.MarkDecorator:
    """One test per call, each under the requirement of the rule that it breaks."""
    options = {} if phase is None else {"phase": phase}
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(name, id=name, marks=requirement(call.rule, **options))
            for name, call in cases.items()
        ],
    )


async def another(caller: Caller, world: World) -> Caller:
    """Another user, whose token may be presented where it does not belong: of the caller's role,
    as is nearest to being the same, or of the next one where there is none.
    """
    alike = await changeable(world, world.roles[0])
    return alike if alike.user != caller.user else await changeable(world, world.roles[1])


async def bearer_of(call: RefreshCall, caller: Caller, world: World) -> str:
    """The token that goes with a call.

    Raises:
        NotApplicable: it is an API key, and there are none.
    """
    if call.bearer == "key":
        try:
            return (await world.key(world.highest)).token
        except NotTested as reason:
            cite(caller.grant.exchange, "control")
            raise NotApplicable(f"a refresh with an API key: {reason}") from None
    if call.bearer == "damaged":
        return Parts.of(caller.token).with_last_byte_changed()
    if call.bearer in ("", "own"):
        return caller.token if call.bearer else ""
    return (
        await (
            another(caller, world) if call.bearer == "another" else changeable(world, world.highest)
        )
    ).token


async def send(call: RefreshCall, caller: Caller, bearer: str, world: World) -> Exchange:
    """Call as it stands in the table, with the refresh token of a session."""
    whole = caller.grant.refresh_token
    tokens = {"whole": whole, "altered": altered_end(whole)}
    members = {"refreshToken": tokens.get(call.token) or never_issued(whole, caller.grant.user)}
    clients = {"own": caller.email, "unknown": world.fill("nobody-{run}@{domain}")}
    if call.client:
        members["clientId"] = clients.get(call.client) or (await another(caller, world)).email
    who = str(caller)
    if call.method == "get":
        path = f"{TOKEN_PATH}?{urlencode(members)}"
        return await world.client.send(
            "GET", path, token=bearer, caller=who, attack=call.rule, repeatable=False
        )
    return await world.client.send(
        "POST", TOKEN_PATH, token=bearer, json=members, caller=who, attack=call.rule
    )


def usual(call: RefreshCall, caller: Caller, world: World) -> Awaitable[Exchange]:
    """The control: the same path of refresh with everything as it should be."""
    return world.tokens.refresh_by(call.method, caller.grant.refresh_token, caller, attack="")


@calls(CALLS)
async def test_no_way_to_call_mends_a_broken_rule(case: str, world: World, judge: Judge) -> None:
    """A refresh that breaks a rule gets no token, whatever its bearer or clientId."""
    call = CALLS[case]
    caller = await any_session(world, world.roles[0])

    answer = await send(call, caller, await bearer_of(call, caller, world), world)

    judge.expect_no_token(answer)
    await judge.control_refresh(usual(call, caller, world), caller)


@calls(EXPIRED_CALLS, phase=EXPIRY)
async def test_an_expired_bearer_mends_no_broken_rule(
    case: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """A refresh that breaks a rule gets no token with the own expired bearer either."""
    call, spare = EXPIRED_CALLS[case], await expiry.spare()
    for expired in spare if world.intrusive else spare[:1]:
        async with expiry.logged_in_again(expired) as live:
            answer = await send(call, live, expired.caller.token, world)

            judge.expect_no_token(answer)
            await judge.control_refresh(usual(call, live, world))


# --- Halves of two credentials -----------------------------------------------------------------


def halves(refresh_token: str, user: str) -> tuple[str, str]:
    """What stands in front of a refresh token's secret, its user or a key to look it up by, and the
    secret; else two halves.
    """
    front, dot, secret = refresh_token.rpartition(".")
    if front:
        return front + dot, secret
    middle = len(user) if user and refresh_token.startswith(user) else len(refresh_token) // 2
    return refresh_token[:middle], refresh_token[middle:]


#: Whose e-mail or bearer comes with the mixture: who gave the front, or who gave the secret; and
#: the path.
MIXTURES = {
    "as-the-front-by-post": (0, "post"),
    "as-the-secret-by-post": (1, "post"),
    "as-the-front-by-get": (0, "get"),
    "as-the-secret-by-get": (1, "get"),
}


@requirement("SEC-E12")
@each("mixture", MIXTURES)
async def test_halves_of_two_refresh_tokens_make_none(
    mixture: str, world: World, judge: Judge
) -> None:
    """Parts of two users' refresh tokens get no token, and both sessions go on."""
    one, other = (
        await fresh_session(world, world.roles[0]),
        await fresh_session(world, world.roles[1]),
    )
    fronts, secrets = zip(
        *(halves(user.grant.refresh_token, user.user) for user in (one, other)), strict=True
    )
    mixed = fronts[0] + secrets[1]
    if mixed in (one.grant.refresh_token, other.grant.refresh_token):
        cite(one.grant.exchange, "answer")
        raise NotApplicable("of two refresh tokens the first parts are the same")
    number, path = MIXTURES[mixture]

    answer = await world.tokens.refresh_by(path, mixed, (one, other)[number], attack="SEC-E12")

    judge.expect_no_token(answer)
    await expect_unharmed(one, world, judge, is_public=fronts[0].rstrip(".") == one.user)
    await expect_unharmed(other, world, judge, is_public=False)


async def expect_unharmed(caller: Caller, world: World, judge: Judge, *, is_public: bool) -> None:
    """The session goes on; if it was ended for a part of it that is secret, a new one goes on.

    Raises:
        Finding: a part that everybody knows was enough to end it.
    """
    answer = await world.tokens.refresh_post(
        caller.grant.refresh_token, caller.email, caller=str(caller)
    )
    if answer.ok:
        cite(answer, "control")
        return
    if is_public and await refreshes_before_expiry(world):
        raise Finding(
            f"the session of {caller} as good as before: its user's id is no secret",
            f"{answer.status}",
            answer,
        )
    note(f"the session of {caller} was ended when a part of its refresh token was presented")
    session = await fresh_session(world, caller.role)
    await judge.control_refresh(
        world.tokens.refresh_post(session.grant.refresh_token, session.email, caller=str(session))
    )


@requirement("SEC-E12")
async def test_halves_of_two_access_tokens_make_none(world: World, attacker: Attacker) -> None:
    """The highest role's claims under the lowest role's header or signature are rejected."""
    high, low = [
        Parts.of((await world.user(role)).token) for role in (world.highest, world.roles[0])
    ]
    mixed = {f"{high.head}.{high.body}.{low.signature}", f"{low.head}.{high.body}.{high.signature}"}

    tokens = sorted(mixed - {f"{high.head}.{high.body}.{high.signature}"})
    if not tokens:
        raise Inconclusive(
            "access tokens of two users that differ in their signatures", "ISSUE-identity"
        )

    for token in tokens:
        await attacker.expect_rejected(token, attack="SEC-E12")
