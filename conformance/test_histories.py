"""Histories: a user's old role, password or e-mail gets no new token once it was changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.pausing import sleep, this_moment
from rolecall.spec.model import THROWAWAY_USER
from rolecall.spec.templates import made_up_password
from rolecall.tokens import Grant
from rolecall.toolkit.expectations import expect_no_grant
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.moves import moved
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    change,
    delete_user,
    disable,
    throwaway_user,
)
from rolecall.toolkit.world import World

# --- Another role -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RoleMove:
    """A change of role, from one place in the table to another, and the paths of refresh in the
    order in which they are tried.
    """

    before: int
    after: int
    paths: tuple[str, str]


MOVES = {
    "to-the-top": RoleMove(0, -1, ("get", "post")),
    "to-the-bottom": RoleMove(-1, 0, ("post", "get")),
    "one-up": RoleMove(1, 2, ("post", "get")),
    "one-down": RoleMove(2, 1, ("get", "post")),
}


@requirement("SEC-R17")
@each("move", MOVES)
async def test_new_tokens_follow_the_role(move: str, world: World) -> None:
    """After a change of role, refreshes and a new log-in give the new scope and rights."""
    before, after = world.roles[MOVES[move].before], world.roles[MOVES[move].after]
    case = await moved(world, before, after)

    for path in MOVES[
        move
    ].paths:  # each with the newest session: a refresh may use the older one up
        grant = await case.expect_scope(path)
        if grant.token and grant.refresh_token:
            case.user = ThrowawayUser(
                case.user.account, case.user.caller.continued(grant), case.user.fixture
            )
    login = await case.expect_scope("log-in")
    if not login.token:
        raise Inconclusive(f"a log-in after a change of role: {login.exchange}", "ISSUE-status")


# --- Another password --------------------------------------------------------------------------


async def with_new_password(world: World, *, is_renewed: bool = False) -> ThrowawayUser:
    """A user whose password was changed, with the old one in its account; its session may be one
    that was refreshed.

    Raises:
        NotTested: a log-in shows that it cannot be.
    """
    user, password = await throwaway_user(world, world.roles[0]), made_up_password()
    if is_renewed:
        grant = Grant.of(
            await world.tokens.refresh_by(
                "post", user.caller.grant.refresh_token, user.caller, attack=""
            )
        )
        user = replace(user, caller=user.caller.continued(grant)) if grant.refresh_token else user
    await change(world, user, password=password)
    body = {"email": user.account.email, "password": password}
    control = await world.tokens.post(body, caller=str(user.caller), attack="")
    if not Grant.of(control).token:
        said = f"a log-in with the new one was answered {control.status}"
        raise NotTested(f"a user whose password can be changed: {said}", THROWAWAY_USER)
    cite(control, "control")
    return user


@requirement("ISSUE-refused")
async def test_an_old_password_gets_no_token(world: World, judge: Judge) -> None:
    """When a user's password was changed the new one logs in, and the one from before does not."""
    user = await with_new_password(world)
    body = {"email": user.account.email, "password": user.account.password}

    async def ask() -> Exchange:
        return await world.tokens.post(body, caller="nobody", attack="ISSUE-refused")

    answer = await world.patience.until_refused(ask, this_moment(), "old password refused")
    judge.expect_no_token(answer)


@requirement("SEC-R18")
@each("path", ("get", "post"))
async def test_a_new_password_ends_old_refresh_tokens(
    path: str, world: World, judge: Judge
) -> None:
    """A refresh token from before a change of password is refused."""
    user = await with_new_password(world, is_renewed=path == "post")

    answer = await ended(path, user, this_moment(), world, "")

    judge.cite(answer)
    if answer.ok:
        raise Finding("a refusal: the password was changed", f"{answer.status}", answer)


# --- Another address ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Readdressed:
    """A user who was given another e-mail, the e-mail from before, and the answer to the change; or
    why that cannot be.
    """

    user: ThrowawayUser
    before: str
    changed: Exchange | None = None
    reason: str = ""


@shared_setup
async def readdressed(world: World) -> Readdressed:
    """Such a user, for tests that leave it as it is."""
    return await readdress(world)


async def readdress(world: World) -> Readdressed:
    """Give a user another e-mail, with which it logs in."""
    user = await throwaway_user(world, world.roles[0])
    before, after = user.account.email, user.account.email.replace("@", ".moved@")
    try:
        changed = await change(world, user, email=after)
    except NotApplicable as refused:
        return Readdressed(user, before, reason=str(refused))

    async def is_shown() -> bool:
        return (await world.observe(user.fixture) or {}).get("email") == after

    if not await world.patience.until(is_shown, changed.finished, "another e-mail"):
        reason = "an update does not change the e-mail of a user here"
        return Readdressed(user, before, reason=reason)
    control = await world.tokens.issue(replace(user.account, email=after))
    if not control.ok:
        reason = f"a user whose e-mail was changed does not log in with the new one ({control})"
        return Readdressed(user, before, reason=reason)
    return Readdressed(user, before, changed)


@requirement("ISSUE-refused")
async def test_an_address_that_was_given_up_logs_nobody_in(world: World) -> None:
    """After a change of e-mail, the old e-mail gets no token."""
    case = await readdressed(world)
    changed = moment_of_change(case)
    body = {"email": case.before, "password": case.user.account.password}

    async def ask() -> Exchange:
        return await world.tokens.post(body, caller="nobody", attack="ISSUE-refused")

    expect_nobodys(await world.patience.until_refused(ask, changed, "an e-mail that was given up"))


@requirement("REFRESH-client")
async def test_an_address_that_was_given_up_is_no_client(world: World) -> None:
    """After a change of e-mail, the old e-mail is not the clientId of the user's refresh token."""

    async def ask(case: Readdressed) -> Exchange:
        body = {"refreshToken": case.user.caller.grant.refresh_token, "clientId": case.before}
        return await world.tokens.post(body, caller="nobody", attack="REFRESH-client")

    case = await readdressed(world)
    moment_of_change(case)
    answer = await ask(case)
    if answer.ok:  # with a token that is used up by now; a server may have known no better yet
        case = await readdress(world)
        await sleep(max(0.0, moment_of_change(case) + world.patience.seconds - this_moment()))
        answer = await ask(case)
    expect_nobodys(answer)


def moment_of_change(case: Readdressed) -> float:
    """When a user was given another e-mail (monotonic seconds).

    Raises:
        NotApplicable: e-mails are not changed here.
    """
    cite(case.user.caller.grant.exchange)
    if case.changed is None:
        raise NotApplicable(case.reason)
    return cite(case.changed, "control").finished


def expect_nobodys(answer: Exchange) -> None:
    """An e-mail that a user had until a change got no token."""
    cite(answer, "answer")
    if Grant.of(answer).token:
        raise Finding(
            "no token for an e-mail that is the user's no more",
            f"{answer.status} with a token",
            answer,
        )


# --- No user any more --------------------------------------------------------------------------

WAYS = ("log-in", "post", "get")


async def go(way: str, user: ThrowawayUser, world: World, attack: str) -> Exchange:
    """Ask for a token as a user: by its password, or by its refresh token on either path."""
    account = user.account
    if way == "log-in":
        body = {"email": account.email, "password": account.password}
        return await world.tokens.post(body, caller=str(user.caller), attack=attack)
    return await world.tokens.refresh_by(
        way, user.caller.grant.refresh_token, user.caller, attack=attack
    )


async def ended(way: str, user: ThrowawayUser, since: float, world: World, attack: str) -> Exchange:
    """The refusal of a token since something was written of a user; or the token that it is given
    yet when the patience is over. Each refresh goes on with what the one before it gave: else it
    would be refused as the second use of a refresh token.
    """
    latest = user

    async def ask() -> Exchange:
        nonlocal latest
        answer = await go(way, latest, world, attack)
        grant = Grant.of(answer)
        if grant.token and grant.refresh_token:
            latest = replace(latest, caller=latest.caller.continued(grant))
        return answer

    return await world.patience.until_refused(ask, since, f"{attack} {way}")


@requirement("SEC-J17-deleted")
async def test_a_deleted_user_gets_no_token(world: World, judge: Judge) -> None:
    """A deleted user gets no token, neither by password nor by refresh."""
    user = await throwaway_user(world, world.roles[1])
    cite(user.caller.grant.exchange, "control")
    deleted = await delete_user(world, user)

    for way in WAYS:
        answer = await ended(way, user, deleted.finished, world, "SEC-J17-deleted")
        judge.expect_no_token(answer)


@requirement("SEC-J17-deleted")
async def test_a_name_that_is_used_again_revives_nobody(world: World, judge: Judge) -> None:
    """A new user with a deleted user's e-mail does not revive the old refresh token."""
    user = await throwaway_user(world, world.roles[1])
    deleted = await delete_user(world, user)
    try:
        heir = await throwaway_user(world, world.roles[0], email=user.account.email)
    except NotTested as reason:
        raise NotApplicable(
            f"the target gives the e-mail of a deleted user to no other user: {reason}"
        ) from None

    answer = await ended("post", user, deleted.finished, world, "SEC-J17-deleted")

    judge.expect_no_token(answer)
    await judge.control_refresh(
        world.tokens.refresh_post(
            heir.caller.grant.refresh_token, heir.caller.email, caller=str(heir.caller)
        )
    )


@requirement("SEC-J20")
@each("status", ("inactive", "disabled"))
async def test_a_disabled_user_gets_no_new_token(status: str, world: World) -> None:
    """A disabled user gets no token by refresh, on either path."""
    user = await throwaway_user(world, world.roles[0])
    disabled = cite(await disable(world, user, status), "control")

    for path in ("post", "get"):
        expect_no_grant(await ended(path, user, disabled.finished, world, "SEC-J20"))
