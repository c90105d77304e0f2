"""The denials of the permission table in every shape: one's own things, narrower lists, other
dress, right after who may.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from rolecall.evidence import Exchange, cite, note
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.ids import id_text, identifiers
from rolecall.spec.loading import load_specification
from rolecall.spec.templates import made_up_password
from rolecall.tokens import Caller
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import SETTLING, Judge
from rolecall.toolkit.marks import ALONE, EXPIRY, each, operations, requirement
from rolecall.toolkit.shapes import SHAPES, Shape, attempts, denied, dressed, in_turn
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.throwaway_users import ThrowawayUser, throwaway_user
from rolecall.toolkit.victims import Tried, expect_untouched, victim
from rolecall.toolkit.world import World

_SPEC = load_specification()


def rows(*effects: str, phase: int = 0) -> pytest.MarkDecorator:
    """One test per operation with one of these effects that is denied to somebody, for the
    operation's own requirement.
    """
    chosen = [
        operation.name
        for operation in _SPEC.operations.values()
        if operation.effect in effects and denied(_SPEC, operation.name)
    ]
    marked = [pytest.param(name, marks=requirement(f"PERM-{name}", phase=phase)) for name in chosen]
    return pytest.mark.parametrize("operation", marked)


# --- Reads --------------------------------------------------------------------------------------


@rows("list", "fetch")
async def test_a_refused_read_is_refused_in_every_shape(
    operation: str, world: World, judge: Judge
) -> None:
    """Who may not list or fetch may neither with a filter, a selection, another media type nor a
    condition.
    """
    for attempt in attempts(operation, everything=world.intrusive):
        caller = await world.user(attempt.role)
        request = await world.request(world.spec.operations[operation], caller)

        answer = await sent(world, request, caller, attempt.shape, request.operation.requirement)

        expect_still_refused(world, answer, request, str(attempt))
    await judge.control(request)


async def sent(
    world: World, request: Request, caller: Caller, shape: Shape, attack: str
) -> Exchange:
    """Send a request in a shape, as somebody who may not."""
    operation = request.operation
    organization = id_text(await world.organization())
    known = {
        "self": caller.user,
        "organization": organization,
        "email": caller.email,
        "id": request.fixture and request.fixture.id,
    }
    path, options = dressed(
        request, shape, {name: quote(value or "", safe="") for name, value in known.items()}
    )
    options["attack"] = attack
    if operation.effect == "create":
        what = (
            operation.resource.name,
            request.name,
            operation.method,
            path,
            caller,
            request.inside,
        )
        return await world.create(*what, **options)
    return await world.send(operation.method, path, caller, about=request.thing, **options)


def expect_still_refused(world: World, answer: Exchange, request: Request, how: str) -> None:
    """The answer is a refusal of whatever kind that shows nothing of the thing.

    Raises:
        Finding: it is a success, a redirect (304 too: who may not see it is not told that it is
            unchanged), or shows the thing.
    """
    cite(answer, "answer")
    operation, fixture = request.operation, request.fixture
    expected = f"a refusal: {operation.name.replace('-', ' ')} by {how}"
    if answer.status < 400 and not world.dialect.denies(operation, answer):
        raise Finding(expected, f"{answer.status}: it was allowed", answer)
    if fixture and (
        fixture.id in identifiers(answer.json) or (fixture.name and fixture.name in answer.text)
    ):
        raise Finding(
            f"{expected}, which shows nothing of {fixture}",
            f"{answer.status} with the thing in its body",
            answer,
        )
    if answer.status >= 500:
        note(f"{operation.name} by {how}: {answer.status}")


# --- Right after somebody who may ---------------------------------------------------------------


@shared_setup
async def just_allowed(world: World, operation: str) -> tuple[Request, Exchange]:
    """A read of somebody who may, of the shared thing, and what it was answered.

    Raises:
        Inconclusive: it was refused.
    """
    admin, tried = await world.user(world.highest), world.spec.operations[operation]
    request = await world.request(tried, admin)
    answer = await world.perform(request, admin)
    if not world.dialect.allows(tried, answer):
        raise Inconclusive(f"{operation} allowed to {admin}: {answer}", tried.requirement)
    return request, answer


@rows("list", "fetch", phase=ALONE)
async def test_a_read_is_refused_right_after_it_was_allowed(
    operation: str, world: World, judge: Judge
) -> None:
    """What was just answered to somebody who may is not answered to who may not."""
    caller = await world.user(denied(world.spec, operation)[-1])
    request, allowed = await just_allowed(world, operation)

    answer = await world.perform(request, caller)

    judge.cite(allowed)
    await judge.expect_denied(answer, request, caller)


@rows("list", phase=ALONE)
async def test_a_list_is_refused_some_time_after_it_was_allowed(
    operation: str, world: World, judge: Judge
) -> None:
    """After all the others have asked who may not is still refused, and not told that nothing has
    changed.
    """
    role = denied(world.spec, operation)[0]
    caller = await world.user(role)
    request, allowed = await just_allowed(world, operation)
    if world.intrusive:
        await asyncio.sleep(max(0.0, allowed.finished + _SOME_SECONDS - time.monotonic()))

    conditional = {"if-none-match": allowed.header("etag") or "*"}
    answer = await world.perform(
        request, caller, headers=conditional, attack=request.operation.requirement
    )

    judge.cite(allowed)
    expect_still_refused(world, answer, request, f"{role}, asking whether it has changed")


#: Seconds after which ``--intrusive`` asks again.
_SOME_SECONDS = 5.0

# --- Writes --------------------------------------------------------------------------------------


@rows("create")
async def test_a_refused_create_is_refused_in_every_shape(
    operation: str, world: World, judge: Judge
) -> None:
    """Who may not create may not with another content type, as a form or with a parameter, and
    nothing was created.
    """
    asked = []
    for attempt in attempts(operation, everything=world.intrusive):
        caller = await world.user(attempt.role)
        request = await world.request(world.spec.operations[operation], caller)
        answer = await sent(world, request, caller, attempt.shape, request.operation.requirement)

        expect_still_refused(world, answer, request, str(attempt))
        asked.append((request, answer, attempt))
    await asyncio.sleep(SETTLING)
    for request, answer, attempt in asked:
        if await judge.took_effect(request, answer, None):
            raise Finding(
                f"a refusal without effect: {operation} by {attempt}",
                f"{answer.status}, and it was created",
                answer,
            )
    await judge.control(request)


@rows("update", "delete")
async def test_a_refused_write_leaves_no_trace_in_any_shape(operation: str, world: World) -> None:
    """Who may not update or delete may in no shape; the thing stays as it was, in the list as by
    its id, in all its members.
    """
    asked, tried = world.spec.operations[operation], []
    async with victim(world, asked.resource.name) as thing:
        for attempt in attempts(operation, everything=world.intrusive):
            caller = await world.user(attempt.role)
            request = await world.request(asked, caller, thing.fixture)
            answer = await sent(
                world, request, caller, attempt.shape, request.operation.requirement
            )

            expect_still_refused(world, answer, request, str(attempt))
            tried.append(Tried(request, answer, str(attempt)))
        await expect_untouched(world, thing, tried, in_list=asked.effect == "delete")


# --- One's own things, and oneself --------------------------------------------------------------


def own_things() -> list[Any]:
    """What a role may create and then not fetch, list, update or delete: one test each, for the
    operation's own requirement.
    """
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
async def own(world: World, role: str, resource: str) -> Fixture:
    """A thing that a role's own user has made with a time-based token.

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
    """Who has made a thing may do with it what the table says, and no more: being its maker, and
    taking part in it, does not count.
    """
    tried, caller = world.spec.operations[operation], await world.user(role)
    if tried.effect == "list":
        fixture = await messages_of(world, await own(world, role, "conversation"))
    else:
        fixture = await own(world, role, tried.resource.name)
    request = await world.request(tried, caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, request, caller)
    if tried.effect in ("update", "delete"):
        await judge.expect_no_effect(request, answer, caller)


async def messages_of(world: World, conversation: Fixture) -> Fixture:
    """What stands for the messages of a conversation: its list is asked for by the conversation's
    id.
    """
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
    """Who may not delete users may not delete the own user either: the rows for oneself are of
    fetching and updating.
    """
    user = await throw_away(world, role)
    request = await world.request(world.spec.operations["delete-user"], user.caller, user.fixture)

    answer = await world.perform(request, user.caller)

    await judge.expect_denied(answer, request, user.caller)
    await judge.expect_no_effect(request, answer, user.caller)


@requirement("PERM-fetch-organization")
@each("role", denied(_SPEC, "fetch-organization"))
async def test_the_own_organization_is_no_exception(role: str, world: World, judge: Judge) -> None:
    """Who may not fetch organizations may not fetch the one of the own user."""
    id = id_text(await world.organization())
    if not id:
        judge.cite((await world.user(world.highest)).grant.exchange)
        raise NotApplicable("nothing tells to which organization the accounts belong")
    caller, fixture = await world.user(role), Fixture(world.spec.resources["organization"], id, "")
    request = await world.request(world.spec.operations["fetch-organization"], caller, fixture)

    answer = await world.perform(request, caller)

    await judge.expect_denied(answer, replace(request, fixture=None), caller)
    await judge.control(request)


@requirement("PERM-fetch-user")
@each("role", denied(_SPEC, "fetch-user"))
async def test_who_takes_part_is_no_exception(role: str, world: World, judge: Judge) -> None:
    """Who may not fetch users may not fetch one with whom it takes part in a conversation."""
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
    """Who may not update or delete organizations may not do it with the one of the own user."""
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


# --- Traces where accounts are kept -------------------------------------------------------------


@requirement("PERM-create-user")
async def test_a_refused_user_takes_no_address(world: World, judge: Judge) -> None:
    """The e-mail of a user that was refused is free: who may create users gives it to another."""
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


@requirement("PERM-update-user")
async def test_a_refused_update_leaves_the_way_to_log_in(world: World) -> None:
    """A user whom somebody who may not tried to give another e-mail and password still logs in with
    its own.
    """
    caller, user = (
        await world.user(denied(_SPEC, "update-user")[-1]),
        await throw_away(world, world.roles[0]),
    )
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


# --- When the token has expired -----------------------------------------------------------------


@requirement("EXPIRY-403", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("list", "fetch"))
async def test_an_expired_token_reads_nothing_in_any_shape(
    operation: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """A narrower list, a HEAD and a request in other dress are refused to a token that has expired."""
    asked, expired = world.spec.operations[operation], (await expiry.tokens(world.highest))[0]
    request = await world.request(asked, expired.caller)
    shapes = [shape for shape in SHAPES if asked.effect in shape.effects]
    if not world.intrusive:
        shapes = [in_turn(shapes, operation)] if asked.effect == "list" else []
    for shape in shapes:
        if world.intrusive:
            judge.cite(
                await sent(world, request, await world.user(world.highest), shape, "EXPIRY-403")
            )

        answer = await sent(world, request, expired.caller, shape, "EXPIRY-403")

        expect_still_refused(
            world, answer, request, f"a token that has expired ({expired.evidence}), {shape.name}"
        )
    if asked.effect == "list" and not world.intrusive:
        return
    head = await world.send("HEAD", request.path, expired.caller, attack="EXPIRY-403")
    expect_still_refused(
        world, head, request, f"a token that has expired ({expired.evidence}), HEAD"
    )
