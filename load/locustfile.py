"""The scenarios as Locust's users: ``locust -f load/locustfile.py --host URL --accounts users.csv``, with its web page or without.

With ``--rate`` they are sent by an open schedule instead, and Locust has one user who does nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from locust import User, argument_parser, events, task
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING

from rolecall.errors import UsageError
from rolecall.loadgen import plan, web
from rolecall.loadgen.capacity.rate_steps import CapacityRun
from rolecall.loadgen.capacity.user_steps import ScalingRun
from rolecall.loadgen.coordinator import Conductor
from rolecall.loadgen.measure.locust_stats import flush, write_tables
from rolecall.loadgen.run import LoadRun
from rolecall.loadgen.scenarios import Scenario
from rolecall.loadgen.worker import Worker

#: Steps of a client between two looks of Locust at it.
_STEPS = 100
_ALONE = "local"
#: Where the web page and a master listen, unless the command line says otherwise.
_LOOPBACK = "127.0.0.1"
#: What a worker is told that asks for the locustfile (``-f -``), which may be another one with secrets of its own in it.
_NOT_SENT = "no file of this machine: start the worker with its own -f load/locustfile.py"


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
    #: What this machine's own command line says; Locust puts a master's words in its place, even before a worker is made.
    said: argparse.Namespace | None = None


_this = _Process()


def add_arguments(parser: Any) -> None:
    """Our options beside Locust's; nothing listens beyond loopback unless it is told to."""
    plan.add_arguments(parser, include_in_web_ui=False)
    parser.set_defaults(web_host=_LOOPBACK, master_bind_host=_LOOPBACK)
    if _STARTED_BY:  # whoever started `rolecall load` has not heard of Locust's configuration files
        parser._default_config_files = []  # noqa: SLF001  # as Locust itself does; there is no other way
    if _this.said is None:
        _this.said = parser.parse_known_args()[0]


def _leave_with(parent: int) -> None:
    """End in order when whoever started this process is gone, however that came about."""
    while os.getppid() == parent:
        gevent.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


_STARTED_BY = plan.parse(sys.argv[1:]).parent
if _STARTED_BY:
    gevent.spawn(_leave_with, _STARTED_BY)  # before `connect`: a worker that waits for its master does not come that far


def connect(environment: Environment, runner: Any, web_ui: Any = None, **_: Any) -> None:
    """Find out what this process does, and let master and workers speak with each other."""
    options = environment.parsed_options
    assert options is not None
    for its in filter(None, (options, _this.said)):
        if its.target and not plan.parse(sys.argv[1:]).host:  # the target file says where to, and not the environment
            its.host = environment.host = None
    if web_ui:
        _guard(web_ui, options)
    _hooks.quitting.add_listener(leave)  # after Locust's own, which is to say that it is heard before
    told = partial(flush, stats=runner.stats)
    if isinstance(runner, WorkerRunner):
        own, send = _this.said or options, lambda kind, data: runner.send_message(f"rolecall.{kind}", data)
        _this.worker = Worker(own, told, send, led=True)
        for kind in ("prepare", "go", "end"):
            runner.register_message(f"rolecall.{kind}", partial(_heard, getattr(_this.worker, kind)), concurrent=True)
        environment.user_classes = [*environment.user_classes, Arrivals]  # it is the master who knows which it will be
        return
    if isinstance(runner, MasterRunner):
        environment.parsed_locustfiles = [_NOT_SENT]
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


def _guard(web_ui: Any, options: argparse.Namespace) -> None:
    """Let the web page be used by itself alone, for the command line's host."""
    try:
        where_to = plan.where_to(options)
    except UsageError:  # it will be said when a run is begun
        where_to = ""
    web.guard(
        web_ui.app,
        web_host=options.web_host,
        display_name=options.web_host_display_name or "",
        where_to=where_to,
        extra=argument_parser.ui_extra_args_dict,
    )


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
