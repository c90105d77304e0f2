"""A worker of a load run in this process, without Locust, told what to do as by a master."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from rolecall.loadgen import plan
from rolecall.loadgen.measure.conservation import Accounts
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.schedule import Schedule
from rolecall.loadgen.worker import Worker
from tests.support.command import target_file, target_text

GRACE = 0.3  # seconds


class Led:
    """A worker, and what it has reported."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        timeout: float = 30,
        led: bool = False,
        workers: int = 1,
        **options: Any,
    ) -> None:
        file = target_file(folder, target_text(url, under_target=f"timeout = {timeout}"))
        self.options = plan.parse([f"--target={file}"])
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.worker = Worker(
            self.options,
            lambda recorder: None,
            lambda message: self.said.append((message.kind, message.pack())),
            led=led,
        )
        self._workers = workers
        self._shared = options

    def prepare(self, scenario: str = "issuance", clients: int = 0) -> None:
        """Get ready, for an open loop where there are clients."""
        job = {
            "scenario": scenario,
            "clients": clients,
            "index": 0,
            "workers": self._workers,
            "options": self._shared,
        }
        self.worker.prepare(job)
        assert self.said.pop() == ("ready", {"error": "", "exit_code": 0})

    def go(
        self, rate: float = 0.0, seconds: float = 1.0, *, number: int = 1, grace: float = GRACE
    ) -> None:
        """Begin: an open schedule where there is a rate."""
        schedule = Schedule.parse(str(rate), seconds).pack() if rate else None
        shared = {"index": 0, "workers": 1, "abandon": False}
        self.worker.go(
            {
                "number": number,
                "delay": 0.0,
                "width": 1.0,
                "schedule": schedule,
                "grace": grace,
                **shared,
            }
        )

    def user(self, scenario: str, steps: int = 10**9) -> gevent.Greenlet[[], None]:
        """A user of a closed loop, as the locustfile has them."""

        def run() -> None:
            client = self.worker.client(scenario)
            for _ in range(steps):
                if not self.worker.going.is_set():
                    break
                self.worker.step(client)

        return gevent.spawn(run)

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports until now."""
        return [data for kind, data in self.said if kind == "report"]

    def last(self, seconds: float = 20.0) -> dict[str, Any]:
        """Wait for the last report."""
        wait_for(lambda: bool(self.reports) and self.reports[-1]["last"], seconds)
        return self.reports[-1]

    @property
    def totals(self) -> Totals:
        """What all reports add up to."""
        totals = Totals()
        for report in self.reports:
            if report["measured"] is not None:
                totals.merge("one", report["measured"])
        return totals

    @property
    def accounts(self) -> Accounts:
        """The accounts of the run."""
        return self.totals.accounts()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Let the hub go on until something is so."""
    with gevent.Timeout(seconds):
        while not condition():
            gevent.sleep(0.01)
