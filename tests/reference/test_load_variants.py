"""Servers to measure do as they say: a queue whose capacity is known, a stall whose length is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from rolecall.reference.faults import FAULTS
from rolecall.reference.server import build
from rolecall.reference.settings import Settings
from rolecall.reference.variants import VARIANTS
from rolecall.selftest.cases import LOADS, cases
from tests.reference.asking import QUICK, Api
from tests.support import skipped_time

QUEUES = {"one-at-a-time-4ms": 0.004, "one-at-a-time-10ms": 0.01, "one-at-a-time-20ms": 0.02}


async def told(name: str, dues: Sequence[float]) -> list[float]:
    """The seconds after which requests sent at these seconds were answered, in the order of their
    answers.
    """
    server = build(Settings(scrypt_n=QUICK, variants=(name,)))
    transport = httpx.ASGITransport(app=server.app)
    loop, answered = asyncio.get_running_loop(), []

    async with httpx.AsyncClient(transport=transport, base_url="http://reference.test") as http:
        api = Api(server, http)
        started = loop.time()

        async def one(due: float) -> None:
            await asyncio.sleep(due)
            assert (await api.ask("GET", "/v2/services", "admin")).status_code == 200
            answered.append(loop.time() - started)

        await asyncio.gather(*(one(due) for due in dues))
    server.store.close()
    return answered


@pytest.mark.parametrize("name", QUEUES)
def test_one_at_a_time(name: str) -> None:
    """Requests that come at once are answered one after the other, on time."""
    answered = skipped_time.run(told(name, [0.0] * 50))

    assert answered == pytest.approx([number * QUEUES[name] for number in range(1, 51)])


def test_a_request_alone_takes_its_service_time() -> None:
    """A request to an empty queue is served at once, in the time that serving takes."""
    answered = skipped_time.run(told("one-at-a-time-20ms", [0.0, 1.0]))

    assert answered == pytest.approx([0.02, 1.02])


def test_stalls_once() -> None:
    """Answers that are due during the stall leave at its end, together; before and after nobody
    waits, and it does not come again.
    """
    answered = skipped_time.run(told("stalls-once", [0.0, 4.9, 5.1, 5.5, 5.9, 6.1, 11.5]))

    assert answered == pytest.approx([0.0, 4.9, 6.0, 6.0, 6.0, 6.1, 11.5])


@pytest.mark.long
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
