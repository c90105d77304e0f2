"""What a load run's options mean, before anything is sent."""

from __future__ import annotations

import pytest

from rolecall.loadgen import plan


@pytest.mark.parametrize(
    ("scenario", "argv", "held"),
    [
        ("issuance", ["--rate", "5"], None),
        ("session", ["--rate", "5"], 40),
        ("session", ["--rate", "5", "--in-flight", "10"], 20),
        ("session", ["--users", "4"], 4),
        ("refresh-race", ["--users", "100"], 40),
        ("refresh-get", ["--capacity"], 40),
        ("refresh-get", ["--capacity", "--most-users", "8"], 8),
        ("mixed", ["--users", "3"], 3),
        ("mixed", ["--users", "3", "--weights", "issuance=1"], None),
        ("guarded", ["--users", "3"], None),
        ("guarded", ["--users", "3", "--guarding", "session"], 3),
        ("time-to-deny", ["--users", "3", "--guarding", "session"], 3),
    ],
)
def test_how_many_sessions_are_held(scenario: str, argv: list[str], held: int | None) -> None:
    """Of 40 accounts and two workers: as many as there are clients in a closed loop, all under a
    rate, none where each step logs in.
    """
    assert plan.sessions_held(plan.parse(argv), scenario, 40, workers=2) == held


def test_the_usual_objective_is_asked_beside_one_of_a_name() -> None:
    """Errors of one name say nothing of the others, so that those of all are still looked at."""
    options = plan.parse(["--slo", "issue:errors<5%"])

    assert [objective.text for objective in plan.objectives(options)] == [
        "issue:errors<5%",
        "errors<1%",
    ]
