"""A load run from its beginning to its last file, led by the master or the only process."""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from rolecall.errors import ExitCode, RolecallError
from rolecall.loadgen import aborting, plan, result
from rolecall.loadgen.checks.violations import KINDS
from rolecall.loadgen.coordinator import Coordinator, Segment
from rolecall.loadgen.deny_scenario import TimeToDenyScenario
from rolecall.loadgen.generator_limits import out_of
from rolecall.loadgen.judgement import Judgement
from rolecall.loadgen.measure import prometheus
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.messages import MOST_CLIENTS
from rolecall.loadgen.objectives import Objective
from rolecall.loadgen.schedule import Schedule, duration
from rolecall.loadgen.unexpected import described, is_of_memory
from rolecall.screen import harmless, is_terminal, over, width_of
from rolecall.wording import counted

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.runners import Runner

    from rolecall.loadgen.live import LivePage

#: Seconds of load for which clients are logged in beforehand; those that it takes more log in when
#: they are needed.
_BEFOREHAND = 0.25
#: Seconds that those under way at the end have: as long as an exchange may take by default, and the
#: moment until that is seen.
GRACE = 10.5
#: Seconds that they have where the run was ended early, and that their reports may take then.
_SHORT_GRACE, _LAST_WORDS = 2.0, 4.0
_LONG = 86_400.0 * 365
#: Lines for the live page.
_MOST_SAID = 200
#: Seconds between two looks whether the run goes on for nothing.
_LOOK = 1.0


def beforehand(rate: float) -> int:
    """How many clients are made before a load of this rate."""
    return min(max(8, math.ceil(rate * _BEFOREHAND)), MOST_CLIENTS)


@dataclass
class LoadRun:
    """One run on Locust's master, or in its only process.

    ``scenario`` is the name of the one that an open schedule drives; in a closed loop it says what
    Locust's users do.
    """

    environment: Environment
    options: argparse.Namespace
    coordinator: Coordinator
    scenario: str
    document: dict[str, Any] | None = None
    _schedule: Schedule | None = None
    objectives: list[Objective] = field(default_factory=list)
    stopped: Event = field(default_factory=Event)
    #: What was said that stays, for the live page.
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_SAID))
    _live: LivePage | None = None
    #: Why the run was ended early by somebody; empty if it was not.
    _interrupted: str = ""
    #: Why the run was ended early by itself; empty if it was not.
    _aborted: str = ""
    _looked: float = 0.0
    _said: float = 0.0
    _error: RolecallError | None = None
    _segment: Segment | None = None
    started: float = 0.0

    @property
    def _runner(self) -> Runner:
        assert self.environment.runner is not None  # it is what told us to begin
        return self.environment.runner

    def begin(self) -> None:
        """Lead a run, beside whatever Locust does."""
        self.document, self._segment, self._error, self.started = None, None, None, time.time()
        self._interrupted, self._aborted = "", ""
        self.stopped.clear()
        gevent.spawn(self._conduct)

    def _conduct(self) -> None:
        """Prepare, load, wait for the end, judge and write; then Locust may go."""
        watching, metrics = gevent.spawn(self._watch), None
        try:
            if self.options.prometheus_port:
                metrics = prometheus.serve(
                    self.options.prometheus_port,
                    lambda: self.coordinator.segment.totals if self.coordinator.segment else None,
                )
            self._schedule = plan.schedule(self.options)
            self.objectives = plan.objectives(self.options)
            if self.options.live is not None:
                from rolecall.loadgen import live  # noqa: PLC0415  # others need not wait for it

                self._live = live.page_of(self, self._schedule)
                self.say(f"live          {self._live.address}")
                self.said.clear()  # the page knows where it is
            self._load()
        except RolecallError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  # else Locust would wait for ever
            self.coordinator.errors.append(described(error))
        try:
            watching.kill()
            if self._interrupted and self._segment:  # `interrupt` has told them to end
                self.coordinator.wait(self._segment, _LAST_WORDS)
            self.finish()
            if metrics:
                metrics.stop()
        finally:
            self._let_go()

    def stop_from_page(self) -> None:
        """End the run just as Ctrl-C does, which comes from the launcher as SIGTERM."""
        if self.document is None:
            self._interrupted = self._interrupted or "it was stopped on its live page"
            os.kill(os.getpid(), signal.SIGTERM)

    def _let_go(self) -> None:
        """Let Locust end, or wait for the next run that its page begins."""
        if self.options.headless:
            if not self._interrupted:  # else whoever interrupted it is about to end Locust
                self._runner.quit()
        elif self.document and self.document["verdict"] == "invalid":
            self._runner.stop()

    def end(self, grace: float = GRACE, reports: float = 2 * GRACE) -> None:
        """Send no more, and wait for the last reports, so many seconds in all."""
        if self._segment and self._segment.waiting_for:
            self.coordinator.end(grace)
            self.coordinator.wait(self._segment, reports)

    def stop(self) -> None:
        """Note that Locust has stopped its users."""
        self.stopped.set()

    def interrupt(self) -> None:
        """On Ctrl-C or a signal, write what is known by now."""
        if self.started and self.document is None:
            if not self.stopped.is_set():  # else Locust ended what had its time (--run-time)
                self._interrupted = self._interrupted or "it was interrupted"
            self.stopped.set()
            self.end(_SHORT_GRACE, _LAST_WORDS)
            self.finish()

    def _load(self) -> None:
        schedule = self._schedule
        if schedule:
            clients = beforehand(schedule.peak)
            self.coordinator.prepare(self.scenario, clients, plan.shared(self.options))
            self._segment = self.coordinator.go(schedule, grace=GRACE)
            limit = schedule.duration + GRACE
            while not self.coordinator.wait(self._segment, 1.0) and not self.stopped.is_set():
                # the others need not go on with what is void
                if self.coordinator.errors or self._is_to_stop(schedule.duration, schedule.count()):
                    self.coordinator.end()
                if perf_counter() - self._segment.began > limit + 10:
                    self.end(_SHORT_GRACE, _LAST_WORDS)
                    break
            return
        self.coordinator.prepare(self.scenario, 0, plan.shared(self.options))
        self._segment = self.coordinator.go(None)
        seconds = duration(self.options.duration, "--duration") if self.options.duration else _LONG
        ramp = duration(self.options.ramp, "--ramp") if self.options.ramp else 0.0
        until = perf_counter() + seconds + ramp
        while perf_counter() < until and not self.stopped.wait(0.1) and not self.coordinator.errors:
            if self._is_to_stop(seconds + ramp, None):
                break
        self._runner.stop()

    def _is_to_stop(self, seconds: float, planned: int | None) -> bool:
        """Whether the run goes on for nothing (``--abort-on``); says why."""
        conditions, now = self.options.abort_on, perf_counter()
        if not conditions or self._segment is None or now < self._looked + _LOOK or self._aborted:
            return False
        self._looked, violations = now, self.coordinator.violations.total
        if "slo" not in conditions and not violations:
            return False  # the figures, which take milliseconds of arrivals, decide nothing
        named = {objective.request for objective in self.objectives if objective.request}
        so_far, schedule = self._segment.totals.so_far(named), self._schedule
        self._aborted = aborting.why_to_stop(
            conditions,
            so_far,
            self.objectives,
            violations=violations,
            to_come=aborting.rest(so_far, planned, seconds),
            rate=schedule.changing_rate_at(so_far["duration_s"]) if schedule else None,
        )
        if self._aborted:
            self.say(self._aborted)
        return bool(self._aborted)

    def _watch(self) -> None:
        """Look after the workers, and say how the run goes."""
        try:
            while True:
                gevent.sleep(1.0)
                # at the end Locust forgets its workers
                if self._segment is None or self._segment.waiting_for:
                    self.coordinator.look_after()
                if self._segment is not None and self.options.run_folder:
                    self._say_how_it_goes(self._segment)
        except Exception as error:  # noqa: BLE001  # an unwatched run is void
            self.coordinator.errors.append(described(error))

    def _say_how_it_goes(self, segment: Segment) -> None:
        now = segment.totals.snapshot()
        if now.requests and (now.rate or now.second > 1):  # the first report may be a moment late
            self.say(
                f"{now.second:>5} s  {now.rate:>9,.1f}/s  p50 {1000 * now.p50:,.1f} ms  p99 "
                f"{1000 * now.p99:,.1f} ms"
                f"  errors {now.errors:,}  violations {now.violations:,}  429 {now.throttled:,}",
                passing=True,
            )

    def say(self, line: str, *, passing: bool = False) -> None:
        """Tell people how the run goes; ``passing`` lines are seldom written outside a terminal."""
        line = harmless(line)
        if not passing:
            self.said.append(line)
        if not self.options.headless or self.options.silent:
            return
        with contextlib.suppress(OSError, ValueError):  # the reader may have left
            if is_terminal(sys.stderr):
                sys.stderr.write(over(line, width_of(sys.stderr), passing=passing))
            elif not passing or time.monotonic() - self._said >= _SAY_EVERY:
                self._said = time.monotonic()
                sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    # --- The end --------------------------------------------------------------------------------

    def finish(self) -> None:
        """Judge, and write what the run leaves; once, and whatever happens, with an exit code."""
        if self.document is not None:
            self._close_page()
            return
        try:
            self.document = self.write()
        except Exception as error:  # noqa: BLE001  # else Locust would wait for ever
            why = (
                str(error)
                if isinstance(error, RolecallError)
                else f"rolecall itself broke: {described(error)}"
            )
            self.document = {
                "verdict": "invalid",
                "exit_code": int(ExitCode.HARNESS_ERROR),
                "reasons": [why],
            }
            self._tell(why)
        self.environment.process_exit_code = int(self.document["exit_code"])
        # Locust was started by itself: its log is where it is looked for
        if not self.options.run_folder:
            for reason in self.document["reasons"]:
                logging.getLogger(__name__).warning(reason)
        with contextlib.suppress(OSError, ValueError):
            if self.options.headless and is_terminal(sys.stderr):
                sys.stderr.write(over("", width_of(sys.stderr), passing=True) + "\r")
        self._close_page()

    def _close_page(self) -> None:
        """Give a live page that is open the time to ask how the run ended."""
        if self._live:
            self._live.close()

    def leave_out(self, path: Path, error: Exception) -> None:
        """Say in the result that a file beside it could not be written."""
        try:
            if self.options.run_folder:
                result.leave_out(Path(self.options.run_folder), path, error)
        except (OSError, ValueError) as worse:
            self._tell(f"{path} could not be written: {described(worse)}")

    def _tell(self, why: str) -> None:
        """Say on standard error why there is no result."""
        if self.options.run_folder:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"rolecall: {why}\n")

    def write(self) -> dict[str, Any]:
        """Judge, and write load.json and what lies beside it."""
        segment = self._segment or Segment(0, Totals(), perf_counter(), set())
        is_whole = not (self._interrupted or self._aborted)
        planned = self._schedule.duration if self._schedule and is_whole else 0.0
        measured = segment.totals.document(planned)
        violations = self.coordinator.violations
        judged = Judgement.of(
            measured,
            self.objectives,
            violations=violations.total,
            void=[*self.why_void(), *self._why_incomplete(segment, measured)],
            closed=self._schedule is None,
            shut_out=self.coordinator.refused,
            beside=self.coordinator.beside,
        )
        seen = [
            f"{count} x {kind}: {KINDS[kind].statement}"
            for kind, count in measured["violations"].items()
        ]
        document = {
            **result.about(self.options, self.scenario, self.started),
            "verdict": judged.verdict,
            "exit_code": int(self.exit_code(judged.verdict)),
            "reasons": [*seen, *judged.reasons, *filter(None, [self._aborted])],
            "arrivals": self._schedule.pack() if self._schedule else None,
            "users": None if self._schedule else self.options.num_users,
            **measured,
            "objectives": judged.objectives,
            **result.accounts(self.options, self.coordinator.accounts_used),
            "requests_beside": self.coordinator.beside,
            "violation_samples": result.samples(violations.samples),
            **result.advice(violations),
            **self._denials(),
            "sampled": result.sampled(self.coordinator.sampled, self.coordinator.refused),
        }
        if self.options.run_folder:
            result.write(Path(self.options.run_folder), document, segment.totals.response)
        return document

    def _denials(self) -> dict[str, Any]:
        """What became of revoked credentials, where the scenario revokes some."""
        if self.scenario != TimeToDenyScenario.name:
            return {}
        bound = plan.deny_within(self.options)
        return {"denials": self.coordinator.denials.document(bound)}

    def why_void(self) -> list[str]:
        """Sentences on what broke on our side."""
        reasons = [str(self._error)] if self._error else []
        reasons += filter(None, [self._interrupted])
        reasons += [f"left behind: {thing}" for thing in sorted(self.coordinator.sampled["left"])]
        return (
            reasons
            + self.coordinator.lost
            + [
                out_of("memory") if is_of_memory(error) else f"rolecall itself broke: {error}"
                for error in self.coordinator.errors
            ]
        )

    def _why_incomplete(self, segment: Segment, measured: Mapping[str, Any]) -> Iterator[str]:
        """What of the run is not in its figures, where it came to its end."""
        if self._error or self._interrupted or self.coordinator.errors:
            return
        if segment.waiting_for:
            yield f"no last report came from {counted(len(segment.waiting_for), 'worker')}"
        # of a worker that died nobody knows what was under way, and that is said
        for broken in [] if self.coordinator.lost else measured["conservation"]["broken"]:
            yield f"the accounts of the run do not add up: {broken}"

    def exit_code(self, word: str) -> ExitCode:
        """The exit code that goes with a verdict."""
        if self._interrupted:
            return ExitCode.INTERRUPTED
        if word == "missed":
            return ExitCode.FAILED
        if self._error:
            return self._error.exit_code
        if not all(map(is_of_memory, self.coordinator.errors)):
            return ExitCode.HARNESS_ERROR
        if self.coordinator.sampled["left"]:
            return ExitCode.LEFT_BEHIND
        return ExitCode.INCONCLUSIVE if word == "invalid" else ExitCode.CONFORMANT


#: Seconds between two passing lines where there is no terminal.
_SAY_EVERY = 10.0
