"""The search by rate against servers that limit, collapse, warm up, err or change.

Each search is over in a fraction of a second, in virtual time. ``benchmarks/capacity.py`` prints
what they answer.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from rolecall.loadgen.capacity.by_rate import Search
from rolecall.loadgen.capacity.findings import Capacity, SearchOutcome
from tests.support.queues import Bench, Line, Server, Throttle, fixed
from tests.support.simulated_servers import KINDS, Pausing, PenaltyBox, Varying, Window, switching

#: The kinds of which a few searches are made with the ordinary tests, and twenty with the long
#: ones; of the others by night.
QUICK = (
    "steady",
    "noisy",
    "collapse",
    "collapse-50",
    "warm-up",
    "bucket-100",
    "bucket-2000",
    "window-60",
    "errors-0.8%",
    "two-phases-20",
    "penalty-10",
    "thrashing",
)


def searched(server: Server, seed: int = 0, **settings: Any) -> Capacity:
    """One search; steps are half a second apart, and a request is given up after ten."""
    bench = Bench(
        server, seed=seed, **{"arrivals": "constant", "pause": 0.5, "patience": 10.0, **settings}
    )
    return Search(bench.measure, clock=bench.clock).run()


def searches(name: str, count: int) -> list[Capacity]:
    """Searches of a kind, with other dice each."""
    kind = KINDS[name]
    return [
        searched(kind.make(random.Random(seed)), seed, **kind.settings) for seed in range(count)
    ]


def is_wrong(found: Capacity, true: float) -> bool:
    """Whether a search says that it found the capacity, and its interval is not around it."""
    return found.outcome is SearchOutcome.FOUND and not (found.low or 0) <= true <= (
        found.high or 0
    )


@pytest.mark.parametrize("name", QUICK)
def test_is_right_or_does_not_say_so(name: str) -> None:
    """The interval covers the sustained rate or the outcome is not `found`, with one exception at
    most; no answer is 5 % above it.
    """
    found, true = searches(name, 3), KINDS[name].true

    assert len([(search.low, search.high) for search in found if is_wrong(search, true)]) <= 1
    assert [] == [search.rate for search in found if search.rate and search.rate > 1.05 * true]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name in QUICK else pytest.mark.nightly)
        for name in KINDS
    ],
)
def test_is_right_however_the_dice_fall(name: str) -> None:
    """So it is in eighteen of twenty; where no rate is carried, an answer is as wrong as its
    interval.
    """
    found, true = searches(name, 20), KINDS[name].true

    assert sum(is_wrong(search, true) for search in found) <= 2
    assert [] == [
        search.rate for search in found if true and search.rate and search.rate > 1.05 * true
    ]


@pytest.mark.parametrize("name", ["steady", "steady-fast", "bucket-500", "sheds"])
def test_what_is_steady_is_found_in_under_two_minutes(name: str) -> None:
    """A server that always carries the same is found within 3 %, and never called unstable."""
    for search in searches(name, 2):
        assert SearchOutcome.FOUND == search.outcome
        assert KINDS[name].true == pytest.approx(search.rate, rel=0.03)
        assert search.seconds < 120


def test_a_collapse_is_told_with_both_values() -> None:
    """The reason says what was carried and when, before and after."""
    found = searched(Varying(switching((0, 200), (60, 50))))

    assert (SearchOutcome.UNSTABLE, None) == (found.outcome, found.rate)
    assert (50, 200) == pytest.approx((found.low, found.high), rel=0.1)
    assert found.because.startswith("it carried more before than it does now: ")
    assert 2 == len(found.states)


def test_what_warmed_up_is_measured_anew() -> None:
    """A server that carried less only at first is found, and it is said until when."""
    found = searched(Varying(switching((0, 50), (40, 200))))

    assert SearchOutcome.FOUND == found.outcome
    assert 200 == pytest.approx(found.rate, rel=0.05)
    assert "it carried less" in found.because
    assert found.seconds > 150  # the time that there is, to see that it lasts


def test_a_collapsed_server_is_let_alone() -> None:
    """After a step whose requests were given up, gentle steps wait until it answers again: no
    overload begins on a busy server.
    """
    found = searched(Varying(switching((0, 400), (60, 100))))

    broken = [at for at, judged in enumerate(found.steps) if judged.step.left]
    assert broken
    assert all(found.steps[at + 1].step.rate <= 10 for at in broken if at + 1 < len(found.steps))


def test_a_pause_in_one_step_is_an_incident() -> None:
    """One step that failed far below what holds is measured again, and then counts no more."""
    steady, paused = Line(fixed(0.01)), Varying(switching((0, 20)))
    bench = Bench(steady, arrivals="constant", pause=0.5, patience=10.0)

    def measure(rate: float, seconds: float) -> Any:
        bench.server = paused if 55 < bench.now < 60 else steady
        return bench.measure(rate, seconds)

    found = Search(measure, clock=bench.clock).run()

    assert SearchOutcome.FOUND == found.outcome
    assert 100 == pytest.approx(found.rate, rel=0.03)


@pytest.mark.parametrize(
    "server", [Window(6000, 60), PenaltyBox(100, 30)], ids=["window", "penalty"]
)
def test_a_limiter_that_closes_is_not_hammered(server: Server) -> None:
    """Where 429 come in blocks the search ends early, and says what that means."""
    found = searched(server)

    assert SearchOutcome.UNSTABLE == found.outcome
    assert "429 came in blocks" in found.because
    assert found.seconds < 80


@pytest.mark.parametrize("burst", [50, 100, 500, 2000])
def test_a_bucket_is_not_taken_for_more_than_it_is(burst: int) -> None:
    """However many tokens there are at first, the rate at which they come is found, within 2 %."""
    found = searched(Throttle(100, burst=burst))

    assert SearchOutcome.FOUND == found.outcome
    assert 100 == pytest.approx(found.rate, rel=0.02)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 100 <= found.high


def test_pauses_are_part_of_the_capacity() -> None:
    """A server that stops for a fifth of a second every four carries 95 % of what it would."""
    found = searched(Pausing(100, 4, 0.2), seed=3)

    assert 95.2 == pytest.approx(found.rate, rel=0.04)
