"""Tokens of clocks that differ are told from a clock that jumps."""

from __future__ import annotations

import pytest

from rolecall.loadgen.checks.server_clocks import FAR, ServerClocks

HOURS = 7200


def differences(*ahead: int) -> list[int]:
    """What is said of tokens that come ten seconds apart, of clocks so far ahead of ours."""
    clocks = ServerClocks()
    return [
        clocks.difference(1_000_000 + 10 * turn + seconds, 10.0 * turn, 10.0 * turn + 0.5)
        for turn, seconds in enumerate(ahead)
    ]


def test_clocks_that_take_turns_differ() -> None:
    """From the third jump on it is said by how much they differ, at least."""
    assert differences(0, HOURS, 0, HOURS, 0)[:3] == [0, 0, 0]
    assert all(abs(apart - HOURS) <= 2 for apart in differences(0, HOURS, 0, HOURS, 0)[3:])


@pytest.mark.parametrize(
    "ahead",
    [
        (0, 0, 0, 0, 0),
        (0, HOURS, HOURS, HOURS, HOURS),
        (0, -HOURS, -2 * HOURS, -3 * HOURS, -4 * HOURS),
        (0, HOURS, HOURS, 0, 0, 0),
        (0, FAR, 0, FAR, 0, FAR, 0),
    ],
    ids=["one", "put-right", "slow", "moved-and-put-back", "within-the-tolerance"],
)
def test_one_clock_may_jump(ahead: tuple[int, ...]) -> None:
    """A clock that is put right, or moved and put back, is one; so are clocks that are about right
    together.
    """
    assert not any(differences(*ahead))


def test_a_slow_answer_says_little() -> None:
    """What may have been issued at any time since it was asked for shows no other clock."""
    clocks = ServerClocks()

    assert not any(clocks.difference(500 * (turn % 2), 0.0, 500.0) for turn in range(10))
