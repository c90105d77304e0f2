"""One's own profile: everybody may change it, and nobody becomes more by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rolecall.conformance.bounds import expect_no_crash
from rolecall.conformance.intruder import Intruder
from rolecall.conformance.marks import each, requirement
from rolecall.conformance.sacrifice import Sacrifice, sacrificial
from rolecall.conformance.tables import load_specification
from rolecall.conformance.tokens import Grant
from rolecall.conformance.world import World
from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive

#: What is written into one's own user, besides a change that is allowed; "{admin}" is the highest role.
ASSIGNMENTS: dict[str, dict[str, Any]] = {
    "role": {"role": "{admin}"},
    "scope": {"scope": "{admin}"},
    "lists": {"roles": ["{admin}"], "scopes": ["{admin}"]},
    "flags": {"permissions": ["{admin}"], "isAdmin": True, "admin": True, "verified": True},
    "role-in-organizations": {"organizations": [{"organization": "{organization}", "role": "{admin}", "selected": True}]},
    "role-in-objects": {"user": {"role": "{admin}"}, "profile": {"role": "{admin}", "scope": "{admin}"}},
    "role-in-meta": {"meta": {"role": "{admin}", "scope": "{admin}"}},
    "dotted": {"user.role": "{admin}", "organizations.0.role": "{admin}"},
    "operator": {"$set": {"role": "{admin}", "scope": "{admin}"}},
}


async def assign(world: World, sacrifice: Sacrifice, assignment: str) -> Exchange:
    """Let a made-up user write something into itself that is not its own to decide."""
    plain = await world.request(world.spec.operations["update-user-self"], sacrifice.caller)
    organization = await world.organization() or ""
    members = world.fill(ASSIGNMENTS[assignment], admin=world.highest, organization=organization)
    answer = await world.perform(replace(plain, body={**plain.body, **members}), sacrifice.caller, attack="SEC-A06")
    expect_no_crash(answer)
    return answer


async def expect_unpromoted(world: World, sacrifice: Sacrifice, answer: Exchange, what: str) -> None:
    """The user is what it was, as others see it and at its next log-in.

    Raises:
        Inconclusive: it cannot log in any more.
    """
    before = sacrifice.fixture.made_by.document if sacrifice.fixture.made_by else {}
    role, after = sacrifice.account.role, f"after an update with {what.replace('-', ' ')}"
    seen = await world.observe(sacrifice.fixture) or {}
    if "role" in before and seen.get("role", before["role"]) != before["role"]:
        raise Finding(f"role {before['role']!r} as before", f"role {seen['role']!r} {after}", answer)
    login = cite(await world.tokens.issue(sacrifice.account), "control")
    grant = Grant.of(login)
    if not grant.token:
        raise Inconclusive(f"a log-in {after}: {login}", "ISSUE-status")
    for where, scope in (("the answer", grant.scope), ("the JWT", grant.claims.get("scope"))):
        if world.role_of_scope(scope) != role:
            raise Finding(f"scope {role} as before", f"{scope!r} in {where} of the next log-in {after}", login)


@requirement("SEC-A06")
@each("assignment", ASSIGNMENTS)
async def test_the_lowest_role_does_not_promote_itself(assignment: str, world: World) -> None:
    """An update of one's own user that names a role or a scope changes neither, as all see at the next log-in."""
    sacrifice = await sacrificial(world, world.roles[0])

    answer = await assign(world, sacrifice, assignment)

    await expect_unpromoted(world, sacrifice, answer, assignment)


@requirement("SEC-A06")
@each("role", load_specification().roles[1:-1])
async def test_no_role_below_the_highest_promotes_itself(role: str, world: World, intruder: Intruder) -> None:
    """The same for the roles in between, all such updates one after the other; nor may their tokens do more at once."""
    sacrifice = await sacrificial(world, role)
    reserved = await world.request(intruder.reserved[0], sacrifice.caller)
    usual = await world.reads(await world.user(role), reserved.operation.name)

    for assignment in ASSIGNMENTS:
        update = await assign(world, sacrifice, assignment)
    at_once = await world.perform(reserved, sacrifice.caller)

    may, might = (world.dialect.allows(reserved.operation, answer) for answer in (at_once, usual))
    if may and not might:
        raise Finding(f"{role} may not {reserved.operation.name}", f"{at_once.status} after the updates", at_once)
    await expect_unpromoted(world, sacrifice, update, "all of these")
