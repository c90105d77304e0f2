"""The Authorization header: without it, or with a forged token in it, no operation shows or does
anything.
"""

from __future__ import annotations

from dataclasses import replace

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, NotTested
from rolecall.spec.templates import with_query
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.expectations import expect_hidden
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, operations, requirement
from rolecall.toolkit.shapes import in_turn
from rolecall.toolkit.spellings import (
    PUBLIC_QUERY,
    TRICKS_WITHOUT_TOKEN,
    USUAL_TRICKS,
    fill_list,
    get_as_written,
    spelled,
    spelled_by_kind,
)
from rolecall.toolkit.things import Request
from rolecall.toolkit.throwaway_users import changeable
from rolecall.toolkit.world import World

_NOT_MODIFIED = 304
#: The read on which the path of the token endpoint stands in the query.
_FETCH = "fetch-organization"


@requirement("AUTH-required")
@operations(lambda operation: operation.effect in ("list", "fetch"))
async def test_a_read_needs_a_token(
    operation: str, world: World, judge: Judge, attacker: Attacker
) -> None:
    """A list or fetch without a token is refused and shows nothing, however it is asked for; with
    one that another key signed it is refused as well.
    """
    request = await world.request(world.spec.operations[operation], None)

    answer = await world.perform(request, None, attack="AUTH-required")

    await judge.expect_denied(answer, request, None)
    control = await judge.control(request)
    if request.operation.effect == "list" or world.intrusive:
        await expect_hidden_otherwise(request, control, world)
    await expect_no_forgery(request, world, attacker)


async def expect_no_forgery(request: Request, world: World, attacker: Attacker) -> None:
    """A token that another key signed is let in here no more than elsewhere, which the tests
    of forged tokens look at, nor where the query holds the path that needs no token.

    Raises:
        Finding: it is let in.
    """
    asked_elsewhere = ("fetch-user-self", attacker.reserved[0].name)
    if request.operation.name in asked_elsewhere:
        return
    if request.operation.name == _FETCH:
        request = replace(request, path=with_query(request.path, PUBLIC_QUERY))
    if forger := await attacker.forger():
        answer = cite(await world.perform(request, forger, attack="AUTH-required"))
        if world.dialect.allows(request.operation, answer):
            raise Finding(
                "a refusal of a token that another key signed, as when the own user is fetched",
                f"{answer.status}: it was let in here",
                answer,
            )


async def expect_hidden_at(path: str, request: Request, world: World) -> None:
    """Without a token a path shows nothing of what a request is about."""
    answer = cite(await get_as_written(world, path, None, "AUTH-required"))
    if answer.status < 500:  # that another spelling is too much for a server is SEC-A11's matter
        expect_hidden(answer, *([request.fixture] if request.fixture else []))


async def expect_hidden_otherwise(request: Request, control: Exchange, world: World) -> None:
    """Without a token another spelling of the path shows nothing either, one that holds the path of
    the token endpoint among them, nor a list as a table, nor whether it is as who may read it has
    it.

    Raises:
        Finding: it does.
    """
    operation = request.operation
    await fill_list(world, operation)
    if operation.effect == "list":
        path = spelled(request.path, in_turn(TRICKS_WITHOUT_TOKEN, operation.name))
    else:
        path = spelled_by_kind(request.path, in_turn(USUAL_TRICKS, operation.name))
    await expect_hidden_at(path, request, world)
    if operation.effect == "list":
        table = {"accept": "text/csv", "if-none-match": control.header("etag") or "*"}
        answer = cite(
            await world.send("GET", request.path, None, headers=table, attack="AUTH-required")
        )
        if answer.ok or answer.status == _NOT_MODIFIED:
            raise Finding("a refusal without a token, of a table too", f"{answer.status}", answer)


@requirement("AUTH-required")
@operations(lambda operation: operation.effect in ("create", "update", "delete"))
async def test_a_write_needs_a_token(
    operation: str, world: World, judge: Judge, attacker: Attacker
) -> None:
    """A create, update or delete without a token is refused, and changes nothing; with one that
    another key signed it is refused as well.
    """
    tried = world.spec.operations[operation]
    victim = await (
        changeable(world, world.roles[0]) if tried.is_self else world.user(world.roles[0])
    )
    async with world.borrowing.request_to_try(tried, victim) as request:
        answer = await world.perform(request, None, attack="AUTH-required")

        await judge.expect_denied(answer, request, None)
        await judge.expect_no_effect(request, answer, victim)
        await expect_no_forgery(request.renamed(world.new_name(operation)), world, attacker)
        if not request.operation.is_self:
            await judge.control(request)


@requirement("AUTH-required", phase=SUMMARY)
async def test_a_write_without_a_token_is_not_done_later(world: World, judge: Judge) -> None:
    """At the end of the run, no write that was refused without a token was carried out."""
    refused = world.patience.refused_at("", "AUTH-required")
    if not refused:
        raise NotTested("a write without a token that was refused")

    await judge.expect_none_later(refused)
