"""Every token of the run: the second of a user is no other than the first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from rolecall.evidence import Exchange
from rolecall.outcomes import Finding, NotTested
from rolecall.spec.ids import own_id
from rolecall.tokens import Grant, user_of
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, requirement
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.world import World


def grants(responses: Responses, *, of_logins: bool) -> Iterator[Grant]:
    """What the run's log-ins, or its refreshes, were granted as the specification has them.

    Raises:
        NotTested: there is none.
    """
    found = [
        grant
        for grant in map(Grant.of, responses.of("token"))
        if grant.token and _is_login(grant.exchange) is of_logins
    ]
    if not found:
        raise NotTested(f"the run saw no {'log-in' if of_logins else 'refresh'}")
    yield from found


def _sent(exchange: Exchange) -> dict[str, Any]:
    """The object in the body of a request; an empty one where it holds none."""
    try:
        body = json.loads(exchange.request_body or b"null")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _is_login(exchange: Exchange) -> bool:
    return "password" in _sent(exchange)


def written(responses: Responses, member: str = "") -> set[str]:
    """The users that the run wrote to, or whose ``member`` it wrote: what they are granted
    afterwards is SEC-R17's matter, or SEC-A06's.
    """
    return {
        unquote(urlsplit(exchange.url).path.rpartition("/")[2])
        for exchange in responses.all()
        if exchange.method in ("PATCH", "PUT", "POST")
        and (f'"{member}"' if member else "").encode() in exchange.request_body
    }


def expect_one_scope(grant: Grant, world: World) -> None:
    """The answer says the scope that its JWT says, alone or with the lower roles.

    What is no role is nothing to compare: that a user's first scope is one is ISSUE-scope's matter.
    """
    said, signed = (world.role_of_scope(scope) for scope in grant.scopes.values())
    if said and signed and said != signed:
        expected = f"scope {signed}, as in the JWT"
        raise Finding(expected, f"{grant.scope!r} in the answer", grant.exchange)


def roles_at_first(responses: Responses) -> dict[str, str]:
    """The users that the run made with a role, and were shown with it; of those that were made
    without one see SEC-E14.
    """
    found: dict[str, str] = {}
    for exchange in responses.of("user"):
        role = exchange.document.get("role")
        if exchange.ok and exchange.method == "POST" and _sent(exchange).get("role") == role:
            found[own_id(exchange.document)] = str(role)
    return found


def expect_no_wider_scope(grant: Grant, role: str, world: World) -> None:
    """The scope is not a wider one than that of the role that the user was shown with."""
    if role not in world.roles:
        return
    for where, scope in grant.scopes.items():
        stands_for = world.role_of_scope(scope)
        if stands_for and world.roles.index(stands_for) > world.roles.index(role):
            raise Finding(
                f"scope {role}, the role with which user {grant.user} was made",
                f"{scope!r} in {where}",
                grant.exchange,
            )


def expect_one_user(grant: Grant) -> None:
    """The answer's user is the one whom its JWT names."""
    named = user_of(grant.claims)
    if named and grant.user != named:
        raise Finding(f"user {named}, as in the JWT", f"{grant.user!r}", grant.exchange)


@requirement("ISSUE-lifetime", phase=SUMMARY)
async def test_the_token_of_every_login_lives_24_hours(responses: Responses, judge: Judge) -> None:
    """Every log-in of the run, a user's second one too, gave a token that lives 24 hours."""
    for grant in grants(responses, of_logins=True):
        judge.expect_lifetime(grant)


@requirement("ISSUE-scope", phase=SUMMARY)
async def test_every_login_says_the_scope_of_its_token(responses: Responses, world: World) -> None:
    """Every log-in of the run said the scope that its JWT has, and to a user that the run made no
    wider one than that of its role.
    """
    changed, touched = written(responses, "role"), written(responses)
    roles = roles_at_first(responses)
    for grant in grants(responses, of_logins=True):
        if grant.user not in changed:
            expect_one_scope(grant, world)
        if grant.user not in touched:
            expect_no_wider_scope(grant, roles.get(grant.user, ""), world)


@requirement("REFRESH-new-token", phase=SUMMARY)
async def test_the_token_of_every_refresh_lives_24_hours(
    responses: Responses, judge: Judge
) -> None:
    """Every refresh of the run, the fifth in a row too, gave a token that lives 24 hours."""
    for grant in grants(responses, of_logins=False):
        judge.expect_lifetime(grant)


@requirement("REFRESH-same-user", phase=SUMMARY)
async def test_every_refresh_says_what_its_token_says(responses: Responses, world: World) -> None:
    """Every refresh of the run said the user and the scope of its JWT."""
    changed = written(responses, "role")
    for grant in grants(responses, of_logins=False):
        expect_one_user(grant)
        if grant.user not in changed:
            expect_one_scope(grant, world)
