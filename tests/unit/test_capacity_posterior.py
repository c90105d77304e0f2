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
        posterior = kept()
        posterior.excess(110, 0.1, 0.005)

        low, middle, high = posterior.quantiles(0.1, 0.5, 0.9)

        assert 99 == pytest.approx(middle, rel=0.02)
        assert 94 < low < high < 104

    def test_no_excess_says_that_it_is_not_less(self) -> None:
        """What held is hardly more than the capacity."""
        posterior = kept()
        posterior.excess(100, 0.0, 0.005)

        assert posterior.quantiles(0.1)[0] > 97

    def test_a_noisy_step_says_less(self) -> None:
        """The same excess, seen less exactly, leaves more open."""
        sharp, blurred = kept(), kept()
        sharp.excess(110, 0.1, 0.002)
        blurred.excess(110, 0.1, 0.05)

        assert _width(sharp) < _width(blurred) / 2

    def test_one_step_that_was_about_something_else_is_outvoted(self) -> None:
        """A pause at a low rate does not pull the capacity down when much else held higher up."""
        posterior = kept()
        posterior.excess(70, 0.3, 0.005)
        for rate in (90, 95, 97):
            posterior.excess(rate, 0.0, 0.005)
        posterior.excess(103, 0.03, 0.003)

        assert 100 == pytest.approx(posterior.quantiles(0.5)[0], rel=0.02)

    def test_strain_has_a_limit(self) -> None:
        """Nothing bad at 95/s and far too much at 105/s put the capacity between."""
        posterior = Posterior(50, 200)
        posterior.excess(105, 0.0, 0.003)
        for _ in range(2):
            posterior.strain(95, 0, 10)
            posterior.strain(105, 400, 10)

        low, high = posterior.quantiles(0.1, 0.9)

        assert 93 < low < high < 106

    def test_the_lower_of_the_two_limits_counts(self) -> None:
        """A server that keeps up to 150/s, but not its objective beyond 80/s, carries 80/s."""
        posterior = Posterior(50, 200)
        posterior.excess(160, 0.0625, 0.003)
        for _ in range(3):
            posterior.strain(76, 1, 10)
            posterior.strain(80, 10, 10)
            posterior.strain(84, 60, 10)

        assert 80 == pytest.approx(posterior.quantiles(0.5)[0], rel=0.04)


def kept() -> Posterior:
    """No knowledge but that the objectives are kept up to nearly 200/s."""
    posterior = Posterior(50, 200)
    for _ in range(3):
        posterior.strain(198, 0, 10)
    return posterior


def _width(posterior: Posterior) -> float:
    low, high = posterior.quantiles(0.1, 0.9)
    return math.log(high / low)
