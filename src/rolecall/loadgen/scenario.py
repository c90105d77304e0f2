"""What every client can do, one step at a time; an open schedule or a closed loop paces it.

A step is begun at the moment at which it was due. From then its first request's response time
counts; those that follow it are due when the answer before them has come.

What may have happened to a session, and what is therefore certain, `checks.sessions` keeps account
of: it is told of each log-in and of each refresh when it is sent. A client whose session may have
been ended, or whose token is old, does not count a refusal as an error of the server's: it is a row
of its own, ``session ended``, and the client logs in anew.

What was given on one connection may be unknown on another one for a moment (AMB-17): what is
refused there counts in a row of its own, too, ``not known yet``, and is asked for again (`Lag`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import ClassVar

import gevent

from rolecall.loadgen.checks.races import outcome_of_answer
from rolecall.loadgen.checks.sessions import Path, Refresh, SessionGrant, Use
from rolecall.loadgen.client_context import ClientContext, LoadConnection
from rolecall.loadgen.lag import pauses
from rolecall.loadgen.roster import Login
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.transport.wire import Response
from rolecall.report.load_errors import PAGE

#: Of so many tokens one is tried at once. The others are tried by those who use them.
_TRIED = 50
#: Seconds after which a client comes over a new connection again.
_ANEW = 1.0
#: Seconds that a client waits at most because a 429 said so.
_LONGEST_PAUSE = 60.0
_NEVER_LEFT = frozenset({"refused", "dns", "tls", "files", "ports", "local"})
PROFILE = "fetch-user-self"
_ENDED, _NOT_YET = "session ended", "not known yet"


class Scenario:
    """One client: its connection, and the account and tokens that it holds."""

    name: ClassVar[str]
    #: Whether the client goes on with tokens of its own, and so needs an account of its own.
    holds_session: bool = False

    def __init__(self, context: ClientContext) -> None:
        self.context = context
        self.connection = context.connect()
        self._connections = [self.connection]
        #: Where what is held was given, if that is known, and how many it had opened by then.
        self.given_on: tuple[LoadConnection, int] | None = None
        self._login: Login | None = None  # the account that is held
        #: Seconds to wait before the next step, as a 429 has asked for.
        self.pause = 0.0

    def prepare(self) -> None:
        """Get what the first step needs."""

    @property
    def is_ready(self) -> bool:
        """Whether it has what its first step needs."""
        return True

    def use(self, connections: list[LoadConnection]) -> None:
        """Send over these connections from now on; those that are missing are added to the list."""
        if not connections:
            connections.append(self.context.connect())
        self._connections = connections
        self.connection = connections[0]

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
        connection: LoadConnection | None = None,
    ) -> Response | None:
        """Send a request and count its answer; None without one, and once the run is over.

        Args:
            use: the log-in that the request is, the refresh, or the grant whose token it carries;
                it is told when there is no answer.
        """
        # Longer than 40 lines because every request comes through here, and calls cost time.
        context = self.context
        if context.is_over:
            return None
        entry = context.entries.get(name) or context.entry(method, name)
        connection = connection or self.connection
        context.recorder.begun += 1
        connection.entry, connection.due = entry, due
        try:
            response = connection.exchange(request)
        except Failure as failure:
            connection.failed = True
            sent = 0.0 if failure.kind in _NEVER_LEFT else connection.sent
            self._unanswered(failure.kind, sent, connection)
            if use is not None:
                use.unanswered(left=bool(sent))
            return None
        except BaseException:  # this client is ended, and no fault of the server's
            self._unanswered("withdrawn", connection.sent, connection)
            raise
        if connection.entry is None:  # the end of the run has counted it
            if use is not None:
                use.unanswered(left=True)
            return None
        connection.entry = None
        if response.status in expected:
            entry.success(due, connection.sent, connection.received, len(response.body))
            return response
        if response.status == 429:
            entry.throttled(due, connection.sent, connection.received)
            self.pause = min(response.seconds_to_wait, _LONGEST_PAUSE)
        elif use is not None and (row := self._row_of_refusal(use, response, connection)):
            entry = self.context.entries.get(row) or self.context.entry("any", row)
            entry.success(due, connection.sent, connection.received, len(response.body))
        else:
            entry.failure(kind_of(response), due, connection.sent, connection.received)
        return response

    def _unanswered(self, kind: str, sent: float, connection: LoadConnection) -> None:
        """Count an exchange that got no answer, unless the end of the run has counted it."""
        entry, connection.entry = connection.entry, None
        if entry is not None:
            entry.failure(kind, connection.due, sent, connection.received)

    def _row_of_refusal(self, use: Use, response: Response, connection: LoadConnection) -> str:
        """The row of a refusal that something lawful may explain; empty where nothing does."""
        if response.status not in self._refusals(use):
            return ""
        if use.may_be_refused:
            return _ENDED
        return _NOT_YET if self._is_young(use, connection) else ""

    def _refusals(self, use: Use) -> frozenset[int]:
        """The statuses that say that a token, or a refresh token, is not good any more."""
        return (
            self.context.lost_refresh_token if isinstance(use, Refresh) else self.context.lost_token
        )

    def _is_young(self, use: Use, connection: LoadConnection) -> bool:
        """Whether what is used was given on another connection, a moment ago."""
        grant = use.previous if isinstance(use, Refresh) else use
        return (
            isinstance(grant, SessionGrant)
            and self._is_elsewhere(connection)
            and perf_counter() - grant.asked < self.context.lag.seconds
        )

    def _is_elsewhere(self, connection: LoadConnection) -> bool:
        """Whether this is another connection than the one on which what is held was given: that
        may have been closed since, and opened anew.
        """
        return self.given_on is not None and self.given_on != (connection, connection.opened)

    def read_with(
        self, grant: SessionGrant, operation: str, request: bytes, due: float
    ) -> Response | None:
        """Send a read with a token, and again as long as it is refused as a lag may explain: the
        last answer.
        """
        grant.session.use()
        expected = self.context.spec.operations[operation].success
        response = self.call("GET", operation, request, due, expected, grant)
        waits: Iterator[float] | None = None
        while (
            response is not None
            and response.status not in expected
            and self.is_early(response, grant)
        ):
            waits = waits or pauses()
            gevent.sleep(next(waits))
            response = self.call("GET", operation, request, perf_counter(), expected, grant)
        if waits is not None and response is not None:
            self.note_lag(response, grant)
        return response

    def note_lag(self, response: Response, use: Use) -> None:
        """Note what a wait came to; one that ended since the session may have been ended says
        nothing, nor does an answer of overload.
        """
        outcome = outcome_of_answer(response)
        if outcome == "granted" or (outcome == "refused" and not use.may_be_refused):
            self.context.lag.note(came=outcome == "granted")

    def is_early(self, response: Response, use: Use) -> bool:
        """Whether an answer is a refusal that a lag may explain, and nothing else does."""
        return (
            response.status in self._refusals(use)
            and not use.may_be_refused
            and self._is_young(use, self.connection)
        )

    def log_in(self, due: float, name: str = "issue") -> SessionGrant | None:
        """Log in the account that is held, else the next one."""
        context = self.context
        account, request = self._login or context.logins.turn()
        context.used.add(account.email)
        known = context.invariants.log_in(account) if context.looks else None
        response = self.call("POST", name, request, due, context.dialect.issued, known)
        self.given_on = self.connection, self.connection.opened
        if response is None or known is None:
            return None
        return sound(context.invariants.logged_in(known, response, request))

    def try_now_and_then(
        self, grant: SessionGrant, response: Response | None = None, request: bytes = b""
    ) -> None:
        """Check of some tokens that they work, and for which user; of one that a refresh has just
        given, in this answer, also when it was issued.
        """
        context = self.context
        context.tokens += 1
        if context.tokens % _TRIED == 1:
            if response is not None:
                context.invariants.compare_clocks(grant, response, request)
            if perf_counter() >= context.anew_at:
                self._come_anew()
            self.show_profile(grant, perf_counter())

    def _come_anew(self) -> None:
        """Go on over a new connection, as clients do now and then: another process of the server
        may answer it, and not know the token.

        It takes the place of the old one, so that there are never more than there were; and it is
        open before anything is measured on it. Once a second is enough, and wears out no ports.
        """
        context, old = self.context, self.connection
        context.anew_at = perf_counter() + _ANEW
        old.close()
        new = context.connect()
        new.open()
        self.connection = self._connections[0] = new

    def show_profile(self, grant: SessionGrant, due: float, *, judged: bool = True) -> bool | None:
        """Fetch the profile of the token's user: whether it came; None if nothing is known.

        Args:
            judged: whether a refusal is a violation where nothing explains it.
        """
        request = self.context.read(PROFILE, grant)
        response = self.read_with(grant, PROFILE, request, due)
        if response is None or outcome_of_answer(response) in ("unknown", "throttled"):
            return None
        elsewhere = self._is_elsewhere(self.connection)
        return self.context.invariants.own_profile(
            grant, response, request, judged=judged, elsewhere=elsewhere
        )


class AroundScenario(Scenario):
    """Does something beside any other scenario, which has the connections."""

    @staticmethod
    def get_ready(context: ClientContext) -> None:
        """Prepare what all clients of this process share."""

    def __init__(self, context: ClientContext, inner: Scenario) -> None:
        super().__init__(context)
        self.inner = inner
        self.holds_session = inner.holds_session

    @property
    def is_ready(self) -> bool:
        """As the other scenario has it."""
        return self.inner.is_ready

    def use(self, connections: list[LoadConnection]) -> None:
        """Send over these connections from now on, the other scenario too."""
        super().use(connections)
        self.inner.use(connections)

    def prepare(self) -> None:
        """As the other scenario has it."""
        self.inner.prepare()

    def step(self, due: float) -> None:
        """A step of the other scenario."""
        self.inner.step(due)
        self.pause = self.inner.pause

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self.inner.close()


class RefreshingScenario(Scenario):
    """A client that holds a session, with an account of its own where there are enough."""

    holds_session = True

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        self.grant: SessionGrant | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a session to go on with."""
        return self.grant is not None

    def prepare(self) -> None:
        """Log in, beside the load."""
        self._begin(perf_counter(), "issue (beforehand)")

    def step(self, due: float) -> None:
        """Go on with what is held; a client that lost it logs in, and that is the step."""
        grant = self.grant
        if grant is None:
            self._begin(due, "issue (anew)")
        else:
            self.context.used.add(grant.account.email)
            self.go_on(grant, due)

    def _begin(self, due: float, name: str) -> None:
        """Log in the account that was free for longest: nothing of it is under way any more."""
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
        context, waits = self.context, None
        request = context.refresh_get(grant) if path == "GET" else context.refresh_post(grant)
        name, expected = f"refresh-{path.lower()}", context.dialect.refreshed
        refresh = context.invariants.refresh(grant, path)
        response = self.call(path, name, request, due, expected, refresh)
        while (
            response is not None
            and response.status not in expected
            and self.is_early(response, refresh)
        ):
            refresh.unanswered(left=False)  # refused, it did nothing: this one is as the first
            waits = waits or pauses()
            gevent.sleep(next(waits))
            refresh = context.invariants.refresh(grant, path)
            response = self.call(path, name, request, perf_counter(), expected, refresh)
        if response is None:
            self.grant = grant if refresh.is_undone else None
            return
        if waits is not None:
            self.note_lag(response, refresh)
        given = context.invariants.refreshed(refresh, response, request)
        if outcome_of_answer(response) in ("granted", "refused"):
            self.grant = sound(given)
            self.given_on = self.connection, self.connection.opened
            if self.grant is not None:
                self.try_now_and_then(self.grant, response, request)


def sound(grant: SessionGrant | None) -> SessionGrant | None:
    """The grant, unless something was wrong with it: then it may be another user's."""
    return grant if grant is not None and grant.sound else None


def kind_of(response: Response) -> str:
    """The kind of an error in ``load.json``: the status, and whether a web page came with it."""
    is_page = response.is_foreign and not 300 <= response.status < 400
    return f"{response.status}{PAGE}" if is_page else str(response.status)
