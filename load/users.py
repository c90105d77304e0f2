"""The Locust user classes, one for each scenario of ``rolecall.loadgen.scenarios``."""

from __future__ import annotations

from time import perf_counter

import gevent
import import_path  # noqa: F401  # before anything of rolecall
from locust import User, task
from locust.user.task import LOCUST_STATE_STOPPING

from rolecall.loadgen.process import THIS_PROCESS
from rolecall.loadgen.scenario import Scenario
from rolecall.loadgen.scenarios import NAMES, describe, user_class_name

#: Steps of a client between two looks of Locust at it.
_STEPS = 100


class ScenarioUser(User):
    """A client of a scenario in Locust's closed loop."""

    abstract = True
    scenario: str
    client: Scenario | None = None

    def on_start(self) -> None:
        """Get what the first step needs."""
        self.client = THIS_PROCESS.worker.client(self.scenario)

    def on_stop(self) -> None:
        """Close what is open."""
        if self.client:  # else it was ended before the run began
            self.client.close()

    @task
    def steps(self) -> None:
        """Take some steps, each after some thinking, if clients think; a 429 is heeded."""
        client, step = self.client, THIS_PROCESS.worker.step
        going, think = THIS_PROCESS.worker.going.is_set, THIS_PROCESS.worker.think
        assert client is not None
        for _ in range(_STEPS):
            if think:  # before the first one, too: users that began together do not go on so
                self._wait(max(client.pause, think()))
            elif client.pause:
                self._wait(client.pause)
            client.pause = 0.0
            if self._state == LOCUST_STATE_STOPPING or not going():
                gevent.sleep(0.05)
                return
            step(client)

    def _wait(self, seconds: float) -> None:
        """Wait, unless Locust ends this user."""
        until = perf_counter() + seconds
        while self._state != LOCUST_STATE_STOPPING and (left := until - perf_counter()) > 0:
            gevent.sleep(min(left, 0.25))


class Arrivals(User):
    """Stands for the open schedule, which needs no Locust users; Locust needs one."""

    abstract = True

    @task
    def wait_for_the_end(self) -> None:
        """Do nothing."""
        gevent.sleep(0.5)


def _user(scenario: str) -> type[ScenarioUser]:
    """The user class of a scenario."""

    class Made(ScenarioUser):
        __doc__ = describe(scenario)

    Made.scenario = scenario
    Made.__name__ = Made.__qualname__ = user_class_name(scenario)
    return Made


#: By name: Issuance, RefreshGet, RefreshPost, RefreshRace, Session, Guarded, TimeToDeny, Mixed.
USERS = {user_class_name(scenario): _user(scenario) for scenario in NAMES}
