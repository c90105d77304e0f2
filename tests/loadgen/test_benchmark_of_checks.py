"""The benchmark of what it costs to look at an answer measures answers that are in order."""

from __future__ import annotations

from itertools import cycle, islice

import pytest

from benchmarks import checks


@pytest.mark.parametrize("looks", [True, False])
def test_it_sends_nothing_and_finds_nothing(looks: bool) -> None:
    """Two hundred log-ins, some of whose tokens are tried, over a new connection, too, are neither
    violations nor errors: else it would measure something else.
    """
    answers = [checks.answer(user) for user in islice(cycle(checks.USERS), 200)]

    assert checks.step([answers], looks=looks) > 0.0
