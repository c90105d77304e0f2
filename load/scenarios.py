"""What one client does, one step at a time; who paces the steps, an open schedule or a loop, does not matter here.

A step is begun at the moment at which it was due. From then its first request's response time counts; those that follow it are due
when the answer before them has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import ClassVar

import gevent

from rolecall.load.checks.families import Call, Family, outcome_of
from rolecall.load.checks.invariants import Grant
from rolecall.load.site import Site
from rolecall.load.transport.client import Connection, Failure
from rolecall.load.transport.wire import Response

#: Of so many tokens one is tried at once. The others are tried by those who use them.
_TRIED = 50
#: Seconds that a client waits at most because a 429 said so.
_LONGEST_PAUSE = 60.0
_NEVER_LEFT = frozenset({"refused", "dns", "tls", "local"})
_PROFILE = "fetch-user-self"


class Scenario:
    """One client: its connection, and what it holds."""

    name: ClassVar[str]

    def __init__(self, site: Site) -> None:
        self.site = site
        self.connection = site.connect()
        #: Seconds to wait before the next step, as a 429 has asked for.
        self.pause = 0.0
        self._tried = 0

    def prepare(self) -> None:
        """Get what the first step needs."""

    def step(self, due: float) -> None:
        """Do one thing that was due at this moment (seconds of `time.perf_counter`)."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what is open."""
        self.connection.close()

    def call(
        self,
        method: str,
        name: str,
        request: bytes,
        due: float,
        expected: Sequence[int],
        connection: Connection | None = None,
    ) -> Response | None:
        """Send a request and count its answer; None where there is none, and where the run was over before it came."""
        site = self.site
        if site.is_over:
            return None
        entry = site.entries.get(name) or site.entry(method, name)
        connection = connection or self.connection
        site.recorder.begun += 1
        under_way = site.under_way
        under_way[connection] = entry, due
        try:
            response = connection.exchange(request)
        except Failure as failure:
            if under_way.pop(connection, None):  # else it is counted already
                sent = 0.0 if failure.kind in _NEVER_LEFT else connection.sent
                entry.failure(failure.kind, due, sent, connection.received)
            return None
        except BaseException:  # this client is ended, and no fault of the server's
            if under_way.pop(connection, None):
                entry.failure("withdrawn", due, connection.sent, connection.received)
            raise
        if not under_way.pop(connection, None):
            return None
        if response.status in expected:
            entry.success(due, connection.sent, connection.received, len(response.body))
            return response
        if response.status == 429:
            entry.throttled(due, connection.sent, connection.received)
            self.pause = retry_after(response)
            return response
        entry.failure(str(response.status), due, connection.sent, connection.received)
        return response

    def log_in(self, due: float, name: str = "issue") -> Grant | None:
        """Log in the next account."""
        site = self.site
        account, request = next(site.logins)
        response = self.call("POST", name, request, due, site.dialect.issued)
        if response is None or not site.looks:
            return None
        return _sound(site.invariants.grant(account, response, request))

    def try_now_and_then(self, grant: Grant) -> None:
        """See of some tokens that they work, and as whose."""
        self._tried += 1
        if self._tried % _TRIED == 1:
            self.show_profile(grant, perf_counter())

    def show_profile(self, grant: Grant, due: float, *, certain: bool = True) -> bool | None:
        """Fetch the profile of the token's user: whether it came; None if nothing is known."""
        request = self.site.read(_PROFILE, grant)
        response = self.call("GET", _PROFILE, request, due, self.site.spec.operations[_PROFILE].success)
        if response is None or outcome_of(response.status) in ("unknown", "throttled"):
            return None
        return self.site.invariants.own_profile(grant, response, request, certain=certain)


class Issuance(Scenario):
    """Log-ins, one after the other, of every account in turn."""

    name = "issuance"

    def step(self, due: float) -> None:
        """Log in."""
        grant = self.log_in(due)
        if grant is not None:
            self.try_now_and_then(grant)


class Refreshing(Scenario):
    """Whoever holds a session, and goes on with it."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.grant: Grant | None = None
        self._is_certain = True

    def prepare(self) -> None:
        """Log in; that is no part of the load."""
        self.grant = self.log_in(perf_counter(), "issue (beforehand)")

    def step(self, due: float) -> None:
        """Go on with what is held; a client that lost it logs in, and that is the step."""
        if self.grant is None:
            self.grant = self.log_in(due, "issue (anew)")
            self._is_certain = True
        else:
            self.go_on(self.grant, due)

    def go_on(self, grant: Grant, due: float) -> None:
        """One step of a client that holds a session."""
        raise NotImplementedError

    def refresh(self, method: str, grant: Grant, due: float) -> None:
        """Refresh by GET or by POST. One without an answer may have been carried out, so the next may rightly be refused."""
        site = self.site
        request = site.refresh_get(grant) if method == "GET" else site.refresh_post(grant)
        response = self.call(method, f"refresh-{method.lower()}", request, due, site.dialect.refreshed)
        outcome = outcome_of(response.status if response else None)
        if response is None or outcome == "unknown":
            self._is_certain = False
        elif outcome != "throttled" and site.looks:
            self.grant = _sound(site.invariants.grant(grant.account, response, request, grant, certain=self._is_certain))
            self._is_certain = True
            if self.grant is not None:
                self.try_now_and_then(self.grant)


class RefreshGet(Refreshing):
    """Chains of refreshes before expiry: each with the tokens that the one before it gave."""

    name = "refresh-get"

    def go_on(self, grant: Grant, due: float) -> None:
        """Refresh."""
        self.refresh("GET", grant, due)


class RefreshPost(Refreshing):
    """Chains of refreshes as they are made after expiry."""

    name = "refresh-post"

    def go_on(self, grant: Grant, due: float) -> None:
        """Refresh."""
        self.refresh("POST", grant, due)


class Session(Refreshing):
    """The life of a client: log in, use the token for what its role may read, refresh before it ends, go on."""

    name = "session"
    #: Reads between two refreshes; a session of 24 hours in a few seconds.
    _READS = 8

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._steps = 0

    def go_on(self, grant: Grant, due: float) -> None:
        """Read, or refresh by both paths in turn."""
        self._steps += 1
        refreshes, reads = divmod(self._steps, self._READS + 1)
        if not reads:
            self.refresh("POST" if refreshes % 2 else "GET", grant, due)
        elif reads % 2:
            if self.show_profile(grant, due) is False:
                self.grant = None
        else:
            lists = self.site.lists(grant.account.role)
            self.read(lists[self._steps // 2 % len(lists)] if lists else _PROFILE, grant, due)

    def read(self, operation: str, grant: Grant, due: float) -> None:
        """Read a list that the role may read."""
        site = self.site
        request = site.read(operation, grant)
        response = self.call("GET", operation, request, due, site.spec.operations[operation].success)
        if response is not None:
            site.allowed(operation, grant, response, request)


class RefreshRace(Refreshing):
    """One session that several clients go on with at the same instant; then it is seen what each of them was given.

    The session goes on with what works of that, or with a new log-in.
    """

    name = "refresh-race"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._racers = [self.connection, *(site.connect() for _ in range(site.racers - 1))]
        self._races = 0

    def close(self) -> None:
        """Close all connections."""
        for connection in self._racers:
            connection.close()

    def go_on(self, grant: Grant, due: float) -> None:
        """Race once, by both paths in turn."""
        site = self.site
        self._races += 1
        method = "POST" if self._races % 2 else "GET"
        request = site.refresh_get(grant) if method == "GET" else site.refresh_post(grant)
        name, expected = f"refresh-race-{method.lower()}", (*site.dialect.refreshed, *site.dialect.refused)
        runners = [gevent.spawn(self.call, method, name, request, due, expected, racer) for racer in self._racers]
        gevent.joinall(runners)
        self.grant = None
        calls = []
        tried: dict[str, bool | None] = {}
        for racer, runner in zip(self._racers, runners, strict=True):
            response = runner.get()
            call = Call(racer.sent, racer.received, outcome_of(response.status if response else None))
            given = site.invariants.grant(grant.account, response, request, grant, certain=False) if response else None
            if call.outcome == "granted" and given is not None:
                works = self.show_profile(given, perf_counter(), certain=False)
                if given.refresh_token not in tried:
                    tried[given.refresh_token] = self._try(given)
                call = Call(call.invoked, call.returned, "granted", given.user, works, tried[given.refresh_token])
            calls.append(call)
        site.races.judge(Family(grant.user, tuple(calls)))

    def _try(self, given: Grant) -> bool | None:
        """Go on with what a winner was given: whether that works; None if nobody knows."""
        site = self.site
        request = site.refresh_post(given)
        # A refusal is no error: who takes a second use for theft ends the whole family.
        expected = (*site.dialect.refreshed, *site.dialect.refused)
        response = self.call("POST", "refresh-post (after a race)", request, perf_counter(), expected)
        outcome = outcome_of(response.status if response else None)
        if response is None or outcome in ("unknown", "throttled"):
            return None
        after = site.invariants.grant(given.account, response, request, given, certain=False)
        self.grant = self.grant or _sound(after)
        return outcome == "granted"


class Guarded(Scenario):
    """Any other scenario, while now and then a cell of the permission table is tried."""

    name = "guarded"
    #: Of so many steps one is a cell.
    _ONE_IN = 10

    def __init__(self, site: Site, inner: Scenario) -> None:
        super().__init__(site)
        self._inner = inner
        self._steps = 0

    def prepare(self) -> None:
        """Find out which cells can be tried, if nobody has yet."""
        _ = self.site.sampling
        self._inner.prepare()

    def step(self, due: float) -> None:
        """A step of the other scenario, or a cell."""
        self._steps += 1
        if self._steps % self._ONE_IN:
            self._inner.step(due)
            self.pause = self._inner.pause
            return
        probe = self.site.sampling.next()
        while probe is not None:
            name = "cells allowed" if probe.cell.allowed else "cells denied"  # two rows, not one for each of the table's
            answer = self.call("any", name, probe.request, due, probe.expected)
            due = perf_counter()
            probe = self.site.sampling.look(probe, answer) if answer is not None else None

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._inner.close()


def _sound(grant: Grant | None) -> Grant | None:
    """What one can go on with: not with what may be another user's."""
    return grant if grant is not None and grant.sound else None


SCENARIOS: Mapping[str, type[Scenario]] = {it.name: it for it in (Issuance, RefreshGet, RefreshPost, RefreshRace, Session)}
MIXED = "mixed"
NAMES = (*SCENARIOS, Guarded.name, MIXED)
#: What ``mixed`` is made of when nobody says: a service whose clients come, read, and refresh as often as they need to.
USUAL_WEIGHTS = {"issuance": 1, "refresh-get": 2, "refresh-post": 1, "session": 6}


def maker(name: str, site: Site, weights: Mapping[str, int], guarding: str = Issuance.name) -> Callable[[], Scenario]:
    """What makes the clients of a scenario; those of ``mixed`` are shared out by weight, evenly."""
    if name == Guarded.name:
        inner = maker(guarding, site, weights)
        return lambda: Guarded(site, inner())
    if name != MIXED:
        return lambda: SCENARIOS[name](site)
    total = sum(weights.values())
    owed = dict.fromkeys(weights, 0)

    def make() -> Scenario:
        for each, weight in weights.items():
            owed[each] += weight
        most = max(owed, key=lambda each: owed[each])
        owed[most] -= total
        return SCENARIOS[most](site)

    return make


def retry_after(response: Response) -> float:
    """Seconds that a 429 asks to wait (RFC 9110 10.2.3), one if it does not say; at most a minute."""
    value = response.header(b"retry-after") or b""
    return min(float(value), _LONGEST_PAUSE) if value.isdigit() else 1.0
