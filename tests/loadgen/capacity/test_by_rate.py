"""The search for the capacity, against servers whose capacity is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rolecall.loadgen.capacity.by_rate import Capacity, Outcome, Search
from rolecall.loadgen.capacity.posterior import Belief
from rolecall.loadgen.capacity.steps import Share, Slice, Step, Verdict, judge, knee
from tests.support.queues import Bench, Fuse, Line, Server, Smooth, Throttle, exponential, fixed, noisy
from tests.support.simulated_servers import Varying, switching

SCHEMA = Path(__file__).parents[3] / "schemas" / "capacity.schema.json"

#: Name: capacity, a new server, and how it is loaded. Where it is not by construction, a run of 1,500 virtual seconds said so.
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
    "smooth": (200 * 9**0.25, lambda: Smooth(lambda rate: 0.01 * (1 + (rate / 200) ** 4)), {"limit": 0.1}),
}


def searched(server: Server, *, search: dict[str, Any] | None = None, **settings: Any) -> Capacity:
    """A search against a server."""
    bench = Bench(server, **settings)
    found = Search(bench.measure, clock=bench.clock, **search or {}).run()
    assert bench.now == found.seconds
    return found


def bench(server: Server, **settings: Any) -> Bench:
    """A bench whose arrivals come evenly."""
    return Bench(server, **{"arrivals": "constant"} | settings)


class TestCapacity:
    """What is found."""

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("name", KNOWN)
    def test_is_found(self, name: str, seed: int) -> None:
        """The capacity of every kind of server is found within 5 % in under three minutes."""
        true, server, settings = KNOWN[name]

        found = searched(server(), seed=seed, **settings)

        assert Outcome.FOUND == found.outcome
        assert true == pytest.approx(found.rate, rel=0.05)
        assert found.seconds < 175

    @pytest.mark.parametrize(
        "name", [pytest.param(name, marks=pytest.mark.nightly if at % 3 else pytest.mark.long) for at, name in enumerate(KNOWN)]
    )
    def test_is_found_however_the_dice_fall(self, name: str) -> None:
        """Thirty of thirty searches find it within 5 %, and the interval holds what it says."""
        true, server, settings = KNOWN[name]

        found = [searched(server(), seed=100 + seed, **settings) for seed in range(30)]

        assert [] == [it.rate for it in found if it.rate is None or abs(it.rate / true - 1) > 0.05]
        assert [] == [it.seconds for it in found if it.seconds > 175]
        assert [] == [
            (it.low, it.high) for it in found if not it.low or not it.high or it.low > 1.03 * true or it.high < 0.97 * true
        ]

    def test_takes_longer_where_an_objective_looks_at_the_tail_of_a_random_queue(self) -> None:
        """M/M/1 meets p99 < 250 ms up to 81.6/s; that shows in a quarter of an hour."""
        found = searched(Line(exponential(0.01)), limit=0.25, search={"seconds": 900.0})

        assert 100 - math.log(100) / 0.25 == pytest.approx(found.rate, rel=0.08)

    def test_is_between_what_held_and_what_failed(self) -> None:
        """A search of a queue ends with a rate just below that held and one just above that did not."""
        found = searched(Line(fixed(0.01)), arrivals="constant")

        assert found.low and found.rate and found.high and found.held and found.failed
        assert found.low < found.rate < found.high
        assert 95 < found.held < 100 < found.failed < 105

    def test_ends_with_a_step_at_the_answer(self) -> None:
        """The last step is a longer one, at the rate that is the answer, and held."""
        found = searched(Line(fixed(0.01)), arrivals="constant")

        last = found.steps[-1]
        assert (found.rate, Verdict.HELD) == (last.step.rate, last.verdict)
        assert last.step.seconds > max(judged.step.seconds for judged in found.steps[:-1])
        assert "held for 15 s at the end" in found.because

    def test_an_answer_that_does_not_hold_is_lowered(self) -> None:
        """Where the longer step fails by a little, the next one is lower; what is answered is what held."""
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
        assert (found.rate is None) == (found.outcome is not Outcome.FOUND)
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
        """Nothing is asked of a server that is no longer right."""
        found = searched(Line(fixed(0.001)), wrong=80)

        assert Outcome.VIOLATED == found.outcome
        assert Verdict.VIOLATED == found.steps[-1].verdict
        assert (40, None) == (found.rate, found.high)
        assert "80/s" in found.because

    def test_the_generator_ran_out(self) -> None:
        """A rate that this machine cannot offer is no capacity of the server: it is said, with what held."""
        found = searched(Line(fixed(0.001)), most=150)

        assert Outcome.GENERATOR == found.outcome
        assert found.rate is not None
        assert 110 <= found.rate <= 150
        assert found.high is None
        assert "this machine ran out before the server did" in found.because

    def test_the_generator_had_a_hiccup(self) -> None:
        """A machine that is too slow once is asked again."""
        it, slow = bench(Line(fixed(0.01))), [True]

        def measure(rate: float, seconds: float) -> Step:
            step = it.measure(rate, seconds)
            return step if rate < 80 or not slow or not slow.pop() else Step(rate, seconds, step.slices, generator="busy")

        found = Search(measure, clock=it.clock).run()

        assert Outcome.FOUND == found.outcome
        assert 100 == pytest.approx(found.rate, rel=0.05)

    def test_the_ceiling_does_not_hold_for_long(self) -> None:
        """A ceiling that held for some seconds is held for longer before it is the answer."""
        found = searched(Throttle(50, burst=100), search={"ceiling": 70.0}, arrivals="constant")

        assert Outcome.FOUND == found.outcome
        assert 50 == pytest.approx(found.rate, rel=0.02)

    def test_the_ceiling_held(self) -> None:
        """A search that may not go further says at least how far it went."""
        found = searched(Line(fixed(0.001)), search={"ceiling": 70.0})

        assert (Outcome.AT_LEAST, 70, 70, None) == (found.outcome, found.rate, found.low, found.high)
        assert 70 == max(it.step.rate for it in found.steps)

    def test_nothing_held(self) -> None:
        """A server that fails at any rate has no capacity."""
        found = searched(Fuse(0))

        assert (Outcome.NOTHING_HELD, None) == (found.outcome, found.rate)
        assert "errors<1%" in found.because

    def test_no_time(self) -> None:
        """A climb that takes longer than the search may ends unfinished."""
        found = searched(Line(fixed(1e-4)), search={"seconds": 15.0})

        assert Outcome.UNFINISHED == found.outcome
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

        assert Outcome.UNFINISHED == found.outcome
        assert 100 == pytest.approx(found.rate, rel=0.1)

    def test_a_cold_server_is_asked_again(self) -> None:
        """A first step that fails does not send the search down."""
        it, cold = bench(Line(fixed(0.01))), [True]

        def measure(rate: float, seconds: float) -> Step:
            step = it.measure(rate, seconds)
            return (
                step if not cold or not cold.pop() else Step(rate, seconds, step.slices, objectives=[Share("p99", 9, 30, 0.01)])
            )

        found = Search(measure, clock=it.clock).run()

        assert [10, 10, 20] == [judged.step.rate for judged in found.steps[:3]]


class TestDocument:
    """The findings, as a file has them."""

    @pytest.mark.parametrize("settings", [{}, {"wrong": 80}, {"most": 150}, {"search": {"ceiling": 50.0}}], ids=str)
    def test_agrees_with_its_schema(self, settings: dict[str, Any]) -> None:
        """Whatever the outcome, the findings are as the published schema says."""
        self.agrees(searched(Line(fixed(0.01)), **settings))

    def test_of_an_unstable_server_agrees_with_its_schema(self) -> None:
        """So are those of a server that changed: no rate, the least and the most, and when it carried what."""
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


class TestStep:
    """What a single step says."""

    def test_below_the_capacity_it_holds(self) -> None:
        """A queue that is busy but keeps up holds, with many under way."""
        it = bench(Line(fixed(0.1), servers=50))

        assert Verdict.HELD == judge(it.measure(480, 10), 0.1).verdict

    def test_above_the_capacity_the_backlog_grows(self) -> None:
        """Two in a hundred too many are seen in ten seconds, and measured."""
        judged = judge(bench(Line(fixed(0.01))).measure(102, 10), 0.01)

        assert Verdict.FAILED == judged.verdict
        assert 0.02 == pytest.approx(judged.growth, abs=0.003)
        assert "the backlog grew from" in judged.why

    def test_a_bounded_queue_carries_what_it_answers_well(self) -> None:
        """Where a full queue turns requests away, the backlog grows no more, and what was turned away is the excess."""
        judged = judge(bench(Line(fixed(0.01), patience=0.2)).measure(125, 10), 0.01)

        assert Verdict.FAILED == judged.verdict
        assert 0.2 == pytest.approx(judged.excess, abs=0.01)

    def test_a_burst_that_is_worked_off_is_no_overload(self) -> None:
        """A backlog that was there and went away holds."""
        slices = [Slice(100, 100)] * 3 + [Slice(100, 40)] + [Slice(100, 115)] * 4 + [Slice(100, 100)] * 2

        assert Verdict.HELD == judge(Step(100, 10, slices), 0.01).verdict

    def test_a_wandering_backlog_is_unclear(self) -> None:
        """Growth that may be chance decides nothing."""
        slices = [Slice(100, ok) for ok in (104, 92, 103, 93, 101, 94, 102, 95, 99, 94)]

        judged = judge(Step(100, 10, slices), 0.01)

        assert (Verdict.UNCLEAR, False) == (judged.verdict, judged.growing)

    def test_saturation(self) -> None:
        """A server that always has a backlog is saturated; one that has many under way is not."""
        busy, idle = bench(Line(fixed(0.01))), bench(Line(fixed(0.1), servers=50))

        assert judge(busy.measure(150, 5), 0.01).saturated
        assert not judge(idle.measure(400, 5), 0.1).saturated

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            (Step(100, 3, [Slice(100, 97, throttled=3)] * 3), "not throttled<1%"),
            (Step(100, 3, [Slice(100, 95, failed=5)] * 3, objectives=[Share("errors<1%", 15, 300, 0.01)]), "not errors<1%"),
            (Step(100, 3, [Slice(100, 0)] * 3), "the backlog grew from 0 to 300"),
        ],
        ids=["throttled", "errors", "silence"],
    )
    def test_what_fails(self, step: Step, why: str) -> None:
        """Throttling, a broken objective and silence fail, with the reason."""
        judged = judge(step, 0.01)

        assert (Verdict.FAILED, why) == (judged.verdict, judged.why)

    def test_what_is_allowed_does_not_fail(self) -> None:
        """A few errors and a few 429 within the limits hold."""
        step = Step(100, 3, [Slice(1000, 990, throttled=5, failed=5)] * 3, objectives=[Share("errors<1%", 15, 3000, 0.01)])

        assert Verdict.HELD == judge(step, 0.01).verdict

    @pytest.mark.parametrize(
        ("bad", "clump", "verdict"),
        [(3, 1.0, Verdict.UNCLEAR), (12, 1.0, Verdict.FAILED), (12, 12.0, Verdict.UNCLEAR), (2, 1.0, Verdict.HELD)],
        ids=["few", "many", "many-at-once", "allowed"],
    )
    def test_chance_fails_no_step(self, bad: int, clump: float, verdict: Verdict) -> None:
        """Three late of 200 may be one in a hundred, and so may twelve that were late together; twelve by themselves are not."""
        step = Step(20, 10, [Slice(20, 20)] * 10, objectives=[Share("p99<1s", bad, 200, 0.01, clump)])

        assert verdict == judge(step, 0.01).verdict

    def test_errors_that_came_together_are_one_event(self) -> None:
        """The slices say that twelve errors came in one moment, where nothing else does."""
        slices = [Slice(20, 20)] * 9 + [Slice(20, 8, failed=12)]

        judged = judge(Step(20, 10, slices, objectives=[Share("errors<1%", 12, 200, 0.01)]), 0.01)

        assert (Verdict.UNCLEAR, "errors<1% may be chance") == (judged.verdict, judged.why)

    def test_a_limiter_is_judged_by_what_came_after_the_first_429(self) -> None:
        """Of 125/s, 100/s are let through once the burst is used up: that is the pace, however long the burst lasted."""
        slices = [Slice(125, 125)] * 14 + [Slice(125, 110, throttled=15)] + [Slice(125, 100, throttled=25)] * 5

        judged = judge(Step(125, 20, slices), 0.01)

        assert (Verdict.FAILED, True) == (judged.verdict, judged.limited)
        assert 0.2 == pytest.approx(judged.excess, abs=1e-6)

    def test_429_at_the_very_end_say_nothing_yet(self) -> None:
        """What a limiter lets through cannot be seen in one slice: such a step is to be measured for longer."""
        slices = [Slice(125, 125)] * 18 + [Slice(125, 100, throttled=25)] * 2

        judged = judge(Step(125, 20, slices), 0.01)

        assert (True, False) == (judged.blocks, judged.usable)

    def test_429_in_blocks_have_no_pace(self) -> None:
        """Everything, then nothing: how much is carried for good is not to be seen in such a step."""
        slices = [Slice(125, 125)] * 5 + [Slice(125, 0, throttled=125)] * 10 + [Slice(125, 125)] * 5

        assert judge(Step(125, 20, slices), 0.01).blocks

    def test_nothing_was_due(self) -> None:
        """A step without a request has no numbers to divide by, and is no failure."""
        step = Step(0.1, 3, [Slice(0, 0)] * 3, objectives=[Share("p99<1s", 0, 0, 0.01)])

        judged = judge(step, math.inf)

        assert judged.strain
        assert (Verdict.HELD, 0, 0) == (judged.verdict, judged.excess, judged.strain.strain)

    def test_the_knee_is_where_power_is_highest(self) -> None:
        """Of 100/s in 10 ms, 190/s in 20 ms and 195/s in 200 ms, the first has most throughput for the time."""
        steps = [
            judge(Step(rate, 3, [Slice(rate, ok)] * 3, p50=p50), 0.01)
            for rate, ok, p50 in ((50, 50, 0.01), (100, 100, 0.01), (190, 190, 0.02), (200, 195, 0.2))
        ]

        best = knee(steps)

        assert best is not None
        assert 100 == best.rate


class TestBelief:
    """What is concluded from many."""

    def test_begins_with_no_knowledge(self) -> None:
        """Before anything was seen, the capacity may be anywhere: the middle of the two limits is a guess."""
        low, middle, high = Belief(50, 200).quantiles(0.025, 0.5, 0.975)

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
        belief = Belief(50, 200)
        belief.excess(105, 0.0, 0.003)
        for _ in range(2):
            belief.strain(95, 0, 10)
            belief.strain(105, 400, 10)

        low, high = belief.quantiles(0.1, 0.9)

        assert 93 < low < high < 106

    def test_the_lower_of_the_two_limits_counts(self) -> None:
        """A server that keeps up to 150/s, but not its objective beyond 80/s, carries 80/s."""
        belief = Belief(50, 200)
        belief.excess(160, 0.0625, 0.003)
        for _ in range(3):
            belief.strain(76, 1, 10)
            belief.strain(80, 10, 10)
            belief.strain(84, 60, 10)

        assert 80 == pytest.approx(belief.quantiles(0.5)[0], rel=0.04)


def kept() -> Belief:
    """No knowledge but that the objectives are kept up to nearly 200/s."""
    belief = Belief(50, 200)
    for _ in range(3):
        belief.strain(198, 0, 10)
    return belief


def _width(belief: Belief) -> float:
    low, high = belief.quantiles(0.1, 0.9)
    return math.log(high / low)
