"""A process that collects the suite once and forks itself for each run.

What is collected depends on nothing that a run is told: the tests and their parameters come from
the tables.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from rolecall.errors import RolecallError
from rolecall.harness.collection import RUN, requirement_of
from rolecall.harness.entry import run_suite
from rolecall.harness.progress import Progress


@dataclass(frozen=True)
class Order:
    """One run: the target file, the folder for the run's files, and whether what is opt-in is run.

    ``only`` are requirements: their tests and no others are run; of none, all.
    """

    target: Path
    out: Path
    intrusive: bool = False
    only: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Said:
    """What came of a run: its results.json, or why there is none; ``lacking`` is the capability
    that a test lacked, by its name.
    """

    document: dict[str, Any] | None = None
    crash: str = ""
    lacking: dict[str, str] = field(default_factory=dict)


#: The options of a run whose reports are not read.
WORDS = ("--concurrency", "16", "--no-reports")


def run_once(*words: str, plugins: tuple[object, ...] = ()) -> Said:
    """Run the suite with these options, in this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # a short life: nothing is worth the looking
    try:
        run = run_suite([*WORDS, *words], Progress(sys.stderr, silent=True), plugins)
    except RolecallError as error:
        return Said(crash=str(error))
    return Said(
        run.document,
        "",
        {result.name: result.capability for result in run.results if result.capability},
    )


class Prepared:
    """A process that takes orders, one after the other."""

    def __init__(self, context: Any) -> None:
        self._orders, its_end = context.Pipe()
        self._process = context.Process(target=_take_orders, args=(its_end,))
        self._process.start()
        its_end.close()

    def run(self, order: Order, timeout: float) -> Said:
        """What came of a run.

        Raises:
            RolecallError: nothing did within ``timeout`` seconds.
            EOFError: the process is gone.
        """
        self._orders.send(order)
        run: int = self._orders.recv()
        if not self._orders.poll(timeout):
            with suppress(ProcessLookupError):
                os.kill(run, signal.SIGKILL)
            self._orders.recv()  # that it is gone
            raise RolecallError(f"no result within {timeout:g} s")
        came: Said = self._orders.recv()
        return came

    def close(self) -> None:
        """End the process."""
        self._orders.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _take_orders(orders: Connection) -> None:
    """In a process of its own: collect the suite, and fork for each order; only what was forked
    comes back from the suite.
    """
    orders.send(run_once(plugins=(_Orders(orders),)))
    os._exit(0)  # that of a process that has not said everything is another


class _Orders:
    """A pytest plugin that waits for orders between the collection and the first test."""

    def __init__(self, orders: Connection) -> None:
        self._orders = orders

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Go on with the tests in a process of its own for each order."""
        for item in session.items:
            _ = item.location  # which is looked up once, and by every run
        order = self._next()
        session.config.pluginmanager.unregister(name="terminalreporter")  # its output is not read
        run = session.config.stash[RUN]
        run.options = replace(
            run.options, target=order.target, out=order.out, intrusive=order.intrusive
        )
        if order.only:
            session.items = [item for item in session.items if requirement_of(item) in order.only]
        return (yield)

    def _next(self) -> Order:
        """The next order, in a process forked for it; in the first process, whose orders end with
        the self-test, there is none.
        """
        while True:
            try:
                order: Order = self._orders.recv()
            except EOFError:
                os._exit(0)
            child = os.fork()
            if child == 0:
                self._orders.send(os.getpid())
                return order
            _, status = os.waitpid(child, 0)
            if status:
                self._orders.send(Said(crash="the process ended without a word"))
