"""What one client does, one step at a time; who paces the steps, an open schedule or a loop, does not matter here.

A step is begun at the moment at which it was due. From then its first request's response time counts; those that follow it are due
when the answer before them has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import ClassVar

from rolecall.load.client import Failure
from rolecall.load.invariants import Grant
from rolecall.load.site import Site
from rolecall.load.wire import Response

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

    def call(self, method: str, name: str, request: bytes, due: float, expected: Sequence[int]) -> Response | None:
        """Send a request and count its answer; None where there is no answer, or one that says to come again later."""
        entry, connection = self.site.entry(method, name), self.connection
        try:
            response = connection.exchange(request)
        except Failure as failure:
            sent = 0.0 if failure.kind in _NEVER_LEFT else connection.sent
            entry.failure(failure.kind, due, sent, connection.received)
            return None
        if response.status in expected:
            entry.success(due, connection.sent, connection.received, len(response.body))
            return response
        if response.status == 429:
            entry.throttled(due, connection.sent, connection.received)
            self.pause = retry_after(response)
            return None
        entry.failure(str(response.status), due, connection.sent, connection.received)
        return response

    def log_in(self, due: float, name: str = "issue") -> Grant | None:
        """Log in the next account."""
        site = self.site
        account = site.next_account()
        request = site.issue(account)
        response = self.call("POST", name, request, due, site.dialect.issued)
        if response is None or not site.looks:
            return None
        return site.invariants.grant(account, response, request)

    def try_now_and_then(self, grant: Grant) -> None:
        """See of some tokens that they work, and as whose."""
        self._tried += 1
        if self._tried % _TRIED == 1:
            self.show_profile(grant, perf_counter())

    def show_profile(self, grant: Grant, due: float) -> bool | None:
        """Fetch the profile of the token's user: whether it came; None if nothing is known."""
        request = self.site.read(_PROFILE, grant)
        response = self.call("GET", _PROFILE, request, due, self.site.spec.operations[_PROFILE].success)
        return None if response is None else self.site.invariants.own_profile(grant, response, request)


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
        if response is None or response.status >= 500:
            self._is_certain = False
            return
        self.grant = site.invariants.grant(grant.account, response, request, grant, certain=self._is_certain)
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


SCENARIOS: Mapping[str, type[Scenario]] = {it.name: it for it in (Issuance, RefreshGet, RefreshPost, Session)}
MIXED = "mixed"
NAMES = (*SCENARIOS, MIXED)
#: What ``mixed`` is made of when nobody says: a service whose clients come, read, and refresh as often as they need to.
USUAL_WEIGHTS = {"issuance": 1, "refresh-get": 2, "refresh-post": 1, "session": 6}


def maker(name: str, site: Site, weights: Mapping[str, int]) -> Callable[[], Scenario]:
    """What makes the clients of a scenario; those of ``mixed`` are shared out by weight, evenly."""
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
