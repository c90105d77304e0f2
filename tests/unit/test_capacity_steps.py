"""What a single step of a search for the capacity says."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rolecall.load.capacity.steps import Share, Slice, Step, Verdict, judge, knee
from tests.queues import Bench, Line, Server, fixed


def bench(server: Server, **settings: Any) -> Bench:
    """A bench whose arrivals come evenly."""
    return Bench(server, **{"arrivals": "constant"} | settings)


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
