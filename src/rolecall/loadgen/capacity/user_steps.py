"""The steps of a search by users: each is a segment of Locust's closed loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gevent.event import Event

from rolecall.loadgen import plan
from rolecall.loadgen.capacity.by_users import SearchByUsers
from rolecall.loadgen.capacity.rate_steps import CapacityRun
from rolecall.loadgen.capacity.segments import SLICES, Segments, cut, rows
from rolecall.loadgen.capacity.steps import Slice, Step
from rolecall.loadgen.coordinator import Coordinator
from rolecall.loadgen.objectives import Objective
from rolecall.loadgen.run import GRACE


class ScalingRun(CapacityRun):
    """A search over numbers of clients, in place of rates."""

    def _load(self) -> None:
        options = self.options
        self.coordinator.prepare(self.scenario, 0, plan.shared(options))
        steps = UserSteps(self.coordinator, self.of_steps, self.environment.runner, self.stopped)
        search = SearchByUsers(
            self.until_stopped(steps.measure),
            most=options.most_users,
            seconds=options.search_time,
            told=lambda clients, judged: self.tell(f"{clients:,} users", judged),
        )
        self.found = search.scaling
        self.until_it_ends(search.run)


class UserSteps(Segments):
    """Lets as many of Locust's users send as `SearchByUsers` asks for."""

    def __init__(
        self, coordinator: Coordinator, objectives: Sequence[Objective], runner: Any, stopped: Event
    ) -> None:
        super().__init__(coordinator, objectives)
        self._runner = runner
        self._stopped = stopped

    def measure(self, clients: int, seconds: float) -> Step:
        """Let so many clients send for so many seconds, after a warm-up."""
        width, warm_up = cut(seconds)
        count = warm_up + SLICES
        self._runner.start(clients, spawn_rate=clients)
        segment = self.coordinator.go(None, width=width)
        self._stopped.wait(count * width)
        self.coordinator.end()
        self.coordinator.wait(segment, 2 * GRACE)

        measured = segment.totals.document()
        seen = rows(measured, ("requests", "throttled", "errors"), count)[warm_up:]
        slices = [
            Slice(ended, ended - throttled - failed, throttled, failed)
            for ended, throttled, failed in seen
        ]
        throughput = sum(piece.ok for piece in slices) / (SLICES * width)
        return self.step(throughput, width, segment, measured, slices, clients)
