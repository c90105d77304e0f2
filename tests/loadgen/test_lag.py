"""What was given on one connection and is used on another one: what lags, what is not shared."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any

import pytest

from rolecall.loadgen import lag as lags
from rolecall.loadgen.client_context import ClientContext, LoadConnection
from rolecall.loadgen.lag import Lag
from rolecall.loadgen.race_scenario import RefreshRaceScenario
from rolecall.loadgen.scenario import RefreshingScenario, Scenario
from rolecall.loadgen.scenarios import (
    IssuanceScenario,
    RefreshPostScenario,
    SessionScenario,
)
from rolecall.loadgen.transport.wire import Response
from tests.loadgen.test_scenarios import context_of, errors
from tests.support.miniatures import Connection, Miniature, Received, json_response, response
from tests.support.token_answers import DAY, USER, claims, document

PATIENCE = 0.5


@dataclass
class Processes:
    """A server that answers each connection by a process of its own, which knows what it gave.

    What the others gave it knows ``lag`` seconds later, or never. Where ``ends`` is set every
    answer is the last on its connection.
    """

    lag: float | None = None
    ends: bool = False
    given: dict[str, tuple[int, float]] = field(default_factory=dict)

    def __call__(self, request: Received, connection: Connection) -> None:
        """Answer a request."""
        if request.path.startswith("/v2/auth/token"):
            presented = request.path.partition("refreshToken=")[2] or json.loads(request.body).get(
                "refreshToken"
            )
            if presented and not self.knows(presented, connection):
                self.answer(connection, response(401))
                return
            now = int(time.time())
            content = document(USER, claims(USER, iat=now, exp=now + DAY))
            for name in ("token", "refreshToken"):
                self.given[content[name]] = connection.number, perf_counter()
            self.answer(connection, json_response(content))
        elif self.knows(request.headers["authorization"].removeprefix("Bearer "), connection):
            self.answer(connection, json_response({"id": USER} if USER in request.path else []))
        else:
            self.answer(connection, response(401))

    def answer(self, connection: Connection, data: bytes) -> None:
        """Send an answer, which says so where it is the last."""
        ending = b"\r\nconnection: close\r\n" if self.ends else b"\r\n"
        connection.send(data.replace(b"\r\n", ending, 1))

    def knows(self, token: str, connection: Connection) -> bool:
        """Whether the process of a connection knows a token."""
        number, at = self.given[token]
        return number == connection.number or (
            self.lag is not None and perf_counter() - at >= self.lag
        )


@contextmanager
def loaded(server: Processes) -> Iterator[tuple[ClientContext, Miniature]]:
    """A context at such a server, which is given half a second to show what it gave."""
    with context_of(server) as (context, miniature):
        context.lag = Lag(PATIENCE)
        yield context, miniature


def taking_turns(context: ClientContext, client: RefreshingScenario, steps: int) -> None:
    """Steps of a session, over two connections in turn, as senders of an open loop take them."""
    connections: list[LoadConnection] = [context.connect(), context.connect()]
    client.use(connections[:1])
    client.prepare()
    for step in range(steps):
        client.use(connections[step % 2 :])
        client.step(perf_counter())


@pytest.mark.parametrize("scenario", [RefreshPostScenario, SessionScenario])
def test_sessions_over_several_connections_wait_for_what_lags(
    scenario: type[RefreshingScenario],
) -> None:
    """A session whose next step comes over another connection is not broken by a lag."""
    with loaded(Processes(lag=0.05)) as (context, _):
        taking_turns(context, scenario(context), 20)

    assert not context.violations.counts
    assert not errors(context)
    assert "not known yet" in context.entries


@pytest.mark.parametrize(
    ("scenario", "kind"), [(RefreshPostScenario, "chain-broken"), (SessionScenario, "token-dead")]
)
def test_sessions_that_one_process_alone_knows_are_broken(
    scenario: type[RefreshingScenario], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not known elsewhere in the end is a violation, as ever."""
    monkeypatch.setattr(lags, "_IN_VAIN", 1)
    with loaded(Processes(lag=None)) as (context, _):
        taking_turns(context, scenario(context), 12)

    assert context.violations.counts[kind]


def with_one_connection(context: ClientContext, client: Scenario, steps: int) -> None:
    """Steps of a client of the closed loop, each second of which is over at once."""
    client.prepare()
    for _ in range(steps):
        context.anew_at = 0.0
        client.step(perf_counter())
    client.close()


@pytest.mark.parametrize(("lag", "kinds"), [(None, {"token-dead"}), (0.05, set())])
def test_a_client_of_the_closed_loop_comes_anew_now_and_then(
    lag: float | None, kinds: set[str]
) -> None:
    """It sends over one connection, whose process may be the only one that knows its tokens: some
    new tokens are tried over a new connection, which takes the place of the old one. All requests
    are counted, and what lags is waited for.
    """
    with loaded(Processes(lag=lag)) as (context, miniature):
        with_one_connection(context, SessionScenario(context), 12)

    assert set(context.violations.counts) == kinds
    assert miniature.connections > 1
    assert context.beside == 0
    samples = context.violations.samples
    assert all("on another connection" in sample.message for sample in samples)


@pytest.mark.parametrize("scenario", [IssuanceScenario, RefreshPostScenario, SessionScenario])
def test_a_connection_that_the_server_ended_is_another_one_next_time(
    scenario: type[Scenario],
) -> None:
    """One client opens it again, and another process may answer: what lags is waited for."""
    with loaded(Processes(lag=0.05, ends=True)) as (context, miniature):
        with_one_connection(context, scenario(context), 12)

    assert not context.violations.counts
    assert not errors(context)
    assert miniature.connections > 12


def test_a_new_connection_is_open_before_anything_is_measured_on_it() -> None:
    """And there is none more often than once a second."""
    with loaded(Processes(lag=0.0)) as (context, miniature):
        client = RefreshPostScenario(context)
        client.prepare()
        opened: list[tuple[float, float]] = []
        plain, call = LoadConnection.open, client.call

        def open_slowly(connection: LoadConnection) -> None:
            plain(connection)
            time.sleep(0.2)

        def noted(*given: Any, **named: Any) -> Any:
            opened.append((given[3], perf_counter()))
            return call(*given, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LoadConnection, "open", open_slowly)
            patch.setattr(client, "call", noted)
            began = perf_counter()
            for _ in range(120):
                client.step(perf_counter())
        client.close()

    assert 2 <= miniature.connections <= 2 + (perf_counter() - began)
    assert all(now - due < 0.1 for due, now in opened)


def test_waits_in_vain_become_short() -> None:
    """Where nothing was ever known late, later waits are short; one that was not in vain tells that
    the server lags.
    """
    lag = Lag(3.0)
    for _ in range(2):
        lag.note(came=False)
    assert lag.seconds == 3.0

    lag.note(came=False)
    assert lag.seconds == 0.3
    lag.note(came=True)
    assert lag.seconds == 3.0


class Excused:
    """A use of a session that something lawful may have ended, or not."""

    def __init__(self, *, may_be_refused: bool) -> None:
        self.may_be_refused = may_be_refused

    def unanswered(self, *, left: bool) -> None:
        """Nothing is noted."""


@pytest.mark.parametrize(
    ("status", "excused", "short"),
    [(401, False, True), (401, True, False), (503, False, False), (429, False, False)],
)
def test_a_wait_that_something_else_ended_was_not_in_vain(
    status: int, *, excused: bool, short: bool
) -> None:
    """A session that may have been ended meanwhile says nothing of a lag, nor does overload."""
    with loaded(Processes()) as (context, _):
        client = SessionScenario(context)
        for _ in range(3):
            client.note_lag(Response(status, b"", b"", True), Excused(may_be_refused=excused))

        assert (context.lag.seconds < PATIENCE) is short


class RacedServer:
    """A server of several processes that tell each other of a use, and of new tokens, late.

    ``uses`` is how often a refresh token is good at the same moment; ``lag`` the seconds after
    which another process knows an access token; ``lost`` whether a token that nobody won is dead.
    """

    def __init__(self, uses: int, *, lag: float = 0.0, lost: bool = False) -> None:
        self.uses, self.lag, self.lost = uses, lag, lost
        self.used: Counter[str] = Counter()
        self.processes = Processes(lag=lag)
        self.lock = Lock()

    def __call__(self, request: Received, connection: Connection) -> None:
        """Answer a request."""
        if not request.path.startswith("/v2/auth/token"):
            self.processes(request, connection)
            return
        token = request.path.partition("refreshToken=")[2] or json.loads(request.body).get(
            "refreshToken", ""
        )
        with self.lock:
            self.used[token] += bool(token)
            count = self.used[token]
        if token and (count > self.uses and not (self.uses == 0 and count > 5 and not self.lost)):
            self.processes.answer(connection, response(401))
            return
        now = int(time.time())
        content = document(USER, claims(USER, iat=now, exp=now + DAY))
        self.processes.given[content["token"]] = connection.number, perf_counter()
        self.processes.answer(connection, json_response(content))


def raced(server: RacedServer, races: int = 2) -> ClientContext:
    """What is found by some races at a server."""
    with context_of(server) as (context, _):
        context.lag = Lag(PATIENCE)
        client = RefreshRaceScenario(context)
        client.prepare()
        for _ in range(races):
            client.step(perf_counter())
        client.close()
    return context


@pytest.mark.parametrize("lag", [0.0, 0.05])
@pytest.mark.parametrize("uses", [1, 2, 5])
def test_a_race_that_two_win_decides_nothing(uses: int, lag: float) -> None:
    """However many win, and however late processes hear of it: who is given tokens can use them,
    and that is all that the specification promises.
    """
    context = raced(RacedServer(uses, lag=lag))

    assert context.violations.total == 0
    assert not errors(context)
    assert [found["kind"] for found in context.violations.advised()] == (
        ["race-mixture"] if uses == 2 else []
    )


@pytest.mark.parametrize("ends", [False, True])
def test_a_winner_whose_token_is_not_known_elsewhere_yet_is_alive(
    ends: bool,
) -> None:
    """Where others were refused it is waited for shortly, and then asked for where the token was
    given; on a connection that was ended nothing is decided.
    """
    server = RacedServer(1, lag=0.4)
    server.processes.ends = ends
    context = raced(server)

    assert context.violations.total == 0
    assert not errors(context)


def test_a_winner_whose_token_works_nowhere_is_dead() -> None:
    """It is refused on the connection on which it was given, too."""
    server = RacedServer(1)
    server.processes.knows = lambda token, connection: False  # type: ignore[method-assign]
    context = raced(server, races=1)

    assert dict(context.violations.counts) == {"race-winner-dead": 1}


@pytest.mark.parametrize("lost", [False, True])
def test_a_race_that_nobody_wins_decides_where_the_token_is_lost(lost: bool) -> None:
    """Where all were refused, a later refresh tells whether the user lost the session."""
    context = raced(RacedServer(0, lost=lost), races=1)

    assert dict(context.violations.counts) == {"race-without-winner" if lost else "race-mixture": 1}
    assert context.violations.total == lost


def test_a_revoked_token_that_is_presented_again_may_end_the_users_sessions() -> None:
    """What is lost after a winner's revoked token was asked for once more is not held against a
    server that takes that for theft, and ends the sessions that were begun meanwhile.
    """
    refreshes = Counter[str]()

    def theft_ends_all(request: Received, connection: Connection) -> None:
        if "auth/token" not in request.path:
            connection.send(json_response({"id": USER}))
            return
        is_refresh = request.method == "GET" or b"refreshToken" in request.body
        refreshes["all"] += is_refresh
        if is_refresh and refreshes["all"] > 1:  # only the first one of all wins
            connection.send(response(401))
            return
        now = int(time.time())
        connection.send(json_response(document(USER, claims(USER, iat=now, exp=now + DAY))))

    with context_of(theft_ends_all) as (context, _):
        client, other = RefreshRaceScenario(context), RefreshRaceScenario(context)
        client.prepare()

        def meanwhile(*, patient: bool) -> Iterator[float]:
            other.prepare()
            yield 0.0

        client._pauses = meanwhile  # type: ignore[method-assign]
        client.step(perf_counter())
        other.step(perf_counter())
        client.close()
        other.close()

    assert not context.violations.counts
