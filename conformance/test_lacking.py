"""Accounts that lack a password, a role or an active status: no log-in, and no rights."""

from __future__ import annotations

from typing import Any

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, NotApplicable
from rolecall.target import Account
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.callers import session
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.rights import expect_at_most
from rolecall.toolkit.throwaway_users import lockable_account, make_user
from rolecall.toolkit.world import World

#: What a user is made with in place of a password, which a server may refuse; ``...`` leaves the
#: member out.
NO_PASSWORD: dict[str, Any] = {"missing": ..., "null": None}
#: What is tried as the password of such a user: few enough for a server that locks accounts.
GUESSES: tuple[dict[str, Any], ...] = (
    {"password": "rolecall-is-not-this"},
    {"password": ""},
    {},
    {"password": "{id}"},
)


@requirement("SEC-E14")
@each("password", NO_PASSWORD)
async def test_no_password_opens_an_account_without_one(
    password: str, world: World, judge: Judge
) -> None:
    """A user that was made without a password gets no token, whatever is sent as one."""
    # with a password such a user logs in
    cite((await lockable_account(world)).caller.grant.exchange, "control")
    members = {"role": world.roles[0], "password": NO_PASSWORD[password]}
    request, made, user = await make_user(world, attack="SEC-E14", **members)
    if user is None:
        cite(made, "answer")
        raise NotApplicable(f"the target makes no user with {password} password ({made})")

    world.client.secrets.publish(user.id)
    for guess in GUESSES:
        credentials = {"email": request.body["email"], **world.fill(guess, id=user.id)}
        answer = await world.tokens.post(credentials, caller="nobody", attack="SEC-E14")
        judge.expect_no_token(answer, made)


#: What a user is made with in place of a role.
NO_ROLE: dict[str, Any] = {"missing": ..., "null": None, "empty": "", "unknown": "rolecall"}


@requirement("SEC-E14")
@each("role", NO_ROLE)
async def test_no_role_gives_no_rights(role: str, world: World) -> None:
    """A user that was made without a role has no more rights than the role that it shows."""
    await lockable_account(world)  # says what is missing where no user can be made at all
    request, made, user = await make_user(world, attack="SEC-E14", role=NO_ROLE[role])
    if user is None:
        cite(made, "answer")
        raise NotApplicable(f"the target makes no user with {role} role ({made})")
    account = Account(role, role, request.body["email"], request.body["password"])
    login = cite(
        await world.tokens.post(
            {"email": account.email, "password": account.password},
            caller="nobody",
            attack="SEC-E14",
        )
    )
    grant = Grant.of(login)
    if not grant.token:
        raise NotApplicable(f"a user with {role} role gets no token ({login})")

    shown = str((await world.observe(user) or {}).get("role"))
    await expect_at_most(shown, session(account, grant), world)


#: What a user is made as that is not active; the first is tried, the others show whether a status
#: means anything here.
NOT_ACTIVE = ("inactive", "blocked", "suspended", "disabled")


@requirement("SEC-E14")
async def test_an_inactive_user_gets_no_token(world: World) -> None:
    """A user that was made inactive gets no token, where a status prevents log-in."""
    await lockable_account(world)  # says what is missing where no user can be made at all
    answer, caller = await log_in_as(NOT_ACTIVE[0], world)
    cite(answer, "answer")
    if caller is None:
        return
    if not (shown := await world.fetch_self(caller)).ok:
        raise Finding(
            f"no token for a user who is {NOT_ACTIVE[0]}",
            f"{answer.status}, and then {shown.status} for that token",
            answer,
        )
    for status in NOT_ACTIVE[1:]:
        refusal, other = await log_in_as(status, world)
        if other is None:
            raise Finding(
                f"no token for a user who is {NOT_ACTIVE[0]}, as for one who is {status}",
                f"{answer.status}",
                answer,
            )
        cite(refusal, "control")
    raise NotApplicable(
        f"no status of a user prevents a log-in: {', '.join(NOT_ACTIVE)} log in ({answer})"
    )


async def log_in_as(status: str, world: World) -> tuple[Exchange, Caller | None]:
    """The log-in of a user that was made with a status, and its session; None where it is refused.

    Raises:
        NotApplicable: the target makes no such user, or does not show that it is one.
    """
    request, made, user = await make_user(
        world, attack="SEC-E14", role=world.roles[0], status=status
    )
    if user is None or (await world.observe(user) or {}).get("status") != status:
        cite(made, "answer")
        raise NotApplicable(f"the target makes no user who is {status} ({made})")
    account = Account(status, world.roles[0], request.body["email"], request.body["password"])
    answer = await world.tokens.post(
        {"email": account.email, "password": account.password}, caller="nobody", attack="SEC-E14"
    )
    grant = Grant.of(answer)
    return answer, session(account, grant) if grant.token else None
