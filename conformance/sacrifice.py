"""Users made for one test, whose role and password it may change, and whom an attack may lock out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rolecall.conformance.fixtures import Fixture
from rolecall.conformance.memo import memoised
from rolecall.conformance.tables import THROW_AWAY_USER, TOKEN
from rolecall.conformance.tokens import Caller, Grant, user_of
from rolecall.conformance.world import World
from rolecall.evidence import Exchange
from rolecall.outcomes import Inconclusive, NotTested, Trouble
from rolecall.target import Account

_NEEDED = "a user of one's own: users made by this run cannot"


@dataclass(frozen=True)
class Sacrifice:
    """A user that nobody else uses: how it logs in, its first session, and where it is."""

    account: Account
    caller: Caller
    fixture: Fixture


async def sacrificial(world: World, role: str, **members: Any) -> Sacrifice:
    """Make a user of a role with a password, and log it in; the run's tidy-up deletes it.

    Raises:
        NotTested: the target lets nobody make a user that can log in with that role.
    """
    admin = await world.user(world.highest)
    plain = await world.request(world.spec.operations["create-user"], admin)
    request = replace(plain, body={**plain.body, "role": role, **members})
    answer = await world.perform(request, admin)
    fixture = await world.made(request, answer) if answer.ok else None
    email, password = request.body.get("email"), request.body.get("password")
    if fixture is None or not isinstance(email, str) or not isinstance(password, str):
        lacking = THROW_AWAY_USER if answer.status < 500 else ""
        raise NotTested(f"{_NEEDED} be made with e-mail, password and role ({answer})", lacking)
    account = Account(role, role, email, password)
    grant = Grant.of(await world.tokens.issue(account))
    if world.role_of_scope(grant.scope) != role:
        raise NotTested(f"{_NEEDED} log in as {role} ({grant.exchange})", THROW_AWAY_USER)
    return Sacrifice(account, session(account, grant), fixture)


def session(account: Account, grant: Grant) -> Caller:
    """The caller that an account's user is with the tokens of a grant."""
    return Caller(account.role, TOKEN, grant.token, user_of(grant.claims) or grant.user, account.email, grant)


async def change(world: World, sacrifice: Sacrifice, **members: Any) -> Exchange:
    """Let the highest role change a made-up user.

    Raises:
        Inconclusive: it is refused.
    """
    admin = await world.user(world.highest)
    plain = await world.request(world.spec.operations["update-user"], admin, sacrifice.fixture)
    answer = await world.perform(replace(plain, body=members), admin)
    if not answer.ok:
        raise Inconclusive(f"a change of {', '.join(members)} by {world.highest}: {answer}", "PERM-update-user")
    return answer


async def changeable(world: World, role: str, credential: str = TOKEN) -> Caller:
    """A caller of a role whose own user a test may change: one that this run makes, where it can; else the account's.

    A key's own user is whom it acts as, mostly its maker; so a user that the run makes makes the key.
    """
    try:
        if credential == TOKEN:
            return (await _made_for_changes(world, role)).caller
        if world.target.api_keys.create_path and role not in world.target.api_keys.tokens:
            maker = (await _made_for_changes(world, world.highest)).caller
            return await _key_by(world, role, maker)
    except Trouble:
        raise
    except (NotTested, Inconclusive):
        pass
    return await world.caller(role, credential)


@memoised
async def _made_for_changes(world: World, role: str) -> Sacrifice:
    return await sacrificial(world, role)


@memoised
async def _key_by(world: World, role: str, maker: Caller) -> Caller:
    return await world.create_key([role], maker)


@memoised
async def scapegoat(world: World) -> Sacrifice:
    """A made-up user of the lowest role that tests share: they may log it in as often as they like, not change it."""
    return await sacrificial(world, world.roles[0])


@memoised
async def expendable(world: World) -> Account:
    """An account for wrong passwords to be tried on: a made-up one if there can be one, so that no other is locked."""
    try:
        return (await scapegoat(world)).account
    except Trouble:  # another test may get one, and then nobody may take this answer for one about that user
        raise
    except (NotTested, Inconclusive):
        return world.account(world.roles[0])
