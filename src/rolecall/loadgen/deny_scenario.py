"""Time to deny: how long a revoked credential goes on being let in, under any other load.

Beside the load, a few credentials at a time are made, shown on several connections, revoked, and
shown on until each connection refuses them and stays with that (`checks.denials`). What is made for
it, and asked of it, is in no figure of the load (`ClientContext.beside`).

Only the end of an access token is written in the specification: who lets one in that is past it by
more than clocks may differ breaks EXPIRY-403. All else is observed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from random import random
from time import perf_counter

import gevent
from gevent.event import Event

from rolecall.loadgen.administrator import Administrator, NeverWatchable, Unwatchable, administrator
from rolecall.loadgen.checks.denials import KINDS, Sighting, Watch
from rolecall.loadgen.checks.expired import MARGIN
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.revocable import Credential, Revocable
from rolecall.loadgen.scenario import AroundScenario
from rolecall.loadgen.transport.client import WireConnection

#: Connections on which a credential is shown, and those of them that are opened only when it has
#: been revoked: a load balancer may lead these elsewhere.
CONNECTIONS, _FRESH = 8, 2
#: Credentials that are watched at a time, and how often in a row one of a kind may fail.
_AT_ONCE, _FAILURES = 3, 3
#: Seconds until another one is tried.
_REST = 0.5
#: Seconds that a credential may take to be let in on all connections, and is shown for before it is
#: revoked: at the least, and by chance, so that caches are met at any age.
_WARMING, _SHOWN, _CHANCE = 3.0, 0.3, 1.0
#: Seconds after its end for which a token is shown that is let in: one connection or another asks
#: after the margin.
_PAST_THE_END = MARGIN + 8.0
#: Seconds for those under way when the load is over.
_GRACE = 12.0


class Revocations:
    """The credentials that one process watches.

    Args:
        kinds: what is revoked, in turn.
    """

    def __init__(self, context: ClientContext, kinds: Iterable[str] = KINDS) -> None:
        self._context = context
        self._bound = context.deny_within
        self._admin: Administrator | None = None
        self._kinds = deque(kinds)
        self._failures: Counter[str] = Counter()
        self._workers: list[gevent.Greenlet[[Administrator], None]] = []
        self._under_way: list[Revocable] = []
        self._is_over = False
        self._left: list[str] = []
        self._broken: Exception | None = None

    def prepare(self) -> None:
        """Find out who can make credentials here."""
        connection = self._context.connect()
        try:
            admin = administrator(self._context)
            admin.look_up_organization(connection)
            self._admin = admin
        except Unwatchable as why:
            for kind in self._kinds:
                self._context.denials.not_watched(kind, str(why))
        finally:
            connection.close()

    def go_on(self) -> None:
        """Watch credentials in the background, until the load is over."""
        if self._admin is None or self._workers or self._context.is_over:
            return
        self._is_over = False
        self._workers = [gevent.spawn(self._work, self._admin) for _ in range(_AT_ONCE)]

    def close(self) -> list[str]:
        """Bring what is under way to its end; returns what is left at the target.

        Raises:
            Exception: what one of them broke with.
        """
        self._is_over = True
        gevent.joinall(self._workers, timeout=_GRACE)
        gevent.killall(self._workers)
        self._workers = []
        left, self._left = self._left, []
        for revocable in self._under_way:  # those that were killed
            left += revocable.clear()
        self._under_way = []
        broken, self._broken = self._broken, None
        if broken:
            raise broken
        return left

    @property
    def _has_to_end(self) -> bool:
        return self._is_over or self._context.is_over

    def _work(self, admin: Administrator) -> None:
        """Watch one credential after the other, of each kind in turn."""
        while self._kinds and not self._has_to_end:
            kind = self._kinds.popleft()
            try:
                self._try(Revocable(admin), kind)
            except Exception as error:  # noqa: BLE001  # gevent would print it
                self._broken = error
                self._is_over = True
            if self._failures[kind] < _FAILURES:
                self._kinds.append(kind)

    def _try(self, revocable: Revocable, kind: str) -> None:
        """Watch a credential if that is possible, and clear away what was made for it."""
        self._under_way.append(revocable)
        try:
            self._watch(revocable, kind)
            self._failures[kind] = 0
        except Unwatchable as why:
            is_final = isinstance(why, NeverWatchable)
            self._failures[kind] += _FAILURES if is_final else 1
            self._context.denials.not_watched(kind, str(why))
            gevent.sleep(0 if is_final else _REST)
        finally:
            self._left += revocable.clear()
            self._under_way.remove(revocable)

    def _watch(self, revocable: Revocable, kind: str) -> None:
        """Make a credential, show it, revoke it, and count what became of it."""
        credential = revocable.make(kind)
        longest = _PAST_THE_END if credential.ends else 0.0
        watch = Watch(CONNECTIONS, self._bound, perf_counter(), longest)
        showing = _Showing(self._context, watch, credential, lambda: self._has_to_end)
        try:
            if not showing.until_revoked():
                if self._has_to_end:
                    return
                raise Unwatchable("it is not let in beforehand")
            gevent.joinall(showing.greenlets, raise_error=True)
        finally:
            gevent.killall(showing.greenlets)
        denial = watch.denial(perf_counter())
        if denial.outcome == "late" and not credential.is_revoked():
            raise Unwatchable("the target answers that it is revoked, and shows that it is not")
        self._context.denials.add(kind, denial)


class _Showing:
    """One credential on its connections, each with a greenlet that shows it when that is due."""

    def __init__(
        self,
        context: ClientContext,
        watch: Watch,
        credential: Credential,
        has_to_end: Callable[[], bool],
    ) -> None:
        self.greenlets: list[gevent.Greenlet[[int], None]] = []
        self._context = context
        self._watch = watch
        self._credential = credential
        self._has_to_end = has_to_end
        self._revoked = Event()
        self._is_told = False

    def until_revoked(self) -> bool:
        """Show it until it is revoked; False where it was not let in before, or time was over.

        Raises:
            Unwatchable: it was not revoked.
        """
        credential, watch = self._credential, self._watch
        if credential.ends:
            watch.revoked, watch.off = credential.ends
            self._show(range(CONNECTIONS))
            while perf_counter() < watch.revoked and not self._has_to_end():
                gevent.sleep(0.01)
            return watch.warm == CONNECTIONS
        if credential.is_shown_before:
            self._show(range(CONNECTIONS - _FRESH))
            if not self._is_let_in(CONNECTIONS - _FRESH):
                return False
        watch.revoked = credential.revoke()
        self._revoked.set()
        self._show(range(len(self.greenlets), CONNECTIONS))
        return True

    def _is_let_in(self, connections: int) -> bool:
        """Wait until it is let in on so many connections, and for a while of chance."""
        until = perf_counter() + _WARMING
        while self._watch.warm < connections and perf_counter() < until and not self._has_to_end():
            gevent.sleep(0.01)
        if self._watch.warm < connections or self._has_to_end():
            return False
        gevent.sleep(_SHOWN + _CHANCE * random())  # noqa: S311  # a moment, no secret
        return True

    def _show(self, connections: range) -> None:
        self.greenlets += [gevent.spawn(self._ask_on, number) for number in connections]

    def _ask_on(self, number: int) -> None:
        """Ask on one connection whenever it is due, until enough is known."""
        watch, connection = self._watch, self._context.connect()
        try:
            while not (watch.is_over(perf_counter()) or self._has_to_end()):
                left = watch.due(number) - perf_counter()
                if left > 0 and not self._revoked.is_set():
                    self._revoked.wait(left)
                elif left > 0:
                    gevent.sleep(left)
                else:
                    self._ask(number, connection)
        finally:
            connection.close()

    def _ask(self, number: int, connection: WireConnection) -> None:
        credential, watch = self._credential, self._watch
        answer = self._context.ask(connection, credential.request)
        sight = credential.sight(answer)
        watch.note(Sighting(number, connection.sent, connection.received, sight))
        if (
            credential.ends
            and answer is not None
            and sight == "let in"
            and connection.sent > watch.revoked + MARGIN + watch.off
            and not self._is_told
        ):
            self._is_told = True
            self._context.violations.report(
                "expired-let-in",
                f"a token is let in {connection.sent - watch.revoked:.0f} s past its end",
                credential.request,
                answer,
            )


class TimeToDenyScenario(AroundScenario):
    """Any other scenario, while beside it credentials are revoked, and shown until refused."""

    name = "time-to-deny"

    @staticmethod
    def get_ready(context: ClientContext) -> None:
        """Find out who can make credentials here."""
        context.revocations = Revocations(context)
        context.revocations.prepare()

    def step(self, due: float) -> None:
        """A step of the other scenario, while credentials are watched."""
        if self.context.revocations is not None:
            self.context.revocations.go_on()
        super().step(due)
