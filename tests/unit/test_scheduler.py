"""The scheduler, in memory: phases, concurrency, tries and their evidence, and stopping.

Longer than 400 lines because its tests share one loop and its tests.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from rolecall import endings
from rolecall.endings import end_as_ctrl_c_does
from rolecall.errors import RolecallError
from rolecall.evidence import Exchange, cite, note
from rolecall.harness import scheduler
from rolecall.harness.scheduler import ScheduledTest, Scheduler
from rolecall.outcomes import Finding, Flaky, Inconclusive, TransientFailure
from rolecall.pausing import sleep
from rolecall.spec.model import Cell
from rolecall.toolkit.marks import ALONE, EXPIRY, ORDINARY, SUMMARY
from rolecall.toolkit.shared import uncancelled
from tests.support.exchanges import exchange

NEVER = 60.0  # seconds: a test that has to wait so long has failed


@contextmanager
def opened(in_flight: int = 4) -> Iterator[Scheduler]:
    """A scheduler that is closed at the end."""
    ahead = Scheduler(in_flight)
    ahead.open()
    try:
        yield ahead
    finally:
        ahead.close()


def run(*tests: ScheduledTest, in_flight: int = 4) -> list[ScheduledTest]:
    """Run tests to their end."""
    with opened(in_flight) as ahead:
        ahead.start(tests)
        return [ahead.wait(test.name) for test in tests]


def test_a_long_test_is_waited_for() -> None:
    """A test that has not ended at the first look is looked at again."""

    class Late(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.looks += 1
            return self.looks > 1 and super().wait(NEVER)

    async def passes() -> None:
        pass

    late = Late()

    (test,) = run(ScheduledTest("late", 0, passes, done=late))

    assert (test.tries, late.looks) == (1, 2)


def test_a_test_in_another_process_is_not_waited_for() -> None:
    """Where the loop does not run, as in a process that a plugin of pytest forked, no test ends."""

    async def passes() -> None:
        pass

    forked = Scheduler(1)
    forked.tests["late"] = ScheduledTest("late", 0, passes)

    with pytest.raises(RolecallError, match="in another process"):
        forked.wait("late")
    forked._loop.close()


def test_what_the_cells_tests_saw() -> None:
    """Each test that is about a cell of the table tells its evidence, the others are left out."""

    async def passes() -> None:
        pass

    cell = Cell("fetch-contact", "guest", "token", allowed=True)
    about, other = ScheduledTest("about", 0, passes, cell), ScheduledTest("other", 0, passes)
    with opened() as ahead:
        ahead.start([about, other])
        ahead.wait("other")

        assert list(ahead.cells()) == [(cell, about.evidence)]


@pytest.mark.parametrize(("phase", "together"), [(ORDINARY, True), (ALONE, False)])
def test_a_test_that_lets_time_pass_makes_room(phase: int, together: bool) -> None:
    """While a test only waits another one begins, and has the slot to itself; one that has to be
    alone stays alone.
    """
    came: list[str] = []

    def named(name: str, seconds: float) -> ScheduledTest:
        async def waits() -> None:
            came.append(f"{name} begins")
            await sleep(seconds)
            came.append(f"{name} ends")

        return ScheduledTest(name, phase, waits)

    run(named("first", 0.02), named("second", 0.0), in_flight=1)

    in_turn = ["first begins", "first ends", "second begins", "second ends"]
    within = ["first begins", "second begins", "second ends", "first ends"]
    assert came == (within if together else in_turn)


def test_who_comes_back_from_a_wait_has_its_slot() -> None:
    """No test begins in the place of one that has come back and works again."""
    came: list[str] = []
    back = asyncio.Event()

    async def works_on() -> None:
        await sleep(0.001)
        back.set()
        for _ in range(5):
            await asyncio.sleep(0)  # at work: this is no pause of a test
            came.append("works")

    async def ends() -> None:
        await back.wait()

    async def begins() -> None:
        came.append("begins")

    run(
        ScheduledTest("works on", ORDINARY, works_on),
        ScheduledTest("ends", ORDINARY, ends),
        ScheduledTest("begins", ORDINARY, begins),
        in_flight=1,
    )

    assert came[-1] == "begins"


# --- One test ----------------------------------------------------------------------------------


def test_evidence_is_of_the_last_try_alone() -> None:
    """What a try saw that met trouble is not evidence of the one that passed: it looked at nothing,
    and that can be seen.
    """
    tries = []

    async def looks_once() -> None:
        tries.append(cite(exchange(), "control"))
        if len(tries) == 1:
            raise TransientFailure("an answer: reset")

    async def looks_only_at_first() -> None:
        if not tries:
            tries.append(cite(exchange(), "control"))
            raise TransientFailure("an answer: reset")

    (test,) = run(ScheduledTest("looks each time", 0, looks_once))
    assert (test.tries, test.error, test.evidence.exchanges, test.evidence.named) == (
        2,
        None,
        tries[1:],
        {"control": tries[1]},
    )

    tries.clear()
    (test,) = run(ScheduledTest("looks at first", 0, looks_only_at_first))
    assert (test.tries, test.error, test.evidence.exchanges, test.evidence.named) == (
        2,
        None,
        [],
        {},
    )


def test_trouble_that_does_not_pass_keeps_its_evidence() -> None:
    """The third try is the last, and what it saw is shown."""

    async def fails() -> None:
        cite(exchange())
        raise TransientFailure("an answer: reset")

    (test,) = run(ScheduledTest("fails", 0, fails))

    assert (test.tries, len(test.evidence.exchanges)) == (3, 1)
    assert isinstance(test.error, TransientFailure)


@pytest.mark.parametrize(
    "error",
    [Finding("200", "403"), ValueError("a bug"), SystemExit(3)],
    ids=lambda error: type(error).__name__,
)
def test_whatever_ends_a_test_is_its_own(error: BaseException) -> None:
    """A failure is kept for pytest and not tried again; the tests beside it run on."""

    async def fails() -> None:
        raise error

    async def passes() -> None:
        await asyncio.sleep(0)

    failed, passed = run(ScheduledTest("fails", 0, fails), ScheduledTest("passes", 0, passes))

    assert (failed.error, failed.tries) == (error, 1)
    assert (passed.error, passed.tries) == (None, 1)


@pytest.mark.parametrize("phase", [ORDINARY, EXPIRY])
@pytest.mark.parametrize("then", ["passes", "fails", "proves nothing"])
def test_a_doubtful_failure_is_tried_again(phase: int, then: str) -> None:
    """A test that met a server error is tried once more: passed then, it is flaky; the failure
    stands otherwise, with the exchanges of both tries.
    """
    finding = Finding("403", "500", exchange(status=500))
    seen: list[Exchange] = []

    async def doubtful() -> None:
        seen.append(cite(exchange(number=len(seen) + 1), "answer"))
        if len(seen) == 1 or then == "fails":
            raise finding
        if then == "proves nothing":
            raise Inconclusive("a control")

    (test,) = run(ScheduledTest("doubtful", phase, doubtful))

    assert (test.tries, test.evidence.exchanges) == (2, seen)
    if then == "passes":
        assert isinstance(test.error, Flaky)
        assert test.error.missing.startswith(f"flaky: expected {finding.expected}; got ")
        assert test.error.missing.endswith(f"as expected at the second try ({seen[1]})")
    else:
        assert test.error is finding


@pytest.mark.parametrize(
    ("finding", "phase"),
    [
        (Finding("403", "200: it was allowed", exchange(status=200)), ORDINARY),
        (Finding("200", "403: it was refused", exchange(status=403)), ORDINARY),
        (Finding("no secret", "a token in it", exchange(status=401)), ORDINARY),
        (Finding("a list", "a number"), ORDINARY),
        (Finding("429", "500", exchange(status=500)), ALONE),
        (Finding("no server error", "500", exchange(status=500)), SUMMARY),
    ],
    ids=["granted", "refused", "told", "no exchange", "patience", "whole run"],
)
def test_what_one_answer_proves_is_not_tried_again(finding: Finding, phase: int) -> None:
    """Who was let in, or refused, one time in two was that once: such a failure stands at once, and
    so does one of a test that wears out an account or looks at the whole run.
    """
    tries: list[int] = []

    async def sometimes() -> None:
        tries.append(1)
        cite(exchange())
        if len(tries) == 1:
            raise finding

    (test,) = run(ScheduledTest("sometimes", phase, sometimes))

    assert (test.error, test.tries, len(tries)) == (finding, 1, 1)


def test_evidence_of_tests_at_the_same_time_is_not_mixed() -> None:
    """Each test has what it looked at itself, however their requests interleave."""

    def looking(name: str) -> Callable[[], Awaitable[None]]:
        async def looks() -> None:
            for number in range(3):
                note(f"{name} {number}")
                await asyncio.sleep(0)

        return looks

    tests = run(*(ScheduledTest(name, 0, looking(name)) for name in "abc"))

    assert [test.evidence.notes for test in tests] == [
        [f"{name} {number}" for number in range(3)] for name in "abc"
    ]
    assert all(test.seconds >= 0 for test in tests)


# --- Many tests --------------------------------------------------------------------------------


class Meeting:
    """Tests that note how many of them are under way, by name."""

    def __init__(self) -> None:
        self.now: list[str] = []
        self.together: dict[str, set[str]] = {}
        self.order: list[str] = []

    def test(self, name: str, phase: int) -> ScheduledTest:
        """One that lets the others take their turn a few times."""

        async def meets() -> None:
            self.order.append(name)
            self.now.append(name)
            for _ in range(10):
                for other in self.now:
                    self.together.setdefault(other, set()).update(self.now)
                await asyncio.sleep(0)
            self.now.remove(name)

        return ScheduledTest(name, phase, meets)


def test_phases_come_one_after_the_other() -> None:
    """No test meets one of another phase, in whichever order they are given; the order within a
    phase is kept.
    """
    meeting = Meeting()
    given = [("s", SUMMARY), ("a", ORDINARY), ("e", EXPIRY), ("b", ORDINARY), ("f", EXPIRY)]

    run(*(meeting.test(name, phase) for name, phase in given))

    assert meeting.order == ["a", "b", "e", "f", "s"]
    assert meeting.together == {
        "a": {"a", "b"},
        "b": {"a", "b"},
        "e": {"e", "f"},
        "f": {"e", "f"},
        "s": {"s"},
    }


def test_tests_that_must_be_alone_are() -> None:
    """In the phase of those that measure time there is one at a time, however many may be in
    flight.
    """
    meeting = Meeting()

    run(*(meeting.test(name, ALONE) for name in "abc"))

    assert meeting.together == {name: {name} for name in "abc"}


def test_no_more_at_a_time_than_may_be_in_flight() -> None:
    """As many tests are under way as may be, and no more."""
    meeting, most = Meeting(), []
    tests = [meeting.test(str(number), ORDINARY) for number in range(9)]

    def counted(call: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def counts() -> None:
            most.append(len(meeting.now) + 1)
            await call()

        return counts

    for test in tests:
        test.call = counted(test.call)

    run(*tests, in_flight=3)

    assert max(most) == 3


# --- What else the loop does, and how it ends --------------------------------------------------


def test_something_else_runs_on_the_same_loop() -> None:
    """What is done beside the tests gives its result, or its failure."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def fails() -> None:
        raise ValueError("a bug")

    with opened() as ahead:
        assert ahead.do(loop()) is ahead._loop
        with pytest.raises(ValueError, match="a bug"):
            ahead.do(fails())


def test_what_takes_too_long_is_given_up() -> None:
    """What is not done in time is cancelled, and the loop goes on."""
    cancelled = threading.Event()

    async def never() -> None:
        try:
            await asyncio.sleep(NEVER)
        finally:
            cancelled.set()

    with opened() as ahead:
        with pytest.raises(TimeoutError):
            ahead.do(never(), timeout=0.01)
        assert cancelled.wait(NEVER)
        assert ahead.do(asyncio.sleep(0, "on"), timeout=NEVER) == "on"


@pytest.fixture
def usual_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The signals that end a run, as a run minds them; none has come yet."""
    monkeypatch.setattr(endings, "_ending", endings._Ending())
    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    end_as_ctrl_c_does()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Interrupted(Future[Any]):
    """What is waited for when Ctrl-C comes."""

    def result(self, timeout: float | None = None) -> Any:
        """Be interrupted."""
        raise KeyboardInterrupt


def test_ctrl_c_while_something_else_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while the caller waits cancels what it waits for."""
    future = Interrupted()
    ahead = Scheduler(1)
    monkeypatch.setattr(
        asyncio, "run_coroutine_threadsafe", lambda coroutine, loop: coroutine.close() or future
    )

    with pytest.raises(KeyboardInterrupt):
        ahead.do(asyncio.sleep(0))

    assert future.cancelled()
    ahead._loop.close()


def waits_for_ever(test: list[ScheduledTest]) -> ScheduledTest:
    """A test that does not end by itself."""

    async def never() -> None:
        await asyncio.sleep(NEVER)

    test.append(ScheduledTest("never", 0, never))
    return test[0]


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_waiting_for_a_test(number: signal.Signals) -> None:
    """The first Ctrl-C or SIGTERM ends the wait for a test; the second is raised where it comes."""
    tests: list[ScheduledTest] = []
    with opened() as ahead:
        ahead.start([waits_for_ever(tests)])
        with ahead.minding_ctrl_c():
            signal.raise_signal(number)
            with pytest.raises(KeyboardInterrupt):
                ahead.wait("never")
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        ahead.stop()

    assert tests[0].done.is_set()
    assert isinstance(tests[0].error, asyncio.CancelledError)


def test_a_run_that_is_stopped() -> None:
    """What is under way is cancelled, what is done stays done, and what says what the target now
    has comes to its end.
    """
    ended: list[str] = []
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.02)
        ended.append("made")

    async def makes() -> None:
        await uncancelled(work())

    async def passes() -> None:
        ended.append("passed")

    async def never_begun() -> None:
        ended.append("never")

    tests = [
        ScheduledTest("passes", 0, passes),
        ScheduledTest("makes", 0, makes),
        ScheduledTest("later", 1, never_begun),
    ]
    with opened() as ahead:
        ahead.start(tests)
        assert begun.wait(NEVER)
        ahead.stop()
        ahead.stop()  # there is nothing left to stop

    assert ended == ["passed", "made"]
    assert tests[0].error is None
    assert isinstance(tests[1].error, asyncio.CancelledError)
    assert not tests[2].done.is_set()


def test_what_does_not_come_to_its_end_is_cancelled_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What may not be broken off has a few seconds, and no more."""
    monkeypatch.setattr(scheduler, "_LAST_WORDS", 0.01)
    cancelled, begun = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def makes() -> None:
        await uncancelled(work())

    with opened() as ahead:
        ahead.start([ScheduledTest("makes", 0, makes)])
        assert begun.wait(NEVER)
        ahead.stop()
        assert cancelled.is_set()


def test_closing_leaves_nothing_behind() -> None:
    """Whatever is still under way is cancelled, and thread and loop have ended."""
    tests: list[ScheduledTest] = []
    with opened() as ahead:
        ahead.start([waits_for_ever(tests)])

    assert not ahead._thread.is_alive()
    assert ahead._loop.is_closed()
    assert tests[0].done.is_set() or tests[0].tries == 0
