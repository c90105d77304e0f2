"""Ways to a token that has really expired, each with the grade of evidence that it is.

All ways that the target file names are used. Grades, strongest first:

=====  ===========  ==================================================================================
A      bank         issued by the target on an earlier night; real time has passed
A-     clock        the target's clock was moved, and a token issued afterwards proves that it was
B      signing key  made here with the target's key; a token made alike that has not expired works
C      wait         the target issues tokens that live so short that one can wait for their end
D      command      a program printed it; nothing but its own ``exp`` says that it has expired
=====  ===========  ==================================================================================
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import jwt

from rolecall.errors import UsageError
from rolecall.evidence import Exchange, note
from rolecall.fields import seconds_to_wait
from rolecall.jwt_forging import compact, signed_by
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.spec.claims import LIFETIME_TOLERANCE, numeric_date
from rolecall.spec.model import LAST_MINUTE
from rolecall.token_bank import TokenBank
from rolecall.tokens import Caller, claims_of, header_of
from rolecall.toolkit.clock import ClockReading, TargetClock, time_of_target
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.things import Request
from rolecall.toolkit.throwaway_users import ThrowawayUser, another_session, throwaway_user
from rolecall.toolkit.world import World

#: Seconds by which a token must be past its end before it counts as expired: a minute's leeway is
#: lawful, and seconds are rounded on both sides.
MARGIN = 62
_RECENT = 7 * 86400  # seconds since its end in which an access token's refresh token is presented
_MINUTE = 60  # seconds that a token has left when it is tried for the last time
_TRIES = 3  # of a way that met passing trouble
_PAUSE = 0.2  # seconds until a way is tried again
_LONGEST_PAUSE = 120.0  # seconds; what a Retry-After asks for beyond that is not waited for
_HOOK_PAUSES = (0.0, 0.3, 1.0)  # seconds before each look: a hook may take effect a moment later
# seconds to put the clock back when the way failed; at the end of the run there is more time
_WITHIN = 30.0
GRADES = {"bank": "A", "clock": "A-", "signing key": "B", "wait": "C", "command": "D"}


@dataclass(frozen=True)
class ExpiredToken:
    """A caller whose token has expired, and which of the five ways led there; a spare one's user
    may log in again meanwhile.
    """

    caller: Caller
    source: str
    refresh_token: str = field(default="", repr=False)
    is_spare: bool = False
    first_answer: Exchange | None = (
        None  # where nothing came between it and a good one to the same request
    )

    @property
    def evidence(self) -> str:
        """For the report: the way and its grade."""
        return f"{self.source}, evidence grade {GRADES[self.source]}"


@dataclass(frozen=True)
class AlmostExpired:
    """What a token was answered in its last minute, and how that minute came about."""

    caller: Caller
    source: str
    exchange: Exchange


class TooLate(TransientFailure):
    """A token's last minute went by without an answer that could be judged; ``pause`` is asked for
    before the next try.
    """

    def __init__(self, missing: str, pause: float = 0.0) -> None:
        super().__init__(missing, "the latency and the rate limit of the target")
        self.pause = pause


class Expiry:
    """The expired tokens of one run. Moving the target's clock ends every token, so all of it is
    done once.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._options = world.target.expiry
        self.clock = TargetClock(world)
        self._again = asyncio.Lock()
        self._made: dict[str, ThrowawayUser] = {}  # by user: those whose tokens are going to expire
        self._almost: dict[tuple[str, str], AlmostExpired] = {}  # by role and source
        self._let_in: dict[
            str, Request
        ] = {}  # by token: what it was let in with in its last minute
        self._too_late: dict[str, str] = {}  # why a role's last minute could not be judged
        self._why_not: list[
            str
        ] = []  # a way leads nowhere, because of what the target or its file is
        self._troubled: list[str] = []  # a way leads somewhere, and trouble stood in it to the end
        self._spent: set[str] = set()
        self.used: set[str] = set()

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
                "; ".join(self._why_not)
                or "no expired token: name a way to one under [expiry] in the target file"
            )
        for trouble in self._troubled:
            note(f"one way to an expired token was closed by trouble: {trouble}")
        self.used |= {token.source for token in expired}
        return expired

    async def spare(self) -> list[ExpiredToken]:
        """Expired tokens of the lowest role that no other test looks at, where there are some; else
        those of `tokens`.

        Raises:
            NotTested, Inconclusive: as for `tokens`.
        """
        usual = await self.tokens(self._world.roles[0])
        return [token for token in await self._all() if token.is_spare] or usual

    async def sessions(self, role: str) -> list[ExpiredToken]:
        """Those expired tokens of a role that come with a refresh token.

        Raises:
            NotTested, Inconclusive: as for `tokens`.
        """
        sessions = [expired for expired in await self.tokens(role) if expired.refresh_token]
        if not sessions:
            self._raise_trouble("the refresh token of an expired session")
            way = (
                "the bank has tonight's now: run again tomorrow"
                if self._options.bank
                else "give bank, clock_url or wait under [expiry]"
            )
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
            why = f" ({'; '.join(self._why_not)})" if self._why_not else ""
            lacking = "" if self._options.clock_url or self._options.signing_key else LAST_MINUTE
            raise NotTested(
                "no token in its last minute: give clock_url or signing_key_env under "
                f"[expiry]{why}",
                lacking,
            )
        return almost

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
        """Go a way, and again from its beginning when trouble stood in it: trouble says nothing of
        the target.
        """
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                return await way(last)
            except TransientFailure as trouble:
                if last or self.clock.is_moved:
                    self._troubled.append(trouble.missing)
                    break
                await asyncio.sleep(
                    max(_PAUSE, trouble.pause if isinstance(trouble, TooLate) else 0.0)
                )
            except (NotTested, Inconclusive) as reason:
                self._why_not.append(str(reason))
                break
            except UsageError as error:  # the bank became unusable while the run went on
                self._troubled.append(str(error))
                break
        return []

    @asynccontextmanager
    async def logged_in_again(self, expired: ExpiredToken) -> AsyncIterator[Caller]:
        """The user of an expired token with another session, for one test at a time: the next
        log-in may end it.
        """
        async with self._again:
            made = self._made.get(expired.caller.user)
            if made:
                yield await another_session(self._world, made)
            else:
                yield await self._world.fresh_caller(expired.caller.role)

    async def _callers(self) -> list[Caller]:
        """A session of each role whose token is going to expire, and one more of the lowest, whose
        user is going to log in again.

        Their users are made by the run, where it can: a log-in to an account may end the account's
        other sessions.
        """
        roles = self._world.roles
        return await asyncio.gather(*(self._caller(role) for role in (*roles, roles[0])))

    async def _caller(self, role: str) -> Caller:
        try:
            made = await throwaway_user(self._world, role)
        except TransientFailure:
            raise
        except (NotTested, Inconclusive):
            return await self._world.fresh_caller(role)
        self._made[made.caller.user] = made
        return made.caller

    # --- The last minute -------------------------------------------------------------------------

    async def _signs(self, caller: Caller) -> list[Request]:
        """The requests that show whether a caller is let in, made before a token's last minute
        begins.
        """
        return [
            await self._world.request(operation, caller)
            for operation in self._world.signs_of_life(caller.role)
        ]

    async def _last_minutes(
        self, callers: Sequence[Caller], source: str, now: ClockReading, *, last: bool
    ) -> None:
        """Keep what tokens with a minute to live are answered at what their roles may do.

        Raises:
            Trouble: for one of them no answer came in time, unless this is the last try.
        """
        due = [caller for caller in callers if (caller.role, source) not in self._almost]
        answers = await asyncio.gather(
            *(self._last_minute(caller, now) for caller in due), return_exceptions=True
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
        """When a token ends: by the specification, and by its own exp; what it does not say is left
        out.
        """
        issued, expires = _issued(caller), numeric_date(claims_of(caller.token), "exp")
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
        target may grant.
        """
        pause = 0.5
        while (left := until - time.monotonic()) > 0:
            answers = await asyncio.gather(*(self._try(caller) for caller in callers))
            if not any(answer.ok for answer in answers):
                return
            await asyncio.sleep(min(left, pause))
            pause *= 2

    async def _try(self, caller: Caller) -> Exchange:
        operation = self._world.signs_of_life(caller.role)[0]
        return await self._world.perform(
            await self._world.request(operation, caller), caller, attack="EXPIRY-403"
        )

    # --- The five ways ---------------------------------------------------------------------------

    async def _from_bank(self, last: bool) -> list[ExpiredToken]:
        """Present what earlier runs put in, and put in tonight's."""
        assert self._options.bank is not None
        bank = TokenBank(self._options.bank, self._world.target.base_url)
        tonight = await asyncio.gather(
            *(self._world.fresh_caller(role) for role in self._world.roles)
        )
        now = time_of_target(tonight[-1].grant).earliest(time.monotonic())
        deposits = [deposit for deposit in bank.deposits() if deposit.expires < now - MARGIN]
        await asyncio.to_thread(bank.deposit, tonight, presented=deposits)
        for deposit in deposits:
            self._world.client.secrets.add(deposit.token, "token")
            self._world.client.secrets.add(deposit.refresh_token, "refresh-token")
        if not deposits:
            raise NotTested(
                f"the bank {self._options.bank} holds no expired token yet; it has tonight's, so "
                "run again tomorrow"
            )
        # Nobody says how long a refresh token lives after that; one of last night must, one of last
        # month need not.
        return [
            ExpiredToken(
                Caller(d.role, "expired token", d.token, d.user, d.email),
                "bank",
                d.refresh_token if now - d.expires < _RECENT else "",
            )
            for d in deposits
        ]

    async def _forged(self, last: bool) -> list[ExpiredToken]:
        """Make tokens like the issued ones, with the target's key: one that has a minute left, and
        one that has expired.
        """
        callers = await self._callers()
        for caller in callers:
            await self._signs(caller)  # what they need is made now
        clock, lifetime = time_of_target(callers[-1].grant), self._world.dialect.lifetime
        now = int(clock.earliest(time.monotonic()))
        fresh = [
            self._forge(caller, issued=now + _MINUTE - lifetime, expires=now + _MINUTE)
            for caller in callers
        ]
        await self._last_minutes(fresh[:-1], "signing key", clock, last=last)
        seen = [
            almost.exchange
            for (_, source), almost in self._almost.items()
            if source == "signing key"
        ]
        if not all(answer.ok for answer in seen):
            self._withdraw("signing key")
            raise NotTested(
                "the target does not take tokens made with the key of [expiry] signing_key_env "
                "and algorithm"
            )
        if not seen:
            raise TransientFailure(
                "an answer to a token made with the target's key, in its last minute",
                "the latency of the target",
            )
        past = [
            self._forge(caller, issued=now - lifetime - 2 * MARGIN, expires=now - 2 * MARGIN)
            for caller in callers
        ]
        return _expired(past, "signing key")

    def _withdraw(self, source: str) -> None:
        """Forget the last minutes of a way that turned out to be none."""
        self._almost = {
            key: almost for key, almost in self._almost.items() if almost.source != source
        }

    def _forge(self, caller: Caller, *, issued: int, expires: int) -> Caller:
        algorithm = self._options.algorithm
        header = header_of(caller.token) | {"alg": algorithm}
        claims = claims_of(caller.token) | {"iat": issued, "exp": expires}
        try:
            token = compact(
                header, claims, signed_by(algorithm, self._options.signing_key.encode())
            )
        except (ValueError, TypeError, jwt.PyJWTError):
            raise NotTested(
                f"the key of [expiry] signing_key_env is none for the algorithm {algorithm}"
            ) from None
        return Caller(caller.role, "made token", token, caller.user, caller.email)

    async def _from_command(self, last: bool) -> list[ExpiredToken]:
        """Run the operator's program once per role."""
        clock = time_of_target((await self._world.user(self._world.highest)).grant)
        expired = []
        for role in self._world.roles:
            token = await self._printed(role)
            claims = claims_of(token)
            self._world.client.secrets.add(token, "token")
            end = numeric_date(claims, "exp")
            if end is None or end > clock.earliest(time.monotonic()) - MARGIN:
                raise Inconclusive(
                    f"an expired JWT from {shlex.split(self._options.command)[0]} {role}",
                    "[expiry] command",
                )
            account = self._world.account(role)
            expired.append(
                ExpiredToken(
                    Caller(role, "expired token", token, str(claims.get("_id", "")), account.email),
                    "command",
                )
            )
        return expired

    async def _printed(self, role: str) -> str:
        """What the operator's program prints for a role."""
        try:
            words = [
                word.replace("{role}", role) for word in shlex.split(self._options.command)
            ] or [""]
        except ValueError as error:
            raise Inconclusive(f"a command that can be run: {error}", "[expiry] command") from None
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                words,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        except (
            OSError,
            ValueError,
            subprocess.SubprocessError,
        ) as error:  # ValueError: what it prints is no text
            raise Inconclusive(
                f"the output of {words[0]} ({type(error).__name__})", "[expiry] command"
            ) from None
        return done.stdout.strip()

    async def _waited(self, last: bool) -> list[ExpiredToken]:
        """Wait for the end of tokens that live short enough."""
        callers = await self._callers()
        lives = [caller.grant.lifetime or float("inf") for caller in callers]
        if max(lives) > self._options.wait:
            raise NotTested(
                f"tokens live {max(lives):.12g} s, longer than [expiry] wait = "
                f"{self._options.wait:.12g}"
            )
        end = time.monotonic() + max(lives)
        await asyncio.sleep(max(lives) + 2)
        await self._outlast(callers, end + MARGIN)
        return _expired(callers, "wait")

    async def _by_clock(self, last: bool) -> list[ExpiredToken]:
        """Move the target's clock to a minute before the end, then past it; where that fails, put
        it back at once.
        """
        try:
            return await self._aged(last)
        except (NotTested, Inconclusive):
            await self.clock.put_back(_WITHIN)
            raise

    async def _aged(self, last: bool) -> list[ExpiredToken]:
        if self._world.read_only:
            raise NotTested("--read-only: the target's clock would be moved")
        callers = await self._callers()
        for caller in callers:
            await self._signs(caller)  # what they need is made now
        lifetime = self._world.dialect.lifetime
        lives = max(caller.grant.lifetime or lifetime for caller in callers)
        first = max(0, int(min(lifetime, lives)) - _MINUTE)
        now = await self._advance(first, first) if first else time_of_target(callers[-1].grant)
        if now:
            await self._last_minutes(callers[:-1], "clock", now, last=last)
        over = max(
            [
                lifetime,
                *(
                    int(self._over(caller) - issued)
                    for caller in callers
                    if (issued := _issued(caller))
                ),
            ]
        )
        await self._advance(over + _MINUTE - first, over + _MINUTE)
        await self._prove(callers)
        aged = _expired(callers, "clock")
        again = {caller.role: await self._ask_again(caller) for caller in callers[:-1]}
        if not now:
            why = (
                "an answer in a token's last minute: neither a new token's iat nor the Date "
                "showed that the clock moved to it"
            )
            self._too_late = dict.fromkeys(self._world.roles, why) | self._too_late
        return [
            replace(one, first_answer=None if one.is_spare else again[one.caller.role])
            for one in aged
        ]

    async def _ask_again(self, caller: Caller) -> Exchange | None:
        """What a token that has expired is answered to the request that it was let in with in its
        last minute: caches would let it in again.
        """
        request = self._let_in.get(caller.token)
        return await self._world.perform(request, caller, attack="EXPIRY-403") if request else None

    async def _advance(self, seconds: float, total: float) -> ClockReading | None:
        """Move the target's clock on, to be ``total`` seconds ahead; its time then, or None when
        its time does not show that.

        Raises:
            Trouble: whether it moved was not answered, and it did not.
            Inconclusive: the hook does not move it.
        """
        lost = None
        try:
            await self.clock.move(seconds)
        except TransientFailure as trouble:  # it may have moved all the same
            lost = trouble
        for pause in _HOOK_PAUSES:
            await asyncio.sleep(pause)
            look = await self.clock.look()
            if self.clock.shift(look) == total:
                return time_of_target(look.grant)
        if lost:
            raise lost
        return None

    async def _prove(self, callers: Sequence[Caller]) -> None:
        """A token that is issued now shows that those of the callers are past their end.

        Raises:
            Inconclusive: it does not.
        """
        grant = (await self.clock.look()).grant
        now = numeric_date(grant.claims, "iat")
        for caller in callers:
            issued = _issued(caller)
            if (
                now is None
                or issued is None
                or now - issued < self._world.dialect.lifetime
                or grant.token == caller.token
            ):
                self._withdraw("clock")
                raise Inconclusive(
                    "a clock that moved: a new token's iat is not a lifetime later",
                    "[expiry] clock_url",
                )
        end = max(self._over(caller) for caller in callers)
        await self._outlast(callers, end + MARGIN - time_of_target(grant).low)


def _expired(callers: Sequence[Caller], source: str) -> list[ExpiredToken]:
    """The callers of `Expiry._callers` with their tokens at an end, the last of them as the spare
    one; a made token has no session.
    """
    expired = [
        ExpiredToken(caller, source, caller.session.refresh_token if caller.session else "")
        for caller in callers
    ]
    return [*expired[:-1], replace(expired[-1], is_spare=True)]


def _issued(caller: Caller) -> float | None:
    return numeric_date(claims_of(caller.token), "iat")


def _asked_for(exchange: Exchange) -> float:
    """Seconds that a 429 asks to wait, as far as one can wait for them."""
    return min(
        seconds_to_wait(exchange.header("retry-after"), exchange.header("date")) or 0.0,
        _LONGEST_PAUSE,
    )
