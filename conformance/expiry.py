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
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import jwt

from rolecall.conformance.bank import Bank
from rolecall.conformance.fixtures import Request
from rolecall.conformance.forge import compact, signed_by
from rolecall.conformance.memo import memoised, unbroken
from rolecall.conformance.tokens import Caller, claims_of, header_of
from rolecall.conformance.world import World
from rolecall.evidence import Exchange
from rolecall.gate import Creation
from rolecall.ledger import CLOCK
from rolecall.outcomes import Inconclusive, NotTested

#: Seconds by which a token must be past its end before it counts as expired: nobody's clock is exact.
MARGIN = 60
_RECENT = 7 * 86400  # seconds since its end in which an access token's refresh token is presented
GRADES = {"bank": "A", "clock": "A-", "signing key": "B", "wait": "C", "command": "D"}


@dataclass(frozen=True)
class Expired:
    """A caller whose token has expired, and which of the five ways led there."""

    caller: Caller
    source: str
    refresh_token: str = field(default="", repr=False)

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


class Expiry:
    """The expired tokens of one run. Moving the target's clock ends every token, so all of it is done once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._options = world.target.expiry
        self._almost: list[AlmostExpired] = []
        self._why_not: list[str] = []
        self._spent: set[str] = set()
        self.moved = 0.0  # seconds by which the target's clock is ahead because of us
        self.used: set[str] = set()

    @property
    def grade(self) -> str:
        """The strongest evidence that was used, or an empty string."""
        return next((grade for source, grade in GRADES.items() if source in self.used), "")

    async def tokens(self, role: str) -> list[Expired]:
        """The expired tokens of a role, strongest evidence first.

        Raises:
            NotTested: the target file names no way to one, or none led there tonight.
        """
        expired = [token for token in await self._all() if token.caller.role == role]
        if not expired:
            raise NotTested("; ".join(self._why_not) or "no expired token: name a way to one under [expiry] in the target file")
        self.used |= {token.source for token in expired}
        return expired

    def spend(self, expired: Expired) -> str:
        """The refresh token of an expired session, for the one time that it may be presented.

        Raises:
            Inconclusive: it was presented before, and what came of that was lost on the way.
        """
        if expired.refresh_token in self._spent:
            raise Inconclusive("the answer to a refresh after expiry: it was lost, and its refresh token may be used up")
        self._spent.add(expired.refresh_token)
        return expired.refresh_token

    async def almost(self, role: str) -> list[AlmostExpired]:
        """What the tokens of a role were answered in their last minute.

        Raises:
            NotTested: none of the ways shows it.
        """
        await self._all()
        almost = [token for token in self._almost if token.caller.role == role]
        if not almost:
            raise NotTested("no token in its last minute: give clock_url or signing_key_env under [expiry] in the target file")
        return almost

    @asynccontextmanager
    async def write(self, operation: str) -> AsyncIterator[tuple[Expired, Request, Exchange]]:
        """A write with the highest role's best proven expired token, on a thing that is there for nothing else."""
        expired = (await self.tokens(self._world.highest))[0]
        tried = self._world.spec.operations[operation]
        async with self._world.borrowing.request_to_try(tried, expired.caller) as request:
            yield expired, request, await self._world.perform(request, expired.caller, attack="EXPIRY-403")

    @memoised
    async def _all(self) -> list[Expired]:
        ways: list[tuple[object, Callable[[], Awaitable[list[Expired]]]]] = [
            (self._options.bank, self._from_bank),
            (self._options.signing_key, self._forged),
            (self._options.command, self._from_command),
            (self._options.wait, self._waited),
            (self._options.clock_url, self._by_clock),  # last: it ends every other token
        ]
        expired: list[Expired] = []
        for given, way in ways:
            if given:
                try:
                    expired += await way()
                except (NotTested, Inconclusive) as reason:
                    self._why_not.append(str(reason))
        return sorted(expired, key=lambda token: GRADES[token.source])

    async def _callers(self) -> list[Caller]:
        return await asyncio.gather(*(self._world.fresh_caller(role) for role in self._world.roles))

    async def _last_minute(self, caller: Caller, source: str) -> Exchange:
        """Let a token with a minute to live be used at what its role may do, and keep what came."""
        for operation in self._world.signs_of_life(caller.role):
            exchange = await self._world.perform(await self._world.request(operation, caller), caller)
            if exchange.ok:
                break
        self._almost.append(AlmostExpired(caller, source, exchange))
        return exchange

    # --- The five ways ---------------------------------------------------------------------------------------------

    async def _from_bank(self) -> list[Expired]:
        """Present what earlier runs put in, and put in tonight's."""
        assert self._options.bank is not None
        bank = Bank(self._options.bank, self._world.target.base_url)
        tonight = await self._callers()
        now = server_time(tonight[-1].grant.exchange)
        deposits = [deposit for deposit in bank.deposits() if deposit.expires < now - MARGIN]
        bank.deposit(tonight, presented=deposits)
        for deposit in deposits:
            self._world.client.secrets.add(deposit.token, "token")
            self._world.client.secrets.add(deposit.refresh_token, "refresh-token")
        if not deposits:
            raise NotTested(f"the bank {self._options.bank} holds no expired token yet; it has tonight's, so run again tomorrow")
        # Nobody says how long a refresh token lives after that; one of last night must, one of last month need not.
        return [
            Expired(
                Caller(d.role, "expired token", d.token, d.user, d.email),
                "bank",
                d.refresh_token if now - d.expires < _RECENT else "",
            )
            for d in deposits
        ]

    async def _forged(self) -> list[Expired]:
        """Make tokens like the issued ones, with the target's key: one that has a minute left, and one that has expired."""
        callers = await self._callers()
        now, lifetime = server_time(callers[-1].grant.exchange), self._world.dialect.lifetime
        fresh = [self._forge(caller, issued=now + 60 - lifetime, expires=now + 60) for caller in callers]
        answers = await asyncio.gather(*(self._last_minute(caller, "signing key") for caller in fresh))
        if not all(answer.ok for answer in answers):
            self._almost = [almost for almost in self._almost if almost.source != "signing key"]
            raise NotTested("the target does not take tokens made with the key of [expiry] signing_key_env and algorithm")
        past = (self._forge(caller, issued=now - lifetime - 2 * MARGIN, expires=now - 2 * MARGIN) for caller in callers)
        return [Expired(caller, "signing key") for caller in past]

    def _forge(self, caller: Caller, *, issued: float, expires: float) -> Caller:
        algorithm = self._options.algorithm
        header = header_of(caller.token) | {"alg": algorithm}
        claims = claims_of(caller.token) | {"iat": int(issued), "exp": int(expires)}
        try:
            token = compact(header, claims, signed_by(algorithm, self._options.signing_key.encode()))
        except (ValueError, TypeError, jwt.PyJWTError):
            raise NotTested(f"the key of [expiry] signing_key_env is none for the algorithm {algorithm}") from None
        return Caller(caller.role, "made token", token, caller.user, caller.email)

    async def _from_command(self) -> list[Expired]:
        """Run the operator's program once per role."""
        expired = []
        for role in self._world.roles:
            try:
                words = [word.replace("{role}", role) for word in shlex.split(self._options.command)] or [""]
            except ValueError as error:
                raise Inconclusive(f"a command that can be run: {error}", "[expiry] command") from None
            try:
                done = await asyncio.to_thread(
                    subprocess.run, words, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise Inconclusive(f"the output of {words[0]} ({type(error).__name__})", "[expiry] command") from None
            token = done.stdout.strip()
            claims = claims_of(token)
            self._world.client.secrets.add(token, "token")
            if not isinstance(claims.get("exp"), int | float) or claims["exp"] > time.time() - MARGIN:
                raise Inconclusive(f"an expired JWT from {words[0]} {role}", "[expiry] command")
            account = self._world.account(role)
            expired.append(Expired(Caller(role, "expired token", token, str(claims.get("_id", "")), account.email), "command"))
        return expired

    async def _waited(self) -> list[Expired]:
        """Wait for the end of tokens that live short enough."""
        callers = await self._callers()
        lives = [caller.grant.lifetime or float("inf") for caller in callers]
        if max(lives) > self._options.wait:
            raise NotTested(f"tokens live {max(lives):g} s, longer than [expiry] wait = {self._options.wait:g}")
        await asyncio.sleep(max(lives) + 2)
        return [Expired(caller, "wait", caller.grant.refresh_token) for caller in callers]

    async def _by_clock(self) -> list[Expired]:
        """Move the target's clock to a minute before the end, then past it; a new token proves that it moved."""
        callers = await self._callers()
        lifetime = self._world.dialect.lifetime
        await self._advance(lifetime - 60)
        await asyncio.gather(*(self._last_minute(caller, "clock") for caller in callers))
        await self._advance(60 + MARGIN)
        self._world.forget_logins()
        before, after = callers[-1].grant.claims.get("iat"), (await self._world.log_in(self._world.highest)).claims.get("iat")
        if not isinstance(before, int) or not isinstance(after, int) or after - before < lifetime:
            self._almost = [almost for almost in self._almost if almost.source != "clock"]
            raise Inconclusive("a clock that moved: a new token's iat is not a lifetime later", "[expiry] clock_url")
        return [Expired(caller, "clock", caller.grant.refresh_token) for caller in callers]

    async def _advance(self, seconds: float) -> None:
        await unbroken(self._move(seconds))

    async def _move(self, seconds: float) -> None:
        if self._world.read_only:
            raise NotTested("--read-only: the target's clock would be moved")
        about = Creation(self._world.ledger.intend(CLOCK, f"{seconds:+g} s"))
        exchange = await self._world.client.send_to(
            self._options.clock_url, "POST", json={"advance": seconds}, caller="the clock", attack="clock", about=about
        )
        if not exchange.ok:
            raise Inconclusive(f"a clock that moves: {exchange}", "[expiry] clock_url")
        self.moved += seconds

    async def put_clock_back(self) -> None:
        """Give the target its time back."""
        if self.moved:
            self._world.forget_logins()
            await self._advance(-self.moved)


def server_time(exchange: Exchange) -> float:
    """The target's time when it answered, from its Date header (RFC 9110 6.6.1); our own when it sends none."""
    try:
        return parsedate_to_datetime(exchange.header("date")).timestamp()
    except (TypeError, ValueError):
        return exchange.at
