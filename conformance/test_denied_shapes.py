"""Denials in every shape: narrower lists, other media types, and right after an allowed request."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from rolecall.outcomes import Finding
from rolecall.pausing import sleep
from rolecall.spec.loading import load_specification
from rolecall.toolkit.denials import expect_still_refused, sent
from rolecall.toolkit.effect_judge import SETTLING
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.kept_log_ins import expect_undeleted_log_in
from rolecall.toolkit.marks import ALONE, EXPIRY, operations, requirement
from rolecall.toolkit.shapes import SHAPES, attempts, denied, in_turn
from rolecall.toolkit.telling_users import another_account, user_of_account
from rolecall.toolkit.victims import Tried, expect_untouched, victim
from rolecall.toolkit.world import World

_SPEC = load_specification()
#: Seconds after which ``--intrusive`` asks again.
_SOME_SECONDS = 5.0


def rows(*effects: str) -> pytest.MarkDecorator:
    """One test per operation with one of these effects that is denied to a role."""
    chosen = [
        operation.name
        for operation in _SPEC.operations.values()
        if operation.effect in effects and denied(_SPEC, operation.name)
    ]
    marked = [pytest.param(name, marks=requirement(f"PERM-{name}")) for name in chosen]
    return pytest.mark.parametrize("operation", marked)


def _denied_at_its_path() -> dict[str, str]:
    """The reads at whose path some role is denied, each with the operation by which it is: another
    one where the path is the caller's own and somebody else's to others.
    """
    reads = [op for op in _SPEC.operations.values() if op.effect in ("list", "fetch")]
    others = {op.path.replace("{id}", "{self}"): op.name for op in reads}
    return {
        op.name: name
        for op in reads
        for name in [others[op.path] if op.is_self else op.name]
        if denied(_SPEC, name)
    }


DENIED_AT_ITS_PATH = _denied_at_its_path()

# --- Reads -------------------------------------------------------------------------------------


@rows("list", "fetch")
async def test_a_refused_read_is_refused_in_every_shape(
    operation: str, world: World, judge: Judge
) -> None:
    """A denied read is denied with a filter, a selection, another media type or a condition, and
    whatever the role of a user who is asked for.
    """
    asked, met = world.spec.operations[operation], Counter[str]()
    for attempt in attempts(operation, everything=world.intrusive):
        caller = await world.user(attempt.role)
        whose = another_account(world, asked, attempt.role, met[attempt.role])
        request = await world.request(asked, caller, await user_of_account(world, whose))
        met[attempt.role] += 1

        answer = await sent(world, request, caller, attempt.shape, asked.requirement)

        how = f"{attempt}, of the user of {whose}" if whose else f"{attempt}"
        expect_still_refused(world, answer, request, how)
    await judge.control(request)


# --- Right after a caller who may --------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "as_another"),
    [
        pytest.param(name, other, id=name, marks=requirement(f"PERM-{name}", phase=ALONE))
        for name, other in DENIED_AT_ITS_PATH.items()
    ],
)
async def test_a_read_is_decided_for_each_caller(
    operation: str, as_another: str, world: World, judge: Judge
) -> None:
    """A read is allowed right after it was refused to a role that may not, and denied right after
    it was allowed, also to who asks by its ETag whether it has changed.
    """
    admin = await world.user(world.highest)
    caller = await world.user(denied(world.spec, as_another)[-1])
    request = await world.request(world.spec.operations[operation], admin)

    refused = await world.perform(request, caller)
    allowed = await world.perform(request, admin)
    answer = await world.perform(request, caller)

    judge.cite(refused, allowed)
    if as_another == operation:  # else it is a matter of the other operation's cells
        await judge.expect_denied(answer, request, caller)
    await judge.expect_allowed(allowed, request, admin)
    if as_another == operation:
        if world.intrusive and request.operation.effect == "list":
            await sleep(max(0.0, allowed.finished + _SOME_SECONDS - time.monotonic()))
        condition = {"if-none-match": allowed.header("etag") or "*"}
        answer = await world.perform(
            request, caller, headers=condition, attack=request.operation.requirement
        )
        who = f"{caller.role}, asking whether it has changed"
        expect_still_refused(world, answer, request, who)


# --- Writes ------------------------------------------------------------------------------------


@rows("create")
async def test_a_refused_create_is_refused_in_every_shape(
    operation: str, world: World, judge: Judge
) -> None:
    """A denied create is denied with another content type, as a form or with a parameter."""
    asked = []
    for attempt in attempts(operation, everything=world.intrusive):
        caller = await world.user(attempt.role)
        request = await world.request(world.spec.operations[operation], caller)
        answer = await sent(world, request, caller, attempt.shape, request.operation.requirement)

        expect_still_refused(world, answer, request, str(attempt))
        asked.append((request, answer, attempt))
    await sleep(SETTLING)
    for request, answer, attempt in asked:
        if await judge.took_effect(request, answer, None):
            raise Finding(
                f"a refusal without effect: {operation} by {attempt}",
                f"{answer.status}, and it was created",
                answer,
            )
        world.patience.refused.append((request, answer))
    await judge.control(request)


@rows("update", "delete")
async def test_a_refused_write_leaves_no_trace_in_any_shape(operation: str, world: World) -> None:
    """A denied update or delete is denied in every shape, and leaves no trace; a user who was to be
    deleted still logs in.
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
        if operation == "delete-user":
            await expect_undeleted_log_in(world, thing.fixture, tried[-1].answer)


# --- When the token has expired ----------------------------------------------------------------


@requirement("EXPIRY-403", phase=EXPIRY)
@operations(lambda operation: operation.effect in ("list", "fetch"))
async def test_an_expired_token_reads_nothing_in_any_shape(
    operation: str, world: World, expiry: Expiry, judge: Judge
) -> None:
    """An expired token is refused at narrower lists, HEAD and other shapes of a read."""
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
