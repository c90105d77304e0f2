"""The scope claim: role names with single spaces between them; near misses give no rights."""

from __future__ import annotations

from typing import Any

from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.tokens import Caller
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.controls import expect_denied_as_usual
from rolecall.toolkit.expectations import expect_no_crash
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.world import World

#: Claims that do not hold the highest role's name as one of several with spaces between; "{admin}"
#: is the name.
NO_ADMIN: dict[str, Any] = {
    "capital": "{capital}",
    "all-capitals": "{capitals}",
    "longer": "{admin}istrator",
    "longer-in-front": "not{admin}",
    "with-colon": "read:{admin}",
    "with-comma": "{guest},{admin}",
    "with-tab": "{guest}\t{admin}",
    "with-semicolon": "{guest};{admin}",
    "empty": "",
    "missing": ...,
    "null": None,
    "array": ["{admin}"],
    "true": True,
    "unknown": "rolecall-knows-not",
    "guest-and-unknown": "{guest} rolecall-knows-not",
    "any": "*",
}


async def with_scope(world: World, attacker: Attacker, case: str) -> Caller:
    """The lowest role's token with another scope claim, signed with the target's own key."""
    caller = await world.user(world.roles[0])
    admin = world.highest
    names = {
        "admin": admin,
        "capital": admin.capitalize(),
        "capitals": admin.upper(),
        "guest": world.roles[0],
    }
    value, usual = NO_ADMIN[case], caller.grant.claims.get("scope")
    if isinstance(value, list) and isinstance(usual, list):
        raise NotApplicable(f"the target's own scope claims are arrays, as {usual!r}")
    if value is ...:
        token = await attacker.made(caller, without="scope")
    else:
        token = await attacker.made(caller, scope=world.fill(value, **names))
    return Caller(caller.role, "made token", token, caller.user)


@requirement("SEC-A04")
@each("case", NO_ADMIN)
async def test_only_the_name_itself_is_the_scope(
    case: str, world: World, attacker: Attacker
) -> None:
    """A scope that only resembles the highest role's name gives no rights of it."""
    caller, reserved = (
        await with_scope(world, attacker, case),
        (await attacker.protected_requests())[-1],
    )
    if reserved.operation != attacker.reserved[0]:
        if world.read_only:
            raise NotTested("--read-only: there is nothing yet that only the highest role may see")
        raise Inconclusive(
            f"a read that {world.highest} alone may do", attacker.reserved[0].requirement
        )
    await expect_denied_as_usual(world, await world.user(world.roles[0]), reserved.operation.name)

    answer = await world.perform(reserved, caller, attack="SEC-A04")

    expect_no_crash(answer)
    if not world.dialect.denies(reserved.operation, answer):
        raise Finding(f"a refusal: the scope is not {world.highest}", f"{answer.status}", answer)


@requirement("SEC-A04")
async def test_no_other_claim_is_the_scope(world: World, attacker: Attacker) -> None:
    """Unknown claims give a token no more rights than its scope."""
    caller, reserved = await world.user(world.roles[0]), (await attacker.protected_requests())[-1]
    admin, own = world.highest, caller.grant.claims
    others: dict[str, Any] = {
        "scp": [admin],
        "scopes": [admin],
        "roles": [admin],
        "role": admin,
        "permissions": [admin],
    }
    token = await attacker.made(
        caller, **{name: value for name, value in others.items() if name not in own}
    )
    if reserved.operation != attacker.reserved[0]:
        raise Inconclusive(f"a read that {admin} alone may do", attacker.reserved[0].requirement)
    await expect_denied_as_usual(world, caller, reserved.operation.name)

    answer = await world.perform(
        reserved, Caller(caller.role, "made token", token, caller.user), attack="SEC-A04"
    )

    expect_no_crash(answer)
    if not world.dialect.denies(reserved.operation, answer):
        raise Finding(f"a refusal: the scope is {world.roles[0]}", f"{answer.status}", answer)


@requirement("SEC-A04")
@each("spacing", ("space-in-front", "space-behind", "two-spaces"))
async def test_odd_spacing_breaks_nothing(spacing: str, world: World, attacker: Attacker) -> None:
    """A token with extra spaces in its scope causes no server error."""
    caller, (guest, agent) = await world.user(world.roles[1]), world.roles[:2]
    scope = {
        "space-in-front": f" {agent}",
        "space-behind": f"{agent} ",
        "two-spaces": f"{guest}  {agent}",
    }[spacing]
    made = Caller(caller.role, "made token", await attacker.made(caller, scope=scope), caller.user)
    request = await world.request(world.spec.operations["fetch-user-self"], made)

    answer = await world.perform(request, made, attack="SEC-A04")

    expect_no_crash(answer)
