"""Writes that are refused as invalid: no part of them is carried out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rolecall.evidence import cite
from rolecall.outcomes import Finding, NotApplicable
from rolecall.pausing import sleep
from rolecall.spec.model import marked
from rolecall.toolkit.effect_judge import SETTLING
from rolecall.toolkit.expectations import expect_no_crash
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, operations, requirement
from rolecall.toolkit.world import World

#: A member that is an array wherever the API has it.
_WRONG = {"tags": "rolecall: this has to be an array"}
#: What it is tried on: things of which no schema says more of it, for a server may take any member
#: as it comes, and keep it.
_TRIED = ("organization-group", "user", "contact", "form")


@requirement("SEC-A13")
@operations(
    lambda op: op.effect in ("create", "update") and op.resource.name in _TRIED and not op.is_self
)
async def test_a_wrong_write_is_not_done_in_part(
    operation: str, world: World, judge: Judge
) -> None:
    """A write with a member of a wrong type is carried out or refused, not both."""
    caller = await world.user(world.highest)
    plain = await world.request_on_own_fixture(world.spec.operations[operation], caller)
    request = replace(plain, body={**plain.body, **_WRONG})

    answer = await world.perform(request, caller, attack="SEC-A13")

    expect_no_crash(answer)
    if answer.status >= 400:
        await judge.expect_no_effect(request, answer, caller)


#: Creates with several messages, the last of which is none; "{name}" is that by which what was made
#: would be found.
SEVERAL: dict[str, tuple[str, Any]] = {
    "a-list-of-messages": ("create-message", [{"text": "{name}"}, {"text": {"is": "none"}}]),
    "a-conversation-with-messages": (
        "create-conversation",
        {"name": "{name}", "messages": [{"text": "{name}"}, "none"]},
    ),
}


@requirement("SEC-A13")
@each("case", SEVERAL)
async def test_several_things_are_not_made_in_part(case: str, world: World) -> None:
    """A create with a wrong message among several is carried out or refused, not both."""
    name, body = SEVERAL[case]
    caller = await world.user(world.highest)
    plain = await world.request(world.spec.operations[name], caller)
    request = replace(plain, body=world.fill(body, name=plain.name))

    answer = await world.perform(request, caller, attack="SEC-A13")

    expect_no_crash(answer)
    await sleep(SETTLING)
    if answer.status >= 400 and await world.find(
        request.operation.resource.name, plain.name, answer.finished
    ):
        raise Finding(
            "a refusal without effect", f"{answer.status}, and a part of it was made", answer
        )


#: Creates that lack something: which member is left out; else any other one. What is left must hold
#: the name by which it would be found.
LACKING = {"create-user": "email", "create-contact": "organization", "create-service": "type"}


@requirement("SEC-A13")
@each("operation", LACKING)
async def test_a_create_that_lacks_something_is_not_done_in_part(
    operation: str, world: World, judge: Judge
) -> None:
    """A create without one of its members is carried out or refused, not both."""
    caller = await world.user(world.highest)
    plain = await world.request(world.spec.operations[operation], caller)
    spare = plain.body.keys() - marked(plain.body, plain.name).keys()
    if not spare:  # as where no answer tells of an organization
        cite(await world.fetch_self(caller))
        raise NotApplicable(f"{operation} sends nothing but what bears the run's name")
    left_out = LACKING[operation] if LACKING[operation] in plain.body else min(spare)
    request = replace(
        plain, body={name: value for name, value in plain.body.items() if name != left_out}
    )

    answer = await world.perform(request, caller, attack="SEC-A13")

    expect_no_crash(answer)
    if answer.status >= 400:
        await judge.expect_no_effect(request, answer, caller)
