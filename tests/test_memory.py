"""What a test learns beside its exchanges."""

from __future__ import annotations

import pytest

from rolecall.memory import Memory


def test_what_is_learnt_is_kept_and_told_again() -> None:
    """In a replay a test is told what it learnt then, in the order of then, and not what it would
    learn now.
    """
    then = Memory()
    drawn = [3, 1]
    assert [then.recall("drawn", lambda: drawn.pop(0)) for _ in range(2)] == [3, 1]

    again = Memory(then.kept)
    assert [again.recall("drawn", lambda: 9) for _ in range(2)] == [3, 1]
    assert again.unknown == ""


def test_what_was_not_learnt_then_is_named() -> None:
    """The first thing that a replay asks for in vain is known by its name, and learnt now."""
    again = Memory([("drawn", 3)])
    assert again.recall("drawn", lambda: 9) == 3
    assert again.recall("printed", lambda: "now") == "now"
    assert again.recall("drawn", lambda: 9) == 9
    assert again.unknown == "printed"


@pytest.mark.parametrize("lifetimes", [[], [2], [1, 2, 5]], ids=str)
def test_of_what_is_mostly_no_only_each_yes_is_kept(lifetimes: list[int]) -> None:
    """What is asked again and again is decided in a replay as it was, whatever the clock says."""
    then = Memory()
    decided = [then.rarely("old", is_so=number in lifetimes) for number in range(1, 7)]
    assert len(then.kept) == len(lifetimes)

    again = Memory(then.kept)
    assert [again.rarely("old", is_so=not is_so) for is_so in decided] == decided
