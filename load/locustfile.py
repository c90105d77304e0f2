"""The scenarios as Locust's users: ``locust -f load/locustfile.py --host URL --accounts users.csv``, with its web page or without.

With ``--rate`` they are sent by an open schedule instead, and Locust has one user who does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from locust import User, events, task
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING

from rolecall.load import plan
from rolecall.load.capacity.levels import ScalingRun
from rolecall.load.capacity.rates import CapacityRun
from rolecall.load.conductor import Conductor
from rolecall.load.measure.locust_stats import flush, write_tables
from rolecall.load.run import LoadRun
from rolecall.load.scenarios import Scenario
from rolecall.load.worker import Worker

#: Steps of a client between two looks of Locust at it.
_STEPS = 100
_ALONE = "local"


class Client(User):
    """A client of a scenario in Locust's closed loop."""

    abstract = True
    scenario: str
    client: Scenario | None = None

    def on_start(self) -> None:
        """Get what the first step needs."""
        self.client = _this.worker.client(self.scenario)

    def on_stop(self) -> None:
        """Close what is open."""
        if self.client:  # else it was ended before the run began
            self.client.close()

    @task
    def steps(self) -> None:
        """Some steps, one right after the other; a 429 is heeded."""
        client, step, going = self.client, _this.worker.step, _this.worker.going.is_set
        assert client is not None
        for _ in range(_STEPS):
            if self._state == LOCUST_STATE_STOPPING or not going():
                gevent.sleep(0.05)
                return
            step(client)
            if client.pause:
                until, client.pause = perf_counter() + client.pause, 0.0
                while self._state != LOCUST_STATE_STOPPING and (left := until - perf_counter()) > 0:
                    gevent.sleep(min(left, 0.25))


class Arrivals(User):
    """Stands for the open schedule, which needs no users of Locust's; Locust needs one."""

    abstract = True

    @task
    def wait_for_the_end(self) -> None:
        """Nothing."""
        gevent.sleep(0.5)


class Issuance(Client):
    """Log-ins with e-mail and password."""

    scenario = "issuance"


class RefreshGet(Client):
    """Chains of refreshes before expiry."""

    scenario = "refresh-get"


class RefreshPost(Client):
    """Chains of refreshes as after expiry."""

    scenario = "refresh-post"


class Session(Client):
    """Log in, read what the role may read, refresh, go on."""

    scenario = "session"


class RefreshRace(Client):
    """Several clients refresh with the same token at the same instant."""

    scenario = "refresh-race"


class Guarded(Client):
    """Another scenario, while cells of the permission table are tried."""

    scenario = "guarded"


class Mixed(Client):
    """Clients of several scenarios, by --weights."""

    scenario = "mixed"


class _Process:
    """What this process does in a run: its clients, or the conducting, or both."""

    worker: Worker
    run: LoadRun | None = None


_this = _Process()


def add_arguments(parser: Any) -> None:
    """Our options beside Locust's."""
    plan.add_arguments(parser, include_in_web_ui=False)


def _leave_with(parent: int) -> None:
    """End in order when whoever started this process is gone, however that came about."""
    while os.getppid() == parent:
        gevent.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if parent := plan.parse(sys.argv[1:]).parent:
    gevent.spawn(_leave_with, parent)  # before `connect`: a worker that waits for its master does not come that far


def connect(environment: Environment, runner: Any, **_: Any) -> None:
    """Find out what this process does, and let master and workers speak with each other."""
    options = environment.parsed_options
    assert options is not None
    _hooks.quitting.add_listener(leave)  # after Locust's own, which is to say that it is heard before
    told = partial(flush, stats=runner.stats)
    if isinstance(runner, WorkerRunner):
        _this.worker = Worker(options, told, lambda kind, data: runner.send_message(f"rolecall.{kind}", data), led=True)
        for kind in ("prepare", "go", "end"):
            runner.register_message(f"rolecall.{kind}", partial(_heard, getattr(_this.worker, kind)), concurrent=True)
        environment.user_classes = [*environment.user_classes, Arrivals]  # it is the master who knows which it will be
        return
    if isinstance(runner, MasterRunner):
        conductor = Conductor(
            lambda kind, data, name: runner.send_message(f"rolecall.{kind}", data, name),
            lambda: [node.id for node in runner.clients.values() if node.state != STATE_MISSING],
        )
        for kind in ("ready", "report"):
            runner.register_message(f"rolecall.{kind}", partial(_heard_from, getattr(conductor, kind)))
    else:
        _this.worker = Worker(options, told, lambda kind, data: getattr(conductor, kind)(_ALONE, data))
        conductor = Conductor(_beside, lambda: [_ALONE])
    chosen = [cls.scenario for cls in environment.user_classes if issubclass(cls, Client)]
    conducted: type[LoadRun] = LoadRun
    if options.capacity:
        conducted = ScalingRun if options.most_users else CapacityRun
    _this.run = conducted(environment, options, conductor, chosen[0] if len(chosen) == 1 else "mixed")
    if options.rate or conducted is CapacityRun:
        environment.user_classes = [Arrivals]


def _beside(kind: str, data: dict[str, Any], _: str) -> None:
    """What a process says to itself."""
    gevent.spawn(getattr(_this.worker, kind), data)


def _heard(act: Callable[[Mapping[str, Any]], None], environment: Environment, msg: Any, **_: Any) -> None:
    act(msg.data)


def _heard_from(act: Callable[[str, Mapping[str, Any]], None], environment: Environment, msg: Any, **_: Any) -> None:
    act(msg.node_id, msg.data)


def begin(environment: Environment, **_: Any) -> None:
    """Conduct the run that Locust has begun; its web page may begin another when this one is over."""
    if _this.run:
        _this.run.begin()


def let_them_finish(environment: Environment, **_: Any) -> None:
    """Locust is about to end its users: those under way come to their end before."""
    if _this.run:
        _this.run.end()


def stop(environment: Environment, **_: Any) -> None:
    """Locust has stopped its users."""
    if _this.run:
        _this.run.stop()


def leave(environment: Environment, **_: Any) -> None:
    """Whatever ends Locust, what is known by now is written."""
    if _this.run:
        _this.run.interrupt()


def complete(exit_code: int | None, **_: Any) -> None:
    """All workers have told Locust all by now."""
    if _this.run and (prefix := _this.run.options.csv_prefix):
        try:
            write_tables(_this.run.environment, prefix)
        except OSError as error:
            _this.run.leave_out(Path(f"{prefix}_stats.csv"), error)


_hooks: Any = events  # they come without types
_hooks.init_command_line_parser.add_listener(add_arguments)
_hooks.init.add_listener(connect)
_hooks.test_start.add_listener(begin)
_hooks.test_stopping.add_listener(let_them_finish)
_hooks.test_stop.add_listener(stop)
_hooks.quit.add_listener(complete)
