"""Who takes part in a conversation: to others it may lawfully not be there.

The permission table says what a role may do, and not in which conversations. A server may show one
to its participants alone, and may let users take part in other ways than by the body of a create.
So a refusal of somebody who is shown not to take part says nothing of the role.
"""

from __future__ import annotations

from rolecall.evidence import cite
from rolecall.outcomes import Inconclusive
from rolecall.tokens import Caller
from rolecall.toolkit.things import Request, absent
from rolecall.toolkit.world import World

_CONVERSATION = "conversation"


async def expect_to_take_part(world: World, request: Request, caller: Caller) -> None:
    """A caller who is refused at a conversation that the run made was let take part in it.

    Raises:
        Inconclusive: the answer that made it shows other participants only.
    """
    parent = request.inside.resource if request.inside else ""
    if _CONVERSATION not in (request.operation.resource.name, parent):
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
