"""What hangs on a thing: a refused delete leaves a conversation's messages and a user's session."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.spec.model import TOKEN
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.kept_log_ins import log_in
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.world import World


@dataclass(frozen=True)
class Attached:
    """What hangs on a thing before it is to be deleted, as far as the target makes it."""

    message: Fixture | None = None
    session: Caller | None = None


async def attach(world: World, thing: Fixture) -> Attached:
    """Write a message into a conversation, or log a user in."""
    if thing.resource.name == "conversation":
        return Attached(message=await _message_in(world, thing))
    if thing.resource.name == "user":
        return Attached(session=await _session_of(world, thing))
    return Attached()


async def _message_in(world: World, conversation: Fixture) -> Fixture | None:
    create, admin = world.spec.operations["create-message"], await world.user(world.highest)
    place = Fixture(create.resource, "", "", conversation=conversation.id)
    request = replace(await world.request(create, admin, place), fixture=None)
    answer = await world.perform(request, admin)
    try:
        made = await world.made(request, answer) if answer.ok else None
        return made and await world.wait_for(replace(made, conversation=conversation.id))
    except TransientFailure:
        raise
    except Inconclusive:  # it is told nowhere
        return None


async def _session_of(world: World, user: Fixture) -> Caller | None:
    since = user.made_by.finished if user.made_by else 0.0
    grant = Grant.of(await log_in(world, user, since))
    if not (grant.token and grant.refresh_token):
        return None
    return Caller(world.roles[0], TOKEN, grant.token, grant.user, session=grant)


async def expect_attached(
    world: World, thing: Fixture, attached: Attached, refused: Exchange
) -> None:
    """What hung on a thing is there after its delete was refused.

    Raises:
        Finding: the message is gone, or the session is not refreshed, and another user's is.
    """
    if attached.message:
        await _expect_message(world, thing, attached.message, refused)
    if attached.session:
        await _expect_session(world, thing, attached.session, refused)


async def _expect_message(
    world: World, conversation: Fixture, message: Fixture, refused: Exchange
) -> None:
    async def is_there() -> bool:
        return await world.observe(message) is not None

    if not await world.patience.until(is_there, refused.finished, "a message of a conversation"):
        raise Finding(
            f"{conversation} with its messages: deletes refused",
            f"{refused.status}, and {message} is gone",
            refused,
        )


async def _expect_session(world: World, user: Fixture, session: Caller, refused: Exchange) -> None:
    answer = await _refreshed(world, session)
    if Grant.of(answer).token or answer.error or session.may_have_ended(answer):
        return
    try:
        twin = await _session_of(world, await world.fresh("user"))
    except Inconclusive:  # none can be made
        return
    if twin and Grant.of(await _refreshed(world, twin)).token:
        raise Finding(
            f"{user} with its session as before: deletes refused",
            f"{refused.status}, and the refresh {answer.status}",
            refused,
        )


async def _refreshed(world: World, session: Caller) -> Exchange:
    return cite(
        await world.tokens.refresh_get(
            session.grant.refresh_token, bearer=session.token, caller=str(session)
        ),
        "observation",
    )
