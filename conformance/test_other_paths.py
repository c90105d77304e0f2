"""Other paths: what is denied at a path is denied at its other spellings, versions and hosts."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from rolecall.evidence import Exchange
from rolecall.outcomes import NotApplicable
from rolecall.spec.loading import load_specification
from rolecall.toolkit.controls import expect_denied_as_usual, unless_open
from rolecall.toolkit.expectations import expect_hidden
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, operations, requirement
from rolecall.toolkit.shapes import denied, in_turn
from rolecall.toolkit.spellings import (
    TRICKS,
    USUAL_TRICKS,
    fill_list,
    get_as_written,
    spelled,
    spelled_by_kind,
)
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.victims import Tried, expect_untouched, victim
from rolecall.toolkit.world import World

_SPEC = load_specification()
_LOWEST = _SPEC.roles[0]


async def ask_for(world: World, path: str, attack: str, **headers: str) -> Exchange:
    """GET a path as the lowest role, exactly as it is written."""
    return await get_as_written(world, path, await world.user(_LOWEST), attack, **headers)


async def denied_read(world: World, operation: str, judge: Judge) -> tuple[str, list[Fixture]]:
    """The path of a read that the lowest role may not do and others do, and what it would show."""
    caller = await world.user(_LOWEST)
    request = await world.request(world.spec.operations[operation], caller)
    await fill_list(world, request.operation)
    await judge.control(request)
    await expect_denied_as_usual(world, caller, operation)
    return request.path, [request.fixture] if request.fixture else []


#: The two operations that all spellings are tried on: a guard may be mounted for each kind of
#: thing, so that on every other the usual ones are.
_EVERY_TRICK = ("list-users", "fetch-organization")


@requirement("SEC-A11")
@each("trick", TRICKS)
@each("operation", _EVERY_TRICK)
async def test_no_spelling_of_a_path_leads_around(
    operation: str, trick: str, world: World, judge: Judge
) -> None:
    """A path spelled in another way shows nothing to those to whom it shows nothing in its own."""
    path, hidden = await denied_read(world, operation, judge)

    answer = await ask_for(world, spelled(path, trick), "SEC-A11")

    async with unless_open(world, judge, operation, await world.user(_LOWEST)):
        expect_hidden(answer, *hidden)


@requirement("SEC-A11")
@operations(
    lambda op: (
        op.effect in ("list", "fetch")
        and not _SPEC.allows(op.name, _LOWEST)
        and op.name not in _EVERY_TRICK
    )
)
async def test_every_kind_of_thing_is_guarded_in_any_spelling(
    operation: str, world: World, judge: Judge
) -> None:
    """Each kind of thing is denied in other spellings of its path as well."""
    path, hidden = await denied_read(world, operation, judge)
    is_list = world.spec.operations[operation].effect == "list"
    tricks = USUAL_TRICKS if is_list or world.intrusive else [in_turn(USUAL_TRICKS, operation)]

    for trick in tricks:
        answer = await ask_for(
            world, (spelled if is_list else spelled_by_kind)(path, trick), "SEC-A11"
        )

        async with unless_open(world, judge, operation, await world.user(_LOWEST)):
            expect_hidden(answer, *hidden)


@requirement("SEC-A11")
@operations(
    lambda op: (
        op.effect in ("create", "update", "delete")
        and not op.is_self
        and bool(denied(_SPEC, op.name))
    )
)
async def test_no_spelling_of_a_path_leads_to_a_write(
    operation: str, world: World, judge: Judge
) -> None:
    """A denied create, update or delete is not done at another spelling of its path."""
    tried = world.spec.operations[operation]
    caller = await world.user(in_turn(denied(world.spec, operation), operation))
    tricks = USUAL_TRICKS if world.intrusive else [in_turn(USUAL_TRICKS, operation)]
    async with unless_open(world, judge, operation, caller):
        if tried.effect == "create":
            for trick in tricks:
                request = await world.request(tried, caller)
                answer = await world.perform(
                    replace(request, path=spelled(request.path, trick)), caller, attack="SEC-A11"
                )
                await judge.expect_no_effect(request, answer, caller)
            return
        async with victim(world, tried.resource.name) as thing:
            asked = []
            for trick in tricks:
                request = await world.request(tried, caller, thing.fixture)
                path = spelled_by_kind(request.path, trick)
                answer = await world.send(
                    tried.method,
                    path,
                    caller,
                    json=request.body,
                    about=request.thing,
                    attack="SEC-A11",
                )
                expect_hidden(answer, thing.fixture)
                asked.append(Tried(request, answer, f"{caller.role}, {trick}"))
            await expect_untouched(world, thing, asked)


VERSIONS = {"v1": "/v1", "v3": "/v3", "none": "", "api": "/api/v2"}


@requirement("SEC-A16")
@each("version", VERSIONS)
@each("operation", ("list-users", "fetch-organization"))
async def test_no_other_version_is_weaker(
    operation: str, version: str, world: World, judge: Judge
) -> None:
    """Under another version, or none, nothing is shown to those to whom it is denied."""
    path, hidden = await denied_read(world, operation, judge)
    if not re.match(r"/v\d+/", path):
        raise NotApplicable(
            f"there is no version in the path of {operation}, {urlsplit(path).path}"
        )

    answer = await ask_for(world, re.sub(r"^/v\d+", VERSIONS[version], path), "SEC-A16")

    async with unless_open(world, judge, operation, await world.user(_LOWEST)):
        expect_hidden(answer, *hidden)


@requirement("SEC-A16")
@each("name", ("localhost", "internal.invalid"))
async def test_no_other_host_is_weaker(name: str, world: World, judge: Judge) -> None:
    """Under another host name nothing is shown to those to whom it is denied."""
    path, hidden = await denied_read(world, "list-users", judge)

    answer = await ask_for(world, path, "SEC-A16", host=name)

    async with unless_open(world, judge, "list-users", await world.user(_LOWEST)):
        expect_hidden(answer, *hidden)
