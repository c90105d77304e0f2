"""Users made for one test, which may change their role and password, or lock them out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from rolecall.evidence import Exchange
from rolecall.http.gate import Thing
from rolecall.http.login_budget import MOST_GRANTED
from rolecall.outcomes import Inconclusive, NotApplicable, NotTested, TransientFailure
from rolecall.pausing import alarm
from rolecall.spec.model import THROWAWAY_USER, TOKEN
from rolecall.target import Account
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.account_sessions import WANTED, account_session
from rolecall.toolkit.callers import session
from rolecall.toolkit.members import is_put_away
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.world import World

_NEEDED = f"{WANTED}users made by this run cannot"


@dataclass(frozen=True)
class ThrowawayUser:
    """A user that no other test uses: its account, its first session and its fixture."""

    account: Account
    caller: Caller
    fixture: Fixture


async def throwaway_user(world: World, role: str, **members: Any) -> ThrowawayUser:
    """Make a user of a role with a password, and log it in; the run's tidy-up deletes it.

    Raises:
        NotTested: no user that can log in with that role can be made.
    """
    if refusal := world.new_users.refusal(role):
        raise NotTested(f"{_NEEDED} log in as {role} ({refusal})", THROWAWAY_USER)
    request, answer, fixture = await make_user(world, role=role, **members)
    email, password = request.body.get("email"), request.body.get("password")
    world.new_users.wanted(role, made=fixture is not None)
    if fixture is None or not isinstance(email, str) or not isinstance(password, str):
        lacking = THROWAWAY_USER if answer.status < 500 else ""
        raise NotTested(f"{_NEEDED} be made with e-mail, password and role ({answer})", lacking)
    await world.wait_for(fixture)
    account = Account(role, role, email, password)
    made = answer.finished
    grant = Grant.of(await world.new_users.log_in(lambda: world.tokens.issue(account), made))
    world.new_users.logged_in(role, grant.exchange, could=bool(grant.token))
    if world.role_of_scope(grant.scope) != role:
        said = f", which gives the scope {grant.scope!r}" if grant.token else ""
        raise NotTested(f"{_NEEDED} log in as {role} ({grant.exchange}{said})", THROWAWAY_USER)
    user = ThrowawayUser(account, session(account, grant), fixture)
    await world.new_users.settle(lambda: world.fetch_self(user.caller), made)
    return user


async def make_user(
    world: World, *, attack: str = "", **members: Any
) -> tuple[Request, Exchange, Fixture | None]:
    """Let the highest role make a user with these members; ``...`` leaves one out.

    Returns:
        What was asked for, the answer, and the user; None where none was made.
    """
    admin = await world.user(world.highest)
    plain = await world.request(world.spec.operations["create-user"], admin)
    body = {name: value for name, value in {**plain.body, **members}.items() if value is not ...}
    request = replace(plain, body=body)
    answer = await world.perform(request, admin, attack=attack)
    return request, answer, await world.made(request, answer) if answer.ok else None


async def delete_user(world: World, user: ThrowawayUser) -> Exchange:
    """Let the highest role delete a made-up user, and see that it is gone, or shown as deleted.

    Raises:
        Inconclusive: it is still there.
    """
    admin = await world.user(world.highest)
    request = await world.request(world.spec.operations["delete-user"], admin, user.fixture)
    answer = await world.perform(request, admin)

    async def is_gone() -> bool:
        shown = await world.observe(user.fixture)
        return shown is None or is_put_away(shown)

    if not answer.ok or not await world.patience.until(is_gone, answer.finished, "deleted user"):
        raise Inconclusive(f"a user that is gone: {answer}", "PERM-delete-user")
    return answer


@dataclass
class Pool:
    """Users of one role that are made for sessions: one test has one of them at a time."""

    free: list[ThrowawayUser] = field(default_factory=list)
    lent: int = 0
    returned: asyncio.Event = field(default_factory=asyncio.Event)

    async def idle(self) -> ThrowawayUser | None:
        """A user that no test has; None where another one should be made, as after a long wait."""
        if not self.free and self.lent >= _AT_ONCE:
            await self._wait()
        return self.free.pop() if self.free else None

    async def _wait(self) -> None:
        is_late = False

        def ring() -> None:
            nonlocal is_late
            is_late = True
            self.returned.set()

        async with alarm(_WAIT_FOR_IDLE, ring):
            while not self.free and self.lent >= _AT_ONCE and not is_late:
                self.returned.clear()
                await self.returned.wait()

    def lend(self, user: ThrowawayUser) -> None:
        """Let the test that is running have a user until it is over."""
        task = asyncio.current_task()
        assert task is not None, "a test runs in a task of its own"
        self.lent += 1
        task.add_done_callback(lambda _: self._take_back(user))

    def _take_back(self, user: ThrowawayUser) -> None:
        self.lent -= 1
        self.put(user)

    def put(self, user: ThrowawayUser) -> None:
        """A user that no test has any more, for the next one."""
        self.free.append(user)
        self.returned.set()


#: Users for sessions at once, of each role: more would have to be made and deleted. Seconds after
#: which one is made all the same.
_AT_ONCE, _WAIT_FOR_IDLE = 4, 3.0


async def fresh_session(world: World, role: str) -> Caller:
    """A session of a role that no other test uses, of a user that no other test uses meanwhile.

    The user is made by the run; when the test is over it goes to the next one, which logs it in
    anew. Where none can be made it is the role's account, as far as its budget of log-ins goes.

    Raises:
        NotTested: no user can be made, and the account has been logged in often enough.
        Inconclusive: the user cannot log in any more.
    """
    pool = world.pools.setdefault(role, Pool())
    user = await pool.idle()
    try:
        is_new, user = user is None, user or await throwaway_user(world, role)
    except NotTested as none:
        return await account_session(world, role, none)
    pool.lend(user)
    return user.caller if is_new else await only_session(world, user)


async def only_session(world: World, user: ThrowawayUser) -> Caller:
    """A new session of a user that the run made; its others may have ended by that."""
    role = user.account.role
    world.spare[role] = [
        session for session in world.spare.get(role, ()) if session.user != user.caller.user
    ]
    return await another_session(world, user)


async def another_session(world: World, user: ThrowawayUser) -> Caller:
    """A new session of a user that the run made.

    Raises:
        Inconclusive: the user cannot log in any more.
    """
    answer = await world.tokens.issue(user.account)
    grant = Grant.of(answer)
    if not grant.token:
        raise Inconclusive(
            f"another session of a user made by the run: {answer}",
            "whether the server locks accounts after few wrong passwords, of which this run sends "
            "some; else ISSUE-status",
        )
    world.attacks.refused.discard(user.account.email)
    return session(user.account, grant)


async def any_session(world: World, role: str) -> Caller:
    """A session for an attack that must fail: one that another test left intact, else a fresh one.

    No other test has its user meanwhile, for a log-in may end it.
    """
    pool, spare = world.pools.setdefault(role, Pool()), world.spare.get(role, [])
    for left in reversed(spare):
        user = next((user for user in pool.free if user.caller.user == left.user), None)
        if user or not world.gate.owns(Thing("user", left.user)):
            spare.remove(left)
            if user:
                pool.free.remove(user)
                pool.lend(user)
            return left
    return await fresh_session(world, role)


async def change(world: World, user: ThrowawayUser, **members: Any) -> Exchange:
    """Let the highest role change a made-up user.

    Raises:
        NotApplicable: the target does not take such a change: nothing says that roles, passwords or
            e-mails are changed by updates.
        Inconclusive: it fails otherwise.
    """
    admin = await world.user(world.highest)
    plain = await world.request(world.spec.operations["update-user"], admin, user.fixture)
    answer = await world.perform(replace(plain, body=members), admin)
    if answer.ok:
        return answer
    what = f"a change of {', '.join(members)} of a user by {world.highest}"
    if 400 <= answer.status < 500:
        raise NotApplicable(f"{what} is not taken ({answer})")
    raise Inconclusive(f"{what}: {answer}", "PERM-update-user")


async def disable(world: World, user: ThrowawayUser, status: str) -> Exchange:
    """Let the highest role give a user a status that prevents log-in; returns the refused log-in.

    Raises:
        NotApplicable: the target takes no such status, or lets the user log in all the same.
    """
    await change(world, user, status=status)
    login = await world.tokens.issue(user.account)
    if login.ok:
        raise NotApplicable(
            f"a user with status {status!r} still logs in, so it disables no user ({login})"
        )
    return login


async def another_like(world: World, caller: Caller) -> Caller:
    """A new user of a caller's role, whom no other test changes; the caller, if none is made."""
    try:
        return (await throwaway_user(world, caller.role)).caller
    except NotTested:
        return caller


async def changeable(world: World, role: str, credential: str = TOKEN) -> Caller:
    """A caller of a role whose own user a test may change: a throw-away user, or the account's.

    A key's own user is whom it acts as, mostly its maker; so a user that the run makes makes the
    key.
    """
    try:
        if credential == TOKEN:
            return (await _made_for_changes(world, role)).caller
        if world.target.api_keys.create_path and (
            key := (await _keys_for_changes(world)).get(role)
        ):
            return key
    except TransientFailure:
        raise
    except (NotTested, Inconclusive):
        pass
    return await world.caller(role, credential)


@shared_setup
async def _made_for_changes(world: World, role: str) -> ThrowawayUser:
    return await throwaway_user(world, role)


@shared_setup
async def _keys_for_changes(world: World) -> dict[str, Caller]:
    """A key of each role that the target file does not give, made by one user of the run, all of
    them before any is used: a target that is wrong may take its maker's rights with the first
    change, and the next key would be the account's.
    """
    maker, keys = (await throwaway_user(world, world.highest)).caller, {}
    for role in world.roles:
        if role not in world.target.api_keys.tokens:
            with suppress(Inconclusive):
                keys[role] = await world.create_key([role], maker)
    return keys


@shared_setup
async def lockable_account(world: World) -> ThrowawayUser:
    """A throw-away user of the lowest role that tests share: for any log-ins, not for changes."""
    return await throwaway_user(world, world.roles[0])


@shared_setup
async def sessions_outlast_log_ins(world: World) -> bool:
    """Whether a session lives on after as many log-ins as a run makes; False if unknown."""
    try:
        user = await throwaway_user(world, world.roles[0])
    except NotTested:
        return False
    for _ in range(MOST_GRANTED):
        await world.tokens.issue(user.account)
    refreshed = await world.tokens.refresh_post(
        user.caller.grant.refresh_token, user.account.email, caller=str(user.caller)
    )
    return refreshed.ok


@shared_setup
async def refreshes_before_expiry(world: World) -> bool:
    """Whether POST refreshes a session of any role whose access token is still good: the page gives
    POST for afterwards, and does not say what it does before.
    """
    for role in world.roles:
        caller = await fresh_session(world, role)
        token = caller.grant.refresh_token
        if (await world.tokens.refresh_post(token, caller.email, caller=str(caller))).ok:
            return True
    return False


async def throwaway_admin(world: World) -> Account:
    """An account of the highest role for attacks to name; the target file's if none can be made."""
    try:
        return (await _made_for_changes(world, world.highest)).account
    except TransientFailure:
        raise
    except (NotTested, Inconclusive):
        return world.account(world.highest)


async def attackable(world: World, *, guesses: bool = True) -> ThrowawayUser:
    """A user of the lowest role for log-ins that must be refused.

    After a few it gives way to another, before a server locks it. Where none can be made it is the
    role's account, whose budget of log-ins ends sooner.

    Args:
        guesses: whether a wrong password is sent, which servers count; not where the password is
            right, or none.
    """
    async with world.attacks.lock:
        if world.attacks.left <= 0:
            pool = world.pools.setdefault(world.roles[0], Pool())
            if world.attacks.user:
                pool.put(world.attacks.user)
                world.attacks.user = None
            try:
                world.attacks.user = (
                    await _not_refused(world, pool)
                    if len(pool.free) > 1
                    else await throwaway_user(world, world.roles[0])
                )
            except NotTested:
                caller = await world.user(world.roles[0])
                fixture = Fixture(world.spec.resources["user"], caller.user, "")
                return ThrowawayUser(world.account(world.roles[0]), caller, fixture)
            world.attacks.left = _ATTACKS
        world.attacks.left -= 1
        user: ThrowawayUser = world.attacks.user
        if guesses:
            world.attacks.refused.add(user.account.email)
        return user


async def _not_refused(world: World, pool: Pool) -> ThrowawayUser:
    """One of the pool whose last log-in was good: else the row of refused ones would go on."""
    refused = world.attacks.refused
    user = next((user for user in pool.free if user.account.email not in refused), pool.free[0])
    pool.free.remove(user)
    if user.account.email in refused:
        await only_session(world, user)
    return user


#: Refused log-ins of one user: servers lock an account after five.
_ATTACKS = 3
