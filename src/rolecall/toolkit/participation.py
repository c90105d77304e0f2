"""Who takes part in a conversation: to others it may lawfully not be there.

The permission table says what a role may do, and not in which conversations. A server may show one
to its participants alone, and may let users take part in other ways than by the body of a create.
So a refusal of somebody who is shown not to take part says nothing of the role.
"""

from __future__ import annotations

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Inconclusive
from rolecall.tokens import Caller
from rolecall.toolkit.things import Request, absent
from rolecall.toolkit.world import World

_CONVERSATION = "conversation"


async def expect_to_take_part(
    world: World, request: Request, caller: Caller, answer: Exchange
) -> None:
    """A caller to whom a conversation that the run made is not there was let take part in it.

    A denial (403) says that the role may not, which is a finding whoever takes part.

    Raises:
        Inconclusive: the answer that made it shows other participants only.
    """
    parent = request.inside.resource if request.inside else ""
    is_about_it = _CONVERSATION in (request.operation.resource.name, parent)
    if not is_about_it or answer.status in world.dialect.denied:
        return
    if request.operation.resource.name == _CONVERSATION:
        fixture = request.fixture
    else:
        fixture = await world.shared(_CONVERSATION)
    made = fixture.made_by if fixture else None
    if made and caller.user and absent(world.spec, _CONVERSATION, made.document, [caller.user]):
        cite(made, "made")
        raise Inconclusive(
            f"a conversation in which {caller} takes part: the answer that made this one shows "
            "others only, who may be the only ones to see it",
            f"[fixtures.{_CONVERSATION}] id in the target file: one with all accounts in it",
        )
