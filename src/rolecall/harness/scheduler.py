"""Runs the selected tests concurrently, before pytest asks for them, on one event loop.

pytest then asks for each test in its usual order and gets the finished result, or waits for it. A
test reads, fails and is reported as an ordinary pytest test, while a far-away target is waited for
once and not a thousand times.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from rolecall.counting_loop import CountingLoop
from rolecall.endings import first_noted
from rolecall.errors import RolecallError
from rolecall.evidence import Evidence, TestEvidence
from rolecall.memory import Memory
from rolecall.outcomes import (
    Finding,
    Flaky,
    Inconclusive,
    NotApplicable,
    NotTested,
    TransientFailure,
)
from rolecall.pausing import let_others_go_on
from rolecall.slots import Slots, lending
from rolecall.spec.model import Cell
from rolecall.toolkit.marks import ALONE, EXPIRED_SESSIONS, EXPIRY, ORDINARY
from rolecall.toolkit.shared import UNCANCELLED

_TRIES = 3
#: Phases whose tests only read and change what is their own, so that they can be tried again: not
#: those that wear out an account's patience, nor those over what the whole run saw.
_REPEATABLE = frozenset({ORDINARY, EXPIRY, EXPIRED_SESSIONS})
_LAST_WORDS = 5.0  # seconds for what is under way when the run is stopped


@dataclass
class ScheduledTest:
    """One test: how to call it, the phase it belongs to, and what came of it."""

    name: str
    phase: int
    call: Callable[[], Awaitable[None]]
    cell: Cell | None = None
    level: str = "must"
    tries: int = 0
    seconds: float = 0.0
    evidence: TestEvidence = field(default_factory=TestEvidence)
    memory: Memory = field(default_factory=Memory)
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Scheduler:
    """An event loop in a thread, and the tests it works through phase by phase."""

    def __init__(
        self,
        in_flight: int,
        loop: asyncio.AbstractEventLoop | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.tests: dict[str, ScheduledTest] = {}
        self.memory = memory or Memory()  # of what is done before and after all tests
        self._in_flight = in_flight
        self._loop = loop or CountingLoop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="rolecall-scheduler", daemon=True
        )
        self._running: asyncio.Task[None] | None = None
        self._interrupted = False

    def open(self) -> None:
        """Start the loop."""
        self._thread.start()

    def start(self, tests: Iterable[ScheduledTest]) -> None:
        """Begin with the first phase."""
        self.tests = {test.name: test for test in tests}
        self.do(self._start())

    def cells(self) -> Iterator[tuple[Cell, TestEvidence]]:
        """The cells that tests are about, each with the evidence up to now."""
        return ((test.cell, test.evidence) for test in list(self.tests.values()) if test.cell)

    async def _start(self) -> None:
        # pytest may say so in any turn of the loop; in a replay it is that of then
        await let_others_go_on()
        self._running = asyncio.create_task(self._run())

    def wait(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> ScheduledTest:
        """Wait for a test; its ``error`` is set if it failed.

        Waits in small steps, so that Ctrl-C is noticed on every platform, and calls ``meanwhile``
        between two of them.

        Raises:
            KeyboardInterrupt: there was one.
            RolecallError: this is another process than the one that runs the tests.
        """
        test = self.tests[name]
        while not self._interrupted:
            if test.done.wait(timeout=0.2):
                return test
            if not self._thread.is_alive():
                raise RolecallError("a plugin of pytest runs the suite's tests in another process")
            meanwhile()
        raise KeyboardInterrupt

    @contextmanager
    def minding_ctrl_c(self) -> Iterator[None]:
        """Let Ctrl-C end the waiting for a test: raised in the middle of some plugin's work it may
        be lost there.

        A second one is raised wherever it comes.
        """

        def remember() -> None:
            self._interrupted = True

        with first_noted(remember):
            yield

    def do(self, coroutine: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:
        """Run something else on the same loop and return its result.

        Raises:
            TimeoutError: it was not done after ``timeout`` seconds.
        """
        with Evidence.collect(memory=self.memory):  # the coroutine takes it along
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except (TimeoutError, KeyboardInterrupt):
            future.cancel()
            raise

    def stop(self) -> None:
        """Give up what is still running; what is done stays done, and what may not be broken off
        comes to its end.
        """
        self.do(self._stop())

    async def _stop(self) -> None:
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            if task.get_name() != UNCANCELLED:
                task.cancel()
        if rest:
            _, late = await asyncio.wait(rest, timeout=_LAST_WORDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def close(self) -> None:
        """Stop the loop and its thread, and whatever was given up and is still under way."""
        self.do(self._cancel_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_rest(self) -> None:
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _run(self) -> None:
        for number, phase in groupby(
            sorted(self.tests.values(), key=lambda test: test.phase), key=lambda test: test.phase
        ):
            alone = number == ALONE
            slots = Slots(1 if alone else self._in_flight)
            with nullcontext() if alone else lending(slots):  # which the tests take along
                async with asyncio.TaskGroup() as group:
                    for test in phase:
                        await slots.acquire()
                        group.create_task(self._run_in(slots, test))

    async def _run_in(self, slots: Slots, test: ScheduledTest) -> None:
        try:
            await self._run_one(test)
        finally:
            slots.release()

    async def _run_one(self, test: ScheduledTest) -> None:
        """Run a test, and note what came of it."""
        started = time.monotonic()
        try:
            try:
                await self._attempt(test)
            except Finding as finding:
                if not finding.is_doubtful or test.phase not in _REPEATABLE:
                    raise
                await self._confirm(test, finding)
        except BaseException as error:
            test.error = error
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            test.seconds = time.monotonic() - started
            test.done.set()

    async def _attempt(self, test: ScheduledTest) -> None:
        """Call a test; one that met passing trouble starts again, with fixtures of its own."""
        for number in range(1, _TRIES + 1):
            test.tries += 1
            try:
                # Of this try alone: what came of one that was given up proves nothing.
                with Evidence.collect(test.name, test.memory) as test.evidence:
                    test.evidence.level, test.evidence.is_last = test.level, test.phase >= EXPIRY
                    await test.call()
            except TransientFailure:
                if number == _TRIES:
                    raise
            else:
                return

    async def _confirm(self, test: ScheduledTest, finding: Finding) -> None:
        """Try a test once more that failed by an answer that may have been passing trouble.

        Its evidence is that of both tries, and the failure stands unless the second try passed.

        Raises:
            Finding: the failure, as the first try saw it.
            Flaky: the second try passed.
        """
        first = test.evidence
        try:
            await self._attempt(test)
        except (Finding, Inconclusive, NotTested, NotApplicable, RolecallError):
            first.exchanges += test.evidence.exchanges
            test.evidence = first
            raise finding from None
        again = test.evidence.named.get("answer") or next(reversed(test.evidence.exchanges), None)
        test.evidence.exchanges[:0] = first.exchanges
        raise Flaky(finding, again) from None
