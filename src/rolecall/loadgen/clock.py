"""Moves the target's clock past the end of older tokens for the length of a run, then back.

It moves for all users of that server. So it is left alone where the target file names another
way to expired tokens that leads somewhere: a signing key, or a bank that holds some. All log-ins of
the load come after the move, and their tokens are as good as any.

That it moved, and that it is back, is taken from the time that the target writes into new tokens,
or else into its Date header, and never from what the hook answers. Every move is in the run's
ledger before its request leaves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import gevent

from rolecall.errors import RolecallError, UsageError
from rolecall.fields import http_date
from rolecall.ledger import CLOCK, Ledger
from rolecall.loadgen.checks.expired import MARGIN, Kept, Left
from rolecall.loadgen.checks.token_answer import read_json
from rolecall.loadgen.provisioning import NoUsers, ProvisionedServer
from rolecall.loadgen.transport.client import WireConnection
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.outgoing import Origin, request
from rolecall.spec.claims import lifetime, numeric_date
from rolecall.spec.templates import fill_path
from rolecall.target import Target
from rolecall.token_bank import TokenBank
from rolecall.tokens import claims_of, user_of

#: Seconds by which a clock that was read twice may be elsewhere than it should be, for all that was
#: not moved.
_SLACK = 60.0
_ROUNDS = 5  # tries to put the clock back
_PAUSE = 1.0  # seconds between two of them


def is_needed(target: Target) -> bool:
    """Whether only the clock leads to expired tokens; a bank that cannot be read leads nowhere.

    A bank that cannot be read leads nowhere; why, those say who read it under load.
    """
    expiry = target.expiry
    if not expiry.clock_url or expiry.signing_key:
        return False
    try:
        deposits = TokenBank.of(expiry, target.base_url).deposits() if expiry.bank else []
    except UsageError:
        return True
    return not any(deposit.expires < time.time() - MARGIN for deposit in deposits)


class MovedClock:
    """One target's clock.

    Args:
        folder: the run's, where the ledger is.

    Attributes:
        left_behind: what is to be done by hand, if it is not proven to be where it was.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._server = ProvisionedServer(target)
        self._ledger = Ledger(folder / "ledger.jsonl")
        # Who logs in to see the time: on a server with one session for each user that ends the
        # earlier one.
        roles = [account.role for account in target.accounts.values()]
        second = [
            name for name, account in target.accounts.items() if roles.count(account.role) > 1
        ]
        self._witness = second[-1] if second else self._server.spec.roles[-1]
        self._before: float | None = None
        self._moved = 0.0
        self.left_behind = ""

    @contextmanager
    def ahead(self) -> Iterator[Left]:
        """Move the clock past the end of new tokens, and put it back when the block is over."""
        with closing(self._server), closing(self._ledger):
            try:
                yield self._go_ahead()
            finally:
                self._put_back()

    def _go_ahead(self) -> Left:
        try:
            kept, seconds = self._take()
            self._before = self._ahead_of_us()
            self._move(seconds)
            shift = self._shift()
        except RolecallError as error:
            return Left(why_not=(f"the clock was not moved: {error}",))
        if abs(shift - seconds) > _SLACK:
            return Left(
                why_not=(
                    (
                        "[expiry] clock_url does not move the target's clock: a new token's iat, "
                        "or the Date, shows that"
                    ),
                )
            )
        return Left(tuple(kept))

    def _take(self) -> tuple[list[Kept], float]:
        """A working token of each role, and the seconds until all of them have certainly expired.

        Raises:
            NoUsers: one cannot be had.
            Unreachable: the target does not answer.
        """
        server, longest, kept = self._server, float(self._server.dialect.lifetime), []
        profile = server.spec.operations["fetch-user-self"]
        for role in server.spec.roles:
            account, token = self._target.accounts[role], str(server.log_in(role)["token"])
            claims = claims_of(token)
            user, server.bearer = user_of(claims), token
            answer = server.ask(profile.method, fill_path(profile.path, {"self": user}), None)
            if answer.status not in profile.success:
                raise NoUsers(f"{account.email}'s own profile was answered {answer.status}")
            kept.append(Kept(role, user, account.email, token))
            longest = max(longest, lifetime(claims) or 0.0)
        server.bearer = ""
        return kept, float(int(longest) + 2 * MARGIN)

    def _ahead_of_us(self) -> float:
        """Seconds by which the target's clock is ahead of our monotonic one.

        Raises:
            NoUsers: nothing shows it.
            Unreachable: the target does not answer.
        """
        account, server = self._target.accounts[self._witness], self._server
        answer = server.issue(account.email, account.password)
        now = time.monotonic()
        content = read_json(answer.body) if 200 <= answer.status < 300 else {}
        issued = (
            numeric_date(claims_of(str(content.get("token"))), "iat")
            if isinstance(content, dict)
            else None
        )
        shown = (
            issued
            if issued is not None
            else http_date((answer.header(b"date") or b"").decode("latin-1"))
        )
        if shown is None:
            raise NoUsers(
                f"{self._target.base_url} shows its time neither in a token's iat nor in a Date"
            )
        return shown - now

    def _shift(self) -> float:
        """By how many seconds the clock has moved, as its time shows.

        Raises:
            RolecallError: as for `_ahead_of_us`.
        """
        assert self._before is not None
        return self._ahead_of_us() - self._before

    def _move(self, seconds: float) -> None:
        """Ask the hook to move the clock; whether it did, its time shows."""
        parts = urlsplit(self._target.expiry.clock_url)
        origin = Origin.of(f"{parts.scheme}://{parts.netloc}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = json.dumps({"advance": seconds}).encode()
        self._ledger.intend(CLOCK, f"{seconds:+.12g} s", at_any_rate=bool(self._moved))
        if not self._moved:
            self._ledger.store()
        if not self._moved:
            self._moved = seconds
            self._say_left("it was not put back")
        connection = WireConnection(
            origin, timeout=self._target.timeout, verify=self._target.transit
        )
        try:
            connection.exchange(
                request(origin, "POST", path, {"content-type": "application/json"}, body)
            )
        except Failure:
            pass  # it may have been carried out
        finally:
            connection.close()

    def _put_back(self) -> None:
        """Give the target its time back; what is not proven to be back is said."""
        why = "its time does not show that it was put back"
        for attempt in range(_ROUNDS if self._moved else 0):
            gevent.sleep(_PAUSE if attempt else 0)
            try:
                shift = self._shift()
                if abs(shift) < _SLACK:
                    self._settle()
                    return
                if abs(shift - self._moved) < _SLACK:
                    self._move(-self._moved)
            except RolecallError as error:
                why = str(error)
        if self._moved:
            self._say_left(why)

    def _say_left(self, why: str) -> None:
        by_hand = (
            f'look at its time, and put it back (POST {{"advance": {-self._moved:.12g}}} to '
            "[expiry] clock_url)"
        )
        self.left_behind = f"the target's clock, moved by {self._moved:.12g} s: {why}; {by_hand}"

    def _settle(self) -> None:
        for entry in self._ledger.doubtful:
            self._ledger.gone(entry)
        self._moved, self.left_behind = 0.0, ""
