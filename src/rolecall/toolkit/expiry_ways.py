"""The five ways to an expired token; `rolecall.toolkit.expiry` says what each is worth."""

from __future__ import annotations

import asyncio
import math
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import jwt

from rolecall.errors import UsageError
from rolecall.evidence import Exchange, memory, recalled
from rolecall.jwt_forging import compact, signed_by
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import in_thread, sleep, this_moment
from rolecall.spec.claims import numeric_date
from rolecall.token_bank import BankedToken, TokenBank
from rolecall.tokens import Caller, claims_of, header_of
from rolecall.toolkit.clock import ClockReading
from rolecall.toolkit.expired_tokens import ExpiredToken
from rolecall.toolkit.last_minute import Expiring, LastMinute, issued_at
from rolecall.toolkit.target_time import target_time

#: Seconds by which a token must be past its end before it counts as expired: a minute's leeway is
#: lawful, and seconds are rounded on both sides.
MARGIN = 62
_RECENT = 7 * 86400  # seconds since its end in which an access token's refresh token is presented
_FEW = 3  # other targets of a bank that are named
_MINUTE = 60  # seconds that a token has left when it is tried for the last time
# seconds that tokens have to live for a renewed one to be seen when the one before it has ended
_LASTING = 600
_HOOK_PAUSES = (0.0, 0.3, 1.0)  # seconds before each look: a hook may take effect a moment later
# seconds to put the clock back when the way failed; at the end of the run there is more time
_WITHIN = 30.0


class ExpiryWays(LastMinute):
    """The five ways; each gives expired tokens, or says why it does not."""

    async def _from_bank(self, last: bool) -> list[ExpiredToken]:
        """Put tonight's tokens into the bank, and present what earlier runs put in."""
        tonight = await asyncio.gather(*map(self._to_be_kept, self._world.roles))
        now = await target_time(self._world, tonight[-1].grant)
        moment = now.earliest(this_moment())
        visit = await in_thread(self._recalled_visit, tonight, moment)
        if "trouble" in visit:
            raise UsageError(*visit["trouble"])
        deposits = [BankedToken.of(row) for row in visit.get("expired", ())]
        for deposit in deposits:
            self._world.client.secrets.add(deposit.token, "token")
            self._world.client.secrets.add(deposit.refresh_token, "refresh-token")
        if not deposits:
            raise NotTested(self._no_token_yet(visit))
        # How long a refresh token lives after that is unspecified; one of last night must, one of
        # last month need not.
        return [
            ExpiredToken(
                Caller(d.role, "expired token", d.token, d.user, d.email),
                "bank",
                d.refresh_token if moment - d.expires < _RECENT else "",
            )
            for d in deposits
        ]

    async def _to_be_kept(self, role: str) -> Caller:
        """A session of an account, for the bank, which the run shares from now on: a new one, or
        the one that it shares already, where it may have no other.
        """
        try:
            return await self._world.renewed(role)
        except NotTested:
            return await self._world.user(role)

    def _recalled_visit(self, tonight: Sequence[Caller], now: float) -> dict[str, Any]:
        """The same in a replay, where no bank is visited."""
        visit: dict[str, Any] = recalled(
            "what the bank gave",
            lambda: {} if memory().is_replayed else self._visit_bank(tonight, now),
        )
        return visit

    def _visit_bank(self, tonight: Sequence[Caller], now: float) -> dict[str, Any]:
        """What is learnt at the bank, as JSON: the deposits that have expired, when each role's
        next one will have, and the other targets there; or what is wrong with it.
        """
        bank = TokenBank.of(self._options, self._world.target.base_url)
        try:
            bank.deposit(tonight, now)
            expired = bank.take_expired(now - MARGIN, now)
            kept, others = bank.deposits(), bank.others()
        except UsageError as error:
            return {"trouble": [error.where, error.what, error.hint]}
        first: dict[str, float] = {}
        for deposit in kept:
            first[deposit.role] = min(deposit.expires, first.get(deposit.role, math.inf))
        return {
            "expired": [asdict(deposit) for deposit in expired],
            "complete": max(first.values(), default=None),
            "others": others,
        }

    def _no_token_yet(self, visit: Mapping[str, Any]) -> str:
        """Why the bank proves nothing tonight, and when it will."""
        why = f"the bank {self._options.bank} holds no expired token yet"
        if visit.get("others"):
            why += f" of this target (it has some of {', '.join(visit['others'][:_FEW])})"
        if not visit.get("complete"):
            return f"{why}, and none that it could keep: tokens here say no exp"
        end = datetime.fromtimestamp(visit["complete"] + MARGIN, UTC)
        return (
            f"{why}; it has tonight's, which will have expired by {end:%Y-%m-%d %H:%M} UTC (the "
            "target's clock), so run again tomorrow"
        )

    async def _forged(self, last: bool) -> list[ExpiredToken]:
        """Make tokens like the issued ones, with the target's key: one that has a minute left, and
        one that has expired.
        """
        expiring = await self._callers(of_their_own=False)
        callers = expiring.all
        for caller in callers:
            await self._signs(caller)  # what they need is made now
        clock = await target_time(self._world, callers[-1].grant)
        lifetime = self._world.dialect.lifetime
        moment = int(clock.earliest(this_moment()))
        fresh = [
            self.forge(caller, issued=moment + _MINUTE - lifetime, expires=moment + _MINUTE)
            for caller in expiring.each
        ]
        await self._last_minutes(fresh, "signing key", clock, last=last)
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
            self.forge(caller, issued=moment - lifetime - 2 * MARGIN, expires=moment - 2 * MARGIN)
            for caller in callers
        ]
        return _expired(expiring.instead(past), "signing key")

    def _withdraw(self, source: str) -> None:
        """Forget the last minutes of a way that turned out to be none."""
        self._almost = {
            key: almost for key, almost in self._almost.items() if almost.source != source
        }

    def forge(self, caller: Caller, *, issued: int, expires: int) -> Caller:
        """The caller with a token of these times (seconds since 1970) under the target's key.

        Raises:
            NotTested: the key does not fit the algorithm.
        """
        algorithm = self._options.algorithm
        header = header_of(caller.token) | {"alg": algorithm}
        claims = claims_of(caller.token) | {"iat": issued, "exp": expires}
        try:
            token = compact(
                header, claims, signed_by(algorithm, self._options.signing_key.encode())
            )
        except (ValueError, TypeError, jwt.PyJWTError):
            raise NotTested(
                f"the key of [expiry] signing_key_env does not fit the algorithm {algorithm}"
            ) from None
        return Caller(caller.role, "made token", token, caller.user, caller.email)

    async def _from_command(self, last: bool) -> list[ExpiredToken]:
        """Run the operator's program once per role."""
        highest = await self._world.user(self._world.highest)
        clock = await target_time(self._world, highest.grant)
        expired = []
        for role in self._world.roles:
            token = await self._printed(role)
            claims = claims_of(token)
            self._world.client.secrets.add(token, "token")
            end = numeric_date(claims, "exp")
            if end is None or end > clock.earliest(this_moment()) - MARGIN:
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
            return await in_thread(_output, words, f"printed for {role}")
        except (
            OSError,
            ValueError,
            subprocess.SubprocessError,
        ) as error:  # ValueError: its output is not text
            raise Inconclusive(
                f"the output of {words[0]} ({type(error).__name__})", "[expiry] command"
            ) from None

    async def _waited(self, last: bool) -> list[ExpiredToken]:
        """Wait for the end of tokens that live short enough."""
        expiring = await self._callers()
        callers = expiring.all
        lives = [caller.grant.lifetime or float("inf") for caller in callers]
        if max(lives) > self._options.wait:
            raise NotTested(
                f"tokens live {max(lives):.12g} s, longer than [expiry] wait = "
                f"{self._options.wait:.12g}"
            )
        end = this_moment() + max(lives)
        await sleep(max(lives) + 2)
        await self._outlast(callers, end + MARGIN)
        return _expired(expiring, "wait")

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
        expiring, renewable = await self._callers(), await self._renewable()
        callers = expiring.all
        for caller in callers:
            await self._signs(caller)  # what they need is made now
        lifetime = self._world.dialect.lifetime
        lives = max(caller.grant.lifetime or lifetime for caller in callers)
        first = max(0, int(min(lifetime, lives)) - _MINUTE)
        now = await self._at_first(first, callers[-1])
        if now:
            await self._last_minutes(expiring.each, "clock", now, last=last)
        lasts = min(lifetime, lives) > _LASTING
        renewed = await self._renew(renewable) if now and renewable and lasts else None
        ages = (int(self._over(of) - issued) for of in callers if (issued := issued_at(of)))
        over = max([lifetime, *ages])
        await self._advance(over + _MINUTE - first, over + _MINUTE)
        await self._prove(callers)
        if renewed:
            await self._try_renewed(renewed)
        aged = _expired(expiring, "clock")
        again = {caller.role: await self._ask_again(caller) for caller in expiring.each}
        if not now:
            why = (
                "an answer in a token's last minute: neither a new token's iat nor the Date "
                "showed that the clock moved to it"
            )
            self._too_late = dict.fromkeys(self._world.roles, why) | self._too_late
        return [
            replace(token, first_answer=None if token.is_spare else again[token.caller.role])
            for token in aged
        ]

    async def _at_first(self, seconds: int, caller: Caller) -> ClockReading | None:
        """The target's time in the last minute, or None when it does not show that."""
        if seconds:
            return await self._advance(seconds, seconds)
        return await target_time(self._world, caller.grant)

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
            TransientFailure: whether it moved was not answered, and it did not.
            Inconclusive: the hook does not move it.
        """
        lost = None
        try:
            await self.clock.move(seconds)
        except TransientFailure as trouble:  # it may have moved all the same
            lost = trouble
        for pause in _HOOK_PAUSES:
            await sleep(pause)
            look = await self.clock.look()
            if self.clock.shift(look) == total:
                return look.time
        if lost:
            raise lost
        return None

    async def _prove(self, callers: Sequence[Caller]) -> None:
        """A token that is issued now shows that those of the callers are past their end.

        Raises:
            Inconclusive: it does not.
        """
        look = await self.clock.look()
        grant = look.grant
        now = numeric_date(grant.claims, "iat")
        for caller in callers:
            issued = issued_at(caller)
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
        await self._outlast(callers, end + MARGIN - look.time.low)


def _output(words: Sequence[str], what: str) -> str:
    """What a program prints; in a replay, what it printed then."""
    if memory().is_replayed:
        return str(recalled(what, str))
    done = subprocess.run(  # noqa: S603  # the operator's own program
        words, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
    )
    return str(recalled(what, done.stdout.strip))


def _expired(expiring: Expiring, source: str) -> list[ExpiredToken]:
    """The callers of `LastMinute._callers` with their tokens at an end; a made token has no
    session.
    """
    return [
        ExpiredToken(
            caller,
            source,
            caller.session.refresh_token if caller.session else "",
            is_spare=number >= len(expiring.each),
        )
        for number, caller in enumerate(expiring.all)
    ]
