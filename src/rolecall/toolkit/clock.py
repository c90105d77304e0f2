"""The target's clock: reads it, moves it by the hook of the target file, and undoes each move.

Every move is in the ledger before its request leaves. Whether it happened is never taken from the
answer, which may be lost or untrue, but from the target's time before and afterwards: a log-in
shows it in the new token's iat and in the Date header. Either may be blind: a proxy writes a Date
of its own, and a target may give out a token that it has issued before.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from rolecall.errors import Unreachable
from rolecall.evidence import Exchange
from rolecall.fields import http_date
from rolecall.http.gate import Creation
from rolecall.ledger import CLOCK, LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import sleep, this_moment
from rolecall.spec.claims import numeric_date
from rolecall.target import Account
from rolecall.tokens import Grant
from rolecall.toolkit.shared import uncancelled
from rolecall.toolkit.throwaway_users import throwaway_user
from rolecall.toolkit.world import World

#: Seconds between our clock and the target's beyond which nothing is said about times.
TOO_FAR_APART = 60
_SLACK = 10.0  # seconds by which clocks drift meanwhile, and by which those of several hosts differ
_ROUNDS = 3  # moves back that are answered, and may have been carried out or not
#: Log-ins that an account which sees the time needs from the first move on, and from a later one.
_THERE_AND_BACK, _BACK = 6, 4
_BLIND = 5  # looks at a clock that shows none of the times that it may have
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between two looks
ISSUE, DATE = "iat", "Date"


def date_of(exchange: Exchange) -> float | None:
    """The Date header of an answer, in seconds since the epoch (RFC 9110 6.6.1), or None."""
    return http_date(exchange.header("date"))


class ClockReading(NamedTuple):
    """Seconds by which the target's clock is ahead of our monotonic one, at least and at most."""

    low: float
    high: float

    def earliest(self, moment: float) -> float:
        """The target's time at a monotonic moment, at least."""
        return moment + self.low

    def latest(self, moment: float) -> float:
        """The target's time at a monotonic moment, at most."""
        return moment + self.high

    @property
    def is_vague(self) -> bool:
        """Whether it says too little for anything to be judged by it."""
        return self.high - self.low > TOO_FAR_APART


def by_date(exchange: Exchange) -> ClockReading | None:
    """What an answer's Date header says, in whole seconds, which may be a second old."""
    date = date_of(exchange)
    return (
        None
        if date is None
        else ClockReading(date - exchange.finished, date + 2 - exchange.started)
    )


def by_issue(grant: Grant) -> ClockReading | None:
    """What a new token's iat says: seconds with or without a fraction, rounded in whatever way."""
    issued = numeric_date(grant.claims, "iat")
    return (
        None
        if issued is None
        else ClockReading(issued - 1 - grant.exchange.finished, issued + 1 - grant.exchange.started)
    )


def time_of_target(grant: Grant) -> ClockReading:
    """The target's clock, by a log-in: the token's iat, else the Date header, else our own clock.

    A token that is much older than that Date was issued before, or by a clock that is behind: then
    the time is somewhere between both. `rolecall.toolkit.target_time` finds out which it is.
    """
    ours = grant.exchange.at - grant.exchange.started
    issued, told = by_issue(grant), by_date(grant.exchange) or ClockReading(ours, ours)
    if issued and issued.high < told.low - TOO_FAR_APART:
        return ClockReading(issued.low, told.high)
    return issued or told


@dataclass(eq=False)
class ClockMove:
    """One move that was sent; ``done`` is what its answer says, None when it does not say."""

    seconds: float
    entry: LedgerEntry
    done: bool | None = None

    def __str__(self) -> str:
        said = {
            True: "answered with success",
            False: "refused",
            None: "not answered, or with an error",
        }
        return f"{self.seconds:+.12g} s ({said[self.done]})"


def shift_of(moves: Iterable[ClockMove], low: float, high: float) -> float | None:
    """The sum of the moves that happened, as a clock that moved by ``low`` to ``high`` s tells.

    Of the sums that fit, it is one that contradicts the fewest answers, and then the nearest; None
    when none fits.
    """
    contradicted = {0.0: 0}  # answers, by the sum of the moves that happened
    for move in moves:
        sums: dict[float, int] = {}
        for seconds, count in contradicted.items():
            for total, more in (
                (seconds, move.done is True),
                (seconds + move.seconds, move.done is False),
            ):
                sums[total] = min(sums.get(total, count + more), count + more)
        contradicted = sums
    middle = (low + high) / 2
    fitting = [seconds for seconds in contradicted if low - _SLACK <= seconds <= high + _SLACK]
    return min(
        fitting, key=lambda seconds: (contradicted[seconds], abs(seconds - middle)), default=None
    )


@dataclass(frozen=True)
class Look:
    """What a log-in shows of the target's clock, by where it is shown."""

    grant: Grant
    readings: Mapping[str, ClockReading]

    @property
    def time(self) -> ClockReading:
        """The target's clock: a token that was never given out before shows it best."""
        shown = (self.readings.get(where) for where in (ISSUE, DATE))
        return next(filter(None, shown), None) or time_of_target(self.grant)


class TargetClock:
    """Moves the target's clock, finds out by how much it has moved, and puts it back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._moves: list[ClockMove] = []
        self._before: Mapping[str, ClockReading] = {}
        self._followed: set[str] = set()  # where the moves were seen
        # that were given out, and say nothing of the time when they come again
        self._tokens: set[str] = set()
        self._measured: float | None = None  # seconds, since the last move was sent
        self._where: float | None = None  # the same, as a sum of moves
        self._trouble = ""
        self._account: Account | None = None

    @property
    def is_moved(self) -> bool:
        """Whether the clock may be elsewhere than it was, because of us."""
        return bool(self._moves)

    async def move(self, seconds: float) -> None:
        """Move the clock on, or back.

        Raises:
            NotTested: nothing may be written, nothing shows the target's time, or who sees it may
                not log in often enough to see it put back.
            TransientFailure: it is unknown whether it was moved, and a retry may help.
            Inconclusive: the hook does not say that it was moved.
        """
        if self._world.read_only:
            raise NotTested("--read-only: the target's clock would be moved")
        if not self._moves:
            self._tokens.add((await self._world.user(self._world.highest)).token)
            self._before = (await self.look()).readings
            if not self._before:
                raise NotTested(
                    "a clock that can be put back: neither a Date header nor a token's iat shows "
                    "the target's time"
                )
        self._keep_a_way_back()
        await uncancelled(self._send(seconds))

    def _keep_a_way_back(self) -> None:
        account = self._account
        if account is None or account.name not in self._world.target.accounts:
            return  # a user of the run may log in as often as it takes
        if self._world.gate.log_ins.left(account.email) < (
            _BACK if self._moves else _THERE_AND_BACK
        ):
            raise NotTested(
                "a clock that can be put back: the run can make no user who sees the time, and the "
                f"log-ins to [accounts.{account.name}] that are left are too few"
            )

    async def _send(self, seconds: float, *, is_undoing: bool = False) -> None:
        seconds = int(seconds) if seconds == int(seconds) else seconds
        ours = time.time() - time.monotonic()
        ahead = {where: [at.low - ours, at.high - ours] for where, at in self._before.items()}
        entry = self._world.ledger.intend(
            CLOCK, f"{seconds:+.12g} s", undo={"ahead": ahead}, at_any_rate=is_undoing
        )
        move = ClockMove(seconds, entry)
        self._moves.append(move)
        self._measured = self._where = None
        url, body = self._world.target.expiry.clock_url, {"advance": seconds}
        exchange = await self._world.client.send(
            "POST",
            url,
            caller="the clock",
            json=body,
            attack="clock",
            about=Creation(move.entry),
            patient=False,
        )
        self._world.forget_logins()  # whatever is shared may have expired
        if exchange.ok:
            move.done = True
        elif 400 <= exchange.status < 500:
            move.done = False
            self._world.ledger.refused(move.entry)
        if exchange.status == 429:
            raise TransientFailure(f"a clock that moves: {exchange}", "[expiry] clock_url")
        if not exchange.ok:
            raise Inconclusive(f"a clock that moves: {exchange}", "[expiry] clock_url")

    def take_over(self, entries: Iterable[LedgerEntry]) -> None:
        """Take over the moves of a run that did not take them back, by its ledger, oldest first.

        Where its clock was before them stands there, as seconds by which it was ahead of ours; an
        account of the target file sees the time, since nothing is made for it.
        """
        ours = time.time() - time.monotonic()
        for entry in entries:
            done = False if entry.refused else None
            self._moves.append(ClockMove(float(entry.name.removesuffix(" s")), entry, done))
            self._before = self._before or {
                where: ClockReading(low + ours, high + ours)
                for where, (low, high) in entry.undo.get("ahead", {}).items()
            }
        self._account = self._world.account(self._world.highest)

    async def look(self) -> Look:
        """Log in, and read the target's time from what comes; a refusal has a Date, too."""
        account = await self._witness()
        exchange = await self._world.tokens.issue(account)
        grant = Grant.of(exchange)
        issued = by_issue(grant) if exchange.ok and grant.token not in self._tokens else None
        self._tokens.add(grant.token)
        if account.name in self._world.target.accounts:
            self._world.forget_logins()  # where an account has one session, this was it
        readings = {ISSUE: issued, DATE: by_date(exchange)}
        return Look(grant, {where: reading for where, reading in readings.items() if reading})

    async def _witness(self) -> Account:
        """Who logs in to see the time: a user made for it before the first move, for accounts are
        not logged in often.
        """
        if self._account is None:
            try:
                self._account = replace(
                    (await throwaway_user(self._world, self._world.roles[0])).account,
                    name="witness",
                )
            except (NotTested, Inconclusive):
                self._account = self._world.account(self._world.highest)
        return self._account

    def shift(self, look: Look) -> float | None:
        """Seconds that we moved the clock by, as a look shows; None when it does not tell."""
        seen: dict[str, tuple[float, float]] = {}
        for where in look.readings.keys() & self._before.keys():
            now, before = look.readings[where], self._before[where]
            seen[where] = now.low - before.high, now.high - before.low
        sums = {where: shift_of(self._moves, low, high) for where, (low, high) in seen.items()}
        self._followed |= {where for where, seconds in sums.items() if seconds}
        # A Date that was never seen to follow may be a proxy's; a new token's iat is the target's
        # own in any case.
        trusted = self._followed or (
            {ISSUE} if any(move.done is not False for move in self._moves) else {ISSUE, DATE}
        )
        shown = [where for where in (ISSUE, DATE) if where in seen and where in trusted]
        self._measured = sum(seen[shown[0]]) / 2 if shown else None
        self._where = sums[shown[0]] if len({sums[where] for where in shown}) == 1 else None
        return self._where

    async def put_back(self, within: float) -> None:
        """Give the target its time back; what is not proven within ``within`` seconds is in `left`.

        A target that does not answer is asked again and again; a hook that answers gets `_ROUNDS`
        chances.
        """
        until, pause = this_moment() + within, _FIRST_PAUSE
        answered = blind = 0
        while self._moves and blind < _BLIND:
            self._world.client.dead = (
                None  # the target may be back, and nothing is worse than not to have tried
            )
            try:
                shift = self.shift(await self.look())
                if shift == 0:
                    self._settle()
                elif shift is None:
                    blind += 1
                elif answered < _ROUNDS:
                    await uncancelled(self._send(-shift, is_undoing=True))
                    answered += 1
                    if self.shift(await self.look()) == 0:  # mostly it is back at once
                        self._settle()
                else:
                    return
            except (TransientFailure, Unreachable) as reason:
                self._trouble = str(reason)
            except Inconclusive as reason:
                self._trouble = str(reason)
                answered += 1
            if not self._moves or this_moment() + pause > until:
                return
            await sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        await self._undo_what_was_answered()

    async def _undo_what_was_answered(self) -> None:
        """Where nothing shows the target's time any more: undo what it says that it did. It stays
        in `left`, unproven.
        """
        said = sum(move.seconds for move in self._moves if move.done)
        if said and self._measured is None:
            with contextlib.suppress(Inconclusive, Unreachable):
                await uncancelled(self._send(-said, is_undoing=True))

    def _settle(self) -> None:
        """The clock is where it was: there is nothing to undo any more."""
        for move in self._moves:
            self._world.ledger.gone(move.entry)
        self._moves.clear()
        self._followed.clear()
        self._trouble = ""
        self._world.forget_logins()  # a token of tomorrow may be refused today

    def left(self, why: str = "") -> list[str]:
        """Where the clock was left, if it is not proven to be back, and what to do about it."""
        if not self._moves:
            return []
        why = why or self._trouble or "its time does not show that it was put back"
        said = sum(move.seconds for move in self._moves if move.done)
        where = self._where or (
            said
            if self._measured is None and all(move.done is not None for move in self._moves)
            else 0
        )
        if where:
            by_hand = f'POST {{"advance": {-where:.12g}}} to [expiry] clock_url'
            return [f"the target's clock, moved by {where:.12g} s: {why}; put it back ({by_hand})"]
        seen = "" if self._measured is None else f", and its time shows {self._measured:+.0f} s"
        moves = ", ".join(map(str, self._moves))
        return [
            (
                f"the target's clock, perhaps moved (sent: {moves}{seen}): {why}; compare its time "
                "with yours, and set it right"
            )
        ]
