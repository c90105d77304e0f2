"""Servers to measure do as they say: a queue whose capacity is known, a stall whose length is."""

from __future__ import annotations

import asyncio
import time

import pytest

from rolecall.reference.faults import FAULTS
from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.variants import VARIANTS, load
from rolecall.selftest.cases import LOADS, cases
from tests.reference.asking import QUICK, Api, tell

QUEUES = {"one-at-a-time-4ms": 0.004, "one-at-a-time-10ms": 0.01, "one-at-a-time-20ms": 0.02}


def measured(name: str, requests: int) -> list[float]:
    """The seconds after which each of so many requests, sent at once, is answered, in order."""

    async def story(api: Api) -> list[float]:
        token = api.token("admin")
        await api.ask("GET", "/v2/services", token)  # the first takes longer than a turn
        started = time.perf_counter()

        async def one() -> float:
            assert (await api.ask("GET", "/v2/services", token)).status_code == 200
            return time.perf_counter() - started

        return sorted(await asyncio.gather(*(one() for _ in range(requests))))

    with running(Settings(scrypt_n=QUICK, variants=(name,))) as server:
        seconds: list[float] = tell(server.server, story, base_url=server.base_url, timeout=10)
        return seconds


@pytest.mark.parametrize("name", QUEUES)
def test_one_at_a_time(name: str) -> None:
    """Requests that come at once are answered one after the other, on time."""
    service, count = QUEUES[name], 50

    answered = measured(name, count)

    assert all(seconds >= number * service - 0.001 for number, seconds in enumerate(answered, 1))
    assert answered[-1] < 2 * count * service + 0.3


def test_a_request_alone_takes_its_service_time() -> None:
    """A request to an empty queue is served at once, in the time that serving takes."""
    assert 0.02 <= measured("one-at-a-time-20ms", 1)[0] < 0.2


def test_stalls_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that are due during the stall leave at its end, together; before and after nobody
    waits, and it does not come again.
    """
    monkeypatch.setattr(load, "STALL_AFTER", 0.5)

    async def story(api: Api) -> tuple[list[float], list[float]]:
        token, started = api.token("admin"), time.perf_counter()
        sent, answered = [], []

        async def one(due: float) -> None:
            await asyncio.sleep(due)
            sent.append(time.perf_counter() - started)
            await api.ask("GET", "/v2/services", token)
            answered.append(time.perf_counter() - started)

        await one(0.0)
        await asyncio.gather(*(one(due) for due in (0.1, 0.7, 1.0, 1.3, 1.7, 2.4)))
        return sent, answered

    with running(Settings(scrypt_n=QUICK, variants=("stalls-once",))) as server:
        sent, answered = tell(server.server, story, base_url=server.base_url, timeout=10)

    assert len(answered) == 7
    assert all(not 0.6 < moment < 1.45 for moment in answered)
    assert sum(1.45 <= moment for moment in answered) == 5
    assert sum(1.45 <= moment for moment in sent) == 2


def test_the_suite_leaves_them_to_the_load_scenarios() -> None:
    """The self-test puts load faults under load, and leaves out servers to measure."""
    faults = {fault.name for fault in FAULTS.values() if "load" in fault.needs}
    measured = {variant.name for variant in VARIANTS.values() if variant.kind == "load"}

    assert (
        faults
        == set(LOADS)
        == {
            case.name
            for case in cases()
            if case.load and case.kind == "fault" and not case.switches
        }
    )
    assert measured == {*QUEUES, "stalls-once"}
    assert not measured & {case.name for case in cases()}
