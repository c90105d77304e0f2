"""Refresh under attack: a refresh token gets its own user and scope, whatever comes with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, NotTested
from rolecall.spec.templates import made_up_password
from rolecall.tokens import TOKEN_PATH, Caller, Grant
from rolecall.toolkit.expectations import expect_no_grant, expect_no_more_than
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import EXPIRY, each, requirement
from rolecall.toolkit.refresh_tokens import never_issued
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    any_session,
    fresh_session,
    throwaway_user,
)
from rolecall.toolkit.world import World

# --- Whose token --------------------------------------------------------------------------------

#: Other spellings of the clientId; a "+" is sent as a form would read it.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper-case": str.upper,
    "spaces-around": lambda email: f" {email} ",
    "plus-as-space": lambda email: email.replace("+", " "),
}


async def session_with_a_plus(world: World) -> Caller:
    """A session of a user whose e-mail has a plus in it, where one can be made; else of any."""
    email = f"rolecall+{world.new_name('plus').replace('-', '.')}@{world.target.email_domain}"
    try:
        return (await throwaway_user(world, world.roles[0], email=email)).caller
    except NotTested:
        return await fresh_session(world, world.roles[0])


@requirement("SEC-R09")
@each("spelling", SPELLINGS)
async def test_other_spellings_of_the_client_id(spelling: str, world: World, judge: Judge) -> None:
    """Whether another spelling of the clientId is accepted is noted."""
    caller = await session_with_a_plus(world)
    body = {
        "refreshToken": caller.grant.refresh_token,
        "clientId": SPELLINGS[spelling](caller.email),
    }

    answer = await world.tokens.post(body, caller=str(caller), attack="SEC-R09")

    judge.note(
        f"clientId {spelling.replace('-', ' ')}: "
        f"{'refreshed' if answer.ok else f'refused ({answer.status})'}"
    )
    if answer.ok:
        await judge.expect_refresh_at_most(answer, caller, "post")


#: What may stand in the Authorization header of a POST refresh, where the specification wants none
#: (AMB-07).
BEARERS = ("own", "another-users", "garbage")


@shared_setup
async def refresh_with_bearer(world: World, bearer: str) -> tuple[Caller, Exchange]:
    """POST a refresh with an Authorization header."""
    caller = await fresh_session(world, world.roles[0])
    tokens = {
        "own": caller.token,
        "another-users": (await world.user(world.highest)).token,
        "garbage": "rolecall.is.no-token",
    }
    return caller, await post_with(caller, tokens[bearer], world)


async def post_with(caller: Caller, token: str, world: World) -> Exchange:
    """POST a refresh as ``caller``, with this token as bearer."""
    body = {"refreshToken": caller.grant.refresh_token, "clientId": caller.email}
    return await world.client.send(
        "POST", TOKEN_PATH, token=token, json=body, caller=str(caller), attack="SEC-R13"
    )


@requirement("SEC-R13")
@each("bearer", BEARERS)
async def test_a_bearer_does_not_decide_a_post_refresh(
    bearer: str, world: World, judge: Judge
) -> None:
    """POST refresh with a bearer is refused, or gets a token of the refresh token's user."""
    caller, answer = await refresh_with_bearer(world, bearer)

    judge.cite(answer)
    await judge.expect_refresh_at_most(answer, caller, "post")


@requirement("SEC-R13", phase=EXPIRY)
async def test_an_expired_bearer_does_not_decide_a_post_refresh(
    world: World, expiry: Expiry, judge: Judge
) -> None:
    """POST refresh with another's expired bearer gets no token of that user."""
    for expired in await expiry.tokens(world.highest):
        caller = await fresh_session(world, world.roles[0])

        answer = await post_with(caller, expired.caller.token, world)

        await judge.expect_refresh_at_most(answer, caller, "post")


@requirement("SEC-R13-tolerated")
@each("bearer", BEARERS)
async def test_whether_a_bearer_is_tolerated_at_a_post_refresh(
    bearer: str, world: World, judge: Judge
) -> None:
    """Whether POST refresh tolerates an Authorization header, as the vendor's client sends it."""
    _, answer = await refresh_with_bearer(world, bearer)

    judge.cite(answer)
    said = "tolerated" if answer.ok else f"refused ({answer.status})"
    judge.note(f"POST refresh with {bearer.replace('-', ' ')} bearer: {said}")


@dataclass(frozen=True)
class Mixture:
    """Who logs in and who refreshes, in one body, by the number of the role; ``wrong`` is the
    member with something else in it, ``lacks`` the one that is left out.
    """

    logs_in: int
    refreshes: int
    wrong: str = ""
    lacks: str = ""


MIXTURES = {
    "admin-logs-in": Mixture(-1, 0),
    "admin-refreshes": Mixture(0, -1),
    "admin-with-a-wrong-password": Mixture(-1, 0, "password"),
    "admin-with-a-wrong-password-and-no-client-id": Mixture(-1, 0, "password", "clientId"),
    "admin-without-a-password": Mixture(-1, 0, lacks="password"),
    "admin-with-an-unknown-refresh-token": Mixture(0, -1, "refreshToken"),
}


@shared_setup
async def owner_of(world: World, role: str) -> ThrowawayUser:
    """The user of a role whose password is mixed with other users' refresh tokens; of a lower one
    than the highest where nobody with that can be made, as long as it is wider than the lowest.
    """
    roles = world.roles if role == world.highest else (role,)
    for lower in reversed(roles[1:] or roles):
        with suppress(NotTested):
            return await throwaway_user(world, lower)
    return await throwaway_user(world, role)


@requirement("SEC-R14")
@each("mixture", MIXTURES)
async def test_two_sets_of_credentials_do_not_mix(mixture: str, world: World, judge: Judge) -> None:
    """One user's password and another's refresh token get what one of them is worth, or nothing;
    one that is right mends none that is wrong.
    """
    mixed = MIXTURES[mixture]
    first, second = (world.roles[number] for number in (mixed.logs_in, mixed.refreshes))
    owner = await owner_of(world, first)
    is_sent = mixed.wrong != "refreshToken"  # else it stays as it is, and may be the shared one
    other = await (fresh_session(world, second) if is_sent else world.user(second))
    refresh_token = other.grant.refresh_token
    body = {
        "email": owner.account.email,
        "password": owner.account.password,
        "refreshToken": refresh_token,
        "clientId": other.email,
    }
    nonsense = {
        "password": made_up_password(),
        "refreshToken": never_issued(refresh_token, other.user),
    }
    if mixed.wrong:
        body[mixed.wrong] = nonsense[mixed.wrong]
    body.pop(mixed.lacks, None)

    answer = await world.tokens.post(body, caller=str(other), attack="SEC-R14")

    logs_in = "password" not in (mixed.wrong, mixed.lacks)
    if logs_in and (mixed.wrong or Grant.of(answer).user == owner.caller.user):
        expect_no_more_than(owner.caller.grant, answer)
    else:
        await judge.expect_refresh_at_most(answer, other, "post")


# --- Operators and other types where texts belong ----------------------------------------------

#: What stands in the place of a member of the POST refresh; the other member is right.
STRANGE: dict[str, dict[str, Any]] = {
    "refresh-token-not-null": {"refreshToken": {"$ne": None}},
    "refresh-token-above-nothing": {"refreshToken": {"$gt": ""}},
    "refresh-token-in-array": {"refreshToken": ["{token}"]},
    "client-id-not-null": {"clientId": {"$ne": None}},
    "client-id-any-beginning": {"clientId": {"$regex": "^"}},
    "client-id-in-array": {"clientId": ["{email}"]},
    "both-not-null": {"refreshToken": {"$ne": None}, "clientId": {"$ne": None}},
}


@requirement("SEC-R15")
@each("case", STRANGE)
async def test_operators_are_no_refresh_tokens(case: str, world: World, judge: Judge) -> None:
    """An object, array, number or boolean as refresh token or clientId gets no token."""
    caller = await any_session(world, world.roles[0])
    right = {"refreshToken": caller.grant.refresh_token, "clientId": caller.email}
    wrong = world.fill(STRANGE[case], token=right["refreshToken"], email=caller.email)

    answer = await world.tokens.post(right | wrong, caller=str(caller), attack="SEC-R15")

    judge.expect_no_token(answer)
    await judge.control_refresh(
        world.tokens.refresh_post(*right.values(), caller=str(caller)), caller
    )


@requirement("SEC-R15")
@each("operator", ("$ne", "$regex"))
async def test_operators_in_the_query_are_no_refresh_tokens(
    operator: str, world: World, judge: Judge
) -> None:
    """``refreshToken[$ne]=`` and its like get no token; the refresh token does."""
    caller = await any_session(world, world.roles[0])
    query = (
        f"{quote(f'refreshToken[{operator}]', safe='[]')}={'%5E' if operator == '$regex' else ''}"
    )

    answer = await world.send(
        "GET", f"{TOKEN_PATH}?{query}", caller, attack="SEC-R15", repeatable=False
    )

    expect_no_grant(answer)
    refresh_token = caller.grant.refresh_token
    await judge.control_refresh(
        world.tokens.refresh_get(refresh_token, bearer=caller.token, caller=str(caller)), caller
    )


@requirement("SEC-R15")
@each("order", ("own-first", "own-last"))
async def test_a_second_refresh_token_opens_no_other_session(
    order: str, world: World, judge: Judge
) -> None:
    """GET with two refresh tokens, of two users, is refused or refreshes the bearer's own."""
    caller, other = (
        await fresh_session(world, world.roles[0]),
        await fresh_session(world, world.roles[1]),
    )
    tokens = [quote(user.grant.refresh_token, safe="") for user in (caller, other)]
    first, second = tokens if order == "own-first" else reversed(tokens)
    path = f"{TOKEN_PATH}?refreshToken={first}&refreshToken={second}"

    answer = await world.send("GET", path, caller, attack="SEC-R15", repeatable=False)

    await judge.expect_refresh_at_most(answer, caller, "get")


# --- Wider scope -------------------------------------------------------------------------------


@requirement("SEC-R16")
@each("where", ("body", "body-of-all", "query", "query-of-all"))
async def test_a_refresh_does_not_widen_the_scope(where: str, world: World, judge: Judge) -> None:
    """A refresh that asks for a wider scope, or for all of them and as another user, is refused, or
    ignores it.
    """
    caller = await fresh_session(world, world.roles[0])
    method = "post" if where.startswith("body") else "get"
    wished = {"refreshToken": caller.grant.refresh_token, "scope": world.highest}
    if where.endswith("all"):
        other = await world.user(world.highest)
        wished |= {"scope": " ".join(world.roles), "role": world.highest}
        wished |= {name: other.user for name in ("user", "userId", "_id") if other.user}
        wished["clientId"] = other.email  # of a GET; a POST needs the own one

    if method == "post":
        body = {**wished, "clientId": caller.email}
        answer = await world.tokens.post(body, caller=str(caller), attack="SEC-R16")
    else:
        path = f"{TOKEN_PATH}?{urlencode(wished, quote_via=quote)}"
        answer = await world.send("GET", path, caller, attack="SEC-R16", repeatable=False)

    await judge.expect_refresh_at_most(answer, caller, method)


# --- HEAD --------------------------------------------------------------------------------------


@requirement("SEC-R22")
async def test_head_refreshes_nothing(world: World, judge: Judge) -> None:
    """HEAD on the URL of a refresh, as a link checker sends it, does not use the refresh
    token up.
    """
    caller = await fresh_session(world, world.roles[0])
    path = f"{TOKEN_PATH}?refreshToken={quote(caller.grant.refresh_token, safe='')}"

    answer = await world.send("HEAD", path, caller, attack="SEC-R22", repeatable=False)

    afterwards = await world.tokens.refresh_get(
        caller.grant.refresh_token, bearer=caller.token, caller=str(caller)
    )
    judge.cite(answer)
    if not afterwards.ok:
        raise Finding(
            "a refresh token as good as before",
            f"{afterwards.status} after HEAD was answered {answer.status}",
            answer,
        )
