"""Tests that run ahead of pytest, in memory: what a try that was given up leaves."""

from __future__ import annotations

from rolecall.conformance.ahead import Ahead, Job
from rolecall.evidence import cite
from rolecall.outcomes import Trouble
from tests.exchanges import exchange


def run(job: Job) -> Job:
    """Run one test to its end."""
    ahead = Ahead(1)
    ahead.open()
    try:
        ahead.start([job])
        return ahead.wait(job.name)
    finally:
        ahead.close()


def test_evidence_is_of_the_last_try_alone() -> None:
    """What a try saw that met trouble is no evidence of the one that passed: it looked at nothing, and that can be seen."""
    tries = []

    async def looks_once() -> None:
        tries.append(cite(exchange(), "control"))
        if len(tries) == 1:
            raise Trouble("an answer: reset")

    async def looks_only_at_first() -> None:
        if not tries:
            tries.append(cite(exchange(), "control"))
            raise Trouble("an answer: reset")

    job = run(Job("looks each time", 0, looks_once))
    assert (job.tries, job.error, job.evidence.exchanges, job.evidence.named) == (2, None, tries[1:], {"control": tries[1]})

    tries.clear()
    job = run(Job("looks at first", 0, looks_only_at_first))
    assert (job.tries, job.error, job.evidence.exchanges, job.evidence.named) == (2, None, [], {})


def test_trouble_that_does_not_pass_keeps_its_evidence() -> None:
    """The third try is the last, and what it saw is shown."""

    async def fails() -> None:
        cite(exchange())
        raise Trouble("an answer: reset")

    job = run(Job("fails", 0, fails))

    assert (job.tries, len(job.evidence.exchanges)) == (3, 1)
    assert isinstance(job.error, Trouble)
