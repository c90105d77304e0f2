"""What lies between a search for the capacity and the load: how a step is cut, what chance explains, and objectives of the rate."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.findings import broken
from rolecall.loadgen.capacity.segments import SLICES, cut
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective


class TestChance:
    """A one-sided binomial test, in clumps."""

    @pytest.mark.parametrize(
        ("bad", "of", "allowed"), [(2, 60, 0.01), (9, 300, 0.01), (40, 1000, 0.02), (1, 1, 0.5), (60, 60, 0.5)]
    )
    def test_is_the_tail_of_a_binomial(self, bad: int, of: int, allowed: float) -> None:
        """So many or more of so many: as counted one by one."""
        exact = sum(math.comb(of, k) * allowed**k * (1 - allowed) ** (of - k) for k in range(bad, of + 1))

        assert exact == pytest.approx(chance.tail(bad, of, allowed))

    @pytest.mark.parametrize(("bad", "allowed", "probability"), [(0, 0.0, 1.0), (1, 0.0, 0.0), (5, 1.0, 1.0), (1, 0.5, 1.0)])
    def test_has_ends(self, bad: int, allowed: float, probability: float) -> None:
        """None bad is always possible, one where none is allowed never; what is below the mean is no question."""
        assert probability == chance.tail(bad, 100, allowed)

    def test_what_comes_together_is_one_event(self) -> None:
        """Forty at once of a thousand are far more probable than forty by themselves."""
        assert chance.tail(40, 1000, 0.01) < 1e-10
        assert chance.tail(40, 1000, 0.01, clump=40) > 0.05

    def test_whether_the_rate_makes_a_difference(self) -> None:
        """Bad requests that grow with the rate are told from those of a server that errs at any; clumps say less than single ones."""
        flat = [(10, 2, 100), (20, 2, 200), (40, 5, 400), (80, 14, 800), (75, 9, 750), (70, 8, 700)]
        growing = [(10, 0, 100), (20, 0, 200), (40, 0, 400), (80, 30, 800), (75, 9, 750), (70, 2, 700)]

        assert chance.trend(flat) < 2
        assert chance.trend(growing) > 10
        assert chance.trend(growing, clump=20) < 2
        assert chance.trend([(10, 0, 100)]) == chance.trend([]) == 0

    def test_the_size_of_clumps_is_seen_in_slices(self) -> None:
        """All in one slice of twenty is a clump of nearly all; evenly spread, each came by itself."""
        assert chance.clump([0] * 20) == chance.clump([2] * 20) == 1
        assert 35 < chance.clump([40] + [0] * 19) < 40


@pytest.mark.parametrize("seconds", [2.0, 3.0, 6.0, 11.0, 18.0, 33.0])
def test_slices_end_when_a_recorder_counts(seconds: float) -> None:
    """An answer that arrives after the end of a slice is in the next one: the end is a moment at which the recorder settles."""
    width, warm_up = cut(seconds)
    recorder = Recorder(1000.0, width)
    entry = recorder.entry("POST", "issue")

    moments = [1000.0 + width * (number + part) for number in range(warm_up + SLICES) for part in (0.01, 0.99)]
    for moment in moments:
        entry.success(moment, moment, moment, 0)
    recorder.tick(1000.0 + width * (warm_up + SLICES))

    totals = Totals(width)
    totals.merge("one", recorder.take())
    assert [2] * (warm_up + SLICES) == totals.timeline.document()["requests"]
    assert seconds == pytest.approx(SLICES * width, rel=0.07)
    assert warm_up * width >= 1


@pytest.mark.parametrize(
    ("rate", "outcome", "said"),
    [
        (120.0, "found", []),
        (98.8, "found", ["rate>100 did not hold: the capacity is 98.8/s"]),
        (70.0, "at-least", ["rate>100 did not hold: the capacity is 70.0/s, the most that it was to try"]),
    ],
)
def test_an_objective_of_the_rate_is_asked_of_the_capacity(rate: float, outcome: str, said: list[str]) -> None:
    """``rate>100`` cannot hold at 10/s, and need not: what was found has to hold it."""
    findings: dict[str, Any] = {"outcome": outcome, "capacity": {"rate": rate}}

    assert said == list(broken(map(Objective.parse, ("rate>100", "p99<250ms")), findings))
