"""The open loop sends every arrival when it is due, and counts it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from types import SimpleNamespace
from typing import Any, ClassVar

import gevent
import pytest

from rolecall.loadgen import open_loop
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.open_loop import OpenLoop
from rolecall.loadgen.schedule import Schedule


class Client:
    """A client whose steps take their time, and whose response time is measured as that of any
    other.
    """

    holds_session = False
    is_ready = True

    def __init__(self, seconds: float, log: list[tuple[float, float]], recorder: Recorder) -> None:
        self._seconds = seconds
        self._log = log
        self._entry = recorder.entry("GET", "step")
        self.is_open = True

    def prepare(self) -> None:
        """Nothing."""

    def use(self, connections: list[Any]) -> None:
        """It needs none, and leaves its own as a mark of who lent them."""
        if not connections:
            connections.append(SimpleNamespace(close=lambda: None, failed=False))

    def step(self, due: float) -> None:
        """Wait, and note."""
        sent = perf_counter()
        self._log.append((due, sent))
        if self._seconds:
            gevent.sleep(self._seconds)
        self._entry.success(due, sent, perf_counter(), 0)

    def close(self) -> None:
        """It is closed."""
        self.is_open = False


class Breaking(Client):
    """A client with a mistake in it."""

    def step(self, due: float) -> None:
        """Break."""
        raise KeyError(due)


class Run:
    """A schedule sent by an open_loop."""

    def __init__(
        self,
        rate: float,
        seconds: float,
        step: float,
        *,
        most: int = 100,
        kind: type[Client] = Client,
        **options: Any,
    ) -> None:
        self.log: list[tuple[float, float]] = []
        self.recorder = Recorder(perf_counter() + 0.05)
        self.clients: list[Client] = []
        self.open_loop = OpenLoop(
            self._make(kind, step),
            most=most,
            patience=options.pop("patience", 10.0),
            think=options.pop("think", None),
        )
        self.times = Schedule.parse(str(rate), seconds).due(0, 1)
        self.options: dict[str, Any] = {"grace": 10.0} | options

    def _make(self, kind: type[Client], step: float) -> Callable[[], Any]:
        def make() -> Client:
            self.clients.append(kind(step, self.log, self.recorder))
            return self.clients[-1]

        return make

    def __call__(self) -> dict[str, Any]:
        """To its end: what load.json would say."""
        self.open_loop.run(self.recorder, self.times, **self.options)
        totals = Totals()
        totals.merge("one", self.recorder.take())
        accounts = totals.accounts()
        assert accounts.scheduled == accounts.sent + accounts.dropped
        assert accounts.sent == accounts.completed + accounts.unanswered
        return {**totals.document(), "unanswered": accounts.unanswered}


def test_everybody_is_sent_when_due() -> None:
    """Long steps do not delay arrivals: each is sent when due, by as many clients as needed."""
    run = Run(100, 0.5, step=0.3)

    said = run()

    assert (said["scheduled"], said["sent"], said["completed"], said["dropped"]) == (50, 50, 50, 0)
    assert [round((due - run.recorder.start) * 100) for due, _ in run.log] == list(range(50))
    assert all(sent >= due for due, sent in run.log)
    assert 25 <= len(run.clients) <= 50  # 0.3 s at 100/s


def test_clients_made_beforehand_are_used() -> None:
    """Those that are there are sent before others are made."""
    run = Run(100, 0.2, step=0.0)
    run.open_loop.provide(5)

    run()

    assert len(run.clients) == 5


class Holder(Client):
    """A client that holds a session; it notes who takes each step, and over what."""

    holds_session = True
    turns: ClassVar[list[tuple[int, int]]] = []

    def use(self, connections: list[Any]) -> None:
        """Note the connection."""
        super().use(connections)
        self._over = id(connections[0])

    def step(self, due: float) -> None:
        """Note whose turn it is."""
        self.turns.append((id(self), self._over))
        super().step(due)


@pytest.mark.parametrize(("warm", "used"), [(1.0, 16), (0.0, 1)])
def test_some_connections_take_turns(
    warm: float, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate that one connection carries, 16 of 40 send in turn, so that each process of a
    server is reached; where they would idle, one alone does.
    """
    monkeypatch.setattr(open_loop, "_WARM", warm)
    Holder.turns = []
    run = Run(200, 0.32, step=0.0, kind=Holder)
    run.open_loop.provide(40)

    run()

    over = Counter(connection for _, connection in Holder.turns)
    assert (len(over), set(over.values())) == (used, {64 // used})


def test_sessions_take_turns() -> None:
    """At a rate that one connection carries, each of 12 sessions takes every twelfth step: the
    figures are not those of one account.
    """
    Holder.turns = []
    run = Run(100, 0.36, step=0.0, kind=Holder)
    run.open_loop.provide(4, sessions=12)

    run()

    first = [client for client, _ in Holder.turns[:12]]
    assert len(set(first)) == len(run.clients) == 12
    assert [client for client, _ in Holder.turns] == 3 * first
    assert len({connection for _, connection in Holder.turns}) <= 4


class Refused(Holder):
    """A client of which only the first three are let in before the load."""

    count = 0
    is_ready = False

    def prepare(self) -> None:
        """Log in, if there is a place."""
        Refused.count += 1
        self.is_ready = Refused.count <= 3


def test_no_more_sessions_are_begun_where_the_server_lets_in_no_more() -> None:
    """Of 50 accounts, those beyond what the load needs are not tried once a log-in failed; who
    was let in carries the load.
    """
    Holder.turns, Refused.count = [], 0
    run = Run(100, 0.2, step=0.0, kind=Refused)
    run.open_loop.provide(2, sessions=50)

    run()

    assert Refused.count <= 5
    assert len({client for client, _ in Holder.turns}) == 3


def test_who_waits_for_a_client_waits_since_due() -> None:
    """With one client all others wait: in order, none is lost, and the waiting is response time but
    no service time.
    """
    run = Run(50, 0.4, step=0.05, most=1)

    said = run()

    assert said["completed"] == 20
    assert [due for due, _ in run.log] == sorted(due for due, _ in run.log)
    assert said["response_ms"]["max"] > 500  # the last is due at 0.38 s, and served from 0.95 s on
    assert said["service_ms"]["p50"] < 200
    assert said["late"] >= 15


def test_patience_ends() -> None:
    """Who waits for longer than the patience is dropped, and counted as that."""
    run = Run(100, 0.5, step=0.2, most=1, patience=0.1)

    said = run()

    assert said["dropped"] > 30
    assert said["sent"] + said["dropped"] == said["scheduled"] == 50
    assert said["completed"] == said["sent"]


def test_those_who_wait_at_the_end_are_given_up_if_so_wanted() -> None:
    """A search does not wait for a queue that it has built up; those under way are waited for all
    the same.
    """
    run = Run(100, 0.3, step=0.1, most=1, abandon=True)
    began = perf_counter()

    said = run()

    assert perf_counter() - began < 2
    assert said["completed"] == said["sent"] < 10
    assert said["scheduled"] == 30
    assert said["dropped"] == 30 - said["sent"]


def test_the_grace_ends() -> None:
    """A hanging step holds up the end only for the grace; arrivals that wait are dropped."""
    run = Run(20, 0.2, step=30.0, most=2, grace=0.2)
    began = perf_counter()

    said = run()

    assert perf_counter() - began < 5
    assert (said["scheduled"], said["sent"], said["completed"], said["dropped"]) == (4, 2, 0, 2)
    assert said["unanswered"] == 2


def test_the_grace_can_be_made_shorter() -> None:
    """Who ends a run sooner does not wait for as long as was planned."""
    run = Run(20, 30, step=30.0, most=2, grace=60)
    gevent.spawn_later(0.3, run.open_loop.stop, 0.2)
    began = perf_counter()

    said = run()

    assert perf_counter() - began < 10
    assert said["unanswered"] == 2


def test_who_hung_is_not_charged_to_the_next_run() -> None:
    """A step counts where it was sent: one that ends in the middle of another run adds nothing to
    it, and does not hold up its end.
    """
    run = Run(20, 0.2, step=0.8, most=4, grace=0.05)
    first = run()
    run.recorder, run.times = Recorder(perf_counter()), Schedule.parse("5", 1.0).due(0, 1)
    run.options["grace"] = 5.0

    second = run()

    assert first["unanswered"] == 4
    assert (second["scheduled"], second["completed"], second["unanswered"]) == (5, 5, 0)


def test_whoever_acts_looks_before() -> None:
    """Before those are sent who became due in a pause, it is seen that there was one, and whether
    this process still has a part.
    """
    run = Run(100, 20, step=0.0)
    run.options["look"] = lambda _: (
        run.open_loop.stop(0.0) if perf_counter() - run.recorder.start > 0.5 else None
    )
    gevent.sleep(0.3)
    gevent.spawn_later(0.2, time.sleep, 0.6)

    said = run()

    assert said["scheduled"] < 60


def test_a_client_that_breaks() -> None:
    """A mistake of ours is raised where the open_loop was started, at once."""
    run = Run(50, 20, step=0.0, kind=Breaking)

    with pytest.raises(KeyError):
        run()

    assert not run.open_loop.is_running


class Unmade(Client):
    """A client that cannot be made."""

    def __init__(self, *_: Any) -> None:
        raise OSError("no file is left")


def test_a_client_that_cannot_be_made(capfd: pytest.CaptureFixture[str]) -> None:
    """A mistake in the hub ends the run once, and is not printed twice in a millisecond."""
    run = Run(50, 20, step=0.0, kind=Unmade)

    with pytest.raises(OSError, match="no file is left"):
        run.open_loop.run(run.recorder, run.times, **run.options)

    assert capfd.readouterr().err == ""


class Unready(Client):
    """A client that breaks before the load."""

    def prepare(self) -> None:
        """Break."""
        raise KeyError("prepare")


def test_a_client_that_breaks_beforehand(capfd: pytest.CaptureFixture[str]) -> None:
    """It is prepared by its own kind's means; what that breaks with is raised, and not printed by
    gevent.
    """
    with pytest.raises(KeyError, match="prepare"):
        Run(50, 20, step=0.0, kind=Unready).open_loop.provide(3)

    assert capfd.readouterr().err == ""


def test_stopped() -> None:
    """Nothing is sent after the stop; steps under way come to their end."""
    run = Run(100, 20, step=0.1)
    gevent.spawn_later(0.4, run.open_loop.stop)

    said = run()

    assert said["completed"] == said["sent"] == said["scheduled"] < 100


def test_a_rate_that_nobody_keeps_is_stopped_all_the_same() -> None:
    """However much more is due than this machine can count, others get their turn meanwhile."""
    run = Run(10_000_000, 20, step=0.1)
    gevent.spawn_later(0.3, run.open_loop.stop, 0.5)
    began = perf_counter()

    said = run()

    assert perf_counter() - began < 5
    assert said["completed"] > 0


def test_closed() -> None:
    """All clients are closed, and the open_loop runs again until then."""
    run = Run(100, 0.1, step=0.0)
    run()
    run.open_loop.close()

    assert not any(client.is_open for client in run.clients)
