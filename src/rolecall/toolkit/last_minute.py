"""The last minute of tokens: whose they are, what they are answered, and when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from rolecall.evidence import Exchange
from rolecall.fields import seconds_to_wait
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import sleep, this_moment
from rolecall.spec.claims import LIFETIME_TOLERANCE, numeric_date
from rolecall.tokens import Caller, Grant, claims_of
from rolecall.toolkit.account_sessions import account_session
from rolecall.toolkit.clock import ClockReading, TargetClock
from rolecall.toolkit.expired_tokens import AlmostExpired, TooLate
from rolecall.toolkit.things import Request
from rolecall.toolkit.throwaway_users import ThrowawayUser, throwaway_user
from rolecall.toolkit.world import World

_LONGEST_PAUSE = 120.0  # seconds; what a Retry-After asks for beyond that is not waited for


class Expiring(NamedTuple):
    """Callers whose tokens are going to expire: one of each role that has one, and the spare one of
    the lowest role, if there is one.
    """

    each: list[Caller]
    spare: list[Caller]

    @property
    def all(self) -> list[Caller]:
        """All of them, the spare one last."""
        return [*self.each, *self.spare]

    def instead(self, others: list[Caller]) -> Expiring:
        """Others in the place of `all`, in the same order."""
        return Expiring(others[: len(self.each)], others[len(self.each) :])


class LastMinute:
    """The callers whose tokens are going to expire, and their last minutes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._options = world.target.expiry
        self.clock = TargetClock(world)
        self._made: dict[str, ThrowawayUser] = {}  # by user: those whose tokens are going to expire
        self._lacking: dict[str, NotTested] = {}  # by role: why it has no token that is to expire
        self._almost: dict[tuple[str, str], AlmostExpired] = {}  # by role and source
        # By token: what it was let in with in its last minute.
        self._let_in: dict[str, Request] = {}
        self._too_late: dict[str, str] = {}  # why a role's last minute could not be judged
        #: What the token of a refresh was answered when the one before it had ended.
        self._renewed: AlmostExpired | None = None
        self._not_renewed = ""  # which answer is missing for that

    async def _callers(self, *, of_their_own: bool = True) -> Expiring:
        """A session of each role whose token is going to expire, and one more of the lowest, whose
        user is going to log in again.

        Their users are made by the run, where it can: a log-in to an account may end the account's
        other sessions. Else they are sessions of the accounts, which the whole run may share where
        nothing is to become of their tokens. Where a role has none, only that has no evidence.

        Raises:
            NotTested: no role has one.
        """
        roles = self._world.roles
        found = await asyncio.gather(
            *(self._caller(role, of_their_own) for role in (*roles, roles[0])),
            return_exceptions=True,
        )
        for role, caller in zip((*roles, ""), found, strict=True):
            if isinstance(caller, NotTested):
                self._lacking[role] = caller
            elif isinstance(caller, BaseException):
                raise caller
        *each, spare = ([caller] if isinstance(caller, Caller) else [] for caller in found)
        if not any(each):
            raise self._lacking[roles[0]]
        return Expiring([caller for callers in each for caller in callers], spare)

    async def _caller(self, role: str, of_its_own: bool) -> Caller:
        try:
            made = await throwaway_user(self._world, role)
        except TransientFailure:
            raise
        except (NotTested, Inconclusive) as none:
            if not of_its_own:
                return await self._world.user(role)
            return await account_session(self._world, role, none)
        self._made[made.caller.user] = made
        return made.caller

    async def _renewable(self) -> Caller | None:
        """A user of the lowest role whose token is renewed in its last minute, if one can be made:
        an account's log-ins are counted.
        """
        try:
            return (await throwaway_user(self._world, self._world.roles[0])).caller
        except TransientFailure:
            raise
        except (NotTested, Inconclusive):
            return None

    async def _renew(self, caller: Caller) -> Caller | None:
        """The caller with the token of a refresh before expiry; None if there is none, or its
        answer was lost.
        """
        try:
            answer = await self._world.tokens.refresh_by(
                "get", caller.grant.refresh_token, caller, attack=""
            )
        except Inconclusive as lost:
            self._not_renewed = lost.missing
            return None
        grant = Grant.of(answer)
        return caller.continued(grant) if grant.token else None

    async def _try_renewed(self, caller: Caller) -> None:
        """Keep what the token of that refresh is answered when the one before it has ended."""
        try:
            answer = await self._world.fetch_self(caller)
        except Inconclusive as lost:
            self._not_renewed = lost.missing
        else:
            self._renewed = AlmostExpired(caller, "clock", answer)

    async def _signs(self, caller: Caller) -> list[Request]:
        """The requests that show whether a caller is let in, before a token's last minute."""
        return [
            await self._world.request(operation, caller)
            for operation in self._world.signs_of_life(caller.role)
        ]

    async def _last_minutes(
        self, callers: Sequence[Caller], source: str, now: ClockReading, *, last: bool
    ) -> None:
        """Keep what tokens with a minute to live are answered at what their roles may do.

        One of them waits for the others, to be let in on the connection that the next request takes
        (the newest first): a server may look at a token once for each connection.

        Raises:
            TransientFailure: for one of them no answer came in time, unless this is the last try.
        """
        due = [caller for caller in callers if (caller.role, source) not in self._almost]
        due = [*due[1:], *due[:1]]
        answers: list[Exchange | BaseException] = []
        for together in (due[:-1], due[-1:]):
            answers += await asyncio.gather(
                *(self._last_minute(caller, now) for caller in together), return_exceptions=True
            )
        late = None
        for caller, answer in zip(due, answers, strict=True):
            if isinstance(answer, Exchange):
                self._almost[caller.role, source] = AlmostExpired(caller, source, answer)
            elif isinstance(answer, Inconclusive):
                self._too_late[caller.role] = answer.missing
                if isinstance(answer, TransientFailure) and not (
                    isinstance(late, TooLate) and late.pause
                ):
                    late = answer
            else:
                raise answer
        if late and not last:
            raise late

    async def _last_minute(self, caller: Caller, now: ClockReading) -> Exchange:
        """The first success, or the last refusal; only what was answered before the token's end
        counts.

        Raises:
            TooLate: the target asked to wait, or answered too late.
        """
        ends, answer = self._ends(caller), None
        if not ends:
            raise Inconclusive("a token's last minute: it does not say when it ends", "ISSUE-jwt")
        for request in await self._signs(caller):
            answer = await self._world.perform(request, caller, patient=False)
            if answer.status == 429:
                raise TooLate(f"an answer in a token's last minute: {answer}", _asked_for(answer))
            if now.latest(answer.finished) >= min(ends):
                raise TooLate(f"an answer before a token's end: {answer} came later")
            if answer.ok:
                self._let_in[caller.token] = request
                break
        assert answer is not None, f"there is nothing that the role {caller.role} may do"
        return answer

    def _ends(self, caller: Caller) -> list[float]:
        """When a token ends: by the specification, and by its own exp where it has one."""
        issued, expires = issued_at(caller), numeric_date(claims_of(caller.token), "exp")
        by_specification = None if issued is None else issued + self._world.dialect.lifetime
        return [end for end in (by_specification, expires) if end is not None]

    def _over(self, caller: Caller) -> float:
        """When a token has ended by the specification, or by its own exp if that is as good as a
        lifetime after its iat.

        Raises:
            Inconclusive: it does not say.
        """
        ends = self._ends(caller)
        if not ends:
            raise Inconclusive("iat and exp in the token", "ISSUE-jwt")
        return max(end for end in ends if end - ends[0] <= LIFETIME_TOLERANCE)

    async def _outlast(self, callers: Sequence[Caller], until: float) -> None:
        """Wait, until the monotonic moment ``until`` at most, for the end of the leeway that a
        target may grant. They are asked about one after the other, on the connection of the last
        minute.
        """
        pause = 0.5
        while (left := until - this_moment()) > 0:
            for caller in callers:
                if (await self._try(caller)).ok:
                    break
            else:
                return
            await sleep(min(left, pause))
            pause *= 2

    async def _try(self, caller: Caller) -> Exchange:
        operation = self._world.signs_of_life(caller.role)[0]
        return await self._world.perform(
            await self._world.request(operation, caller), caller, attack="EXPIRY-403"
        )


def issued_at(caller: Caller) -> float | None:
    """When a caller's token was issued, by its iat; None when it does not say."""
    return numeric_date(claims_of(caller.token), "iat")


def _asked_for(exchange: Exchange) -> float:
    """Seconds that a 429 asks to wait, as far as one can wait for them."""
    return min(
        seconds_to_wait(exchange.header("retry-after"), exchange.header("date")) or 0.0,
        _LONGEST_PAUSE,
    )
