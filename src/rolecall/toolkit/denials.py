"""Denied requests in a shape: how they are sent, and what their answers may be."""

from __future__ import annotations

from urllib.parse import quote

from rolecall.evidence import Exchange, cite, note
from rolecall.outcomes import Finding
from rolecall.spec.ids import id_text
from rolecall.tokens import Caller
from rolecall.toolkit.expectations import shown_in
from rolecall.toolkit.shapes import Shape, dressed
from rolecall.toolkit.things import Request
from rolecall.toolkit.world import World


async def sent(
    world: World, request: Request, caller: Caller, shape: Shape, attack: str
) -> Exchange:
    """Send a request in a shape, as a caller who may not."""
    operation = request.operation
    organization = id_text(await world.organization())
    known = {
        "self": caller.user,
        "organization": organization,
        "email": caller.email,
        "highest": world.highest,
        "admin": (await world.user(world.highest)).user,
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
    """The answer is a refusal of any kind that shows nothing of the thing.

    Raises:
        Finding: it is a success, a redirect (304 too: who may not see it is not told that it is
            unchanged), or shows the thing.
    """
    cite(answer, "answer")
    operation, fixture = request.operation, request.fixture
    expected = f"a refusal: {operation.name.replace('-', ' ')} by {how}"
    if answer.status < 400 and not world.dialect.denies(operation, answer):
        raise Finding(expected, f"{answer.status}: it was allowed", answer)
    if fixture and (where := shown_in(answer, fixture)):
        raise Finding(
            f"{expected}, which shows nothing of {fixture}",
            f"{answer.status} with the thing in {where}",
            answer,
        )
    if answer.status >= 500:
        note(f"{operation.name} by {how}: {answer.status}")
