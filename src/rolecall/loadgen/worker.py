"""One process's part in a run: its clients, what they measure, and a report every second.

It is told what to do in three messages, and answers each: `Prepare` (with `Ready`, when its clients
are), `Go` (with reports, the last of which is marked) and `End`.
"""

from __future__ import annotations

import argparse
import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from rolecall.errors import ExitCode, RolecallError, Unreachable, UsageError
from rolecall.loadgen import orders
from rolecall.loadgen.accounts import are_shared, share
from rolecall.loadgen.checks.violations import decide
from rolecall.loadgen.client_context import ClientContext
from rolecall.loadgen.generator_limits import out_of
from rolecall.loadgen.measure.pauses import Pauses
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.messages import End, Go, Message, Prepare, Ready, Report
from rolecall.loadgen.open_loop import OpenLoop
from rolecall.loadgen.plan import ResolvedTarget, deny_within, think, weights
from rolecall.loadgen.provisioning import NoUsers
from rolecall.loadgen.scenario import Scenario
from rolecall.loadgen.scenarios import maker
from rolecall.loadgen.transport.failure import Failure
from rolecall.loadgen.unexpected import described

_REPORT = 1.0  # seconds
_GRACE = (
    10.5  # seconds that those under way have at the end of a closed loop, as in an open schedule
)
#: Seconds after which a worker that stood still is no part of the run: its master has called it
#: missing, and gone on without it.
_AWAY = 3.0
#: New objects between two looks for circles, of which answers leave none: 2 % of the time.
_ALLOCATIONS = 50_000
_ISSUED = "; where that is how it issues tokens, say so: issued under [dialect] in the target file"
_PATIENCE = 10.0  # seconds that an arrival waits for a free client

Send = Callable[[Message], None]


class NothingLeft(RolecallError):
    """Not even one request can be sent: the text says what this machine lacks."""

    exit_code = ExitCode.INCONCLUSIVE


class Worker:
    """The clients of one process.

    Args:
        options: Locust's, with ours.
        flush: adds what is new to Locust's own statistics (`measure.locust_stats`).
        send: sends a message to the master: `Ready` or `Report`.
        led: whether the master is another process, which does not wait for a worker that stands
            still.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        flush: Callable[[Recorder], None],
        send: Send,
        *,
        led: bool = False,
    ) -> None:
        # its files are its own: Locust will put the master's in their place
        self._own = argparse.Namespace(**vars(options))
        self._options = self._own
        self._flush = flush
        self._send = send
        self._led = led
        self._open_loop: OpenLoop | None = None
        self._reporting: gevent.Greenlet[[], None] | None = None
        self._makers: dict[str, Callable[[], Scenario]] = {}
        self._number = 0
        self._grace = _GRACE
        self._pauses: Pauses | None = None
        self._away = 0.0
        self.context: ClientContext | None = None
        #: The seconds that a client thinks between two steps, one time after the other.
        self.think: Callable[[], float] | None = None
        #: Set while clients in a closed loop are to go on.
        self.going = Event()

    def prepare(self, packed: object) -> None:
        """On `Prepare`: read the target and the accounts; log in the clients of an open loop."""
        if self._open_loop:
            self._open_loop.close()
            self._open_loop = None
        answer = Ready()
        self._makers = {}
        try:
            order = orders.understood(Prepare, packed)
            self._options = orders.taken(self._own, order)
            resolved = ResolvedTarget.of(self._options)
            self.context = self._made_context(resolved, order.index, order.workers)
            self.context.begin(Recorder(perf_counter()))
            self._check_log_in(resolved.base_url)
            make = self._maker(order.scenario)
            thinking = think(self._options)
            self.think = thinking.dice(order.index) if thinking else None
            if order.clients:
                self._open_loop = OpenLoop(
                    make,
                    most=self._options.in_flight,
                    patience=math.inf if self._options.capacity else _PATIENCE,
                    think=self.think,
                )
                self._open_loop.provide(order.clients, sessions=len(self.context.logins))
            self.context.beside += self.context.recorder.begun
        except RolecallError as reason:
            answer = Ready(_in_a_line(reason), reason.exit_code)
        except MemoryError:
            answer = Ready(out_of("memory"), ExitCode.INCONCLUSIVE)
        except Exception as reason:  # noqa: BLE001  # else the master would wait for an answer
            answer = Ready(f"rolecall itself broke: {described(reason)}", ExitCode.HARNESS_ERROR)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_ALLOCATIONS)
        self._send(answer)

    def _made_context(self, resolved: ResolvedTarget, index: int, workers: int) -> ClientContext:
        """What the clients of this worker share, with its share of the accounts."""
        return ClientContext(
            resolved.origin,
            resolved.spec,
            resolved.dialect,
            share(resolved.accounts, index, workers),
            timeout=resolved.timeout,
            verify=resolved.verify,
            sessions_coexist=not self._options.lone_sessions,
            shared_accounts=are_shared(resolved.accounts, index, workers),
            tells=workers > 1,
            looks=not self._options.no_invariants,
            racers=self._options.racers,
            email_domain=resolved.target.email_domain if resolved.target else "example.org",
            expired=resolved.expired,
            may_make=resolved.target.may_make if resolved.target else lambda resource: True,
            keys_path=resolved.target.api_keys.create_path if resolved.target else "",
            idle_accounts=resolved.idle_accounts,
            deny_within=deny_within(self._options),
        )

    def _check_log_in(self, base_url: str) -> None:
        """Log in once, to tell a target that is away, or refuses, from one that is slow.

        Raises:
            Unreachable: the target does not answer.
            NoUsers: the first account is refused.
            NothingLeft: this machine has no file, port or memory for a connection.
        """
        assert self.context is not None
        (account, request), connection = next(self.context.logins), self.context.connect()
        self.context.beside += 1
        try:
            response = connection.exchange(request)
        except Failure as failure:
            if lacking := out_of(failure.kind):
                raise NothingLeft(lacking) from None
            raise Unreachable(base_url, f"cannot be reached: {failure}") from None
        finally:
            connection.close()
        if response.status not in (*self.context.dialect.issued, 429):
            is_spaced = account.password != account.password.strip()  # as of a CSV with ", "
            raise NoUsers(
                f"{base_url} answers {response.status} to the log-in of {account.email}: there is "
                "nothing to load it with"
                + ("; white space stands around the password" if is_spaced else "")
                + (_ISSUED if 200 <= response.status < 300 else "")
            )

    def go(self, packed: object) -> None:
        """On `Go`: begin to measure; in an open loop, send what is due."""
        try:
            self._begin(orders.understood(Go, packed))
        except Exception as reason:  # noqa: BLE001  # else the master would wait for a report
            error = _in_a_line(reason) if isinstance(reason, UsageError) else described(reason)
            self._send(Report(Go.number_of(packed), last=True, error=error))

    def _begin(self, order: Go) -> None:
        assert self.context is not None
        self._number, self._grace, self._away = order.number, order.grace, 0.0
        recorder = Recorder(perf_counter() + order.delay, order.width)
        self.context.begin(recorder)
        if self._pauses is not None:
            self._pauses.close()
        self._pauses = Pauses(recorder, seconds=_AWAY if self._led else math.inf, away=self._leave)
        self._reporting = gevent.spawn(self._report_on)
        if order.schedule:
            times = order.schedule.due(order.index, order.workers)
            gevent.spawn(self._run, times, order.grace, order.abandon)
        else:
            self.going.set()

    def end(self, packed: object) -> None:
        """On `End`: send no more; the last report follows when steps under way have ended, or had
        time. A word to end that cannot be read leaves them none.
        """
        try:
            self._end(orders.understood(End, packed).grace)
        except UsageError:
            self._end(0.0)

    def _end(self, grace: float) -> None:
        grace = min(self._grace, grace)
        self.going.clear()
        if self._open_loop and self._open_loop.is_running:
            self._open_loop.stop(grace)
            return
        until = perf_counter() + grace
        while self._is_under_way and perf_counter() < until:
            gevent.sleep(0.02)
        self._report_last()

    @property
    def _is_under_way(self) -> bool:
        return self.context is not None and bool(
            self.context.recorder.under_way or self.context.is_under_way
        )

    def _leave(self, seconds: float) -> None:
        """In the hub: leave the run, which went on while this process stood still."""
        self._away = seconds
        self.going.clear()
        if self._open_loop:
            self._open_loop.stop(0.0)
        gevent.spawn(self._end, 0.0)

    def _run(self, times: Iterator[float], grace: float, abandon: bool) -> None:
        assert self._open_loop is not None
        assert self._pauses is not None
        assert self.context is not None
        error = ""
        try:
            self._open_loop.run(
                self.context.recorder, times, grace=grace, abandon=abandon, look=self._pauses.look
            )
        except Exception as reason:  # noqa: BLE001  # it was on this side: the run is void
            error = described(reason)
        self._report_last(error)

    def step(self, client: Scenario) -> None:
        """Take a step of a client in a closed loop; a client that breaks ends the run."""
        assert self.context is not None
        recorder = self.context.recorder
        recorder.sent += 1
        recorder.under_way += 1
        try:
            client.step(perf_counter())
        except Exception as error:  # noqa: BLE001  # Locust would note it in a table, and go on
            self._break(error)
        finally:
            if recorder.under_way:  # else it was given up
                recorder.completed += 1
                recorder.under_way -= 1

    def _break(self, error: Exception) -> None:
        """A client of a closed loop broke: the run is void, and over."""
        self.going.clear()
        self._report_last(described(error))

    def _report_on(self) -> None:
        while True:
            gevent.sleep(_REPORT)
            self._send(self._report())

    def _report_last(self, error: str = "") -> None:
        """Give up what is under way, and report all that is not reported yet; once."""
        reporting, self._reporting = self._reporting, None
        if reporting is None:
            return
        reporting.kill()
        if self._pauses is not None:
            self._pauses.close()
        assert self.context is not None
        self.context.recorder.give_up()
        self.context.give_up()
        report = self._report()  # at once: what comes from now on belongs to nothing any more
        if self._open_loop and not self._options.capacity:
            # the writer of the result needs files, too; in a search this was only a step
            self._open_loop.close()
        # What follows may take its time, and this is not to wait for it.
        self._send(replace(report, away=self._away))
        sampled, refused = None, self.context.invariants.refused
        try:
            sampled = self.context.tidy()
        except Exception as reason:  # noqa: BLE001  # as in `_run`
            error = error or described(reason)
        beside = self._beside()
        denials = self.context.denials.take()  # more of them were decided meanwhile
        self._send(
            Report(
                report.number,
                denials=denials,
                sampled=sampled,
                refused=refused,
                beside=beside,
                last=True,
                error=error,
            )
        )

    def _beside(self) -> int:
        assert self.context is not None
        count, self.context.beside = self.context.beside, 0
        return count

    def _report(self) -> Report:
        """What is new since the last report, or why that cannot be told."""
        number, beside = self._number, self._beside()
        try:
            return replace(self._news(number), beside=beside)
        except Exception as reason:  # noqa: BLE001  # as in `go`
            return Report(number, beside=beside, error=described(reason))

    def _news(self, number: int) -> Report:
        assert self.context is not None
        context = self.context
        context.recorder.tick(perf_counter())
        violations = context.violations.take()
        for kind, count in decide(violations.get("counts", {})).items():
            context.recorder.violation(kind, count)
        self._flush(context.recorder)
        return Report(
            number,
            measured=context.recorder.take(),
            violations=violations,
            seen=context.invariants.take(),
            races=context.races.take(),
            denials=context.denials.take(),
            accounts=len(context.used),
        )

    def client(self, scenario: str) -> Scenario:
        """One more client of a closed loop, ready for a step; blocks until the run has begun."""
        self.going.wait()
        try:
            client = self._maker(scenario)()
            client.prepare()
        except Exception as error:  # noqa: BLE001  # Locust would go on with a user less
            self._break(error)
            raise GreenletExit from None
        return client

    def _maker(self, scenario: str) -> Callable[[], Scenario]:
        """What makes the clients of a scenario."""
        assert self.context is not None
        if scenario not in self._makers:
            self._makers[scenario] = maker(
                scenario, self.context, weights(self._options), self._options.guarding
            )
        return self._makers[scenario]


def _in_a_line(reason: RolecallError) -> str:
    """What it says, with the hint that else stands on a line of its own."""
    return "; ".join(line.strip() for line in str(reason).splitlines())
