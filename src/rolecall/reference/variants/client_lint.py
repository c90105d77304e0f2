"""The variant that checks the requests of its client."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.lint import Linter
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant


@variant("lint", "lint")
def lint(server: Server) -> None:
    """A request outside the specification is refused, unless X-Rolecall-Attack names what it
    attacks.
    """
    linter = Linter()
    before = server.wire.before

    @instead_of(server.wire.before)
    async def looked_at(call: Call) -> Answer | None:
        if call.path == "/__lint":
            return Answer.of(200, linter.report())
        offence = linter.look(call)
        if offence is not None:
            return server.refusal(Refusal(400, f"Lint: {offence}"))
        return await before(call)
