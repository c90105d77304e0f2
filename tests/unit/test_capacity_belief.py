"""What is concluded from many steps of a search for the capacity."""

from __future__ import annotations

import math

import pytest

from rolecall.loadgen.capacity.posterior import Posterior


class TestBelief:
    """What is concluded from many."""

    def test_begins_with_no_knowledge(self) -> None:
        """Before anything was seen, the capacity may be anywhere: the middle of the two limits is a
        guess.
        """
        low, middle, high = Posterior(50, 200).quantiles(0.025, 0.5, 0.975)

        assert low < 60
        assert high > 150
        assert 60 < middle < 110

    def test_excess_says_by_how_much_the_rate_is_too_high(self) -> None:
        """A tenth too much at 110/s means about 99/s."""
        belief = kept()
        belief.excess(110, 0.1, 0.005)

        low, middle, high = belief.quantiles(0.1, 0.5, 0.9)

        assert 99 == pytest.approx(middle, rel=0.02)
        assert 94 < low < high < 104

    def test_no_excess_says_that_it_is_not_less(self) -> None:
        """What held is hardly more than the capacity."""
        belief = kept()
        belief.excess(100, 0.0, 0.005)

        assert belief.quantiles(0.1)[0] > 97

    def test_a_noisy_step_says_less(self) -> None:
        """The same excess, seen less exactly, leaves more open."""
        sharp, blurred = kept(), kept()
        sharp.excess(110, 0.1, 0.002)
        blurred.excess(110, 0.1, 0.05)

        assert _width(sharp) < _width(blurred) / 2

    def test_one_step_that_was_about_something_else_is_outvoted(self) -> None:
        """A pause at a low rate does not pull the capacity down when much else held higher up."""
        belief = kept()
        belief.excess(70, 0.3, 0.005)
        for rate in (90, 95, 97):
            belief.excess(rate, 0.0, 0.005)
        belief.excess(103, 0.03, 0.003)

        assert 100 == pytest.approx(belief.quantiles(0.5)[0], rel=0.02)

    def test_strain_has_a_limit(self) -> None:
        """Nothing bad at 95/s and far too much at 105/s put the capacity between."""
        belief = Posterior(50, 200)
        belief.excess(105, 0.0, 0.003)
        for _ in range(2):
            belief.strain(95, 0, 10)
            belief.strain(105, 400, 10)

        low, high = belief.quantiles(0.1, 0.9)

        assert 93 < low < high < 106

    def test_the_lower_of_the_two_limits_counts(self) -> None:
        """A server that keeps up to 150/s, but not its objective beyond 80/s, carries 80/s."""
        belief = Posterior(50, 200)
        belief.excess(160, 0.0625, 0.003)
        for _ in range(3):
            belief.strain(76, 1, 10)
            belief.strain(80, 10, 10)
            belief.strain(84, 60, 10)

        assert 80 == pytest.approx(belief.quantiles(0.5)[0], rel=0.04)


def kept() -> Posterior:
    """No knowledge but that the objectives are kept up to nearly 200/s."""
    belief = Posterior(50, 200)
    for _ in range(3):
        belief.strain(198, 0, 10)
    return belief


def _width(belief: Posterior) -> float:
    low, high = belief.quantiles(0.1, 0.9)
    return math.log(high / low)
