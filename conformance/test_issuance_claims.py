"""What issuance grants: the user's own token, in its own session, with no secrets in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, Inconclusive
from rolecall.tokens import TOKEN_PATH, Grant
from rolecall.toolkit.expectations import expect_no_crash, expect_no_grant
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement, roles
from rolecall.toolkit.neighbours import NEIGHBOURS, twin_of
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    attackable,
    changeable,
    fresh_session,
    lockable_account,
    throwaway_user,
)
from rolecall.toolkit.world import World

# --- Which user ---------------------------------------------------------------------------------


@requirement("SEC-I01")
@roles()
async def test_whether_the_refresh_token_names_its_user(
    role: str, world: World, judge: Judge
) -> None:
    """Whether the refresh token begins with its user's id, as in the example, is noted."""
    grant = (await world.user(role)).grant

    judge.cite(grant.exchange)
    named = bool(grant.user) and grant.refresh_token.startswith(f"{grant.user}.")
    judge.note(
        "the refresh token "
        f"{'begins with the id of its user' if named else 'does not name its user'}"
    )


#: Other spellings of an e-mail address, with the right password.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper-case": str.upper,
    "spaces-around": lambda email: f" {email} ",
    "look-alike": lambda email: email.replace("e", "\u0435").replace("o", "\u043e"),
    "full-width": lambda email: email.replace("@", "\uff20"),
    "tag": lambda email: email.replace("@", "+rolecall@"),
}


@shared_setup
async def log_in_as_spelled(world: World, spelling: str) -> tuple[ThrowawayUser, Exchange]:
    """Log in with the right password, and the e-mail in other letters; the user, and the answer."""
    user = await attackable(world, guesses=False)
    body = {"email": SPELLINGS[spelling](user.account.email), "password": user.account.password}
    return user, await world.tokens.post(body, caller="nobody", attack="SEC-I11")


@requirement("SEC-I11")
@each("spelling", SPELLINGS)
async def test_other_spellings_of_an_email(spelling: str, world: World, judge: Judge) -> None:
    """Whether another spelling of the e-mail is accepted is noted."""
    _, answer = await log_in_as_spelled(world, spelling)

    judge.cite(answer)
    judge.note(
        f"e-mail with {spelling.replace('-', ' ')}: "
        f"{'logged in' if answer.ok else f'refused ({answer.status})'}"
    )


@requirement("SEC-I11-other-user")
@each("spelling", SPELLINGS)
async def test_other_spellings_are_nobody_else(spelling: str, world: World, judge: Judge) -> None:
    """Another spelling of the e-mail, if accepted, logs in the same user."""
    user, answer = await log_in_as_spelled(world, spelling)

    judge.cite(answer)
    await judge.expect_login_at_most(answer, user)


@requirement("SEC-I11-other-user")
@each("likeness", NEIGHBOURS)
async def test_two_emails_much_alike_are_two_users(
    likeness: str, world: World, judge: Judge
) -> None:
    """Of two users with nearly the same e-mail, the one whose e-mail was sent is logged in."""
    one, twin = await lockable_account(world), await twin_of(world, likeness)

    answer = await world.tokens.issue(one.account)

    await judge.expect_login_at_most(answer, one)
    if twin.caller.user != twin.fixture.id:
        raise Finding(
            f"user {twin.fixture.id}",
            f"user {twin.caller.user}, whose e-mail is much like it",
            twin.caller.grant.exchange,
        )


#: Members besides e-mail and password that ask for more; "{admin}" is the highest role, "{user}"
#: one of its users, and "{email}" the e-mail of a user of the next role.
WISHES: dict[str, dict[str, Any]] = {
    "scope": {"scope": "{admin}"},
    "scope-of-all": {"scope": "{all}"},
    "scopes": {"scopes": ["{admin}"]},
    "role": {"role": "{admin}"},
    "permissions": {"permissions": ["{admin}"], "isAdmin": True, "clientId": "{email}"},
    "user": dict.fromkeys(("user", "onBehalfOf", "actAs", "impersonate", "loginAs"), "{user}"),
    "id": {"_id": "{user}", "id": "{user}", "sub": "{user}"},
    "lifetime": {"exp": 4102444800, "expiresIn": "10y", "lifetime": 315360000}
    | dict.fromkeys(
        ("rememberMe", "remember_me", "remember", "keepLoggedIn", "staySignedIn"), True
    ),
    "lifetime-in-seconds": dict.fromkeys(("expiresIn", "expires_in", "ttl", "maxAge"), 315360000),
}
#: The wish with which others are made in the query, to send nothing for them alone.
_WITH_QUERY = "lifetime-in-seconds"
#: The wish with which a user is named in header fields, and those fields.
_WITH_FIELDS = "scope"
_USER_FIELDS = ("X-User-Id", "X-Act-As", "X-Impersonate-User", "X-On-Behalf-Of")
#: The wish that names a user by e-mail.
_WITH_CLIENT = "permissions"


async def wish(world: World, case: str) -> dict[str, Any]:
    """The members that ask for more."""
    admin = await world.user(world.highest)
    # made by the run, where it can: a log-in that may be refused counts against an account
    other = await changeable(world, world.roles[1]) if case == _WITH_CLIENT else admin
    members: dict[str, Any] = world.fill(
        WISHES[case],
        admin=world.highest,
        all=" ".join(world.roles),
        user=admin.user,
        email=other.email,
    )
    return members


@requirement("SEC-I12")
@each("case", WISHES)
async def test_a_login_grants_no_wishes(case: str, world: World, judge: Judge) -> None:
    """A log-in that asks for another scope, user or lifetime ignores that, or is refused."""
    user = await attackable(world, guesses=False)
    account = user.account
    body = {"email": account.email, "password": account.password} | await wish(world, case)
    query = f"?scope={world.highest}&role={world.highest}" if case == _WITH_QUERY else ""
    admin = (await world.user(world.highest)).user
    fields = _USER_FIELDS if case == _WITH_FIELDS and admin else ()
    named: dict[str, str] = dict.fromkeys(fields, admin)

    answer = await world.client.send(
        "POST", TOKEN_PATH + query, json=body, headers=named, attack="SEC-I12"
    )

    await judge.expect_login_at_most(answer, user)


@requirement("SEC-I12")
@each("case", ("role", "id", "lifetime"))
async def test_a_refresh_grants_no_wishes(case: str, world: World, judge: Judge) -> None:
    """A POST refresh that asks for another user, role or lifetime ignores that, or is refused."""
    caller = await fresh_session(world, world.roles[0])
    body = {"refreshToken": caller.grant.refresh_token, "clientId": caller.email} | await wish(
        world, case
    )

    answer = await world.tokens.post(body, caller=str(caller), attack="SEC-I12")

    await judge.expect_refresh_at_most(answer, caller, "post")


# --- Other ways in -----------------------------------------------------------------------------


@requirement("SEC-I15")
@each("way", ("post-without-body", "post-with-empty-object", "get"))
async def test_credentials_in_a_url_get_no_token(way: str, world: World) -> None:
    """E-mail and password in the query get no token: URLs end up in logs."""
    account = (await attackable(world, guesses=False)).account
    email, password = quote(account.email, safe=""), quote(account.password, safe="")
    path = f"{TOKEN_PATH}?email={email}&password={password}"
    content = b"{}" if way == "post-with-empty-object" else None

    answer = await world.client.send(
        "GET" if way == "get" else "POST", path, content=content, attack="SEC-I15"
    )

    expect_no_grant(answer)


#: Requests to the token endpoint that the specification does not have.
MISUSES = ("get-without-refresh-token", "get-with-empty-refresh-token", "put", "patch", "delete")


@shared_setup
async def misuse(world: World, case: str) -> Exchange:
    """Ask the token endpoint for what it does not do: with the right credentials, or with the right
    bearer.
    """
    user = (
        await throwaway_user(world, world.roles[0])
        if case == "delete"
        else await attackable(world, guesses=False)
    )
    account, caller = user.account, user.caller
    if case.startswith("get"):
        path = TOKEN_PATH + ("?refreshToken=" if "empty" in case else "")
        return await world.send("GET", path, caller, attack="SEC-I16", repeatable=False)
    body = {"email": account.email, "password": account.password}
    return await world.send(
        case.upper(), TOKEN_PATH, caller, json=None if case == "delete" else body, attack="SEC-I16"
    )


@requirement("SEC-I16")
@each("case", MISUSES)
async def test_other_methods_get_no_token(case: str, world: World, judge: Judge) -> None:
    """GET without a refresh token, and other methods, get no token and break nothing."""
    answer = await misuse(world, case)

    judge.cite(answer)
    expect_no_grant(answer)


@requirement("SEC-I16-status")
@each("case", MISUSES)
async def test_other_methods_are_called_so(case: str, world: World, judge: Judge) -> None:
    """GET without a refresh token is a client error; other methods are answered 405 with Allow."""
    answer = await misuse(world, case)

    judge.cite(answer)
    expect_no_crash(answer)
    if case.startswith("get"):
        if not 400 <= answer.status < 500:
            raise Finding("400, or another client error", f"{answer.status}", answer)
    elif answer.status != 405 or not answer.header("allow"):
        raise Finding(
            "405 with Allow",
            f"{answer.status} with{'' if answer.header('allow') else 'out'} Allow",
            answer,
        )


# --- Sessions ----------------------------------------------------------------------------------


@requirement("SEC-I18")
async def test_every_login_is_a_session_of_its_own(world: World) -> None:
    """Two log-ins of one user give two refresh tokens."""
    user = await throwaway_user(world, world.roles[0])
    first, second = user.caller.grant, Grant.of(await world.tokens.issue(user.account))

    if not first.refresh_token:
        raise Inconclusive("a refresh token", "ISSUE-fields")
    if first.refresh_token == second.refresh_token:
        raise Finding("another refresh token at another log-in", "the same one", second.exchange)


@requirement("SEC-I18-first")
async def test_what_becomes_of_the_first_session(world: World, judge: Judge) -> None:
    """Whether a second log-in ends the first session is written down."""
    user = await throwaway_user(world, world.roles[0])
    caller = user.caller
    await world.tokens.issue(user.account)
    request = await world.request(world.spec.operations["fetch-user-self"], caller)

    answer = await world.perform(request, caller)

    judge.note(
        "after a second log-in the first token is "
        f"{'still good' if answer.ok else f'refused ({answer.status})'}"
    )


# --- Claims ------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(
    r"passw|secret|^hash$|salt$|private_?key|credential|api_?key", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"^(\$2[abxy]?\$|\$argon2|\$scrypt|\$5\$|\$6\$|pbkdf2|scrypt|[{](SSHA|SHA|MD5)[}])|BEGIN [A-Z "
    r"]*PRIVATE KEY"
)


def leaves(document: Any) -> Iterator[tuple[str, Any]]:
    """Every single value in a document, at any depth, with its name."""
    left = [("", document)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += value.items()
        elif isinstance(value, list):
            left += [(name, inner) for inner in value]
        else:
            yield name, value


@requirement("SEC-I19")
@roles()
async def test_a_token_tells_no_secrets(role: str, world: World, judge: Judge) -> None:
    """The claims hold no password, hash, key or list of addresses: anyone can read them."""
    grant = (await world.user(role)).grant
    password = world.account(role).password

    judge.cite(grant.exchange)
    found = list(leaves(grant.claims))
    secret = [
        name
        for name, value in found
        if isinstance(value, str)
        and value
        and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value) or password in value)
    ]
    if secret:
        raise Finding("claims without secrets", f"a claim {', '.join(secret)}", grant.exchange)
    if sum(isinstance(value, str) and "@" in value for _, value in found) > 1:
        raise Finding(
            "claims without other people's addresses", "several e-mail addresses", grant.exchange
        )
