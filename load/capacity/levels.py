"""The levels of a climb over numbers of clients, on real workers: each is a segment of Locust's closed loop, without its warm-up."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

from gevent.event import Event

from rolecall.load import limits, plan
from rolecall.load.capacity.climb import Climb
from rolecall.load.capacity.rates import SLICES, WARM_UP, CapacityRun, Stopped, share
from rolecall.load.capacity.steps import Slice, Step
from rolecall.load.conductor import Conductor
from rolecall.load.objectives import Objective
from rolecall.load.run import GRACE


class ScalingRun(CapacityRun):
    """A climb over numbers of clients, in place of a search over rates."""

    def _load(self) -> None:
        options = self.options
        self.conductor.prepare("", 0, plan.shared(options))
        levels = Levels(self.conductor, self.environment.runner, self.objectives, self.stopped)
        climb = Climb(
            self.until_stopped(levels.measure),
            most=options.most_users,
            seconds=options.search_time,
            told=lambda clients, judged: self.tell(f"{clients:,} users", judged),
        )
        self.found = climb.scaling
        with contextlib.suppress(Stopped):
            climb.run()


class Levels:
    """Lets so many of Locust's users send, as `climb.Climb` asks for them."""

    def __init__(self, conductor: Conductor, runner: Any, objectives: Sequence[Objective], stopped: Event) -> None:
        self._conductor = conductor
        self._runner = runner
        self._objectives = objectives
        self._stopped = stopped
        self._violations = 0

    def measure(self, clients: int, seconds: float) -> Step:
        """Let so many clients send one request after the other, for so many seconds after a warm-up."""
        width = seconds / SLICES
        warm_up = math.ceil(WARM_UP / width)
        self._runner.start(clients, spawn_rate=clients)
        segment = self._conductor.go(None, width=width)
        self._stopped.wait((warm_up + SLICES) * width)
        self._conductor.end()
        self._conductor.wait(segment, 2 * GRACE)
        violations, self._violations = self._conductor.violations.total - self._violations, self._conductor.violations.total

        measured = segment.totals.document()
        rows = list(zip(*(measured["timeline"][name] for name in ("requests", "throttled", "errors")), strict=True))
        seen = (rows + [(0, 0, 0)] * (warm_up + SLICES))[warm_up : warm_up + SLICES]
        response = segment.totals.timeline.response(warm_up * width, math.inf)
        p50, p99 = response.percentiles([50, 99]) if response.count else (None, None)
        slices = [Slice(ended, ended - throttled - failed, throttled, failed) for ended, throttled, failed in seen]
        return Step(
            sum(it.ok for it in slices) / seconds,
            seconds,
            slices,
            waiting=clients,
            p50=p50,
            p99=p99,
            objectives=[share(it, measured, response, warm_up) for it in self._objectives],
            violations=violations,
            generator="; ".join([*segment.errors, *limits.of_the_generator(measured)]),
        )
