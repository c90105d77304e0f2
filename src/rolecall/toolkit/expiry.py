"""Ways to a token that has really expired, each with the grade of evidence that it is.

All ways that the target file names are used. Grades, strongest first:

=====  ===========  ===============================================================================
A      bank         issued by the target on an earlier night; real time has passed
A-     clock        the target's clock was moved, and a token issued afterwards proves that it was
B      signing key  made here with the target's key; a token made alike that has not expired works
C      wait         the target issues tokens that live so short that one can wait for their end
D      command      a program printed it; nothing but its own ``exp`` says that it has expired
=====  ===========  ===============================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from rolecall.errors import UsageError
from rolecall.evidence import cite, note
from rolecall.outcomes import Inconclusive, NotApplicable, NotTested, TransientFailure
from rolecall.pausing import sleep
from rolecall.spec.model import LAST_MINUTE
from rolecall.tokens import Caller
from rolecall.toolkit.expired_tokens import GRADES, AlmostExpired, ExpiredToken, TooLate
from rolecall.toolkit.expiry_ways import ExpiryWays
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import another_session
from rolecall.toolkit.world import World

_TRIES = 3  # of a way that met passing trouble
_PAUSE = 0.2  # seconds until a way is tried again


class Expiry(ExpiryWays):
    """The expired tokens of one run, made once: moving the target's clock ends every token."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._again = asyncio.Lock()
        self._why_not: list[str] = []  # ways that lead nowhere, as the target or its file is
        self._troubled: list[str] = []  # ways that lead somewhere, and failed to the end
        self._spent: set[str] = set()
        self.used: set[str] = set()
        self.unusable = ""  # what is wrong with the bank, if the run went on without it

    @property
    def grade(self) -> str:
        """The strongest evidence that was used, or an empty string."""
        return next((grade for source, grade in GRADES.items() if source in self.used), "")

    async def tokens(self, role: str) -> list[ExpiredToken]:
        """The expired tokens of a role, strongest evidence first.

        Raises:
            NotTested: the target file names no way to one, or none led there tonight.
            Inconclusive: trouble stood in a way that is there.
        """
        expired = [
            token for token in await self._all() if token.caller.role == role and not token.is_spare
        ]
        if not expired:
            self._raise_trouble("an expired token")
            raise NotTested(
                "; ".join(self._reasons(role))
                or "no expired token: name a way to one under [expiry] in the target file"
            )
        for trouble in self._troubled:
            note(f"one way to an expired token failed: {trouble}")
        self.used |= {token.source for token in expired}
        return expired

    async def spare(self) -> list[ExpiredToken]:
        """Expired tokens of the lowest role that no other test uses, if any; else `tokens`.

        Raises:
            NotTested, Inconclusive: as for `tokens`.
        """
        usual = await self.tokens(self._world.roles[0])
        return [token for token in await self._all() if token.is_spare] or usual

    async def sessions(self, role: str) -> list[ExpiredToken]:
        """The expired tokens of a role that come with a refresh token.

        Raises:
            NotTested, Inconclusive: as for `tokens`.
        """
        sessions = [expired for expired in await self.tokens(role) if expired.refresh_token]
        if not sessions:
            self._raise_trouble("the refresh token of an expired session")
            if self._options.bank:
                way = "the bank has tonight's now: run again tomorrow"
            else:
                way = f"{self._lacking.get(role, 'give bank, clock_url or wait under [expiry]')}"
            raise NotTested(f"the refresh token of an expired session: {way}")
        return sessions

    def spend(self, expired: ExpiredToken) -> str:
        """The refresh token of an expired session, for the one time that it may be presented.

        Raises:
            Inconclusive: it was presented before, and what came of that was lost on the way.
        """
        if expired.refresh_token in self._spent:
            raise Inconclusive(
                "the answer to a refresh after expiry: it was lost, and its refresh token may be "
                "used up"
            )
        self._spent.add(expired.refresh_token)
        return expired.refresh_token

    async def almost(self, role: str) -> list[AlmostExpired]:
        """What the tokens of a role were answered in their last minute.

        Raises:
            NotTested: none of the ways shows it.
            Inconclusive: one does, but no answer came in time.
        """
        await self._all()
        almost = [token for (of, _), token in self._almost.items() if of == role]
        if not almost:
            if role in self._too_late:
                raise Inconclusive(
                    self._too_late[role], "the latency and the rate limit of the target"
                )
            self._raise_trouble("a token in its last minute")
            reasons = self._reasons(role)
            why = f" ({'; '.join(reasons)})" if reasons else ""
            lacking = "" if self._options.clock_url or self._options.signing_key else LAST_MINUTE
            raise NotTested(
                "no token in its last minute: give clock_url or signing_key_env under "
                f"[expiry]{why}",
                lacking,
            )
        return almost

    async def renewed(self) -> AlmostExpired:
        """What the token of a refresh, a minute before the end, was answered after that end.

        Raises:
            NotApplicable: nobody could be renewed then; the token's own last minute was seen.
            NotTested: none of the ways shows it.
            Inconclusive: one does, but no answer came in time.
        """
        almost = await self.almost(self._world.roles[0])
        if self._not_renewed:
            raise Inconclusive(self._not_renewed, "the network, and the target's log")
        if self._renewed is None:
            cite(almost[0].exchange, "control")
            raise NotApplicable(
                "a refresh in a token's last minute takes the target's clock and a user made for it"
            )
        return self._renewed

    def _reasons(self, role: str) -> list[str]:
        """Why no way led to an expired token of a role, each once."""
        lacking = [str(self._lacking[role])] if role in self._lacking else []
        return list(dict.fromkeys(self._why_not + lacking))

    def _raise_trouble(self, missing: str) -> None:
        if self._troubled:
            raise Inconclusive(
                f"{missing}: {'; '.join(self._troubled)}",
                "[expiry] in the target file, the target's log",
            )

    @shared_setup
    async def _all(self) -> list[ExpiredToken]:
        ways: list[tuple[object, Callable[[bool], Awaitable[list[ExpiredToken]]]]] = [
            (self._options.bank, self._from_bank),
            (self._options.signing_key, self._forged),
            (self._options.command, self._from_command),
            (self._options.wait, self._waited),
            (self._options.clock_url, self._by_clock),  # last: it ends every other token
        ]
        expired: list[ExpiredToken] = []
        for given, way in ways:
            if given:
                expired += await self._go(way)
        return sorted(expired, key=lambda token: GRADES[token.source])

    async def _go(self, way: Callable[[bool], Awaitable[list[ExpiredToken]]]) -> list[ExpiredToken]:
        """Try a way, and once more when trouble stood in it: trouble says nothing of the target."""
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                return await way(last)
            except TransientFailure as trouble:
                if last or self.clock.is_moved:
                    self._troubled.append(trouble.missing)
                    break
                await sleep(max(_PAUSE, trouble.pause if isinstance(trouble, TooLate) else 0.0))
            except (NotTested, Inconclusive) as reason:
                self._why_not.append(str(reason))
                break
            except UsageError as error:  # the bank
                self.unusable = error.line
                self._troubled.append(self.unusable)
                break
        return []

    @asynccontextmanager
    async def logged_in_again(self, expired: ExpiredToken) -> AsyncIterator[Caller]:
        """Another session of the user of an expired token, for one test at a time."""
        async with self._again:
            made = self._made.get(expired.caller.user)
            if made:
                yield await another_session(self._world, made)
            else:
                yield await self._world.fresh_caller(expired.caller.role)
