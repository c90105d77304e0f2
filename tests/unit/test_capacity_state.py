"""States of a server: when a step cannot be of the one that is believed in, and what several states
mean together.

Longer than 400 lines because it looks at both sides of every bound.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from rolecall.loadgen.capacity import posterior
from rolecall.loadgen.capacity.by_rate import Search
from rolecall.loadgen.capacity.findings import SearchOutcome
from rolecall.loadgen.capacity.history import History
from rolecall.loadgen.capacity.state import State, carried, is_far
from rolecall.loadgen.capacity.stepper import Stop
from rolecall.loadgen.capacity.steps import Share, Slice, Step, StepJudgement, StepVerdict


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few ways in which an objective breaks."""
    monkeypatch.setattr(posterior, "_CELL", 0.006)
    monkeypatch.setattr(posterior, "_POWERS", (5, 80, 1280))


def step(
    rate: float, seconds: float = 10.0, share: float = 0.0, failed: int = 0, *objectives: Share
) -> Step:
    """A step of which a share was not carried."""
    part = round(rate * seconds / 20)
    return Step(
        rate,
        seconds,
        [Slice(part, round(part * (1 - share)) - failed, 0, failed)] * 20,
        objectives=objectives,
    )


def held(rate: float, second: float = 0.0, **facts: Any) -> StepJudgement:
    """A rate that was carried, with no errors at all."""
    kept = Share("errors<1%", 0, 20_000, 0.01)
    return StepJudgement(
        step(rate),
        StepVerdict.HELD,
        second=second,
        **{"error": 0.002, "doubt": 0.002, "strain": kept, **facts},
    )


def fell(rate: float, excess: float, second: float = 0.0, **facts: Any) -> StepJudgement:
    """A rate of which so much was too much."""
    facts = {"growth": excess, "error": 0.002, "doubt": 0.002, "saturated": True, **facts}
    return StepJudgement(
        step(rate, share=excess),
        StepVerdict.FAILED,
        "the backlog grew",
        excess=excess,
        second=second,
        **facts,
    )


def limited(rate: float, excess: float, **facts: Any) -> StepJudgement:
    """A rate of which a limiter let the rest through."""
    return fell(rate, excess, **{"growth": 0.0, "saturated": False, "limited": True, **facts})


def state(*steps: StepJudgement, began: float = 0.0) -> State:
    """One that has learnt these steps."""
    made = State(began=began)
    for judged in steps:
        made.learn(judged)
    return made


USUAL = (held(90), held(95), fell(105, 0.05), fell(110, 0.09), fell(120, 0.17))


class TestState:
    """What one state is believed to carry."""

    def test_of_nothing(self) -> None:
        """Nothing held and nothing failed."""
        empty = State()

        assert (empty.held, empty.failed, empty.is_bracketed, empty.value, empty.pace) == (
            0,
            math.inf,
            False,
            0,
            math.inf,
        )
        assert empty.ceiling == math.inf
        assert empty.since_failure() == []

    def test_between_what_held_and_what_failed(self) -> None:
        """The capacity is believed to be where the excess says."""
        usual = state(*USUAL)

        assert (usual.held, usual.failed, usual.is_bracketed) == (95, 105, True)
        assert usual.value == pytest.approx(100, rel=0.02)
        low, middle, high = usual.interval()
        assert 94 < low < middle < high < 106

    def test_what_held_above_a_failure_does_not_count_as_held(self) -> None:
        """The highest rate that held below all that failed."""
        assert state(held(90), fell(105, 0.05), held(110)).held == 90
        assert state(fell(105, 0.05), held(110)).held == 0

    def test_only_failures(self) -> None:
        """Then it carried what the worst of them says."""
        assert state(fell(100, 0.5), fell(80, 0.25)).value == pytest.approx(50, rel=0.01)

    def test_only_held_ones(self) -> None:
        """Then it carried the highest of them."""
        assert state(held(50), held(80)).value == 80

    def test_vague_knowledge(self) -> None:
        """One that held and one that failed far above say no more than what was carried."""
        assert state(held(10), fell(200, 0.5)).value == pytest.approx(100, rel=0.1)

    def test_a_limiters_pace(self) -> None:
        """The middle of what it let through; a door that is shut has none, and a rate above the
        pace has held for an allowance.
        """
        paced = state(
            held(90),
            limited(120, 0.2),
            limited(150, 1 / 3),
            limited(200, 0.45),
            limited(200, 1.0, closed=True),
        )

        assert paced.pace == pytest.approx(100, rel=0.01)
        assert state(held(110), limited(120, 0.2)).held == 0
        assert paced.interval()[0] <= 0.97 * paced.pace

    def test_a_step_learnt_late_is_the_same_as_one_learnt_early(self) -> None:
        """What is believed does not depend on whether it was asked for in between."""
        asked, not_asked = state(*USUAL[:3]), state(*USUAL[:3])
        asked.quantiles(0.5)
        for judged in USUAL[3:]:
            asked.learn(judged)
            not_asked.learn(judged)

        assert asked.value == pytest.approx(not_asked.value, rel=0.01)

    def test_an_interval_is_wider_where_a_step_says_so(self) -> None:
        """A step that clearly held above it, or failed below it, is not argued away."""
        sure = [fell(105, 0.05) for _ in range(8)]
        above, below = state(held(95), *sure, held(108)), state(held(80), *sure, fell(88, 0.06))

        assert above.interval()[2] >= 108
        assert below.interval()[0] < 85

    def test_words(self) -> None:
        """What, and when; figures of a document have five digits."""
        usual = state(*USUAL, began=3.14159)
        usual.ended = 99.99

        assert usual.sentence() == f"{usual.value:.4g}/s from second 3 to 100"
        document = usual.document()
        assert (document["from"], document["to"]) == (3.1, 100.0)
        assert document["low"] <= document["rate"] <= document["high"]

    def test_steps_since_the_last_failure(self) -> None:
        """The steps since the last failure are given in order."""
        after = [held(90), held(91)]

        assert state(held(80), fell(105, 0.05), *after).since_failure() == after
        assert state(*after).since_failure() == after


class TestAtOdds:
    """When a step cannot be of this state."""

    @pytest.mark.parametrize(
        ("judged", "is_at_odds"),
        [
            (held(99), False),
            (held(102), False),
            (held(106), True),
            (held(130), True),
            (fell(101, 0.02), False),
            (fell(80, 0.2), True),
            (fell(80, 0.02), False),  # too little to be sure
            (fell(130, 0.23), False),
            (StepJudgement(step(130), StepVerdict.GENERATOR), False),
            (StepJudgement(Step(130, 10, [Slice(0, 0)] * 20), StepVerdict.HELD), False),
        ],
        ids=[
            "held",
            "held-near",
            "held-a-little-above",
            "held-above",
            "fell-near",
            "fell-below",
            "fell-a-little",
            "fell-above",
            "generator",
            "nothing",
        ],
    )
    def test_beyond_its_interval(self, judged: StepJudgement, is_at_odds: bool) -> None:
        """By more than chance, and more than a fortieth."""
        assert state(*USUAL).is_at_odds(judged) == is_at_odds

    def test_nothing_is_at_odds_with_no_knowledge(self) -> None:
        """No step is at odds with the state before there is a bracket."""
        assert not state(held(100)).is_at_odds(fell(10, 0.5))

    def test_an_objective_that_is_broken_by_far(self) -> None:
        """Where nothing but an objective failed, it takes three times what is allowed."""
        far, near = Share("p99<1s", 40, 800, 0.01), Share("p99<1s", 22, 800, 0.01)
        usual = state(*USUAL)

        assert usual.is_at_odds(
            StepJudgement(step(80), StepVerdict.FAILED, strain=far, error=0.002, doubt=0.002)
        )
        assert not usual.is_at_odds(
            StepJudgement(step(80), StepVerdict.FAILED, strain=near, error=0.002, doubt=0.002)
        )

    def test_upside_down(self) -> None:
        """One that clearly failed at or below what held, and one that held at or above what clearly
        failed.
        """
        usual = state(held(95), fell(105, 0.5, doubt=0.01))

        assert usual._is_inverted(fell(90, 0.5))
        assert usual._is_inverted(held(108))
        assert not usual._is_inverted(held(100))
        assert not usual._is_inverted(fell(97, 0.03))

    def test_contradictions_to_an_answer(self) -> None:
        """The steps that a server which carries the answer could not have shown."""
        low, high = fell(80, 0.2), held(140)

        assert state(*USUAL, low).contradictions(99) == [low]
        assert state(*USUAL * 3, high).contradictions(99) == [high]
        assert state(*USUAL).contradictions(99) == []

    def test_a_breakdown(self) -> None:
        """Overloaded, it carried clearly less than the answer, and turned nothing away."""
        assert state(*USUAL, fell(150, 0.5)).breaks_down(99)
        assert not state(*USUAL).breaks_down(99)

    def test_the_rate_that_the_answer_is_below(self) -> None:
        """The lowest that clearly failed; one that failed by little is not clear."""
        assert state(held(90), fell(105, 0.01), fell(110, 0.2)).ceiling == 110

    def test_far(self) -> None:
        """By more than a tenth no second step is needed to see by how much."""
        assert is_far(fell(100, 0.2))
        assert not is_far(fell(100, 0.05))
        assert carried(fell(100, 0.2)) == pytest.approx(80)
        assert carried(held(100, excess=-0.1)) == 100


class TestBrokenAtAnyRate:
    """An objective that no rate would keep."""

    def at(self, rate: float, bad: int, of: int, name: str = "errors<1%") -> StepJudgement:
        """A step at a rate with so many bad ones."""
        return StepJudgement(
            step(rate, 10.0, 0.0, 0, Share(name, bad, of, 0.01)), StepVerdict.UNCLEAR
        )

    def test_up_to_the_rate(self) -> None:
        """All steps up to it together show it, whatever there is above."""
        broken = state(self.at(20, 10, 200), self.at(40, 12, 400), self.at(80, 8, 800))

        assert (
            broken.broken_at_any_rate(40)
            == "not errors<1% at any rate: 3.67% of 600 requests at rates up to 40/s"
        )

    def test_in_all_steps_where_the_rate_makes_no_difference(self) -> None:
        """A search ends where it was lucky: the figures are those of the steps that show it."""
        broken = state(
            self.at(20, 2, 200), self.at(40, 8, 400), self.at(80, 16, 800), self.at(100, 20, 1000)
        )

        assert (
            broken.broken_at_any_rate(20)
            == "not errors<1% at any rate: 1.92% of 2,400 requests at rates up to 100/s"
        )

    def test_not_where_the_rate_makes_the_difference(self) -> None:
        """What grows with the rate is not there at any."""
        assert (
            state(
                self.at(20, 0, 200), self.at(40, 0, 400), self.at(80, 80, 800)
            ).broken_at_any_rate(40)
            == ""
        )

    def test_not_where_it_is_kept(self) -> None:
        """Nor where nothing was seen up to the rate, nor where the backlog grew."""
        assert state(self.at(20, 1, 200), self.at(40, 4, 400)).broken_at_any_rate(40) == ""
        assert state(self.at(20, 10, 200)).broken_at_any_rate(10) == ""
        assert state(*USUAL).broken_at_any_rate(100) == ""

    def test_the_first_by_its_name(self) -> None:
        """Of several broken objectives the first by its name is told."""
        both = step(
            20, 10.0, 0.0, 0, Share("p99<1s", 20, 200, 0.01), Share("errors<1%", 20, 200, 0.01)
        )

        assert (
            state(StepJudgement(both, StepVerdict.UNCLEAR))
            .broken_at_any_rate(20)
            .startswith("not errors<1% at any rate: 10.00%")
        )


class TestHistory:
    """Several states, one after the other."""

    def changed(self, *rates: float) -> History:
        """A history of states that carried so much, a hundred seconds each."""
        history = History()
        for number, rate in enumerate(rates):
            steps = [held(0.95 * rate, 100.0 * number), fell(1.05 * rate, 0.05, 100.0 * number + 5)]
            if number:
                history.change(steps)
            else:
                for judged in steps:
                    history.now.learn(judged)
        history.now.ended = 100.0 * len(rates)
        return history

    def test_of_nothing(self) -> None:
        """No states were seen, and nothing changed."""
        history = History()

        assert (
            history.states,
            history.changes,
            history.incidents,
            history.slumps,
            history.sentence(),
        ) == ([], 0, 0, [], "")

    def test_states_and_their_ends(self) -> None:
        """Each state ends where the next one begins."""
        history = self.changed(100, 50)

        assert (len(history.states), history.changes) == (2, 1)
        assert [(state.began, state.ended) for state in history.states] == [
            (0.0, 100.0),
            (100.0, 200.0),
        ]
        assert history.sentence() == "; ".join(state.sentence() for state in history.states)
        assert history.extremes() == pytest.approx((50, 100), rel=0.03)

    def test_more_and_less(self) -> None:
        """By more than a tenth, in an earlier state."""
        history = self.changed(100, 50)

        assert (history.carried_more(89), history.carried_more(95)) == (True, False)
        assert (history.carried_less(112), history.carried_less(105)) == (True, False)
        assert not self.changed(100).carried_more(1)

    def test_an_interval_over_states_that_are_one(self) -> None:
        """Those within a tenth of what it carries now; a change makes it wider."""
        low, answer, high = self.changed(100, 104).interval(92.0)
        assert (low, answer) == (0.955 * 92, 92)
        assert high > 104
        assert self.changed(50, 100).interval(None)[0] > 85

    def test_an_interval_of_an_orderly_server(self) -> None:
        """Where nothing happened it is that of the state; an answer below it makes it wider."""
        history = self.changed(100)

        assert history.interval(92.0)[0] == history.now.interval()[0] > 0.955 * 92
        assert history.interval(80.0)[0] == 0.955 * 80
        history.now.incidents.append(fell(50, 0.3))
        assert (history.incidents, history.interval(92.0)[0]) == (1, 0.955 * 92)

    @pytest.mark.parametrize(
        ("changes", "is_slump"),
        [
            ((30,) * 10 + (-30,) * 10, True),
            ((300,) + (0,) * 18 + (-300,), False),
            ((1, -1) * 10, False),
        ],
        ids=["slump", "pause", "usual"],
    )
    def test_a_slump_is_no_pause(self, changes: tuple[int, ...], is_slump: bool) -> None:
        """A backlog that rose for a fifth of the step or longer, by far more than in others."""
        history = self.changed(100)
        for _ in range(3):
            history.now.learn(held(95))
        odd = Step(95, 10, [Slice(100, 100 - change) for change in changes])
        judged = StepJudgement(
            odd,
            StepVerdict.HELD,
            error=0.002 if is_slump is False and len(set(changes)) == 2 else 0.05,
        )

        assert history.is_slump(judged) == is_slump
        history.now.learn(judged)
        assert history.slumps == ([judged] if is_slump else [])

    def test_a_slump_of_a_busy_server_shows_in_its_pace(self) -> None:
        """Where there always is a backlog, a fifth of the slices have to be slower."""
        history = self.changed(100)
        for _ in range(3):
            history.now.learn(fell(105, 0.05))
        slow = [Slice(50, 50)] * 15 + [Slice(50, 20)] * 5
        few = [Slice(50, 50)] * 17 + [Slice(50, 20)] * 3

        assert history.is_slump(
            StepJudgement(Step(105, 10, slow), StepVerdict.FAILED, error=0.05, saturated=True)
        )
        assert not history.is_slump(
            StepJudgement(Step(105, 10, few), StepVerdict.FAILED, error=0.05, saturated=True)
        )


class TestAnswer:
    """What a rate that held at the end means, after all that was seen before."""

    def search(self, history: History, second: float = 200.0) -> Search:
        """A search that has come so far."""
        moments = iter([0.0, *[second] * 99])
        search = Search(step, clock=lambda: next(moments))
        search._history = search._stepper.history = history
        search._stepper.steps = [judged for state in history.states for judged in state.steps]
        search._stepper.steps.append(held(99, second))
        return search

    @pytest.mark.parametrize(
        ("rates", "second", "outcome", "because"),
        [
            ((100,), 100.0, SearchOutcome.FOUND, "99/s held for 10 s at the end; known to ±"),
            (
                (200, 100),
                200.0,
                SearchOutcome.UNSTABLE,
                "it carried more before than it does now: ",
            ),
            (
                (50, 100),
                250.0,
                SearchOutcome.FOUND,
                "99/s held for 10 s at the end, and until second 100 it carried less; known to ±",
            ),
            (
                (50, 100),
                150.0,
                SearchOutcome.UNSTABLE,
                "it has not carried this for longer than it carried less: ",
            ),
        ],
    )
    def test_by_the_states_before(
        self, rates: tuple[float, ...], second: float, outcome: SearchOutcome, because: str
    ) -> None:
        """One that carried more is unstable, one that carried less has to have been as it is now
        for long enough.
        """
        end = self.search(TestHistory().changed(*rates), second)._found(99.0)

        assert (end.outcome, end.because[: len(because)]) == (outcome, because)

    @pytest.mark.parametrize(
        ("steps", "because"),
        [
            ([held(140)], "it carried more before than it does now: "),
            (
                [fell(80, 0.2), fell(82, 0.2)],
                "the same rates held at one time and failed at another: ",
            ),
        ],
    )
    def test_by_what_contradicts_it(self, steps: list[StepJudgement], because: str) -> None:
        """One that held far above is enough, two that failed far below are."""
        history = TestHistory().changed(100)
        for judged in [*USUAL, *steps]:
            history.now.learn(judged)

        end = self.search(history)._found(99.0)

        assert (end.outcome, end.because[: len(because)]) == (SearchOutcome.UNSTABLE, because)
        assert history.now.incidents == steps

    def test_by_slumps(self) -> None:
        """Two steps in which it carried less for a while."""
        history = TestHistory().changed(100)
        odd = Step(95, 10, [Slice(48, 48 - change) for change in (30,) * 10 + (-30,) * 10])
        for judged in [
            *[held(95)] * 3,
            *[StepJudgement(odd, StepVerdict.HELD, error=0.05, doubt=0.05)] * 2,
        ]:
            history.now.learn(judged)

        assert (
            self.search(history)
            ._found(94.0)
            .because.startswith("it carried less for a part of some steps: ")
        )

    def test_by_an_objective_that_is_broken_anyway(self) -> None:
        """At half the rate, too: nothing holds. Only up to it: there is no answer yet, and what was
        to be one is refuted.
        """

        def broken(rate: float, bad: int) -> StepJudgement:
            return StepJudgement(
                step(rate, 10.0, 0.0, 0, Share("errors<1%", bad, int(10 * rate), 0.01)),
                StepVerdict.UNCLEAR,
            )

        never, above = TestHistory().changed(100), TestHistory().changed(100)
        for rate in (20, 40, 90):
            never.now.learn(broken(rate, rate))
            above.now.learn(broken(rate, rate if rate > 50 else 0))
        nothing, refuted = self.search(never)._found(94.0), self.search(above)._found(94.0)

        assert (nothing.outcome, nothing.refuted) == (SearchOutcome.NOTHING_HELD, False)
        assert (refuted.outcome, refuted.refuted) == (SearchOutcome.UNFINISHED, True)

    def test_after_a_change_nothing_is_nothing_any_more(self) -> None:
        """A server that carried something, and an end without an answer."""
        search = self.search(TestHistory().changed(100, 50))

        nothing, over = search._nothing("not even 1/s held"), search._over("the time was over")

        assert (nothing.outcome, nothing.because[:32]) == (
            SearchOutcome.UNSTABLE,
            "it carries nothing any more: 98.",
        )
        assert (over.outcome, over.because[:19]) == (SearchOutcome.UNSTABLE, "the time was over: ")

    def test_a_ceiling_that_held(self) -> None:
        """A ceiling that held is the least that the server carries."""
        history = History()
        history.now.learn(held(99))

        end = self.search(history)._found(99.0)

        assert (end.outcome, end.rate) == (SearchOutcome.AT_LEAST, 99)
        assert isinstance(end, Stop)
        assert end.because == "99/s held for 10 s at the end: the most that it was to try"

    def test_a_limiter_near_its_pace_is_no_chance(self) -> None:
        """A step near a limiter's pace gets no second look: that is what is searched for."""
        strain = Share("throttled<1%", 12, 1000, 0.01)
        own = Share("errors<1%", 12, 1000, 0.01)
        paced = TestHistory().changed(100)
        paced.now.learn(limited(120, 0.2))
        judged = StepJudgement(step(95, 10.0, 0.0, 0, own), StepVerdict.UNCLEAR, strain=strain)

        assert not self.search(paced)._may_be_chance(judged)
        assert self.search(TestHistory().changed(100))._may_be_chance(judged)
        assert self.search(paced)._may_be_chance(
            StepJudgement(judged.step, StepVerdict.UNCLEAR, strain=own)
        )
        assert not self.search(paced)._may_be_chance(
            StepJudgement(judged.step, StepVerdict.FAILED, strain=own)
        )
        assert not self.search(paced)._may_be_chance(
            StepJudgement(judged.step, StepVerdict.UNCLEAR)
        )
