"""What hangs on a thing, and is to outlive a refused delete of it: messages, and a session."""

from __future__ import annotations

from dataclasses import replace

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotTested
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.things import Fixture
from rolecall.toolkit.throwaway_users import ThrowawayUser, throwaway_user
from rolecall.toolkit.world import World


async def message_in(world: World, conversation: Fixture) -> Fixture:
    """A new message in a conversation.

    Raises:
        Inconclusive: none can be written, or it is not to be seen.
    """
    create, admin = world.spec.operations["create-message"], await world.user(world.highest)
    place = Fixture(create.resource, "", "", conversation=conversation.id)
    request = replace(await world.request(create, admin, place), fixture=None)
    answer = await world.perform(request, admin)
    made = await world.made(request, answer) if answer.ok else None
    message = made and await world.wait_for(replace(made, conversation=conversation.id))
    if message is None or await world.observe(message) is None:
        raise Inconclusive(f"a message in {conversation}: {answer}", create.requirement)
    return message


async def expect_message(
    world: World, conversation: Fixture, message: Fixture, refused: Exchange
) -> None:
    """A message is still there after the delete of its conversation was refused.

    Raises:
        Finding: it is gone.
    """

    async def is_there() -> bool:
        return await world.observe(message) is not None

    if not await world.patience.until(is_there, refused.finished, "message that stays"):
        raise Finding(
            f"{conversation} with its messages, as before the refusal",
            f"{refused.status}, and {message} is gone",
            refused,
        )


async def expect_session(world: World, user: ThrowawayUser, refused: Exchange) -> None:
    """A user's session is still refreshed after a delete of the user was refused.

    Raises:
        Finding: it is not, and that of another user, who was made alike, is.
    """
    answer = await _refreshed(world, user.caller)
    if Grant.of(answer).token or answer.error or user.caller.may_have_ended(answer):
        return
    try:
        twin = await throwaway_user(world, user.account.role)
    except (Inconclusive, NotTested):
        return
    if Grant.of(await _refreshed(world, twin.caller)).token:
        raise Finding(
            f"{user.fixture} with its session, as before the refusal",
            f"{refused.status}, and the refresh {answer.status}",
            refused,
        )


async def _refreshed(world: World, caller: Caller) -> Exchange:
    return cite(
        await world.tokens.refresh_by("get", caller.grant.refresh_token, caller, attack=""),
        "observation",
    )
