"""One process's part in a run: its clients, what they measure, and a report of it every second.

It is told what to do in three messages, and answers each: `prepare` (with `ready`, when its clients are), `go` (with reports, the last
of which is marked) and `end`.
"""

from __future__ import annotations

import argparse
import gc
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from gevent.event import Event
from locust.stats import RequestStats

from rolecall.errors import ExitCode, RolecallError, Unreachable
from rolecall.load.accounts import are_shared, share
from rolecall.load.engine import Engine
from rolecall.load.measure.locust_stats import flush
from rolecall.load.measure.recorder import Recorder
from rolecall.load.plan import Aim, weights
from rolecall.load.scenarios import Scenario, maker
from rolecall.load.schedule import Schedule
from rolecall.load.site import Site
from rolecall.load.transport.client import Failure
from rolecall.load.users import NoUsers

_REPORT = 1.0  # seconds
_GRACE = 10.0  # seconds that those under way have at the end of a closed loop
_PATIENCE = 10.0  # seconds that who is due waits for a free client

Send = Callable[[str, dict[str, Any]], None]


def described(error: Exception) -> str:
    """What broke, and where; not the exception's own words, which may hold what was sent or received."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in " + (f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place")


class Worker:
    """The clients of one process.

    Args:
        options: Locust's, with ours.
        stats: Locust's own statistics, which are kept up to date.
        send: sends a message to the master: ``ready`` or ``report``.
    """

    def __init__(self, options: argparse.Namespace, stats: RequestStats, send: Send) -> None:
        self._options = argparse.Namespace(**vars(options))  # its files are its own: Locust will put the master's in their place
        self._stats = stats
        self._send = send
        self._engine: Engine | None = None
        self._reporting: gevent.Greenlet[[], None] | None = None
        self._makers: dict[str, Callable[[], Scenario]] = {}
        self._number = 0
        self._under_way = 0
        self.site: Site | None = None
        #: Set while clients in a closed loop are to go on.
        self.going = Event()

    def prepare(self, job: Mapping[str, Any]) -> None:
        """Read where to go and as whom; make the clients of an open loop, and log them in."""
        if self._engine:
            self._engine.close()
            self._engine = None
        error, exit_code = "", ExitCode.CONFORMANT
        vars(self._options).update(job["options"])
        self._makers = {}
        try:
            aim = Aim.of(self._options)
            self.site = Site(
                aim.origin,
                aim.spec,
                aim.dialect,
                share(aim.accounts, job["index"], job["workers"]),
                timeout=aim.timeout,
                verify=aim.verify,
                sessions_coexist=not self._options.lone_sessions,
                shared_accounts=are_shared(aim.accounts, job["index"], job["workers"]),
                tells=job["workers"] > 1,
                looks=not self._options.no_invariants,
                racers=self._options.racers,
                email_domain=aim.target.email_domain if aim.target else "example.org",
            )
            self.site.begin(Recorder(perf_counter()))
            self._knock(aim.base_url)
            if job["scenario"]:
                make = maker(job["scenario"], self.site, weights(self._options), self._options.guarding)
                self._engine = Engine(
                    make, most=self._options.in_flight, patience=math.inf if self._options.capacity else _PATIENCE
                )
                self._engine.provide(job["clients"])
        except RolecallError as reason:
            error, exit_code = str(reason), reason.exit_code
        except Exception as reason:  # noqa: BLE001  # whatever it was, it was here; the master would wait for an answer
            error, exit_code = f"rolecall itself broke: {described(reason)}", ExitCode.HARNESS_ERROR
        gc.collect()
        gc.freeze()
        self._send("ready", {"error": error, "exit_code": int(exit_code)})

    def _knock(self, base_url: str) -> None:
        """Log in once, to tell a target that is not there, or takes no log-ins, from one that is slow.

        Raises:
            Unreachable: nobody answers.
            NoUsers: the first account is refused.
        """
        assert self.site is not None
        (account, request), connection = next(self.site.logins), self.site.connect()
        try:
            response = connection.exchange(request)
        except Failure as failure:
            raise Unreachable(base_url, f"cannot be reached: {failure}") from None
        finally:
            connection.close()
        if response.status not in (*self.site.dialect.issued, 429):
            raise NoUsers(
                f"{base_url} answers {response.status} to the log-in of {account.email}: there is nothing to load it with"
            )

    def go(self, job: Mapping[str, Any]) -> None:
        """Begin to measure; send who is due, in an open loop."""
        assert self.site is not None
        self._number = job["number"]
        self.site.begin(Recorder(perf_counter() + job["delay"], job["width"]))
        self._reporting = gevent.spawn(self._report_on)
        if job["schedule"]:
            times = Schedule.unpack(job["schedule"]).due(job["index"], job["workers"])
            gevent.spawn(self._run, times, job["grace"], job["abandon"])
        else:
            self.going.set()

    def end(self, job: Mapping[str, Any]) -> None:
        """Send nobody any more; the last report follows when those under way have come to their end, or had the time to."""
        self.going.clear()
        if self._engine and self._engine.is_running:
            self._engine.stop()
            return
        until = perf_counter() + _GRACE
        while self._under_way and perf_counter() < until:
            gevent.sleep(0.02)
        self._report_last()

    def _run(self, times: Iterator[float], grace: float, abandon: bool) -> None:
        assert self._engine is not None
        assert self.site is not None
        error = ""
        try:
            self._engine.run(self.site.recorder, times, grace=grace, abandon=abandon)
        except Exception as reason:  # noqa: BLE001  # whatever it was, it was here, and the run is void
            error = described(reason)
        self._report_last(error)

    def step(self, client: Scenario) -> None:
        """A step of a client in a closed loop. If the client breaks, which is no fault of the server, the run is over."""
        self._under_way += 1
        try:
            client.step(perf_counter())
        except Exception as error:  # noqa: BLE001  # Locust would note it in a table, and go on
            self.going.clear()
            self._report_last(described(error))
        finally:
            self._under_way -= 1

    def _report_on(self) -> None:
        while True:
            gevent.sleep(_REPORT)
            self._report(last=False)

    def _report_last(self, error: str = "") -> None:
        if self._reporting is not None:
            self._reporting.kill()
            self._reporting = None
            self._report(last=True, error=error)

    def _report(self, *, last: bool, error: str = "") -> None:
        """Tell what is new since the last report."""
        assert self.site is not None
        site = self.site
        site.recorder.tick(perf_counter())
        violations = site.violations.take()
        for kind, count in violations.get("counts", {}).items():
            site.recorder.violation(kind, count)
        flush(site.recorder, self._stats)
        report = {
            "number": self._number,
            "measured": site.recorder.take(),
            "violations": violations,
            "seen": site.invariants.take(),
            "races": site.races.take(),
            "sampled": site.tidy() if last else None,
            "last": last,
            "error": error,
        }
        self._send("report", report)

    def client(self, scenario: str) -> Scenario:
        """One more client of a closed loop, ready for its first step; blocks until the run has begun."""
        self.going.wait()
        assert self.site is not None
        if scenario not in self._makers:
            self._makers[scenario] = maker(scenario, self.site, weights(self._options), self._options.guarding)
        client = self._makers[scenario]()
        client.prepare()
        return client
