"""The scenarios for Locust: ``locust -f load/locustfile.py --host URL --accounts users.csv``.

Where no user class is named, ``--scenario`` says what is run; the web page has it as a list. With
``--rate`` an open schedule sends requests instead, and Locust has one user that does nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from locust import argument_parser, events
from locust.env import Environment
from locust.runners import (
    STATE_INIT,
    STATE_MISSING,
    STATE_STOPPED,
    MasterRunner,
    WorkerRunner,
)
from users import USERS, Arrivals, ScenarioUser  # before anything of rolecall

from rolecall.errors import UsageError
from rolecall.loadgen import options as load_options
from rolecall.loadgen import plan, web
from rolecall.loadgen.capacity.rate_steps import CapacityRun
from rolecall.loadgen.capacity.user_steps import ScalingRun
from rolecall.loadgen.coordinator import Coordinator
from rolecall.loadgen.measure.locust_stats import flush, write_tables
from rolecall.loadgen.messages import End, Go, Message, Prepare, Ready, Report
from rolecall.loadgen.process import THIS_PROCESS
from rolecall.loadgen.run import LoadRun
from rolecall.loadgen.scenarios import NAMES, user_class_name
from rolecall.loadgen.worker import Worker

# The users that Locust offers on its command line and its web page: Issuance, RefreshGet and so on.
# They come from `users.py` beside this file, whose folder Locust puts on Python's path.
globals().update(USERS)

_ALONE = "local"
#: The scenario where the command line names no user class; and whether it names any.
_USUAL = "session"
_NAMED = not USERS.keys().isdisjoint(sys.argv[1:]) or "--class-picker" in sys.argv[1:]
_CHOSEN = (
    "Clients run the scenario %s. The page has the others under Custom parameters, and the command "
    "line has --scenario NAME."
)
_log = logging.getLogger(__name__)
#: What our messages are called on Locust's wire, before their kind.
_PREFIX = "rolecall."
#: Where the web page and a master listen, unless the command line says otherwise.
_LOOPBACK = "127.0.0.1"
#: What a worker is told that asks for the locustfile (``-f -``), which may be another one with
#: secrets of its own in it.
_NOT_SENT = "no file of this machine: start the worker with its own -f load/locustfile.py"


def add_arguments(parser: Any) -> None:
    """Our options beside Locust's; nothing listens beyond loopback unless it is told to."""
    load_options.add_arguments(parser, include_in_web_ui=False)
    parser.add_argument(
        "--scenario",
        choices=NAMES,
        default=_USUAL,
        include_in_web_ui=not _NAMED,
        help=f"what the clients do, where no user class is named (default: {_USUAL})",
    )
    parser.set_defaults(web_host=_LOOPBACK, master_bind_host=_LOOPBACK)
    if THIS_PROCESS.said is None:
        THIS_PROCESS.said = parser.parse_known_args()[0]


def _leave_with(parent: int) -> None:
    """End in order when the process that started this one is gone, however that came about."""
    while os.getppid() == parent:
        gevent.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


_STARTED_BY = plan.parse(sys.argv[1:]).parent
if _STARTED_BY:
    # before `connect`, which a worker that waits for its master does not reach
    gevent.spawn(_leave_with, _STARTED_BY)


def connect(environment: Environment, runner: Any, web_ui: Any = None, **_: Any) -> None:
    """Find out what this process does, and let master and workers speak with each other."""
    options = environment.parsed_options
    assert options is not None
    for given in filter(None, (options, THIS_PROCESS.said)):
        # the target file names the host, and the environment does not
        if given.target and not plan.parse(sys.argv[1:]).host:
            given.host = environment.host = None
    if web_ui:
        _guard(web_ui, options)
        web.let_choose(web_ui.app, partial(_choose, environment))
        web.show_violations(web_ui, lambda: _run().coordinator.violations)
        if not _NAMED:
            _log.info(_CHOSEN, options.scenario)
    _hooks.quitting.add_listener(leave)  # after Locust's own, which hears what is said before
    if isinstance(runner, WorkerRunner):
        _work(environment, runner, options)
    else:
        _coordinate(environment, runner, options)


def _run() -> LoadRun:
    """The run that this process leads."""
    assert THIS_PROCESS.run is not None  # else there is no page
    return THIS_PROCESS.run


def _work(environment: Environment, runner: WorkerRunner, options: argparse.Namespace) -> None:
    """Be a worker, which does what its master says."""

    def send(message: Message) -> None:
        runner.send_message(f"{_PREFIX}{message.kind}", message.pack())

    flushed = partial(flush, stats=runner.stats)
    worker = THIS_PROCESS.worker = Worker(THIS_PROCESS.said or options, flushed, send, led=True)
    for message, act in ((Prepare, worker.prepare), (Go, worker.go), (End, worker.end)):
        runner.register_message(f"{_PREFIX}{message.kind}", partial(_heard, act), concurrent=True)
    # the master alone knows whether the schedule is open
    environment.user_classes = [*environment.user_classes, Arrivals]


def _coordinate(environment: Environment, runner: Any, options: argparse.Namespace) -> None:
    """Be a master, or do everything in this process."""
    if isinstance(runner, MasterRunner):
        environment.parsed_locustfiles = [_NOT_SENT]
        coordinator = Coordinator(
            lambda message, name: runner.send_message(
                f"{_PREFIX}{message.kind}", message.pack(), name
            ),
            lambda: [node.id for node in runner.clients.values() if node.state != STATE_MISSING],
        )
        for message, act in ((Ready, coordinator.ready), (Report, coordinator.report)):
            runner.register_message(f"{_PREFIX}{message.kind}", partial(_heard_from, act))
    else:
        THIS_PROCESS.worker = Worker(
            options,
            partial(flush, stats=runner.stats),
            lambda message: getattr(coordinator, message.kind)(_ALONE, message.pack()),
        )
        coordinator = Coordinator(_beside, lambda: [_ALONE])
    if not _NAMED:
        environment.user_classes = [USERS[user_class_name(options.scenario)]]
    chosen = [cls.scenario for cls in environment.user_classes if issubclass(cls, ScenarioUser)]
    scenario = chosen[0] if len(chosen) == 1 else "mixed"
    run_class: type[LoadRun] = LoadRun
    if options.capacity:
        run_class = ScalingRun if options.most_users else CapacityRun
    THIS_PROCESS.run = run_class(environment, options, coordinator, scenario)
    if options.rate or run_class is CapacityRun:
        environment.user_classes = [Arrivals]


def _guard(web_ui: Any, options: argparse.Namespace) -> None:
    """Let the web page be used by itself alone, for the command line's host."""
    try:
        where_to = plan.chosen_url(options)
    except UsageError:  # it will be said when a run is begun
        where_to = ""
    web.guard(
        web_ui.app,
        web_host=options.web_host,
        display_name=options.web_host_display_name or "",
        where_to=where_to,
        extra=argument_parser.ui_extra_args_dict,
    )


def _choose(environment: Environment, scenario: str) -> None:
    """Run this scenario from now on, unless a run is under way, or Locust chooses itself."""
    runner, run = environment.runner, THIS_PROCESS.run
    is_idle = runner is not None and runner.state in (STATE_INIT, STATE_STOPPED)
    if run and is_idle and scenario in NAMES and not (_NAMED or run.options.rate):
        environment.user_classes = [USERS[user_class_name(scenario)]]
        run.scenario = scenario


def _beside(message: Message, _: str) -> None:
    """What a process says to itself."""
    gevent.spawn(getattr(THIS_PROCESS.worker, message.kind), message.pack())


def _heard(act: Callable[[object], None], environment: Environment, msg: Any, **_: Any) -> None:
    act(msg.data)


def _heard_from(
    act: Callable[[str, object], None], environment: Environment, msg: Any, **_: Any
) -> None:
    act(msg.node_id, msg.data)


def begin(environment: Environment, **_: Any) -> None:
    """Lead the run that Locust has begun; its web page may begin another afterwards."""
    if THIS_PROCESS.run:
        THIS_PROCESS.run.begin()


def let_them_finish(environment: Environment, **_: Any) -> None:
    """Locust is about to end its users: those under way come to their end before."""
    if THIS_PROCESS.run:
        THIS_PROCESS.run.end()


def stop(environment: Environment, **_: Any) -> None:
    """Locust has stopped its users."""
    if THIS_PROCESS.run:
        THIS_PROCESS.run.stop()


def leave(environment: Environment, **_: Any) -> None:
    """Whatever ends Locust, what is known by now is written."""
    if THIS_PROCESS.run:
        THIS_PROCESS.run.interrupt()


def complete(exit_code: int | None, **_: Any) -> None:
    """All workers have told Locust all by now."""
    if THIS_PROCESS.run and (prefix := THIS_PROCESS.run.options.csv_prefix):
        try:
            write_tables(THIS_PROCESS.run.environment, prefix)
        except OSError as error:
            THIS_PROCESS.run.leave_out(Path(f"{prefix}_stats.csv"), error)


_hooks: Any = events  # they come without types
_hooks.init_command_line_parser.add_listener(add_arguments)
_hooks.init.add_listener(connect)
_hooks.test_start.add_listener(begin)
_hooks.test_stopping.add_listener(let_them_finish)
_hooks.test_stop.add_listener(stop)
_hooks.quit.add_listener(complete)
