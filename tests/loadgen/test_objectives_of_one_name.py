"""Objectives of the requests of one name: the fast ones do not hide the slow ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective, beyond_doubt


@cache
def two_names() -> dict[str, Any]:
    """A run of ten seconds: fast log-ins, and slow refreshes of which one in ten failed."""
    recorder, totals = Recorder(0.0), Totals()
    for name, ms in (("issue", 10), ("refresh-get", 300)):
        entry = recorder.entry("POST", name)
        for number in range(100):
            at = 0.5 + number / 11
            if name == "refresh-get" and number % 10 == 0:
                entry.failure("500", at - ms / 1000, at - ms / 1000, at)
            else:
                entry.success(at - ms / 1000, at - ms / 1000, at, 1)
    totals.merge("a", recorder.take())
    return totals.document(10)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("p50<250ms", True),
        ("issue:p99<250ms", True),
        ("refresh-get: p99 < 250ms", False),
        ("refresh-get:p99<350ms", True),
        ("issue:errors<1%", True),
        ("refresh-get:errors<1%", False),
        ("refresh-get:rate>8.9", True),
        ("refresh-get:rate>9.1", False),
        ("refresh-post:p99<250ms", False),  # none was sent
    ],
)
def test_an_objective_of_the_requests_of_one_name(text: str, held: bool) -> None:
    """It is asked of those alone: the fast ones do not hide the slow ones."""
    assert Objective.parse(text).holds(two_names()) is held


@pytest.mark.parametrize("text", ["issue:late<1%", "issue:p97<1ms", "issue:dropped<1"])
def test_what_is_not_known_of_one_name(text: str) -> None:
    """What only the whole run has is refused for one name, with what there is."""
    with pytest.raises(UsageError, match="Known: p50"):
        Objective.parse(text)


def test_of_one_name_what_this_side_may_have_done_is_not_beyond_doubt() -> None:
    """Which row a pause disturbed is not known, so that no row is blamed where there was one."""
    objective = Objective.parse("refresh-get:p99<250ms")

    assert beyond_doubt([objective], two_names()) == [objective]
    assert beyond_doubt([objective], two_names(), slow=True) == []
    assert beyond_doubt([objective], {**two_names(), "own_failures": {"local": 1}}) == []
