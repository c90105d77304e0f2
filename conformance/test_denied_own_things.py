"""Denials about oneself: own things, the own user and organization are no exceptions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.ids import id_text
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import made_up_password
from rolecall.toolkit.attached import expect_message, expect_session, message_in
from rolecall.toolkit.denials import expect_still_refused
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.members import REFUSED
from rolecall.toolkit.shapes import denied
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.throwaway_users import ThrowawayUser, throwaway_user
from rolecall.toolkit.world import World

_SPEC = load_specification()


# --- One's own things, and oneself -------------------------------------------------------------


def own_things() -> list[Any]:
    """The operations that a role is denied on what it may create: one test each."""
    chosen = []
    for operation in _SPEC.operations.values():
        made = "conversation" if operation.effect == "list" else operation.resource.name
        if (
            operation.effect == "create"
            or operation.is_self
            or (operation.effect == "list" and operation.name != "list-messages")
        ):
            continue
        for role in denied(_SPEC, operation.name):
            if _SPEC.allows(f"create-{made}", role):
                mark = requirement(operation.requirement)
                chosen.append(
                    pytest.param(operation.name, role, id=f"{operation.name}-{role}", marks=mark)
                )
    return chosen


@shared_setup
async def own(world: World, role: str, resource: str, purpose: str = "") -> Fixture:
    """A thing that a role's own user has made with a time-based token, for one purpose.

    Raises:
        Inconclusive: it may not.
    """
    operation, caller = world.spec.operations[f"create-{resource}"], await world.user(role)
    request = await world.request(operation, caller)
    answer = await world.perform(request, caller)
    fixture = await world.made(request, answer) if answer.ok else None
    if fixture is None:
        raise Inconclusive(f"a {resource} that {role} has made: {answer}", operation.requirement)
    return await world.wait_for(fixture)


@pytest.mark.parametrize(("operation", "role"), own_things())
async def test_ones_own_thing_is_no_exception(
    operation: str, role: str, world: World, judge: Judge
) -> None:
    """The maker of a thing may do with it what the table says, and no more."""
    tried, caller = world.spec.operations[operation], await world.user(role)
    if tried.effect == "list":
        fixture = await messages_of(world, await own(world, role, "conversation"))
    else:
        # One that others look at must not be deleted: not by the caller, nor by the control.
        purpose = "deleted" if tried.effect == "delete" else ""
        fixture = await own(world, role, tried.resource.name, purpose)
    request = await world.request(tried, caller, fixture)

    answer = await world.perform(request, caller)

    if tried.effect == "list":  # the message that stands for its kind is in another conversation
        request = replace(request, fixture=None)
    await judge.expect_denied(answer, request, caller)
    if tried.effect in ("update", "delete"):
        await judge.expect_no_effect(request, answer, caller)


async def messages_of(world: World, conversation: Fixture) -> Fixture:
    """The messages of a conversation, whose list is read by the conversation's id."""
    return replace(await world.shared("message"), conversation=conversation.id)


async def throw_away(world: World, role: str, **members: Any) -> ThrowawayUser:
    """A user of a role that a test may lose.

    Raises:
        NotApplicable: none can be made: what an account's own user may do to itself is not tried.
    """
    try:
        return await throwaway_user(world, role, **members)
    except NotTested as reason:
        if not reason.capability:
            raise
        raise NotApplicable(f"{reason}; an account's own user is not put at risk") from None


@requirement("PERM-delete-user")
@each("role", denied(_SPEC, "delete-user"))
async def test_a_user_does_not_delete_itself(role: str, world: World, judge: Judge) -> None:
    """A role that may not delete users may not delete its own user."""
    user = await throw_away(world, role)
    request = await world.request(world.spec.operations["delete-user"], user.caller, user.fixture)

    answer = await world.perform(request, user.caller)

    await judge.expect_denied(answer, request, user.caller)
    await judge.expect_no_effect(request, answer, user.caller)


@shared_setup
async def own_organization(world: World) -> tuple[str, Exchange]:
    """What names the organization of the accounts, and the answer of the highest role's fetch of
    it; nothing, and the log-in, where no answer names any.
    """
    admin, id = await world.user(world.highest), id_text(await world.organization())
    if not id:
        return "", admin.grant.exchange
    organization = Fixture(world.spec.resources["organization"], id, "")
    fetch = world.spec.operations["fetch-organization"]
    return id, await world.perform(await world.request(fetch, admin, organization), admin)


@requirement("PERM-fetch-organization")
@each("role", denied(_SPEC, "fetch-organization"))
async def test_the_own_organization_is_no_exception(role: str, world: World, judge: Judge) -> None:
    """A role that may not fetch organizations may not fetch its own one."""
    id, seen = await own_organization(world)
    if not id:
        judge.cite(seen)
        raise NotApplicable("no answer tells to which organization the accounts belong")
    # The page does not say what the member holds: it may be a code, or a tenant shown to nobody.
    if seen.status in (*world.dialect.gone, *REFUSED):
        judge.cite(seen)
        raise NotApplicable(f"what the users name as their organization is shown to none: {seen}")
    caller, fixture = await world.user(role), Fixture(world.spec.resources["organization"], id, "")
    request = await world.request(world.spec.operations["fetch-organization"], caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, replace(request, fixture=None), caller)
    await judge.control(request)


@requirement("PERM-fetch-user")
@each("role", denied(_SPEC, "fetch-user"))
async def test_who_takes_part_is_no_exception(role: str, world: World, judge: Judge) -> None:
    """A role that may not fetch users may not fetch one in the same conversation."""
    await world.shared("conversation")  # all accounts take part in it
    caller, other = await world.user(role), await world.user(world.highest)
    fixture = Fixture(world.spec.resources["user"], other.user, "")
    request = await world.request(world.spec.operations["fetch-user"], caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, replace(request, fixture=None), caller)


@pytest.mark.parametrize(
    ("operation", "role"),
    [
        pytest.param(
            f"{effect}-organization",
            role,
            id=f"{effect}-{role}",
            marks=requirement(f"PERM-{effect}-organization"),
        )
        for effect, role in zip(
            ("update", "delete"), reversed(denied(_SPEC, "update-organization")), strict=False
        )
    ],
)
async def test_a_member_does_not_change_the_own_organization(
    operation: str, role: str, world: World, judge: Judge
) -> None:
    """A role that may not update or delete organizations may not do so with its own one."""
    organization = await world.fresh("organization")
    member = await throw_away(world, role, organization=world.as_given(organization.id))
    request = await world.request(world.spec.operations[operation], member.caller, organization)

    answer = await world.send(
        request.operation.method,
        request.path,
        member.caller,
        json=request.body,
        about=request.thing,
        attack=f"PERM-{operation}",
    )

    expect_still_refused(world, answer, request, f"{role}, of the own organization")
    await judge.expect_no_effect(request, answer, member.caller)


# --- Traces where accounts are kept ------------------------------------------------------------


@requirement("PERM-create-user")
async def test_a_refused_user_takes_no_address(world: World, judge: Judge) -> None:
    """The e-mail of a user whose create was refused is still free."""
    caller, admin = (
        await world.user(denied(_SPEC, "create-user")[-1]),
        await world.user(world.highest),
    )
    plain = await world.request(world.spec.operations["create-user"], caller)
    answer = await world.perform(plain, caller)
    await judge.expect_denied(answer, plain, caller)
    again = await world.request(world.spec.operations["create-user"], admin)
    email = (plain.body or {}).get("email")

    made = await world.perform(
        replace(again, body={**again.body, "email": email}), admin, attack="PERM-create-user"
    )

    if made.ok or not email:
        return
    other = await world.perform(again, admin)
    if other.ok:
        raise Finding(
            "an e-mail that is free after the refusal",
            f"{answer.status}, and then {made.status}",
            made,
        )
    raise Inconclusive(f"a user made by {admin}: {other}", "PERM-create-user")


@requirement("PERM-create-user")
@each("role", denied(_SPEC, "create-user"))
async def test_a_user_of_the_lowest_role_is_no_exception(
    role: str, world: World, judge: Judge
) -> None:
    """A role that may not create users creates none of the lowest role, and the lowest of no role
    either.
    """
    caller = await world.user(role)
    everything = world.intrusive or role == world.roles[0]
    for given in (world.roles[0], None) if everything else (world.roles[0],):
        plain = await world.request(world.spec.operations["create-user"], caller)
        request = replace(plain, body={**plain.body, "role": given})

        answer = await world.perform(request, caller, attack="PERM-create-user")

        expect_still_refused(world, answer, request, f"{role}, with role {given!r}")
        await judge.expect_no_effect(request, answer, caller)


@requirement("PERM-update-user")
async def test_a_refused_update_leaves_the_way_to_log_in(world: World) -> None:
    """A role that may not update users does not update one of the role above, which no other test
    tries; after an e-mail and a password that were refused, that user logs in as before.
    """
    below, above = denied(_SPEC, "update-user")[-2:]
    caller = await world.user(below)
    try:
        user = await throw_away(world, above)
    except NotTested:
        user = await throw_away(world, world.roles[0])
    plain = await world.request(world.spec.operations["update-user"], caller, user.fixture)
    members = {"email": user.account.email.replace("@", ".taken@"), "password": made_up_password()}

    answer = await world.perform(
        replace(plain, body={**plain.body, **members}), caller, attack="PERM-update-user"
    )

    expect_still_refused(world, answer, plain, f"{caller.role}, with another e-mail and password")
    login = cite(await world.tokens.issue(user.account), "observation")
    if not login.ok:
        raise Finding(
            "a user who logs in as before",
            f"{answer.status}, and the log-in {login.status}",
            answer,
        )


# --- What hangs on a thing ---------------------------------------------------------------------


@requirement("PERM-delete-conversation")
async def test_a_refused_delete_leaves_the_messages(world: World) -> None:
    """A conversation whose delete was refused has its messages as before."""
    conversation = await world.fresh("conversation")
    message = await message_in(world, conversation)
    delete = world.spec.operations["delete-conversation"]
    caller = await world.user(denied(_SPEC, delete.name)[-1])
    request = await world.request(delete, caller, conversation)

    answer = await world.perform(request, caller)

    expect_still_refused(world, answer, request, caller.role)
    await expect_message(world, conversation, message, answer)


@requirement("PERM-delete-user")
async def test_a_refused_delete_leaves_the_session(world: World) -> None:
    """A user whose delete was refused refreshes its session as before."""
    delete = world.spec.operations["delete-user"]
    caller = await world.user(denied(_SPEC, delete.name)[-1])
    user = await throw_away(world, world.roles[0])
    request = await world.request(delete, caller, user.fixture)

    answer = await world.perform(request, caller)

    expect_still_refused(world, answer, request, caller.role)
    await expect_session(world, user, answer)
