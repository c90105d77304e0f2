"""A user whose role is changed, and what the tokens that it gets afterwards are held against."""

from __future__ import annotations

from contextlib import suppress

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.model import THROWAWAY_USER, Operation
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.throwaway_users import ThrowawayUser, change, throwaway_user
from rolecall.toolkit.world import World


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
            high, low = [
                await world.reads(await world.user(role), operation.name)
                for role in (higher, lower)
            ]
            if world.dialect.allows(operation, high) and world.dialect.denies(operation, low):
                cite(high, "control")
                cite(low, "control")
                return operation
    raise Inconclusive(f"a read that {higher} may and {lower} may not", "the permission table")


async def expect_role_shown(
    world: World, user: ThrowawayUser, role: str, changed: Exchange
) -> bool:
    """Whether the user is seen to have its new role; False where users show no role.

    Raises:
        Finding: it shows its old role, though an update changes roles.
        NotTested: it shows its old role: an update cannot change it here.
    """
    if _shown_role(user) != user.account.role:
        return False
    if not await _comes_to_show(world, user, role, changed.finished):
        await _expect_unchangeable(world, user, role, changed)
        raise NotTested(
            "a user whose role can be changed: an update leaves it as it was", THROWAWAY_USER
        )
    return True


def _shown_role(user: ThrowawayUser) -> object:
    """The role that a made-up user was shown with when it was made."""
    return user.fixture.made_by.document.get("role") if user.fixture.made_by else None


async def _comes_to_show(world: World, user: ThrowawayUser, role: str, since: float) -> bool:
    async def is_shown() -> bool:
        return (await world.observe(user.fixture) or {}).get("role") == role

    return await world.patience.until(is_shown, since, "user with another role")


async def _expect_unchangeable(
    world: World, user: ThrowawayUser, role: str, changed: Exchange
) -> None:
    """A role that stays as it was, though a change of it was answered with success, is one that no
    update changes: nothing says that one does.

    Raises:
        Finding: the answer shows the new role; or it is the lower one, and an update does raise it.
    """
    before = user.account.role
    expected = f"a user whose role was changed to {role}, or a refusal"
    if changed.document.get("role") == role:
        actual = f"{changed.status} with role {role}, and the user has that of {before}"
        raise Finding(expected, actual, changed)
    is_lowered = world.roles.index(role) < world.roles.index(before)
    if is_lowered and await _is_raised(world, role, before):
        actual = f"{changed.status}, and it stays {before}; an update of {role} to {before} is done"
        raise Finding(expected, actual, changed)


async def _is_raised(world: World, before: str, after: str) -> bool:
    """Whether an update raises the role of another user, as the user or its log-in shows."""
    with suppress(NotApplicable, NotTested, Inconclusive):
        user = await throwaway_user(world, before)
        changed = cite(await change(world, user, role=after), "control")
        if _shown_role(user) == before:
            return await _comes_to_show(world, user, after, changed.finished)
        scopes = [user.caller.grant.scope, Grant.of(await world.tokens.issue(user.account)).scope]
        return [world.role_of_scope(scope) for scope in scopes] == [before, after]
    return False


class Moved:
    """A user whose role was changed, and what its new tokens are held against."""

    def __init__(
        self, world: World, user: ThrowawayUser, role: str, operation: Operation, since: float
    ) -> None:
        self._world = world
        self.user, self.role, self.operation, self._since = user, role, operation, since
        before = user.caller.grant.scopes.items()
        self._telling = {
            where for where, scope in before if world.role_of_scope(scope) == user.account.role
        }

    def wrong(self, answer: Exchange) -> tuple[str, str] | None:
        """Where a token answer has another scope than the new role's, and which; else None.

        Where the scope did not say the old role before the change either, it says nothing of the
        change.
        """
        grant = Grant.of(answer)
        for where, scope in grant.scopes.items():
            if (
                grant.token
                and where in self._telling
                and self._world.role_of_scope(scope) != self.role
            ):
                return where, repr(scope)
        return None

    async def expect_scope(self, way: str) -> Grant:
        """A token that one way gives has the scope and rights of the new role; or a refusal.

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

        followed = await self._world.patience.until(
            follows, self._since, f"{way} with the new scope"
        )
        answer = cite(answers[-1], "answer")
        if not followed and (wrong := self.wrong(answer)):
            raise Finding(
                f"scope {self.role} after the role was changed",
                f"scope {wrong[1]} in {wrong[0]}, by {way}",
                answer,
            )
        grant = Grant.of(answer)
        if grant.token:
            await self._expect_rights(session.continued(grant), way)
        return grant

    async def is_followed(self) -> bool:
        """Whether a log-in comes to have the new scope, as long as a target may lag."""

        async def follows() -> bool:
            login = await self._ask("log-in", self.user.caller)
            return bool(Grant.of(login).token) and self.wrong(login) is None

        return await self._world.patience.until(follows, self._since, "log-in with the new scope")

    async def _ask(self, way: str, session: Caller) -> Exchange:
        if way == "log-in":
            return await self._world.tokens.issue(self.user.account)
        return await self._world.tokens.refresh_by(
            way, session.grant.refresh_token, session, attack=""
        )

    async def _expect_rights(self, caller: Caller, way: str) -> None:
        """A new token opens what the new role may, and nothing else."""
        world, operation = self._world, self.operation
        may = world.spec.allows(operation.name, self.role)
        request, answers = await world.request(operation, caller), []

        async def is_right() -> bool:
            answers.append(await world.perform(request, caller))
            return not (world.dialect.denies if may else world.dialect.allows)(
                operation, answers[-1]
            )

        if not await world.patience.until(
            is_right, self._since, f"{operation.name} with the new role"
        ):
            expected = (
                f"{operation.name} {'allowed' if may else 'denied'} to a new token of "
                f"{self.role}, by {way}"
            )
            raise Finding(expected, f"{answers[-1].status}, as before the change", answers[-1])
        cite(answers[-1], "effect")


async def moved(world: World, before: str, after: str) -> Moved:
    """A user that was logged in and used its token before its role was changed.

    Raises:
        Finding: the change was answered with success, and the role is as it was.
        NotTested: no role can be changed, as the user itself shows, or a log-in where it shows
            none.
    """
    operation = await telling(world, before, after)
    user = await throwaway_user(world, before)
    # who remembers roles remembers this one now
    await world.perform(await world.request(operation, user.caller), user.caller)
    changed = await change(world, user, role=after)
    case = Moved(world, user, after, operation, changed.finished)
    if not await expect_role_shown(world, user, after, changed):
        login = await world.tokens.issue(user.account)
        if not Grant.of(login).token or case.wrong(login):
            if Grant.of(login).token and not await case.is_followed():
                await _expect_unchangeable(world, user, after, changed)
            raise NotTested(
                f"a user whose role can be changed: nothing shows that it was ({login})",
                THROWAWAY_USER,
            )
    return case
