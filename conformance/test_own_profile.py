"""One's own profile: every role may change it, and none gains rights by it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from rolecall.evidence import Exchange, cite, note
from rolecall.outcomes import Finding, Inconclusive
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import with_query
from rolecall.tokens import Grant
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.expectations import expect_no_crash
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.things import Request
from rolecall.toolkit.throwaway_users import ThrowawayUser, throwaway_user
from rolecall.toolkit.turns import against_the_table
from rolecall.toolkit.world import World

#: What is written into one's own user, besides a change that is allowed; "{admin}" is the highest
#: role.
ASSIGNMENTS: dict[str, dict[str, Any]] = {
    "role": {"role": "{admin}"},
    "scope": {"scope": "{admin}"},
    "lists": {"roles": ["{admin}"], "scopes": ["{admin}"]},
    "flags": {
        "permissions": ["{admin}"],
        "isAdmin": True,
        "is_admin": True,
        "admin": True,
        "verified": True,
        "userType": "{admin}",
        "accessLevel": "{admin}",
        "groups": ["{admin}"],
    },
    "role-in-organizations": {
        "organizations": [{"organization": "{organization}", "role": "{admin}", "selected": True}]
    },
    "role-in-objects": {
        "user": {"role": "{admin}"},
        "profile": {"role": "{admin}", "scope": "{admin}"},
        "attributes": {"role": "{admin}", "scope": "{admin}"},
        "data": {"role": "{admin}", "attributes": {"role": "{admin}", "scope": "{admin}"}},
    },
    "prototype": {
        "__proto__": {"role": "{admin}", "scope": "{admin}"},
        "constructor": {"prototype": {"role": "{admin}", "scope": "{admin}"}},
    },
    "role-in-meta": {"meta": {"role": "{admin}", "scope": "{admin}"}},
    "role-in-other-letters": {"Role": "{admin}", "SCOPE": "{admin}", "role ": "{admin}"},
    "dotted": {"user.role": "{admin}", "organizations.0.role": "{admin}"},
    "operator": {"$set": {"role": "{admin}", "scope": "{admin}"}},
}

#: Values that code takes for "not given", and then puts a default in their place, or none.
NOT_GIVEN: dict[str, Any] = {"null": None, "empty-text": "", "empty-list": [], "empty-object": {}}


async def assign(world: World, user: ThrowawayUser, assignment: str) -> Exchange:
    """Let a made-up user write something into itself that is not its own to decide."""
    organization = await world.organization() or ""
    return await write(
        world,
        user,
        world.fill(ASSIGNMENTS[assignment], admin=world.highest, organization=organization),
    )


async def write(
    world: World, user: ThrowawayUser, members: dict[str, Any], query: str = ""
) -> Exchange:
    """Let a made-up user update itself, with these members besides, and this query."""
    plain = await world.request(world.spec.operations["update-user-self"], user.caller)
    request = replace(plain, body={**plain.body, **members}, path=with_query(plain.path, query))
    answer = await world.perform(request, user.caller, attack="SEC-A06")
    expect_no_crash(answer)
    return answer


async def write_roles_between(world: World, user: ThrowawayUser) -> Exchange | None:
    """Let a made-up user write each role into itself that is above its own, but for the highest: a
    server may forbid that one by its name, or all that are more than a step away.
    """
    answer = None
    for role in world.roles[world.roles.index(user.account.role) + 1 : -1]:
        answer = await write(world, user, {"role": role})
    return answer


async def write_whole(world: World, user: ThrowawayUser) -> Exchange:
    """Let a made-up user send itself back as it was shown, with the highest role."""
    known = user.fixture.made_by.document if user.fixture.made_by else {}
    return await write(world, user, {**known, "role": world.highest})


def twice(body: Mapping[str, Any], role: str, admin: str) -> bytes:
    """An update in which the role comes twice: the own one, and the highest."""
    return (
        f"{json.dumps(body)[:-1]}, {json.dumps('role')}: {json.dumps(role)}, "
        f"{json.dumps('role')}: {json.dumps(admin)}}}"
    ).encode()


async def write_otherwise(world: World, user: ThrowawayUser) -> Exchange:
    """Let a made-up user write the highest role into itself in other forms of an update: a merge
    patch (RFC 7396), a body with two roles, a form, and a list, alone and as a JSON patch (RFC
    6902). The roles between share them out.
    """
    plain = await world.request(world.spec.operations["update-user-self"], user.caller)
    merge = {"content": json.dumps({**plain.body, "role": world.highest}).encode()}
    double = {"content": twice(plain.body, user.account.role, world.highest)}
    parts = [
        {"op": "add", "path": f"/{name}", "value": value, name: value}
        for name, value in {**plain.body, "role": world.highest}.items()
    ]
    listed = {"content": json.dumps(parts).encode()}
    form = {"content": urlencode({**plain.body, "role": world.highest}).encode()}
    forms = {
        "merge-patch": (merge, "application/merge-patch+json"),
        "two-roles": (double, "application/json"),
        "form": (form, "application/x-www-form-urlencoded"),
        "list": (listed, "application/json"),
        "json-patch": (listed, "application/json-patch+json"),
    }
    for name in _share(forms, user.account.role, world):
        options, media_type = forms[name]
        headers = {"content-type": media_type}
        answer = await world.send(
            plain.operation.method,
            plain.path,
            user.caller,
            about=plain.thing,
            attack="SEC-A06",
            headers=headers,
            **options,
        )
        expect_no_crash(answer)
    return answer


async def put_role(world: World, user: ThrowawayUser) -> Exchange:
    """Let a made-up user replace itself by itself, with the highest role."""
    plain = await world.request(world.spec.operations["update-user-self"], user.caller)
    known = user.fixture.made_by.document if user.fixture.made_by else {}
    answer = await world.send(
        "PUT",
        plain.path,
        user.caller,
        about=plain.thing,
        attack="SEC-A06",
        json={**known, **plain.body, "role": world.highest},
        repeatable=False,
    )
    expect_no_crash(answer)
    return answer


async def expect_unpromoted(world: World, user: ThrowawayUser, answer: Exchange, what: str) -> None:
    """The user is what it was, as others see it and at its next log-in.

    Raises:
        Inconclusive: it cannot log in any more.
    """
    before = user.fixture.made_by.document if user.fixture.made_by else {}
    role, after = user.account.role, f"after an update with {what.replace('-', ' ')}"
    seen = await world.observe(user.fixture) or {}
    if "role" in before and seen.get("role", before["role"]) != before["role"]:
        raise Finding(
            f"role {before['role']!r} as before", f"role {seen['role']!r} {after}", answer
        )
    login = cite(await world.tokens.issue(user.account), "control")
    grant = Grant.of(login)
    if not grant.token:
        raise Inconclusive(f"a log-in {after}: {login}", "ISSUE-status")
    for where, scope in grant.scopes.items():
        if not world.is_scope_of(scope, role, user.caller.grant.scopes[where]):
            raise Finding(
                f"scope {role} as before", f"{scope!r} in {where} of the next log-in {after}", login
            )


@requirement("SEC-A06")
async def test_the_lowest_role_does_not_promote_itself(world: World) -> None:
    """An update of one's own user that names a role or a scope changes neither.

    One user tries them all; where it was promoted, each is tried by a user of its own.
    """
    user = await throwaway_user(world, world.roles[0])

    for assignment in ASSIGNMENTS:
        answer = await assign(world, user, assignment)
    await write_roles_between(world, user)
    await write_whole(world, user)
    put = await put_role(world, user)

    try:
        await expect_unpromoted(world, user, answer, "a role and a scope in every place")
    except Finding:
        for assignment in ASSIGNMENTS:
            user = await throwaway_user(world, world.roles[0])
            answer = await assign(world, user, assignment)
            await expect_unpromoted(world, user, answer, assignment)
        user = await throwaway_user(world, world.roles[0])
        if between := await write_roles_between(world, user):
            await expect_unpromoted(world, user, between, "a role below the highest")
        user = await throwaway_user(world, world.roles[0])
        whole = await write_whole(world, user)
        await expect_unpromoted(world, user, whole, "the whole user, its role another")
        if put.ok:
            user = await throwaway_user(world, world.roles[0])
            await expect_unpromoted(world, user, await put_role(world, user), "a role, by PUT")
        raise


@requirement("SEC-A06")
async def test_a_role_that_is_not_given_stays(world: World, attacker: Attacker) -> None:
    """An update of one's own user with an empty role, scope or status changes no rights."""
    user = await throwaway_user(world, world.roles[0])
    reserved = await world.request(attacker.reserved[0], user.caller)

    for value in NOT_GIVEN.values():
        answer = await write(world, user, {"role": value})
    answer = await write(
        world, user, {"scope": None}, f"role={world.highest}&scope={world.highest}"
    )
    await write(world, user, {"email": user.account.email, "password": user.account.password})
    await expect_unpromoted(world, user, answer, "no role and no scope, and the own password")
    for value in NOT_GIVEN.values():
        answer = await write(world, user, {"organization": value, "status": value})
    await expect_no_more_at_once(world, user, reserved)
    try:
        await expect_unpromoted(world, user, answer, "no organization and no status")
    except Inconclusive as reason:  # it may end its own log-ins
        note(f"{reason}")


async def expect_no_more_at_once(world: World, user: ThrowawayUser, reserved: Request) -> None:
    """A made-up user's token does not open what its role does not open at any time."""
    at_once, role = await world.perform(reserved, user.caller), user.account.role
    if world.dialect.allows(reserved.operation, at_once) and not await against_the_table(
        world, reserved.operation, await world.user(role), may=False
    ):
        raise Finding(
            f"{role} may not {reserved.operation.name}",
            f"{at_once.status} after the updates",
            at_once,
        )


def _share(names: Iterable[str], role: str, world: World, plainest: int = 0) -> list[str]:
    """The part of what is written that a role tries; the first ones are tried by each role."""
    every, others = list(names), world.roles[1:-1]
    if world.intrusive:
        return every
    return every[:plainest] + every[plainest + others.index(role) :: len(others)]


@requirement("SEC-A06")
@each("role", load_specification().roles[1:-1])
async def test_no_role_below_the_highest_promotes_itself(
    role: str, world: World, attacker: Attacker
) -> None:
    """No role below the highest promotes itself by updates of its own user.

    The lowest role tries everything; the others share it out, but for what is plainest, and try
    everything with ``--intrusive``.
    """
    user = await throwaway_user(world, role)
    reserved = await world.request(attacker.reserved[0], user.caller)

    for assignment in _share(ASSIGNMENTS, role, world, plainest=2):
        update = await assign(world, user, assignment)
    for name in _share(NOT_GIVEN, role, world):
        await write(world, user, {"role": NOT_GIVEN[name]})
    await write_roles_between(world, user)
    update = await write_otherwise(world, user)

    await expect_no_more_at_once(world, user, reserved)
    await expect_unpromoted(world, user, update, "all of these")


@requirement("SEC-A06")
async def test_a_role_in_a_conversation_is_no_role_of_the_user(world: World) -> None:
    """A user who makes a conversation in which it takes part with the highest role has its own role
    as before.
    """
    create = world.spec.operations["create-conversation"]
    user = await throwaway_user(world, world.spec.allowed_roles(create.name)[-1])
    plain = await world.request(create, user.caller)
    part = {"user": world.as_given(user.caller.user), "role": world.highest}

    answer = await world.perform(
        replace(plain, body={**plain.body, "participants": [part]}), user.caller, attack="SEC-A06"
    )

    expect_no_crash(answer)
    await expect_unpromoted(world, user, answer, "a role in a new conversation")
