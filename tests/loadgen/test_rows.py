"""An objective of a name that no request has is told before a run, and not only after it."""

from __future__ import annotations

import pytest

from rolecall.loadgen import rows
from rolecall.loadgen.objectives import Objective
from rolecall.spec.loading import load_specification

SPEC = load_specification()


def noted(*texts: str) -> str:
    """What is said of these objectives."""
    return rows.note(map(Objective.parse, texts), list(SPEC.operations), SPEC.roles)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("isue:p99<1s", "'isue'. Did you mean 'issue'?"),
        ("list-user:errors<1%", "'list-user'. Did you mean 'list-users'?"),
        ("POST:p99<1s", "'POST'. Known: issue, "),
    ],
)
def test_a_name_that_is_misspelt(text: str, said: str) -> None:
    """The note has it, and the nearest of those that there are."""
    assert f"note          --slo: no request is known to be called {said}" in noted(text)


def test_names_that_there_are() -> None:
    """Nothing is said of them, nor of objectives of all requests."""
    names = (*rows.NAMES, *SPEC.operations, "issue (to sample as guest)")

    assert noted("p99<1s", *(f"{name}:p99<1s" for name in names)) == ""
