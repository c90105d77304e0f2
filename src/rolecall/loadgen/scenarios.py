"""What one client does, one step at a time; who paces the steps, an open schedule or a loop, does
not matter here.

A step is begun at the moment at which it was due. From then its first request's response time
counts; those that follow it are due when the answer before them has come.

What may have happened to a session, and what is therefore certain, `checks.sessions` keeps account
of: it is told of each log-in and of each refresh when it is sent. A client whose session may have
been ended, or whose token is old, does not count a refusal as an error of the server's: it is a row
of its own, ``session ended``, and the client logs in anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import ClassVar

import gevent

from rolecall.loadgen.checks.races import Race, RaceCall, outcome_of
from rolecall.loadgen.checks.sessions import Path, Refresh, SessionGrant, Use
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.roster import Login
from rolecall.loadgen.transport.client import Failure, WireConnection
from rolecall.loadgen.transport.wire import Response

#: Of so many tokens one is tried at once. The others are tried by those who use them.
_TRIED = 50
#: Seconds that a client waits at most because a 429 said so.
_LONGEST_PAUSE = 60.0
_NEVER_LEFT = frozenset({"refused", "dns", "tls", "local"})
_PROFILE = "fetch-user-self"
_ENDED = "session ended"


class Scenario:
    """One client: its connection, and what it holds."""

    name: ClassVar[str]

    def __init__(self, context: ClientContext) -> None:
        self.context = context
        self.connection = context.connect()
        self._login: Login | None = None  # the account that is held
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
        self.let_go()

    def let_go(self) -> None:
        """Give the account back that is held, if there is one."""
        if self._login is not None:
            self.context.logins.give_back(self._login)
            self._login = None

    def call(
        self,
        method: str,
        name: str,
        request: bytes,
        due: float,
        expected: Sequence[int],
        use: Use | None = None,
        connection: WireConnection | None = None,
    ) -> Response | None:
        """Send a request and count its answer; None where there is none, and where the run was over
        before it came.

        Args:
            use: the log-in that the request is, the refresh, or the grant whose token it carries;
                it is told when there is no answer.
        """
        context = self.context
        if context.is_over:
            return None
        entry = context.entries.get(name) or context.entry(method, name)
        connection = connection or self.connection
        under_way = context.under_way
        context.recorder.begun += 1
        under_way[connection] = entry, due
        try:
            response = connection.exchange(request)
        except Failure as failure:
            sent = 0.0 if failure.kind in _NEVER_LEFT else connection.sent
            self._unanswered(failure.kind, sent, connection)
            if use is not None:
                use.unanswered(left=bool(sent))
            return None
        except BaseException:  # this client is ended, and no fault of the server's
            self._unanswered("withdrawn", connection.sent, connection)
            raise
        if under_way.pop(connection, None) is None:  # the end of the run has counted it
            if use is not None:
                use.unanswered(left=True)
            return None
        if response.status in expected:
            entry.success(due, connection.sent, connection.received, len(response.body))
            return response
        if response.status == 429:
            entry.throttled(due, connection.sent, connection.received)
            self.pause = min(response.seconds_to_wait, _LONGEST_PAUSE)
        elif use is not None and use.may_be_refused and response.status in self._refusals(use):
            entry = self.context.entries.get(_ENDED) or self.context.entry("any", _ENDED)
            entry.success(due, connection.sent, connection.received, len(response.body))
        else:
            entry.failure(str(response.status), due, connection.sent, connection.received)
        return response

    def _unanswered(self, kind: str, sent: float, connection: WireConnection) -> None:
        """Count an exchange that got no answer, unless the end of the run has counted it."""
        entry, due = self.context.under_way.pop(connection, (None, 0.0))
        if entry is not None:
            entry.failure(kind, due, sent, connection.received)

    def _refusals(self, use: Use) -> frozenset[int]:
        """The statuses that say that a token, or a refresh token, is not good any more."""
        return (
            self.context.lost_refresh_token if isinstance(use, Refresh) else self.context.lost_token
        )

    def log_in(self, due: float, name: str = "issue") -> SessionGrant | None:
        """Log in the account that is held, else the next one."""
        context = self.context
        account, request = self._login or context.logins.turn()
        known = context.invariants.log_in(account) if context.looks else None
        response = self.call("POST", name, request, due, context.dialect.issued, known)
        if response is None or known is None:
            return None
        return _sound(context.invariants.logged_in(known, response, request))

    def try_now_and_then(self, grant: SessionGrant) -> None:
        """See of some tokens that they work, and as whose."""
        self._tried += 1
        if self._tried % _TRIED == 1:
            self.show_profile(grant, perf_counter())

    def show_profile(self, grant: SessionGrant, due: float, *, judged: bool = True) -> bool | None:
        """Fetch the profile of the token's user: whether it came; None if nothing is known.

        Args:
            judged: whether a refusal is a violation where nothing explains it.
        """
        request = self.context.read(_PROFILE, grant)
        grant.session.use()
        response = self.call(
            "GET", _PROFILE, request, due, self.context.spec.operations[_PROFILE].success, grant
        )
        if response is None or outcome_of(response.status) in ("unknown", "throttled"):
            return None
        return self.context.invariants.own_profile(grant, response, request, judged=judged)


class IssuanceScenario(Scenario):
    """Log-ins, one after the other, of every account in turn."""

    name = "issuance"

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        context.logins.take_turns()

    def step(self, due: float) -> None:
        """Log in."""
        grant = self.log_in(due)
        if grant is not None:
            self.try_now_and_then(grant)


class RefreshingScenario(Scenario):
    """Whoever holds a session, with an account of its own as far as there are enough, and goes on
    with it.
    """

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        self.grant: SessionGrant | None = None

    def prepare(self) -> None:
        """Log in; that is no part of the load."""
        self._begin(perf_counter(), "issue (beforehand)")

    def step(self, due: float) -> None:
        """Go on with what is held; a client that lost it logs in, and that is the step."""
        if self.grant is None:
            self._begin(due, "issue (anew)")
        else:
            self.go_on(self.grant, due)

    def _begin(self, due: float, name: str) -> None:
        """Log in the account that was held by nobody for longest: on the one before, something may
        still be under way.
        """
        self.let_go()
        self._login = self.context.logins.hold()
        self.grant = self.log_in(due, name)

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """One step of a client that holds a session."""
        raise NotImplementedError

    def refresh(self, path: Path, grant: SessionGrant, due: float) -> None:
        """Refresh by GET or by POST.

        Where there is no answer, the client does not know what it holds, and logs in anew. Where
        the server says that it is not up to it (5xx), the client tries again, as clients do;
        whether it may be refused then, `Refresh` knows.
        """
        context = self.context
        request = context.refresh_get(grant) if path == "GET" else context.refresh_post(grant)
        refresh = context.invariants.refresh(grant, path)
        response = self.call(
            path, f"refresh-{path.lower()}", request, due, context.dialect.refreshed, refresh
        )
        if response is None:
            self.grant = grant if refresh.is_undone else None
            return
        given = context.invariants.refreshed(refresh, response, request)
        if outcome_of(response.status) in ("granted", "refused"):
            self.grant = _sound(given)
            if self.grant is not None:
                self.try_now_and_then(self.grant)


class RefreshGetScenario(RefreshingScenario):
    """Chains of refreshes before expiry: each with the tokens that the one before it gave."""

    name = "refresh-get"

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Refresh; by POST if the access token may have expired meanwhile, which is what that is
        for.
        """
        self.refresh("GET" if grant.is_fresh else "POST", grant, due)


class RefreshPostScenario(RefreshingScenario):
    """Chains of refreshes as they are made after expiry."""

    name = "refresh-post"

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Refresh."""
        self.refresh("POST", grant, due)


class SessionScenario(RefreshingScenario):
    """The life of a client: log in, use the token for what its role may read, refresh before it
    ends, go on.
    """

    name = "session"
    #: Reads between two refreshes; a session of 24 hours in a few seconds.
    _READS = 8

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        self._steps = 0

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Read, or refresh by both paths in turn; by POST as soon as the access token may have
        expired.
        """
        self._steps += 1
        refreshes, reads = divmod(self._steps, self._READS + 1)
        if not grant.is_fresh:
            self.refresh("POST", grant, due)
        elif not reads:
            self.refresh("POST" if refreshes % 2 else "GET", grant, due)
        elif reads % 2:
            if self.show_profile(grant, due) is False:
                self.grant = None
        else:
            lists = self.context.lists(grant.account.role)
            self.read(lists[self._steps // 2 % len(lists)] if lists else _PROFILE, grant, due)

    def read(self, operation: str, grant: SessionGrant, due: float) -> None:
        """Read a list that the role may read; a client whose token is not let in any more, and need
        not be, logs in anew.
        """
        context = self.context
        request = context.read(operation, grant)
        grant.session.use()
        response = self.call(
            "GET", operation, request, due, context.spec.operations[operation].success, grant
        )
        if response is None:
            return
        context.allowed(operation, grant, response, request)
        if response.status in context.lost_token and grant.may_be_refused:
            self.grant = None


class RefreshRaceScenario(RefreshingScenario):
    """One session that several clients go on with at the same instant; then it is seen what each of
    them was given.

    The session goes on with what works of that, or with a new log-in.
    """

    name = "refresh-race"

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        self._racers = [self.connection, *(context.connect() for _ in range(context.racers - 1))]
        self._races = 0

    def close(self) -> None:
        """Close all connections."""
        super().close()
        for connection in self._racers:
            connection.close()

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Race once, by both paths in turn; by POST if the access token may have expired meanwhile."""
        context, session = self.context, grant.session
        self._races += 1
        path: Path = "POST" if self._races % 2 or not grant.is_fresh else "GET"
        request = context.refresh_get(grant) if path == "GET" else context.refresh_post(grant)
        certain = grant.is_last and grant.is_refreshable
        session.reuse()
        answers = self._race(grant, path, request, due)
        calls = [
            RaceCall(racer.sent, racer.received, outcome_of(answer.status if answer else None))
            for racer, (_, answer) in zip(self._racers, answers, strict=True)
        ]
        outcomes = {call.outcome for call in calls}
        session.reused(
            answered="unknown" not in outcomes,
            refused=path == "POST" and {"granted", "refused"} <= outcomes,
        )
        certain = certain and grant.is_refreshable and (path == "POST" or grant.is_fresh)
        given = [
            context.invariants.refreshed(refresh, answer, request, judged=False) if answer else None
            for refresh, answer in answers
        ]
        works, refreshes = self._look_at(given)
        calls = [
            replace(
                call,
                user=winner.user,
                token_works=works[winner.token],
                refresh_token_works=refreshes[winner.refresh_token],
            )
            if winner is not None
            else call
            for call, winner in zip(calls, given, strict=True)
        ]
        certain = (
            certain and not session.is_ended(access=False) and not session.is_ended(access=True)
        )
        context.races.judge(Race(grant.user, tuple(calls), path, certain))

    def _race(
        self, grant: SessionGrant, path: Path, request: bytes, due: float
    ) -> list[tuple[Refresh, Response | None]]:
        """Let all present the refresh token at once: what came of each."""
        context, name = self.context, f"refresh-race-{path.lower()}"
        expected = (*context.dialect.refreshed, *context.dialect.refused)
        refreshes = [context.invariants.refresh(grant, path, racing=True) for _ in self._racers]
        runners = [
            gevent.spawn(self.call, path, name, request, due, expected, refresh, racer)
            for refresh, racer in zip(refreshes, self._racers, strict=True)
        ]
        gevent.joinall(runners)
        return [(refresh, runner.get()) for refresh, runner in zip(refreshes, runners, strict=True)]

    def _look_at(
        self, given: Sequence[SessionGrant | None]
    ) -> tuple[dict[str, bool | None], dict[str, bool | None]]:
        """Which of the access tokens and which of the refresh tokens work that the winners were
        given.

        First the access tokens: a refresh may revoke those of the session. The session goes on with
        what the last one gave.
        """
        works: dict[str, bool | None] = {}
        refreshes: dict[str, bool | None] = {}
        winners = [grant for grant in given if grant is not None]
        for winner in winners:
            works[winner.token] = self.show_profile(winner, perf_counter(), judged=False)
            if works[winner.token] is False and not winner.is_fresh:
                works[winner.token] = None
        self.grant = None
        for winner in winners:
            if winner.refresh_token not in refreshes:
                refreshes[winner.refresh_token] = self._try(winner)
        return works, refreshes

    def _try(self, given: SessionGrant) -> bool | None:
        """Go on with what a winner was given: whether that works; None if nobody knows."""
        context = self.context
        request = context.refresh_post(given)
        refresh = context.invariants.refresh(given, "POST")
        # A refusal is no error: who takes a second use for theft ends the whole token family.
        expected = (*context.dialect.refreshed, *context.dialect.refused)
        response = self.call(
            "POST", "refresh-post (after a race)", request, perf_counter(), expected, refresh
        )
        after = (
            context.invariants.refreshed(refresh, response, request, judged=False)
            if response is not None
            else None
        )
        self.grant = _sound(after)
        outcome = outcome_of(response.status if response else None)
        return None if outcome in ("unknown", "throttled") else outcome == "granted"


class GuardedScenario(Scenario):
    """Any other scenario, while now and then a cell of the permission table is tried."""

    name = "guarded"
    #: Of so many steps one is a cell.
    _ONE_IN = 5

    def __init__(self, context: ClientContext, inner: Scenario) -> None:
        super().__init__(context)
        self._inner = inner
        self._steps = 0

    def prepare(self) -> None:
        """As the other scenario has it."""
        self._inner.prepare()

    def step(self, due: float) -> None:
        """A step of the other scenario, or a cell."""
        self._steps += 1
        if self._steps % self._ONE_IN:
            self._inner.step(due)
            self.pause = self._inner.pause
            return
        probe = self.context.sampling.next()
        while probe is not None:
            answer = self.call("any", probe.row, probe.request, due, probe.expected, probe.use)
            due = perf_counter()
            probe = self.context.sampling.look(probe, answer) if answer is not None else None

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._inner.close()


def _sound(grant: SessionGrant | None) -> SessionGrant | None:
    """What one can go on with: not with what may be another user's."""
    return grant if grant is not None and grant.sound else None


SCENARIOS: Mapping[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        IssuanceScenario,
        RefreshGetScenario,
        RefreshPostScenario,
        RefreshRaceScenario,
        SessionScenario,
    )
}
MIXED = "mixed"
NAMES = (*SCENARIOS, GuardedScenario.name, MIXED)
#: What ``mixed`` is made of by default: a service whose clients come, read, and refresh as
#: often as they need to.
USUAL_WEIGHTS = {"issuance": 1, "refresh-get": 2, "refresh-post": 1, "session": 6}


def user_class_name(scenario: str) -> str:
    """The name of a scenario's user class in the locustfile: ``refresh-get`` is RefreshGet."""
    return scenario.title().replace("-", "")


def describe(scenario: str) -> str:
    """What a scenario does, in a sentence."""
    if scenario == MIXED:
        return "Clients of several scenarios, by --weights."
    kind = GuardedScenario if scenario == GuardedScenario.name else SCENARIOS[scenario]
    return kind.__doc__ or ""


def maker(
    name: str,
    context: ClientContext,
    weights: Mapping[str, int],
    guarding: str = IssuanceScenario.name,
) -> Callable[[], Scenario]:
    """What makes the clients of a scenario; those of ``mixed`` are shared out by weight, evenly.

    That of ``guarded`` finds out first which cells can be tried, which takes some seconds.
    """
    if name == GuardedScenario.name:
        _ = context.sampling
        inner = maker(guarding, context, weights)
        return lambda: GuardedScenario(context, inner())
    if name != MIXED:
        return lambda: SCENARIOS[name](context)
    total = sum(weights.values())
    owed = dict.fromkeys(weights, 0)

    def make() -> Scenario:
        for scenario, weight in weights.items():
            owed[scenario] += weight
        most = max(owed, key=lambda scenario: owed[scenario])
        owed[most] -= total
        return SCENARIOS[most](context)

    return make
