"""A load run from its beginning to its last file: what the process that conducts it does beside Locust."""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment

from rolecall.errors import ExitCode, RolecallError
from rolecall.load import objectives, plan, result
from rolecall.load.conductor import Conductor, Segment
from rolecall.load.histogram import Histogram
from rolecall.load.schedule import Schedule, duration
from rolecall.load.totals import Totals
from rolecall.load.violations import KINDS

#: The generator's own limits: beyond them a run says more of it than of the server.
MOST_LAG = 0.010  # seconds, of dispatch, at the 99th percentile
MOST_CPU = 0.9  # of one core, over the run
#: Seconds of load for which clients are logged in beforehand; those that it takes more log in when they are needed.
_BEFOREHAND = 0.25
_GRACE = 10.0  # seconds that those under way at the end have
_LONG = 86_400.0 * 365


@dataclass
class LoadRun:
    """One run on Locust's master, or in its only process.

    ``scenario`` is the name of the one that an open schedule drives; in a closed loop it says what Locust's users do.
    """

    environment: Environment
    options: argparse.Namespace
    conductor: Conductor
    scenario: str
    document: dict[str, Any] | None = None
    _schedule: Schedule | None = None
    _objectives: list[objectives.Objective] = field(default_factory=list)
    _stopped: Event = field(default_factory=Event)
    _interrupted: bool = False
    _error: RolecallError | None = None
    _segment: Segment | None = None
    _started: float = 0.0

    def begin(self) -> None:
        """Conduct a run, beside whatever Locust does."""
        self.document, self._segment, self._error, self._started = None, None, None, time.time()
        self._stopped.clear()
        gevent.spawn(self._conduct)

    def _conduct(self) -> None:
        """Prepare, load, wait for the end, judge and write; then Locust may go."""
        watching = gevent.spawn(self._watch)
        try:
            self._schedule = plan.schedule(self.options)
            self._objectives = plan.objectives(self.options)
            self._load()
        except RolecallError as error:
            self._error = error
        finally:
            watching.kill()
            self.finish()
        if self.options.headless:
            self.environment.runner.quit()

    def stop(self) -> None:
        """Locust has stopped its users: the run is over."""
        self._stopped.set()

    def interrupt(self) -> None:
        """Ctrl-C, or a signal: see what is known by now, and write it."""
        if self._started and self.document is None:
            self._interrupted = True
            self._stopped.set()
            if self._segment:
                self.conductor.end()
                self.conductor.wait(self._segment, 3.0)
            self.finish()

    def _load(self) -> None:
        schedule = self._schedule
        if schedule:
            peak = max(max(phase.low, phase.high) for phase in schedule.phases)
            self.conductor.prepare(self.scenario, max(8, math.ceil(peak * _BEFOREHAND)), plan.shared(self.options))
            self._segment = self.conductor.go(schedule, grace=_GRACE)
            limit = schedule.duration + _GRACE
            while not self.conductor.wait(self._segment, 1.0) and not self._stopped.is_set():
                if perf_counter() - self._segment.began > limit + 10:
                    break
            return
        self.conductor.prepare("", 0, plan.shared(self.options))
        self._segment = self.conductor.go(None)
        seconds = duration(self.options.duration, "--duration") if self.options.duration else _LONG
        ramp = duration(self.options.ramp, "--ramp") if self.options.ramp else 0.0
        if not self._stopped.wait(seconds + ramp):
            self.environment.runner.stop()
        self.conductor.end()
        self.conductor.wait(self._segment, _GRACE)

    def _watch(self) -> None:
        """Look after the workers, and say how the run goes."""
        is_terminal, said = sys.stderr.isatty(), 0.0
        while True:
            gevent.sleep(1.0)
            self.conductor.look_after()
            if not self.options.headless or self._segment is None or not self.options.run_folder:
                continue
            now = self._segment.totals.snapshot()
            line = (
                f"{now.second:>5} s  {now.rate:>9,.1f}/s  p50 {1000 * now.p50:,.1f} ms  p99 {1000 * now.p99:,.1f} ms"
                f"  errors {now.errors:,}  throttled {now.throttled:,}  violations {now.violations:,}"
            )
            if is_terminal:
                sys.stderr.write(f"\r{line}\x1b[K")
            elif time.monotonic() - said >= _SAY_EVERY:
                said = time.monotonic()
                sys.stderr.write(f"{line}\n")

    # --- The end -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Judge, and write what the run leaves; once."""
        if self.document is not None:
            return
        self.document = self._document()
        self.environment.process_exit_code = int(self.document["exit_code"])
        if self.options.run_folder:
            response = self._segment.totals.response if self._segment else Histogram()
            result.write(Path(self.options.run_folder), self.document, response)

    def _document(self) -> dict[str, Any]:
        segment = self._segment or Segment(0, Totals(), perf_counter(), set())
        measured = segment.totals.document(max(perf_counter() - segment.began, 0.001) if self._segment else None)
        judged = objectives.judge(self._objectives, measured)
        violations = self.conductor.violations
        invalid = self._why_invalid(segment, measured)
        word = objectives.verdict(judged, violations.total, invalid)
        reasons = [f"{count} x {kind}: {KINDS[kind].statement}" for kind, count in measured["violations"].items()] + invalid
        if not invalid:
            reasons += [f"{it['objective']} did not hold: {_shown(it)}" for it in judged if not it["held"]]
        return result.document(
            self.options,
            self.scenario,
            measured,
            verdict=word,
            exit_code=int(self._exit_code(word, segment)),
            reasons=reasons,
            started=self._started,
            judged=judged,
            samples=violations.samples,
            sampled=self.conductor.sampled,
        )

    def _why_invalid(self, segment: Segment, measured: dict[str, Any]) -> list[str]:
        """Why the run is no statement about the server; nothing where it is one."""
        reasons = [str(self._error)] if self._error else []
        reasons += ["it was interrupted"] if self._interrupted else []
        reasons += [f"left behind: {thing}" for thing in sorted(self.conductor.sampled["left"])]
        reasons += [f"worker {name} died" for name in self.conductor.dead]
        reasons += [f"rolecall itself broke: {error}" for error in segment.errors]
        if reasons:
            return reasons
        if not measured["requests"]:
            return ["nothing was answered"]
        if segment.waiting_for:
            reasons.append(f"no last report came from {len(segment.waiting_for)} workers")
        if measured["dropped"]:
            reasons.append(f"{measured['dropped']} arrivals were dropped, nobody was free to send them: raise --in-flight")
        lag = measured["dispatch_lag_ms"]["p99"]
        if lag > 1000 * MOST_LAG:
            reasons.append(f"the generator was {lag:.0f} ms behind its schedule (p99): lower the rate, or add workers")
        for worker in measured["workers"]:
            if worker["cpu"] > MOST_CPU:
                reasons.append(f"worker {worker['name']} used {worker['cpu']:.0%} of its core: lower the rate, or add workers")
        return reasons

    def _exit_code(self, word: str, segment: Segment) -> ExitCode:
        if self._interrupted:
            return ExitCode.INTERRUPTED
        if word == "missed":
            return ExitCode.FAILED
        if self._error:
            return self._error.exit_code
        if self.conductor.sampled["left"]:
            return ExitCode.LEFT_BEHIND
        if segment.errors:
            return ExitCode.HARNESS_ERROR
        return ExitCode.INCONCLUSIVE if word == "invalid" else ExitCode.CONFORMANT


#: Seconds between two progress lines where there is no terminal.
_SAY_EVERY = 10.0


def _shown(judged: dict[str, Any]) -> str:
    return "nothing was measured" if judged["observed"] is None else f"{judged['observed']:.4g} {judged['unit']}".rstrip()
