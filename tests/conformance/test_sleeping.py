"""An answer that is slow by chance is told from one that sleeps because a request says so."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.test_issuance_negative import OPERATORS, runs_the_script
from conformance.test_token_header import sleeps
from rolecall.evidence import Exchange
from tests.support.exchanges import exchange


def taking(seconds: float) -> Exchange:
    """A refusal that came after so many seconds."""
    return exchange(status=401, started=10.0, finished=10.0 + seconds)


@pytest.mark.parametrize(
    ("took", "runs"),
    [
        ([2.1, 0.1, 3.1, 2.6], True),
        ([0.1], False),
        ([2.1, 0.1, 0.1], False),  # slow by chance, once
        ([2.1, 0.1, 2.1], False),  # as slow as before, whatever the script says
        ([2.1, 0.1, 3.1, 0.1], False),
        ([2.1, 2.1], False),  # every odd body takes its time
    ],
)
def test_a_script_is_run_where_each_answer_takes_what_it_says(
    took: list[float], runs: bool
) -> None:
    """One slow answer in fifty is the way of networks, and no finding; what follows each script
    is.
    """
    left, scripts = iter(took), []

    async def post(body: dict[str, Any], **_: Any) -> Exchange:
        scripts.append(body["email"]["$where"])
        return taking(next(left))

    world: Any = SimpleNamespace(tokens=SimpleNamespace(post=post))
    body = OPERATORS["email-script"]

    found = asyncio.run(runs_the_script(body, taking(next(left)), world))

    assert found is runs
    assert list(left) == []
    expected = ["true", "sleep(3000) || true", "sleep(2500) || true"]
    assert scripts == expected[: len(scripts)]


def test_a_command_is_run_where_each_answer_takes_what_it_says() -> None:
    """Of three answers one that comes at once is enough."""
    assert sleeps([taking(5.0), taking(5.5)])
    assert not sleeps([taking(5.0), taking(5.0), taking(0.1)])
