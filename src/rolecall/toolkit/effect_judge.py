"""What became of a write: whether it was carried out, whatever it was answered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rolecall.evidence import Exchange, cite, note
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.pausing import sleep
from rolecall.spec.ids import is_of_id
from rolecall.spec.model import marked
from rolecall.tokens import Caller
from rolecall.toolkit.members import at, is_put_away, names_in, shows_name
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.token_judge import TokenJudge

#: Seconds that a server which works in the background is given, before it is looked at whether it
#: did what it refused.
SETTLING = 0.1
#: Where a thing says when it was made.
_MADE = ("createdAt",)


class EffectJudge(TokenJudge):
    """Judges what writes have left behind, by looking at the things themselves."""

    async def is_as_written(self, fixture: Fixture, request: Request, answer: Exchange) -> bool:
        """Whether a new thing holds what its create wrote, as soon as the target shows it."""

        async def reads_back() -> bool:
            return self.reads_back(await self._world.observe(fixture), request)

        return await self._world.patience.until(
            reads_back, answer.finished, f"{request.operation.name} as written"
        )

    async def took_effect(
        self, request: Request, answer: Exchange, caller: Caller | None, after: float = 0.0
    ) -> bool:
        """Whether a write was carried out, by a look after ``after`` (monotonic seconds).

        Raises:
            Inconclusive: no role that may look can see it, or what was written bears no mark by
                which to know it.
        """
        effect, fixture = request.operation.effect, request.fixture
        if effect == "create":
            self._marked(request)
            return (
                await self._world.find(
                    request.operation.resource.name,
                    request.name,
                    max(after, answer.finished),
                    "observation",
                )
                is not None
            )
        if fixture is None:
            assert caller is not None, "a write is on a fixture or on the caller's own user"
            fixture = Fixture(request.operation.resource, caller.user, "")
        now = await self._world.observe(fixture)
        done = (
            now is None or is_put_away(now) or self._is_another(fixture, now)
            if effect == "delete"
            else self.reads_back(now, request)
        )
        if not done and request.operation.is_self and self._world.borrowing.is_of_another_run(now):
            raise TransientFailure(
                f"a user that no other run changes: another run is changing {caller}", "that run"
            )
        return done

    def _is_another(self, fixture: Fixture, now: dict[str, Any]) -> bool:
        """Whether what has the id now was made after the thing that had it was deleted: some
        databases give ids anew (AMB-19).

        It is another one of the run's, or one without any name of the run's, made at another time.
        """
        if not fixture.name or shows_name(now, fixture.name) or not is_of_id(now, fixture.id):
            return False
        entry = self._world.ledger.of(fixture.resource.name, fixture.id)
        if entry and entry.name != fixture.name:
            return True
        before = fixture.made_by.document if fixture.made_by else {}
        times = at(before, _MADE), at(now, _MADE)
        return (
            shows_name(before, fixture.name)
            and not shows_name(now, self._world.mark)
            and None not in times
            and times[0] != times[1]
        )

    async def takes_effect(self, request: Request, answer: Exchange, caller: Caller | None) -> bool:
        """Whether a write that was answered with success is done, as soon as the target shows it.

        Raises:
            Inconclusive, TransientFailure: as for `took_effect`.
        """

        async def is_done() -> bool:
            return await self.took_effect(request, answer, caller, time.monotonic())

        return await self._world.patience.until(
            is_done, answer.finished, f"{request.operation.name} done"
        )

    async def expect_no_effect(
        self, request: Request, answer: Exchange, caller: Caller | None
    ) -> None:
        """A refused write is not carried out, nor a little later; the run's end looks again."""
        self._world.patience.refused.append((request, answer))
        await sleep(SETTLING)
        if request.operation.effect != "create":  # a list shows a create for good, and at the end
            await self._world.patience.settle(answer.finished)
        after = 0.0  # the first look may share a list with others; what follows is newer

        async def is_done() -> bool:
            nonlocal after
            done = await self.took_effect(request, answer, caller, after)
            after = time.monotonic()
            return done

        if await self._world.patience.stays(
            is_done, answer.finished, f"{request.operation.name} refused, and done"
        ):
            raise Finding(
                "a refusal without effect",
                f"{answer.status}, and it was {_done(request)} all the same",
                answer,
            )

    async def expect_other_as_it_was(
        self, other: Fixture, request: Request, answer: Exchange
    ) -> None:
        """A write on the caller's own thing left another one alone that it names as well.

        An answer that shows the other one tells it even where reads lag behind.
        """
        if answer.ok and is_of_id(answer.document, other.id):
            shown = "the other one in the answer"
            raise Finding(f"{other} as it was", f"{answer.status}, with {shown}", answer)
        await sleep(SETTLING)
        await self._world.patience.settle(answer.finished)

        async def is_changed() -> bool:
            now = await self._world.observe(other)
            return now is None or self.reads_back(now, request)

        kind = f"another {other.resource.name} changed"
        if await self._world.patience.stays(is_changed, answer.finished, kind):
            raise Finding(f"{other} as it was", f"{answer.status}, and it was changed", answer)

    async def expect_none_later(self, refused: Sequence[tuple[Request, Exchange]]) -> None:
        """None of the writes that were refused a while ago was carried out meanwhile."""
        latest = max(answer.finished for _, answer in refused)
        await self._world.patience.settle(latest)
        for request, answer in refused:
            cite(answer)
            if (request, answer) in self._world.patience.done_later or await self._is_done_by_now(
                request, answer, latest
            ):
                raise Finding(
                    "a refusal without effect, at the end of the run as well",
                    f"{answer}: later it was {_done(request)}",
                    answer,
                )

    async def _is_done_by_now(self, request: Request, answer: Exchange, latest: float) -> bool:
        """Whether a create or an update was carried out: by a list, which serves for all, where it
        shows what would have changed.
        """
        operation, fixture = request.operation, request.fixture
        if operation.effect == "create":
            return await self._world.find(operation.resource.name, request.name, latest) is not None
        if operation.effect != "update" or fixture is None:
            return False
        try:
            everything = await self._world.listing(operation.resource.name, latest)
        except Inconclusive:
            everything = []
        listed = next((item for item in everything if is_of_id(item, fixture.id)), {})
        if self._marked(request).keys() & listed.keys():
            return self.reads_back(listed, request)
        return await self.took_effect(request, answer, None)

    @classmethod
    def reads_back(cls, document: dict[str, object] | None, request: Request) -> bool:
        """Whether a document holds the mark of a create or an update, in any member (AMB-16).

        Raises:
            Inconclusive: what was written bears no mark by which to know it, or the thing has none
                of the members with the mark.
        """
        written = cls._marked(request)
        found = shows_name(document, request.name)
        shows_any = any(
            at(document, path) is not None for _, path in names_in(request.body, request.name)
        )
        # of one's own user it was tried beforehand
        if document and not (found or shows_any or request.operation.is_self):
            raise Inconclusive(
                f"a member that {request.operation.name} writes and the target knows: what it "
                f"shows has none of {', '.join(written)}",
                f"[operations.{request.operation.name}] body in the target file",
            )
        if found and (lost := [name for name in written if name not in (document or {})]):
            note(f"{request.operation.name}: {', '.join(lost)} did not come back")
        return found

    @staticmethod
    def _marked(request: Request) -> dict[str, Any]:
        """The members of a body by which a thing shows that it was written by just this request."""
        found = marked(request.body, request.name) if request.name else {}
        if not found:
            raise Inconclusive(
                f"a mark by which to know what {request.operation.name} wrote: no member that is "
                "read back holds the test's name",
                f"[operations.{request.operation.name}] body in the target file",
            )
        return found


def _done(request: Request) -> str:
    """``created``, ``updated`` or ``deleted``."""
    return f"{request.operation.effect.removesuffix('e')}ed"
