"""What a single step of a search for the capacity says.

Longer than 400 lines because it looks at both sides of every bound.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.steps import (
    Share,
    Slice,
    Step,
    StepJudgement,
    StepVerdict,
    judge,
    keep_together,
    knee,
    milliseconds,
    significant,
)
from tests.support.queues import Bench, Line, Server, fixed


def bench(server: Server, **settings: Any) -> Bench:
    """A bench whose arrivals come evenly."""
    settings.setdefault("arrivals", "constant")
    return Bench(server, **settings)


class TestStep:
    """What a single step says."""

    def test_below_the_capacity_it_holds(self) -> None:
        """A queue that is busy but keeps up holds, with many under way."""
        it = bench(Line(fixed(0.1), servers=50))

        assert StepVerdict.HELD == judge(it.measure(480, 10), 0.1).verdict

    def test_above_the_capacity_the_backlog_grows(self) -> None:
        """Two in a hundred too many are seen in ten seconds, and measured."""
        judged = judge(bench(Line(fixed(0.01))).measure(102, 10), 0.01)

        assert StepVerdict.FAILED == judged.verdict
        assert 0.02 == pytest.approx(judged.growth, abs=0.003)
        assert "the backlog grew from" in judged.why

    def test_a_bounded_queue_carries_what_it_answers_well(self) -> None:
        """Where a full queue turns requests away, the backlog grows no more, and what was turned
        away is the excess.
        """
        judged = judge(bench(Line(fixed(0.01), patience=0.2)).measure(125, 10), 0.01)

        assert StepVerdict.FAILED == judged.verdict
        assert 0.2 == pytest.approx(judged.excess, abs=0.01)

    def test_a_burst_that_is_worked_off_is_no_overload(self) -> None:
        """A backlog that was there and went away holds."""
        slices = (
            [Slice(100, 100)] * 3 + [Slice(100, 40)] + [Slice(100, 115)] * 4 + [Slice(100, 100)] * 2
        )

        assert StepVerdict.HELD == judge(Step(100, 10, slices), 0.01).verdict

    def test_a_wandering_backlog_is_unclear(self) -> None:
        """Growth that may be chance decides nothing."""
        slices = [Slice(100, ok) for ok in (104, 92, 103, 93, 101, 94, 102, 95, 99, 94)]

        judged = judge(Step(100, 10, slices), 0.01)

        assert (StepVerdict.UNCLEAR, False) == (judged.verdict, judged.growing)

    def test_saturation(self) -> None:
        """A server that always has a backlog is saturated; one that has many under way is not."""
        busy, idle = bench(Line(fixed(0.01))), bench(Line(fixed(0.1), servers=50))

        assert judge(busy.measure(150, 5), 0.01).saturated
        assert not judge(idle.measure(400, 5), 0.1).saturated

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            (Step(100, 3, [Slice(100, 97, throttled=3)] * 3), "not throttled<1%"),
            (
                Step(
                    100,
                    3,
                    [Slice(100, 95, failed=5)] * 3,
                    objectives=[Share("errors<1%", 15, 300, 0.01)],
                ),
                "not errors<1%",
            ),
            (Step(100, 3, [Slice(100, 0)] * 3), "the backlog grew from 0 to 300"),
        ],
        ids=["throttled", "errors", "silence"],
    )
    def test_what_fails(self, step: Step, why: str) -> None:
        """Throttling, a broken objective and silence fail, with the reason."""
        judged = judge(step, 0.01)

        assert (StepVerdict.FAILED, why) == (judged.verdict, judged.why)

    def test_what_is_allowed_does_not_fail(self) -> None:
        """A few errors and a few 429 within the limits hold."""
        step = Step(
            100,
            3,
            [Slice(1000, 990, throttled=5, failed=5)] * 3,
            objectives=[Share("errors<1%", 15, 3000, 0.01)],
        )

        assert StepVerdict.HELD == judge(step, 0.01).verdict

    @pytest.mark.parametrize(
        ("bad", "clump", "verdict"),
        [
            (3, 1.0, StepVerdict.UNCLEAR),
            (12, 1.0, StepVerdict.FAILED),
            (12, 12.0, StepVerdict.UNCLEAR),
            (2, 1.0, StepVerdict.HELD),
        ],
        ids=["few", "many", "many-at-once", "allowed"],
    )
    def test_chance_fails_no_step(self, bad: int, clump: float, verdict: StepVerdict) -> None:
        """Three late of 200 may be one in a hundred, and so may twelve that were late together;
        twelve by themselves are not.
        """
        step = Step(
            20, 10, [Slice(20, 20)] * 10, objectives=[Share("p99<1s", bad, 200, 0.01, clump)]
        )

        assert verdict == judge(step, 0.01).verdict

    def test_errors_that_came_together_are_one_event(self) -> None:
        """The slices say that twelve errors came in one moment, where nothing else does."""
        slices = [Slice(20, 20)] * 9 + [Slice(20, 8, failed=12)]

        judged = judge(Step(20, 10, slices, objectives=[Share("errors<1%", 12, 200, 0.01)]), 0.01)

        assert (StepVerdict.UNCLEAR, "errors<1% may be chance") == (judged.verdict, judged.why)

    def test_a_limiter_is_judged_by_what_came_after_the_first_429(self) -> None:
        """Of 125/s, 100/s are let through once the burst is used up: that is the pace, however long
        the burst lasted.
        """
        slices = (
            [Slice(125, 125)] * 14
            + [Slice(125, 110, throttled=15)]
            + [Slice(125, 100, throttled=25)] * 5
        )

        judged = judge(Step(125, 20, slices), 0.01)

        assert (StepVerdict.FAILED, True) == (judged.verdict, judged.limited)
        assert 0.2 == pytest.approx(judged.excess, abs=1e-6)

    def test_429_at_the_very_end_say_nothing_yet(self) -> None:
        """What a limiter lets through cannot be seen in one slice: such a step is to be measured
        for longer.
        """
        slices = [Slice(125, 125)] * 18 + [Slice(125, 100, throttled=25)] * 2

        judged = judge(Step(125, 20, slices), 0.01)

        assert (True, False) == (judged.blocks, judged.usable)

    def test_429_in_blocks_have_no_pace(self) -> None:
        """A step that carries all, then nothing, does not show what is carried for good."""
        slices = [Slice(125, 125)] * 5 + [Slice(125, 0, throttled=125)] * 10 + [Slice(125, 125)] * 5

        assert judge(Step(125, 20, slices), 0.01).blocks

    def test_nothing_was_due(self) -> None:
        """A step without a request divides by nothing, and does not fail."""
        step = Step(0.1, 3, [Slice(0, 0)] * 3, objectives=[Share("p99<1s", 0, 0, 0.01)])

        judged = judge(step, math.inf)

        assert judged.strain
        assert (StepVerdict.HELD, 0, 0) == (judged.verdict, judged.excess, judged.strain.strain)

    def test_the_knee_is_where_power_is_highest(self) -> None:
        """Of 100/s in 10 ms, 190/s in 20 ms and 195/s in 200 ms, the first has most throughput for
        the time.
        """
        steps = [
            judge(Step(rate, 3, [Slice(rate, ok)] * 3, p50=p50), 0.01)
            for rate, ok, p50 in (
                (50, 50, 0.01),
                (100, 100, 0.01),
                (190, 190, 0.02),
                (200, 195, 0.2),
            )
        ]

        best = knee(steps)

        assert best is not None
        assert 100 == best.rate


def backlogs(*changes: int, due: int = 16, waiting: int = 0, seconds: float | None = None) -> Step:
    """A step whose backlog changes by so much in each slice, of a second by default."""
    slices = [Slice(due, due - change) for change in changes]
    return Step(due, seconds or len(changes), slices, waiting=waiting)


def throttling(*slices: tuple[int, int], due: int = 125) -> Step:
    """A step with good answers and 429 in each slice."""
    return Step(due, len(slices), [Slice(due, ok, throttled) for ok, throttled in slices])


class TestFigures:
    """What is counted in a step and in an objective."""

    STEP = Step(100, 4.0, [Slice(10, 5, 2, 1), Slice(20, 12, 0, 4), Slice(10, 20, 1, 3)], waiting=7)

    def test_of_a_step(self) -> None:
        """Sums over the slices, and rates by its seconds."""
        step = self.STEP

        assert (step.due, step.ok, step.throttled, step.failed) == (40, 37, 3, 8)
        assert (step.throughput, step.offered) == (9.25, 10.0)
        assert step.ended == [8, 16, 24]
        assert step.backlog == [7, 9, 13, -1]

    @pytest.mark.parametrize(("bad", "broken"), [(0, False), (2, False), (3, True)])
    def test_an_objective_is_broken_by_more_than_is_allowed(self, bad: int, broken: bool) -> None:
        """Two of two hundred are just one per cent."""
        assert Share("errors<1%", bad, 200, 0.01).broken == broken

    def test_of_an_objective(self) -> None:
        """How much of what is allowed was used, and how far the share may be off."""
        share = Share("errors<1%", 9, 300, 0.01, 4.0)

        assert (share.limit, share.strain) == (3.0, 3.0)
        assert share.error == math.sqrt(36) / 300
        assert Share("errors<1%", 4, 0, 0.01).error == 2

    def test_where_nothing_is_allowed_half_a_request_is_the_limit(self) -> None:
        """One is too many, and none is right."""
        assert (Share("errors==0", 1, 300, 0.0).strain, Share("errors==0", 0, 300, 0.0).strain) == (
            2,
            0,
        )

    def test_one_that_is_no_share_fails_at_once(self) -> None:
        """The longest response time is not a sample: it held or it did not."""
        assert Share("max<5s", 1, 1, 0.5).failed
        assert not Share("max<5s", 0, 1, 0.5).failed

    def test_chance_is_asked_for_the_others(self) -> None:
        """Just as improbable as a failure has to be, with the clumps that were told."""
        few, many = Share("errors<1%", 6, 200, 0.01), Share("errors<1%", 8, 200, 0.01)

        assert (few.broken, few.failed) == (True, False)
        assert chance.tail(6, 200, 0.01) > chance.UNLIKELY > chance.tail(8, 200, 0.01)
        assert many.failed
        assert not many._replace(clump=8.0).failed

    @pytest.mark.parametrize(
        ("value", "shown"),
        [(None, None), (123456.0, 123460.0), (0.00123456, 0.0012346), (5.0, 5.0)],
    )
    def test_five_digits(self, value: float | None, shown: float | None) -> None:
        """A figure of a document has no more than are known."""
        assert significant(value) == shown

    @pytest.mark.parametrize(
        ("seconds", "shown"), [(None, None), (0.0, 0.0), (1.23456789, 1234.568), (0.0000004, 0.0)]
    )
    def test_milliseconds(self, seconds: float | None, shown: float | None) -> None:
        """With three digits behind the point."""
        assert milliseconds(seconds) == shown

    def test_a_step_in_a_document(self) -> None:
        """Each figure under its name, rounded to what is known."""
        step = Step(
            12.34567,
            3.14159,
            [Slice(40, 30, 2, 3)] * 3,
            p50=0.00123456,
            p99=0.1,
            violations=0,
            objectives=[Share("x", 1, 1, 0.5)],
        )
        judged = StepJudgement(step, StepVerdict.FAILED, "not x", growth=0.123456789, second=7.654)

        assert judged.document() == {
            "second": 7.7,
            "rate": 12.346,
            "seconds": 3.142,
            "verdict": "failed",
            "why": "not x",
            "scheduled": 120,
            "throughput": 28.648,
            "errors": 9,
            "throttled": 6,
            "violations": 0,
            "p50_ms": 1.235,
            "p99_ms": 100.0,
            "backlog_growth": 0.12346,
        }


class TestVerdict:
    """Where a step stops to hold, to the request."""

    def test_what_ends_a_search_comes_first(self) -> None:
        """Violations, then what this machine could not do; nothing else is looked at."""
        silent = [Slice(100, 0)] * 3
        both = judge(Step(100, 3, silent, violations=3, generator="its core was busy"), 0.01)
        slow = judge(Step(100, 3, silent, generator="its core was busy"), 0.01)

        assert (both.verdict, both.why, both.usable) == (
            StepVerdict.VIOLATED,
            "3 violations",
            False,
        )
        assert (slow.verdict, slow.why, slow.usable) == (
            StepVerdict.GENERATOR,
            "its core was busy",
            False,
        )

    def test_growth_by_just_three_deviations_is_no_growth_yet(self) -> None:
        """Changes of 0, 1, 1 and 1 are three, give or take one: what may be chance is unclear, one
        more is too much.
        """
        just, more = judge(backlogs(0, 1, 1, 1), 0.01), judge(backlogs(1, 1, 1, 1), 0.01)

        assert (just.growth, just.error) == (3 / 64, 1 / 64)
        assert (just.verdict, just.why, just.growing) == (StepVerdict.UNCLEAR, "", False)
        assert (more.verdict, more.why, more.growing) == (
            StepVerdict.FAILED,
            "the backlog grew from 0 to 4",
            True,
        )

    def test_growth_by_no_more_than_one_deviation_is_none(self) -> None:
        """A change of one, give or take one."""
        assert judge(backlogs(0, 0, 0, 1), 0.01).verdict is StepVerdict.HELD
        assert judge(backlogs(0, 1, 0, 1), 0.01).verdict is StepVerdict.UNCLEAR

    def test_growth_is_from_the_beginning_to_the_end(self) -> None:
        """Also what grew in the first slice and in the last one."""
        judged = judge(backlogs(5, 0, 0, 3, waiting=2), 0.01)

        assert judged.growth == 8 / 64
        assert judge(Step(1, 3, [Slice(1, 0), Slice(0, 0), Slice(0, 0)]), 0.01).growth == 1

    def test_all_reasons_are_told(self) -> None:
        """All reasons are told, one after the other, with commas."""
        slices = [Slice(100, 50, failed=20)] * 10
        share = Share("errors<1%", 200, 1000, 0.01)

        assert (
            judge(Step(100, 10, slices, objectives=[share]), 0.01).why
            == "the backlog grew from 0 to 300, not errors<1%"
        )

    def test_only_what_is_broken_may_be_chance(self) -> None:
        """An objective that was kept is not named."""
        shares = [
            Share("p99<1s", 3, 200, 0.01),
            Share("p50<1s", 0, 200, 0.5),
            Share("p98<1s", 5, 200, 0.02),
        ]
        judged = judge(Step(20, 10, [Slice(20, 20)] * 10, objectives=shares), 0.01)

        assert (judged.verdict, judged.why) == (
            StepVerdict.UNCLEAR,
            "p99<1s may be chance, p98<1s may be chance",
        )

    @pytest.mark.parametrize(("waiting", "saturated"), [(16, False), (17, True)])
    def test_a_backlog_beyond_what_is_under_way(self, waiting: int, saturated: bool) -> None:
        """Of 100/s that take 100 ms ten are under way: half as many again and one are a queue."""
        assert judge(backlogs(*[0] * 10, due=100, waiting=waiting), 0.1).saturated == saturated

    @pytest.mark.parametrize(("waiting", "saturated"), [(20, False), (21, True)])
    def test_a_backlog_beyond_what_wavers(self, waiting: int, saturated: bool) -> None:
        """Where it goes up and down by two, twice its deviation of 2.1 is added."""
        assert judge(backlogs(*[2, -2] * 5, due=100, waiting=waiting), 0.1).saturated == saturated

    def test_where_there_always_was_a_backlog_only_the_pace_is_chance(self) -> None:
        """How many came is known: how unevenly they came makes the growth no less sure."""
        slices = [Slice(due, 100) for due in (90, 110) * 5]
        busy, idle = (
            judge(Step(100, 10, slices, waiting=1000), 0.01),
            judge(Step(100, 10, slices), 0.01),
        )

        assert busy.error == pytest.approx(0.5 * math.sqrt(10) / 1000)
        assert idle.error == pytest.approx(math.sqrt(1000 / 9) * math.sqrt(10) / 1000)

    def test_the_objective_that_came_nearest_to_its_limit(self) -> None:
        """Not the last one by its name: the one of which most was used."""
        shares = [Share("z", 1, 1000, 0.01), Share("a", 9, 1000, 0.01)]

        judged = judge(Step(100, 10, [Slice(100, 100)] * 10, objectives=shares), 0.01)

        assert judged.strain is not None
        assert judged.strain.name == "a"

    @pytest.mark.parametrize(
        ("share", "clump"),
        [
            # its bad ones are the errors: the slices tell
            (Share("errors<1%", 12, 200, 0.01), 10.8),
            (Share("errors<1%", 12, 200, 0.01, 1.5), 1.5),
            (Share("errors<1%", 12, 200, 0.01, 5.0), 5.0),
            (Share("p99<1s", 13, 200, 0.01), 1.0),  # others were late
        ],
    )
    def test_the_size_of_clumps(self, share: Share, clump: float) -> None:
        """It is told with the objective, or by how its errors lie in the slices."""
        slices = [Slice(20, 20)] * 9 + [Slice(20, 8, failed=12)]

        judged = judge(Step(20, 10, slices, objectives=[share]), 0.01)

        assert judged.strain is not None
        assert judged.strain.clump == pytest.approx(clump)


class TestCarried:
    """What a step says of its rate, in other words than its verdict."""

    @pytest.mark.parametrize(
        ("verdict", "words"),
        [
            (StepVerdict.HELD, (True, True, False, True)),
            (StepVerdict.UNCLEAR, (False, True, False, True)),
            (StepVerdict.FAILED, (False, False, True, True)),
            (StepVerdict.VIOLATED, (False, False, False, False)),
            (StepVerdict.GENERATOR, (False, False, False, False)),
        ],
    )
    def test_by_its_verdict(self, verdict: StepVerdict, words: tuple[bool, ...]) -> None:
        """Whether a step held, was carried, failed or is usable follows from its verdict."""
        judged = StepJudgement(backlogs(0, 0, 0), verdict)

        assert (judged.held, judged.carried, judged.failed, judged.usable) == words

    def test_blocks_say_nothing(self) -> None:
        """A step in which 429 came in blocks is not usable, whatever its verdict."""
        assert not StepJudgement(backlogs(0, 0, 0), StepVerdict.HELD, blocks=True).usable

    @pytest.mark.parametrize(
        ("growth", "error", "carried"),
        [(0.0075, 0.0, True), (0.0076, 0.0, False), (0.02, 0.01, True), (0.021, 0.01, False)],
    )
    def test_unclear_growth(self, growth: float, error: float, carried: bool) -> None:
        """Three quarters of a per cent, or twice the error, may be those of a server that is busy
        all the time.
        """
        assert (
            StepJudgement(
                backlogs(0, 0, 0), StepVerdict.UNCLEAR, growth=growth, error=error
            ).carried
            == carried
        )

    def test_an_objective_that_is_broken_is_not_carried(self) -> None:
        """A step whose objective is broken is not carried, even if by chance."""
        broken, kept = Share("x", 3, 200, 0.01), Share("x", 2, 200, 0.01)

        assert not StepJudgement(backlogs(0, 0, 0), StepVerdict.UNCLEAR, strain=broken).carried
        assert StepJudgement(backlogs(0, 0, 0), StepVerdict.UNCLEAR, strain=kept).carried

    def test_growing_is_by_more_than_three_deviations(self) -> None:
        """A backlog grows if it does by more than three deviations, not by three."""
        assert not StepJudgement(backlogs(0, 0, 0), StepVerdict.HELD, growth=3.0, error=1.0).growing
        assert StepJudgement(backlogs(0, 0, 0), StepVerdict.HELD, growth=3.1, error=1.0).growing

    @pytest.mark.parametrize(
        ("changes", "slices"),
        [
            ((0, 0, 0, 0), 0),
            ((0, 0, 10, 10), 2),  # from the end of the second to the end of the fourth
            ((10, 10, 0, -20), 2),
            ((0, 1, 9, -5), 1),  # a tenth of the way is its foot yet
            ((0, 2, 8, -5), 2),
            ((20, -20, 0, 0), 1),
        ],
    )
    def test_the_ascent_of_a_backlog(self, changes: tuple[int, ...], slices: int) -> None:
        """From where it began to rise to where it was longest."""
        assert StepJudgement(backlogs(*changes, waiting=3), StepVerdict.HELD).ascent == slices

    @pytest.mark.parametrize(
        ("paces", "slices"),
        [
            ((100,) * 8, 0),
            ((100,) * 5 + (79, 50, 10), 3),
            ((100,) * 5 + (80, 81, 10), 1),
            ((50,) * 7 + (100,), 0),
        ],
    )
    def test_slices_in_which_it_was_slower(self, paces: tuple[int, ...], slices: int) -> None:
        """By a fifth and more, than in the better quarter of them."""
        assert (
            StepJudgement(Step(100, 8, [Slice(100, pace) for pace in paces]), StepVerdict.HELD).dull
            == slices
        )


class TestLimiter:
    """What 429 say of the pace of a limiter, by when they began and how evenly they came."""

    def test_three_slices_after_the_first_429_are_enough(self) -> None:
        """Of twenty; with two of them it is too late in the step."""
        enough = judge(throttling(*[(125, 0)] * 16, *[(100, 25)] * 4), 0.01)
        late = judge(throttling(*[(125, 0)] * 17, *[(100, 25)] * 3), 0.01)

        assert (enough.limited, enough.blocks, enough.usable) == (True, False, True)
        assert (late.limited, late.blocks, late.usable) == (False, True, False)

    def test_a_limiter_is_seen_where_the_whole_step_hides_it(self) -> None:
        """Four in a hundred after the first 429, which are less than one in a hundred of all."""
        judged = judge(throttling(*[(125, 0)] * 16, *[(120, 5)] * 4), 0.01)

        assert (judged.limited, judged.blocks, judged.verdict) == (True, False, StepVerdict.FAILED)

    def test_a_limiter_that_began_in_the_last_slice(self) -> None:
        """Thirty-four of two thousand are no chance, though they came together: such a step says
        nothing of a pace.
        """
        assert judge(throttling(*[(100, 0)] * 19, (66, 34), due=100), 0.01).blocks

    def test_429_to_what_came_before(self) -> None:
        """Nothing was due any more, and what waited was refused: there is nothing to divide by, and
        nothing was carried.
        """
        judged = judge(Step(1, 10, [Slice(0, 0, 5)] * 10, waiting=100), 0.01)

        assert (judged.closed, judged.limited) == (True, True)

    def test_half_of_a_short_step_is_enough(self) -> None:
        """Two slices of four, not two of five."""
        four, five = (
            judge(throttling((125, 0), *[(100, 25)] * 3), 0.01),
            judge(throttling(*[(125, 0)] * 2, *[(100, 25)] * 3), 0.01),
        )

        assert (four.blocks, five.blocks) == (False, True)

    def test_the_slice_in_which_they_began_is_left_out(self) -> None:
        """It belongs to what went before: of the rest 60 of 300 are refused, and that is the
        excess.
        """
        judged = judge(throttling(*[(100, 0)] * 3, (1, 99), *[(80, 20)] * 3, due=100), 0.01)

        assert judged.strain is not None
        assert (judged.strain.bad, judged.strain.of) == (60, 300)
        assert judged.excess == pytest.approx(0.2)

    def test_a_few_now_and_then_are_a_share_of_the_whole(self) -> None:
        """Few 429 over the whole step are not a limiter."""
        judged = judge(throttling(*[(999, 1)] * 10, due=1000), 0.01)

        assert judged.strain is not None
        assert (judged.strain.name, judged.strain.bad, judged.strain.of) == (
            "throttled<1%",
            10,
            10_000,
        )
        assert (judged.limited, judged.verdict, judged.excess) == (False, StepVerdict.HELD, 0.0)

    def test_a_late_few_are_no_block(self) -> None:
        """A 429 in the last slice says nothing of a limiter that is one."""
        judged = judge(throttling(*[(100, 0)] * 19, (99, 1), due=100), 0.01)

        assert (judged.blocks, judged.limited) == (False, False)

    def test_just_too_uneven(self) -> None:
        """Five slices slower and five faster by a tenth run fifty behind, a twentieth of all; by
        more there is no one pace.
        """
        just = judge(throttling((125, 0), (100, 25), *[(90, 35)] * 5, *[(110, 15)] * 5), 0.01)
        more = judge(throttling((125, 0), (100, 25), *[(89, 36)] * 5, *[(111, 14)] * 5), 0.01)

        assert (just.blocks, more.blocks) == (False, True)
        assert just.doubt == pytest.approx(math.hypot(just.error, 0.05 / 2 * 100 / 125))

    def test_what_ran_ahead_is_uneven_too(self) -> None:
        """Whether it is faster first or slower first."""
        assert judge(
            throttling((125, 0), (100, 25), *[(111, 14)] * 5, *[(89, 36)] * 5), 0.01
        ).blocks

    def test_nothing_is_let_through_any_more(self) -> None:
        """After a last good answer all are refused: that is closed, and no block."""
        judged = judge(throttling(*[(125, 0)] * 3, (60, 65), (100, 25), *[(0, 125)] * 5), 0.01)

        assert (judged.closed, judged.blocks, judged.verdict) == (True, False, StepVerdict.FAILED)
        assert judged.excess == pytest.approx(1 - 100 / 6 / 125)

    def test_something_is_let_through(self) -> None:
        """One good answer in the second slice after the first 429 is enough."""
        assert not judge(
            throttling(*[(125, 0)] * 3, (60, 65), (0, 125), (1, 124), *[(0, 125)] * 4), 0.01
        ).closed
        assert not judge(throttling(*[(125, 0)] * 10), 0.01).closed

    def test_a_backlog_that_grows_is_no_block(self) -> None:
        """Then the server is too slow, whatever else it does."""
        slices = [Slice(125, 60)] * 5 + [Slice(125, 0, throttled=60)] * 10 + [Slice(125, 60)] * 5

        judged = judge(Step(125, 20, slices), 0.01)

        assert (judged.growing, judged.blocks) == (True, False)


class TestExcess:
    """The share that a server did not carry, and how far that may be off."""

    def test_errors_count_where_an_objective_is_broken(self) -> None:
        """Fifty of a thousand, evenly spread: with half a per cent that is allowed either way, and
        what chance does to fifty.
        """
        slices = [Slice(100, 95, failed=5)] * 10
        broken = judge(Step(100, 10, slices, objectives=[Share("errors<1%", 50, 1000, 0.01)]), 0.01)
        kept = judge(Step(100, 10, slices, objectives=[Share("errors<6%", 50, 1000, 0.06)]), 0.01)

        assert broken.excess == pytest.approx(0.05)
        assert broken.doubt == pytest.approx(
            math.hypot(broken.error, math.hypot(math.sqrt(50) / 1000, 0.005))
        )
        assert (kept.excess, kept.doubt) == (0, kept.error)

    def test_errors_in_clumps_are_less_sure(self) -> None:
        """All in one slice: fifty are one event."""
        slices = [Slice(100, 100)] * 9 + [Slice(100, 50, failed=50)]
        judged = judge(Step(100, 10, slices, objectives=[Share("errors<1%", 50, 1000, 0.01)]), 0.01)

        assert judged.doubt == pytest.approx(
            math.hypot(judged.error, math.hypot(math.sqrt(50 * 45) / 1000, 0.005))
        )

    def test_late_ones_without_errors_are_no_excess(self) -> None:
        """Late answers without errors were carried, so that they are not an excess."""
        judged = judge(
            Step(100, 10, [Slice(100, 100)] * 10, objectives=[Share("p99<1s", 50, 1000, 0.01)]),
            0.01,
        )

        assert (judged.excess, judged.doubt) == (0, judged.error)

    def test_few_429_that_are_too_many_count_as_they_are(self) -> None:
        """Where they are too late for a pace, their share of all answers is the excess."""
        judged = judge(throttling(*[(100, 0)] * 17, *[(80, 20)] * 3, due=100), 0.01)

        assert judged.excess == pytest.approx(60 / 2000)
        assert judged.strain is not None
        assert judged.doubt == pytest.approx(
            math.hypot(judged.error, math.sqrt(60 * judged.strain.clump) / 2000)
        )

    def test_errors_and_a_limiter_add_up(self) -> None:
        """What was refused either way was not carried."""
        slices = [Slice(100, 90, 0, 10), *[Slice(100, 70, 20, 10)] * 9]
        judged = judge(
            Step(100, 10, slices, objectives=[Share("errors<1%", 100, 1000, 0.01)]), 0.01
        )

        assert judged.excess == pytest.approx(0.1 + 0.3)
        assert judged.doubt == pytest.approx(
            math.hypot(judged.error, math.hypot(math.sqrt(100) / 1000, 0.005))
        )
        assert judged.strain is not None
        assert (judged.strain.bad, judged.strain.of) == (160, 800)  # errors are answers, too

    def test_errors_and_a_few_429_add_up(self) -> None:
        """Where the 429 came too late to show a pace, too."""
        slices = [*[Slice(100, 90, 0, 10)] * 17, *[Slice(100, 70, 20, 10)] * 3]
        judged = judge(
            Step(100, 20, slices, objectives=[Share("errors<1%", 200, 2000, 0.01)]), 0.01
        )

        assert judged.excess == pytest.approx(0.1 + 60 / 2000)
        errors = math.hypot(math.sqrt(200) / 2000, 0.005)
        refused = math.sqrt(60 * chance.clump([0] * 17 + [20] * 3)) / 2000
        assert judged.doubt == pytest.approx(math.hypot(judged.error, errors, refused))

    def test_a_limiter_that_lets_more_through_than_comes(self) -> None:
        """While an old backlog is worked off more is answered than is due: that is no negative
        excess.
        """
        judged = judge(
            Step(100, 13, [Slice(100, 110)] * 3 + [Slice(100, 110, 20)] * 10, waiting=1000), 0.01
        )

        assert judged.limited
        assert judged.excess == judged.growth


class TestTogether:
    """Several steps at the same rate."""

    def look(self, *shares: Share) -> StepJudgement:
        """A step with these objectives."""
        return StepJudgement(
            Step(100, 3, [Slice(100, 100)] * 3, objectives=shares), StepVerdict.UNCLEAR
        )

    def test_they_keep_what_they_keep_together(self) -> None:
        """Three and one of two hundred each are just one per cent of all; four and one are more."""
        assert keep_together(
            [self.look(Share("x", 3, 200, 0.01)), self.look(Share("x", 1, 200, 0.01))]
        )
        assert not keep_together(
            [self.look(Share("x", 4, 200, 0.01)), self.look(Share("x", 1, 200, 0.01))]
        )

    def test_each_objective_counts_for_itself(self) -> None:
        """What one has to spare is not another's."""
        assert not keep_together([self.look(Share("x", 0, 200, 0.01), Share("y", 3, 200, 0.01))])

    def test_nothing_breaks_nothing(self) -> None:
        """Without a step, or without objectives."""
        assert keep_together([])
        assert keep_together([self.look()])

    def test_the_knee_is_among_the_usable(self) -> None:
        """A step that says nothing, and one of which no response time is known, are none; without
        any there is none.
        """
        good = StepJudgement(Step(50, 1, [Slice(50, 50)], p50=0.01), StepVerdict.HELD)
        void = StepJudgement(Step(100, 1, [Slice(100, 100)], p50=0.001), StepVerdict.GENERATOR)
        silent = StepJudgement(Step(100, 1, [Slice(100, 100)]), StepVerdict.HELD)

        slow = StepJudgement(Step(60, 1, [Slice(60, 60)], p50=0.1), StepVerdict.HELD)

        assert knee([void, good, silent, slow]) is good.step
        assert knee([void, silent]) is None
        assert knee([]) is None

    def test_a_step_that_failed_is_no_knee(self) -> None:
        """A server that turns away at once what it cannot carry has no more power for that."""
        good, slow = (
            StepJudgement(Step(rate, 1, [Slice(rate, rate)], p50=p50), StepVerdict.HELD)
            for rate, p50 in ((50, 0.01), (60, 0.1))
        )
        shed = StepJudgement(Step(200, 1, [Slice(200, 150)], p50=0.001), StepVerdict.FAILED)

        assert knee([good, slow, shed]) is good.step

    def test_there_is_no_knee_where_nothing_beyond_it_was_seen(self) -> None:
        """The last of steps that are all as fast is where the search ended, not where it bends."""
        steps = [
            StepJudgement(Step(rate, 1, [Slice(rate, rate)], p50=0.01), StepVerdict.HELD)
            for rate in (10, 20)
        ]

        assert knee(steps) is None
