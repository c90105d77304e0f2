"""The search by rate finds the known capacity of a server."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rolecall.loadgen.capacity.by_rate import Search, SearchOutcome
from rolecall.loadgen.capacity.findings import Capacity
from rolecall.loadgen.capacity.steps import Share, Slice, Step, StepVerdict
from tests.support.queues import (
    Bench,
    Fuse,
    Line,
    Server,
    Smooth,
    Throttle,
    exponential,
    fixed,
    noisy,
)
from tests.support.simulated_servers import Varying, switching

SCHEMA = Path(__file__).parents[3] / "schemas" / "capacity.schema.json"

#: Name: capacity, a new server, and how it is loaded. Where it is not by construction, a run of
#: 1,500 virtual seconds said so.
KNOWN: dict[str, tuple[float, Callable[[], Server], dict[str, Any]]] = {
    "D-D-1-100": (100, lambda: Line(fixed(0.01)), {"arrivals": "constant"}),
    "D-D-1-400": (400, lambda: Line(fixed(0.0025)), {"arrivals": "constant"}),
    "D-D-1-limit": (100, lambda: Line(fixed(0.01)), {"arrivals": "constant", "limit": 0.25}),
    "M-D-1-37": (37, lambda: Line(fixed(1 / 37)), {}),
    "M-D-1-100": (100, lambda: Line(fixed(0.01)), {}),
    "M-D-1-400": (400, lambda: Line(fixed(0.0025)), {}),
    "M-M-1-400": (400, lambda: Line(exponential(0.0025)), {}),
    "M-M-8": (400, lambda: Line(exponential(0.02), servers=8), {}),
    "M-D-50": (500, lambda: Line(fixed(0.1), servers=50), {}),
    "noisy": (100, lambda: Line(noisy(0.01, 0.3)), {"arrivals": "constant"}),
    "sheds": (100, lambda: Line(fixed(0.01), patience=1.0), {"arrivals": "constant"}),
    "fails": (100, lambda: Fuse(100), {"arrivals": "constant"}),
    "throttles": (100, lambda: Throttle(100, burst=5), {"arrivals": "constant"}),
    "throttles-poisson": (95.6, lambda: Throttle(100, burst=20), {}),
    "smooth": (
        200 * 9**0.25,
        lambda: Smooth(lambda rate: 0.01 * (1 + (rate / 200) ** 4)),
        {"limit": 0.1},
    ),
}


def searched(server: Server, *, search: dict[str, Any] | None = None, **settings: Any) -> Capacity:
    """A search against a server."""
    bench = Bench(server, **settings)
    found = Search(bench.measure, clock=bench.clock, **search or {}).run()
    assert bench.now == found.seconds
    return found


def bench(server: Server, **settings: Any) -> Bench:
    """A bench whose arrivals come evenly."""
    settings.setdefault("arrivals", "constant")
    return Bench(server, **settings)


class TestCapacity:
    """What is found."""

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("name", KNOWN)
    def test_is_found(self, name: str, seed: int) -> None:
        """The capacity of every kind of server is found within 5 % in under three minutes."""
        true, server, settings = KNOWN[name]

        found = searched(server(), seed=seed, **settings)

        assert SearchOutcome.FOUND == found.outcome
        assert true == pytest.approx(found.rate, rel=0.05)
        assert found.seconds < 175

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.nightly if at % 3 else pytest.mark.long)
            for at, name in enumerate(KNOWN)
        ],
    )
    def test_is_found_however_the_dice_fall(self, name: str) -> None:
        """Thirty of thirty searches find it within 5 %, and the interval holds what it says."""
        true, server, settings = KNOWN[name]

        found = [searched(server(), seed=100 + seed, **settings) for seed in range(30)]

        assert [] == [
            result.rate
            for result in found
            if result.rate is None or abs(result.rate / true - 1) > 0.05
        ]
        assert [] == [result.seconds for result in found if result.seconds > 175]
        assert [] == [
            (result.low, result.high)
            for result in found
            if not result.low
            or not result.high
            or result.low > 1.03 * true
            or result.high < 0.97 * true
        ]

    def test_takes_longer_where_an_objective_looks_at_the_tail_of_a_random_queue(self) -> None:
        """M/M/1 meets p99 < 250 ms up to 81.6/s; that shows in a quarter of an hour."""
        found = searched(Line(exponential(0.01)), limit=0.25, search={"seconds": 900.0})

        assert 100 - math.log(100) / 0.25 == pytest.approx(found.rate, rel=0.08)

    def test_is_between_what_held_and_what_failed(self) -> None:
        """A search of a queue ends with a rate just below that held and one just above that did
        not.
        """
        found = searched(Line(fixed(0.01)), arrivals="constant")

        assert found.low and found.rate and found.high and found.held and found.failed
        assert found.low < found.rate < found.high
        assert 95 < found.held < 100 < found.failed < 105

    def test_ends_with_a_step_at_the_answer(self) -> None:
        """The last step is a longer one, at the rate that is the answer, and held."""
        found = searched(Line(fixed(0.01)), arrivals="constant")

        last = found.steps[-1]
        assert (found.rate, StepVerdict.HELD) == (last.step.rate, last.verdict)
        assert last.step.seconds > max(judged.step.seconds for judged in found.steps[:-1])
        assert "held for 15 s at the end" in found.because

    def test_an_answer_that_does_not_hold_is_lowered(self) -> None:
        """Where the longer step fails by a little, the next one is lower; what is answered is what
        held.
        """
        it, longest = bench(Line(fixed(0.01))), [15.0]

        def measure(rate: float, seconds: float) -> Step:
            step = it.measure(rate, seconds)
            if seconds == longest[0] and rate > 96:
                return replace(step, slices=[Slice(100, 97)] * 20)
            return step

        found = Search(measure, clock=it.clock).run()

        tried = [judged.step.rate for judged in found.steps if judged.step.seconds == longest[0]]
        assert len(tried) > 1
        assert tried == sorted(tried, reverse=True)
        assert (found.rate is None) == (found.outcome is not SearchOutcome.FOUND)
        assert found.rate is None or found.rate == tried[-1] < 96

    @pytest.mark.parametrize("allowed", [0.0, 0.0001])
    def test_an_objective_that_allows_nothing(self, allowed: float) -> None:
        """A share of nothing, or of less than one request, has a limit too: the first bad one."""
        it = bench(Line(fixed(0.01), patience=0.2))

        def measure(rate: float, seconds: float) -> Step:
            step = it.measure(rate, seconds)
            return replace(step, objectives=[Share("errors==0", step.failed, step.due, allowed)])

        assert 100 == pytest.approx(Search(measure, clock=it.clock).run().rate, rel=0.05)

    def test_far_up(self) -> None:
        """A capacity that is a thousand times the first rate is found as well."""
        found = searched(Line(fixed(1 / 8000)), arrivals="constant", search={"seconds": 120.0})

        assert 8000 == pytest.approx(found.rate, rel=0.05)

    def test_below_the_first_rate(self) -> None:
        """A server that cannot carry the first rate gets a lower one."""
        found = searched(Line(fixed(0.15)), arrivals="constant")

        assert 1 / 0.15 == pytest.approx(found.rate, rel=0.05)


class TestTheEnd:
    """How a search ends."""

    def test_a_violation_ends_it(self) -> None:
        """A violation ends the search with the rate that held before it."""
        found = searched(Line(fixed(0.001)), wrong=80)

        assert SearchOutcome.VIOLATED == found.outcome
        assert StepVerdict.VIOLATED == found.steps[-1].verdict
        assert (40, None) == (found.rate, found.high)
        assert "80/s" in found.because

    def test_the_generator_ran_out(self) -> None:
        """A rate that this machine cannot offer is not the server's capacity."""
        found = searched(Line(fixed(0.001)), most=150)

        assert SearchOutcome.GENERATOR == found.outcome
        assert found.rate is not None
        assert 110 <= found.rate <= 150
        assert found.high is None
        assert "this machine ran out before the server did" in found.because

    def test_the_generator_had_a_hiccup(self) -> None:
        """A machine that is too slow once is asked again."""
        it, slow = bench(Line(fixed(0.01))), [True]

        def measure(rate: float, seconds: float) -> Step:
            step = it.measure(rate, seconds)
            return (
                step
                if rate < 80 or not slow or not slow.pop()
                else Step(rate, seconds, step.slices, generator="busy")
            )

        found = Search(measure, clock=it.clock).run()

        assert SearchOutcome.FOUND == found.outcome
        assert 100 == pytest.approx(found.rate, rel=0.05)

    def test_the_ceiling_does_not_hold_for_long(self) -> None:
        """A ceiling that held for some seconds is held for longer before it is the answer."""
        found = searched(Throttle(50, burst=100), search={"ceiling": 70.0}, arrivals="constant")

        assert SearchOutcome.FOUND == found.outcome
        assert 50 == pytest.approx(found.rate, rel=0.02)

    def test_the_ceiling_held(self) -> None:
        """A search that may not go further says at least how far it went."""
        found = searched(Line(fixed(0.001)), search={"ceiling": 70.0})

        assert (SearchOutcome.AT_LEAST, 70, 70, None) == (
            found.outcome,
            found.rate,
            found.low,
            found.high,
        )
        assert 70 == max(result.step.rate for result in found.steps)

    def test_nothing_held(self) -> None:
        """A server that fails at any rate has no capacity."""
        found = searched(Fuse(0))

        assert (SearchOutcome.NOTHING_HELD, None) == (found.outcome, found.rate)
        assert "errors<1%" in found.because

    def test_no_time(self) -> None:
        """A way up that takes longer than the search may ends unfinished."""
        found = searched(Line(fixed(1e-4)), search={"seconds": 15.0})

        assert SearchOutcome.UNFINISHED == found.outcome
        assert found.rate

    def test_interrupted(self) -> None:
        """What is known when measuring breaks off can still be had."""
        it = bench(Line(fixed(0.01)))

        def measure(rate: float, seconds: float) -> Step:
            if it.now > 40:
                raise KeyboardInterrupt
            return it.measure(rate, seconds)

        search = Search(measure, clock=it.clock)
        with pytest.raises(KeyboardInterrupt):
            search.run()
        found = search.capacity()

        assert SearchOutcome.UNFINISHED == found.outcome
        assert 100 == pytest.approx(found.rate, rel=0.1)

    def test_a_cold_server_is_asked_again(self) -> None:
        """A first step that fails does not send the search down."""
        it, cold = bench(Line(fixed(0.01))), [True]

        def measure(rate: float, seconds: float) -> Step:
            step = it.measure(rate, seconds)
            return (
                step
                if not cold or not cold.pop()
                else Step(rate, seconds, step.slices, objectives=[Share("p99", 9, 30, 0.01)])
            )

        found = Search(measure, clock=it.clock).run()

        assert [10, 10, 20] == [judged.step.rate for judged in found.steps[:3]]


class TestDocument:
    """The findings, as a file has them."""

    @pytest.mark.parametrize(
        "settings", [{}, {"wrong": 80}, {"most": 150}, {"search": {"ceiling": 50.0}}], ids=str
    )
    def test_agrees_with_its_schema(self, settings: dict[str, Any]) -> None:
        """Whatever the outcome, the findings are as the published schema says."""
        self.agrees(searched(Line(fixed(0.01)), **settings))

    def test_of_an_unstable_server_agrees_with_its_schema(self) -> None:
        """So are those of a server that changed: no rate, the least and the most, and when it
        carried what.
        """
        found = searched(Varying(switching((0, 200), (60, 50))), arrivals="constant", patience=10.0)

        written = self.agrees(found)

        assert ("unstable", None) == (written["outcome"], written["capacity"]["rate"])
        assert 50 == pytest.approx(written["capacity"]["low"], rel=0.1)
        assert 200 == pytest.approx(written["capacity"]["high"], rel=0.1)
        assert 2 == len(written["states"])
        assert 45 < written["states"][1]["from"] < 80

    @staticmethod
    def agrees(found: Capacity) -> dict[str, Any]:
        """The findings, which are as the published schema says."""
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        written: dict[str, Any] = json.loads(json.dumps(found.document()))
        jsonschema.Draft202012Validator({**schema, "required": list(written)}).validate(written)
        assert len(found.steps) == len(written["steps"])
        return written

    def test_nothing_measured(self) -> None:
        """A search that never measured anything has a document, too."""
        it = bench(Line(fixed(0.01)))

        written = Search(it.measure, clock=it.clock).capacity().document()

        assert ([], None, "unfinished") == (written["steps"], written["knee"], written["outcome"])
        assert written["capacity"]["rate"] is None
