"""Histories: what a user was before its role, its password or the user itself was changed gets nothing any more, by no way to a token."""

from __future__ import annotations

from dataclasses import dataclass

from rolecall.conformance.bounds import expect_no_grant
from rolecall.conformance.fixtures import made_up_password
from rolecall.conformance.judge import Judge
from rolecall.conformance.marks import each, requirement
from rolecall.conformance.sacrifice import Sacrifice, change, delete_user, sacrificial
from rolecall.conformance.tables import THROW_AWAY_USER, Operation
from rolecall.conformance.tokens import Caller, Grant
from rolecall.conformance.world import World
from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested, Trouble

# --- Another role -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """A change of role, from one place in the table to another, and the paths of refresh in the order in which they are tried."""

    before: int
    after: int
    paths: tuple[str, str]


MOVES = {
    "to-the-top": Move(0, -1, ("get", "post")),
    "to-the-bottom": Move(-1, 0, ("post", "get")),
    "one-up": Move(1, 2, ("post", "get")),
    "one-down": Move(2, 1, ("get", "post")),
}


async def telling(world: World, one: str, other: str) -> Operation:
    """A read that the higher of two roles was seen to be allowed, and the lower denied.

    Raises:
        Inconclusive: there is none, which the cells of the permission table judge.
    """
    lower, higher = sorted((one, other), key=world.roles.index)
    for operation in world.spec.operations.values():
        if operation.effect not in ("list", "fetch") or world.spec.allows(operation.name, lower):
            continue
        if world.spec.allows(operation.name, higher):
            high, low = [await world.reads(await world.user(role), operation.name) for role in (higher, lower)]
            if world.dialect.allows(operation, high) and world.dialect.denies(operation, low):
                cite(high, "control")
                cite(low, "control")
                return operation
    raise Inconclusive(f"a read that {higher} may and {lower} may not", "the permission table")


async def expect_role_shown(world: World, user: Sacrifice, role: str, since: float) -> bool:
    """Whether the user is seen to have its new role; False where users show none.

    Raises:
        NotTested: it shows its old role: an update is no way to change it here.
    """
    shown = user.fixture.made_by.document.get("role") if user.fixture.made_by else None
    if shown != user.account.role:
        return False

    async def is_shown() -> bool:
        return (await world.observe(user.fixture) or {}).get("role") == role

    if not await world.patience.until(is_shown, since, "user with another role"):
        raise NotTested("a user whose role can be changed: an update leaves it as it was", THROW_AWAY_USER)
    return True


class Moved:
    """A user whose role was changed, and what its new tokens are held against."""

    def __init__(self, world: World, user: Sacrifice, role: str, operation: Operation, since: float, usual: Grant) -> None:
        self._world = world
        self.user, self.role, self.operation, self._since, self._usual = user, role, operation, since, usual

    def wrong(self, answer: Exchange) -> tuple[str, str] | None:
        """Where a token answer has another scope than the new role's, and which; None where it has none, or there is no token."""
        grant = Grant.of(answer)
        usual = self._usual
        places = {"the answer": (grant.scope, usual.scope), "the JWT": (grant.claims.get("scope"), usual.claims.get("scope"))}
        for where, (scope, of_others) in places.items():
            if grant.token and not self._world.is_scope_of(scope, self.role, of_others):
                return where, repr(scope)
        return None

    async def expect_scope(self, way: str) -> Grant:
        """Go one way to a token; what it gives has the scope of the new role, and the rights. A refusal gives nothing.

        Raises:
            Finding: it has another scope, and keeps it for as long as a target may lag.
        """
        session, answers = self.user.caller, []

        async def follows() -> bool:
            nonlocal session
            answer = await self._ask(way, session)
            answers.append(answer)
            grant = Grant.of(answer)
            session = session.continued(grant) if grant.token and grant.refresh_token else session
            return self.wrong(answer) is None

        followed = await self._world.patience.until(follows, self._since, f"{way} with the new scope")
        answer = cite(answers[-1], "answer")
        if not followed and (wrong := self.wrong(answer)):
            raise Finding(f"scope {self.role} after the role was changed", f"scope {wrong[1]} in {wrong[0]}, by {way}", answer)
        grant = Grant.of(answer)
        if grant.token:
            await self._expect_rights(session.continued(grant), way)
        return grant

    async def _ask(self, way: str, session: Caller) -> Exchange:
        if way == "log-in":
            return await self._world.tokens.issue(self.user.account)
        return await self._world.tokens.refresh_by(way, session.grant.refresh_token, session, attack="")

    async def _expect_rights(self, caller: Caller, way: str) -> None:
        """A new token opens what the new role may, and nothing else."""
        world, operation = self._world, self.operation
        may = world.spec.allows(operation.name, self.role)
        request, answers = await world.request(operation, caller), []

        async def is_right() -> bool:
            answers.append(await world.perform(request, caller))
            return not (world.dialect.denies if may else world.dialect.allows)(operation, answers[-1])

        if not await world.patience.until(is_right, self._since, f"{operation.name} with the new role"):
            expected = f"{operation.name} {'allowed' if may else 'denied'} to a new token of {self.role}, by {way}"
            raise Finding(expected, f"{answers[-1].status}, as before the change", answers[-1])
        cite(answers[-1], "effect")


async def moved(world: World, before: str, after: str) -> Moved:
    """A user that was logged in and used its token before its role was changed.

    Raises:
        NotTested: no role can be changed, as the user itself shows, or a log-in where it shows none.
    """
    operation = await telling(world, before, after)
    user = await sacrificial(world, before)
    await world.perform(await world.request(operation, user.caller), user.caller)  # who remembers roles remembers this one now
    changed = await change(world, user, role=after)
    case = Moved(world, user, after, operation, changed.finished, (await world.user(after)).grant)
    if not await expect_role_shown(world, user, after, changed.finished):
        login = await world.tokens.issue(user.account)
        if not Grant.of(login).token or case.wrong(login):
            raise NotTested(f"a user whose role can be changed: nothing shows that it was ({login})", THROW_AWAY_USER)
    return case


@requirement("SEC-R17")
@each("move", MOVES)
async def test_new_tokens_follow_the_role(move: str, world: World) -> None:
    """After a change of role both refreshes and a new log-in give the new scope, in the answer, in the JWT and in what it opens."""
    before, after = world.roles[MOVES[move].before], world.roles[MOVES[move].after]
    case = await moved(world, before, after)

    for path in MOVES[move].paths:  # each with the newest session: a refresh may use the older one up
        grant = await case.expect_scope(path)
        if grant.token and grant.refresh_token:
            case.user = Sacrifice(case.user.account, case.user.caller.continued(grant), case.user.fixture)
    login = await case.expect_scope("log-in")
    if not login.token:
        raise Inconclusive(f"a log-in after a change of role: {login.exchange}", "ISSUE-status")


# --- Another password -------------------------------------------------------------------------------------------------


async def with_new_password(world: World) -> Sacrifice:
    """A user whose password was changed, with the old one in its account.

    Raises:
        NotTested: a log-in shows that it cannot be.
    """
    user, password = await sacrificial(world, world.roles[0]), made_up_password()
    await change(world, user, password=password)
    body = {"email": user.account.email, "password": password}
    control = await world.tokens.post(body, caller=str(user.caller), attack="")
    if not Grant.of(control).token:
        said = f"a log-in with the new one was answered {control.status}"
        raise NotTested(f"a user whose password can be changed: {said}", THROW_AWAY_USER)
    cite(control, "control")
    return user


@requirement("ISSUE-refused")
async def test_an_old_password_gets_no_token(world: World, judge: Judge) -> None:
    """When a user's password was changed the new one logs in, and the one from before does not."""
    user, answers = await with_new_password(world), []
    body = {"email": user.account.email, "password": user.account.password}

    async def is_refused() -> bool:
        answers.append(await world.tokens.post(body, caller="nobody", attack="ISSUE-refused"))
        return not answers[-1].ok

    first = await world.tokens.post(body, caller="nobody", attack="ISSUE-refused")
    answers.append(first)
    if first.ok:
        await world.patience.until(is_refused, first.finished, "old password refused")
    judge.expect_no_token(answers[-1])


@requirement("SEC-R18")
@each("path", ("get", "post"))
async def test_a_new_password_ends_old_refresh_tokens(path: str, world: World, judge: Judge) -> None:
    """When a user's password was changed, a refresh token from before is refused."""
    user = await with_new_password(world)

    answer = await world.tokens.refresh_by(path, user.caller.grant.refresh_token, user.caller, attack="")

    judge.cite(answer)
    if answer.ok:
        raise Finding("a refusal: the password was changed", f"{answer.status}", answer)


# --- No user any more -------------------------------------------------------------------------------------------------

WAYS = ("log-in", "post", "get")


async def go(way: str, user: Sacrifice, world: World, attack: str) -> Exchange:
    """Ask for a token as a user: by its password, or by its refresh token on either path."""
    account = user.account
    if way == "log-in":
        body = {"email": account.email, "password": account.password}
        return await world.tokens.post(body, caller=str(user.caller), attack=attack)
    return await world.tokens.refresh_by(way, user.caller.grant.refresh_token, user.caller, attack=attack)


@requirement("SEC-J17-deleted")
async def test_a_deleted_user_gets_no_token(world: World, judge: Judge) -> None:
    """Once a user was deleted, neither its password nor its refresh token, on either path, gets a token."""
    user = await sacrificial(world, world.roles[1])
    cite(user.caller.grant.exchange, "control")
    await delete_user(world, user)

    for way in WAYS:
        judge.expect_no_token(await go(way, user, world, "SEC-J17-deleted"))


@requirement("SEC-J17-deleted")
async def test_a_name_that_is_used_again_revives_nobody(world: World, judge: Judge) -> None:
    """Who gets the e-mail of a user that was deleted gets none of its sessions: the old refresh token is refused, the new one works."""
    user = await sacrificial(world, world.roles[1])
    await delete_user(world, user)
    try:
        heir = await sacrificial(world, world.roles[0], email=user.account.email)
    except NotTested as reason:
        raise NotApplicable(f"the target gives the e-mail of a deleted user to nobody else: {reason}") from None

    answer = await go("post", user, world, "SEC-J17-deleted")

    judge.expect_no_token(answer)
    await judge.control_refresh(
        world.tokens.refresh_post(heir.caller.grant.refresh_token, heir.caller.email, caller=str(heir.caller))
    )


@requirement("SEC-J20")
@each("status", ("inactive", "disabled"))
async def test_a_disabled_user_gets_no_new_token(status: str, world: World) -> None:
    """Where a status keeps a user from logging in, its refresh token gets nothing either, on both paths."""
    user = await sacrificial(world, world.roles[0])
    try:
        await change(world, user, status=status)
    except Trouble:
        raise
    except Inconclusive as refusal:
        raise NotApplicable(f"the target takes no user with status {status!r} ({refusal.missing})") from None
    login = cite(await world.tokens.issue(user.account), "control")
    if login.ok:
        raise NotApplicable(f"a user with status {status!r} still logs in, so it disables nobody ({login})")

    for path in ("post", "get"):
        expect_no_grant(await go(path, user, world, "SEC-J20"))
