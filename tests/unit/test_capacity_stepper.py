"""Steps that count: what is measured again, what is waited for, and what ends a search, one step at
a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from rolecall.loadgen.capacity.findings import SearchOutcome
from rolecall.loadgen.capacity.stepper import NOW_AND_THEN, Changed, Stepper, Stop
from rolecall.loadgen.capacity.steps import Slice, Step, StepJudgement, StepVerdict


def held(rate: float, seconds: float = 10.0, p50: float | None = 0.01, left: int = 0) -> Step:
    """All was carried."""
    return Step(
        rate,
        seconds,
        [Slice(round(rate / 2), round(rate / 2))] * int(2 * seconds),
        p50=p50,
        left=left,
    )


def fell(rate: float, share: float = 0.3, seconds: float = 10.0, left: int = 0) -> Step:
    """A share was not carried, and the backlog grew by it."""
    part = round(rate / 2)
    return Step(
        rate,
        seconds,
        [Slice(part, round(part * (1 - share)))] * int(2 * seconds),
        p50=0.01,
        left=left,
    )


def shut(rate: float, seconds: float = 10.0) -> Step:
    """Something, and then nothing but 429."""
    part = round(rate / 2)
    return Step(
        rate,
        seconds,
        [Slice(part, part)] * 5 + [Slice(part, 0, part)] * (int(2 * seconds) - 5),
        p50=0.01,
    )


def blocks(rate: float, seconds: float = 10.0) -> Step:
    """Everything, nothing, everything."""
    part, count = round(rate / 2), int(2 * seconds)
    some = [Slice(part, part)] * (count // 4)
    return Step(
        rate, seconds, some + [Slice(part, 0, part)] * (count - 2 * len(some)) + some, p50=0.01
    )


class Script:
    """A measure that gives steps in turn; the last one for ever. A step takes as long as was asked,
    and a second more.
    """

    def __init__(self, *steps: Step | Callable[[float], Step]) -> None:
        self.steps = list(steps)
        self.asked: list[tuple[float, float]] = []
        self.now = 100.0

    def __call__(self, rate: float, seconds: float) -> Step:
        """The next step."""
        self.asked.append((rate, seconds))
        self.now += seconds + 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return step(rate) if callable(step) else step

    def stepper(
        self, seconds: float = 165.0, told: Callable[[StepJudgement], None] = lambda judged: None
    ) -> Stepper:
        """A stepper of these steps."""
        return Stepper(self, 5.0, seconds, lambda: self.now, told)


def knowing(stepper: Stepper, steps: Iterable[Step]) -> None:
    """Let a stepper learn these steps."""
    for step in steps:
        stepper.history.now.learn(
            StepJudgement(step, StepVerdict.HELD) if step.ok == step.due else judged_as_failed(step)
        )


def judged_as_failed(step: Step) -> StepJudgement:
    """A step that failed by what it did not carry."""
    excess = 1 - step.ok / step.due
    return StepJudgement(
        step, StepVerdict.FAILED, "the backlog grew", excess, 0.001, excess, 0.001, saturated=True
    )


BRACKETED = [held(90), held(95), fell(110, 0.1), fell(120, 0.17)]


class TestTime:
    """How long steps are, and what is left."""

    @pytest.mark.parametrize(
        ("seconds", "lengths"),
        [(165.0, (11.0, 4.0, 15.0)), (900.0, (64.0, 22.0, 81.0)), (20.0, (2.0, 2.0, 3.0))],
    )
    def test_lengths_follow_the_time_of_the_search(
        self, seconds: float, lengths: tuple[float, ...]
    ) -> None:
        """Near the capacity, to see something large, at the answer; there are shortest ones."""
        stepper = Script(held(10)).stepper(seconds)

        assert (stepper.usual, stepper.short, stepper.longer) == lengths

    def test_what_a_step_takes_beside_its_time_is_counted(self) -> None:
        """A second each, here: it is not left for the next one."""
        script = Script(held(10))
        stepper = script.stepper()
        assert (stepper.passed(), stepper.overhead, stepper.left()) == (0, 0, 165)

        stepper.step(10, 10)
        stepper.step(10, 20)

        assert (stepper.passed(), stepper.overhead, stepper.left()) == (32, 1, 132)

    def test_each_step_is_told_with_its_moment(self) -> None:
        """As it was judged, and the second at which it began."""
        told: list[StepJudgement] = []
        stepper = Script(held(10)).stepper(told=told.append)

        stepper.step(10, 10)
        stepper.step(10, 10)

        assert told == stepper.steps
        assert [judged.second for judged in told] == [0, 11]

    def test_the_shortest_response_time_so_far_counts(self) -> None:
        """What is under way without a queue is known from the quickest step, and a step without
        answers says nothing of it.
        """
        busy = Step(100, 10, [Slice(50, 50)] * 20, waiting=30, p50=0.3)
        quick = Script(held(100, p50=0.1), held(100, p50=None), busy).stepper()
        slow = Script(held(100, p50=0.3), held(100, p50=None), busy).stepper()

        assert [quick.step(100, 10).saturated for _ in range(3)] == [False, False, True]
        assert [slow.step(100, 10).saturated for _ in range(3)] == [False, False, False]


class TestEnds:
    """What ends a search at once."""

    def test_a_violation(self) -> None:
        """A violation ends the search, which says at which rate it was seen."""
        stepper = Script(Step(80, 10, [Slice(40, 40)] * 20, violations=2)).stepper()

        with pytest.raises(Stop) as end:
            stepper.step(80, 10)

        assert (end.value.outcome, end.value.because) == (
            SearchOutcome.VIOLATED,
            "at 80/s it was no longer right: 2 violations",
        )
        assert (end.value.rate, end.value.refuted, str(end.value)) == (
            None,
            False,
            end.value.because,
        )

    def test_a_machine_that_is_too_slow_for_the_fourth_time(self) -> None:
        """Three steps may be lost to a slow machine; the fourth ends the search."""
        stepper = Script(
            Step(80, 10, [Slice(40, 40)] * 20, generator="its core was busy")
        ).stepper()
        for _ in range(3):
            assert stepper.step(80, 10).verdict is StepVerdict.GENERATOR

        with pytest.raises(Stop) as end:
            stepper.step(80, 10)

        assert (end.value.outcome, end.value.because) == (
            SearchOutcome.GENERATOR,
            "this machine ran out before the server did: its core was busy",
        )


class TestSettling:
    """A server that still works on what was given up is waited for."""

    @pytest.mark.parametrize(
        ("step", "waits"),
        [
            (held(100), False),
            (held(100, left=1), True),
            (fell(100), False),
            (Step(100, 10, [Slice(50, 30, failed=1)] * 20, p50=0.01), True),
            (Step(100, 10, [Slice(50, 49, failed=1)] * 20, p50=0.01), False),
        ],
        ids=["held", "left", "grew", "grew-and-failed", "failed"],
    )
    def test_before_the_next_step(self, step: Step, waits: bool) -> None:
        """Where requests were given up, or failed while the backlog grew: two seconds at a rate
        that is no effort.
        """
        script = Script(step, lambda rate: held(rate, 2.0))
        stepper = script.stepper()
        stepper.step(100, 10)

        stepper.step(100, 10)

        assert script.asked[1:] == ([(5.0, 2.0)] if waits else []) + [(100, 10)]

    def test_until_it_is_idle(self) -> None:
        """As often as it takes, and no longer."""
        script = Script(
            held(100, left=9), fell(5, 0.5, 2.0), fell(5, 0.5, 2.0), lambda rate: held(rate, 2.0)
        )
        stepper = script.stepper()
        stepper.step(100, 10)

        stepper.step(100, 10)

        assert script.asked[1:] == [(5.0, 2.0)] * 3 + [(100, 10)]

    def test_gently_is_half_of_what_held_at_the_most(self) -> None:
        """A server that carries hardly more than five is asked for less."""
        script = Script(held(100, left=9), lambda rate: held(rate, 2.0))
        stepper = script.stepper()
        knowing(stepper, [held(6)])
        stepper.step(100, 10)

        stepper.step(100, 10)

        assert script.asked[1] == (3.0, 2.0)

    def test_not_for_ever(self) -> None:
        """After forty seconds it is said that it does not answer."""
        script = Script(held(100, left=9), fell(5, 0.5, 2.0))
        stepper = script.stepper()
        stepper.step(100, 10)

        with pytest.raises(Stop) as end:
            stepper.step(100, 10)

        assert end.value.outcome is SearchOutcome.UNSTABLE
        assert end.value.because.startswith("40 s after it was overloaded it did not answer 5/s")
        assert 40 < stepper.passed() - 11 < 45


class TestAtOdds:
    """A step that cannot be of the server that it was is measured once more."""

    def test_one_that_agrees_is_learnt(self) -> None:
        """A step that agrees with the state is learnt, and nothing more is measured for it."""
        script = Script(held(97))
        stepper = script.stepper()
        knowing(stepper, BRACKETED)
        judged = stepper.step(97, 11)

        assert stepper.take(judged, 11) is judged
        assert stepper.history.now.steps[-1] is judged
        assert len(script.asked) == 1

    def test_one_that_does_not_is_an_incident_where_the_second_agrees(self) -> None:
        """The second is learnt in its place; one that fell by far is asked again shortly."""
        script = Script(fell(80), held(80))
        stepper = script.stepper()
        knowing(stepper, BRACKETED)
        first = stepper.step(80, 11)

        taken = stepper.take(first, 11)

        assert taken.held
        assert script.asked == [(80, 11), (80, 4)]
        assert stepper.history.now.incidents == [first]
        assert stepper.history.now.steps[-1] is taken

    def test_one_that_fell_by_little_is_asked_again_as_long(self) -> None:
        """Or as long as is usual, if that is less."""
        script = Script(fell(80, 0.08), held(80))
        stepper = script.stepper()
        knowing(stepper, BRACKETED)

        stepper.take(stepper.step(80, 15), 15)

        assert script.asked == [(80, 15), (80, 11)]

    def test_two_that_agree_are_a_change(self) -> None:
        """Two steps that agree against the state begin a new one."""
        stepper = Script(fell(80), fell(80)).stepper()
        knowing(stepper, BRACKETED)

        with pytest.raises(Changed):
            stepper.take(stepper.step(80, 11), 11)

        assert stepper.history.changes == 1
        assert stepper.history.now.steps == stepper.steps

    def test_what_held_before_belongs_to_a_change_for_the_better(self) -> None:
        """Steps that held since the last failure were of the new state already."""
        stepper = Script(held(140), held(140)).stepper()
        knowing(stepper, [*BRACKETED, held(96)])
        before = stepper.history.now.steps[-1]

        with pytest.raises(Changed):
            stepper.take(stepper.step(140, 11), 11)

        assert stepper.history.now.steps == [before, *stepper.steps]

    def test_the_third_incident_is_one_too_many(self) -> None:
        """The same rates hold at one time and fail at another."""
        stepper = Script(*[fell(80), held(80)] * 3).stepper()
        knowing(stepper, BRACKETED)
        for _ in range(2):
            stepper.take(stepper.step(80, 11), 11)

        with pytest.raises(Stop) as end:
            stepper.take(stepper.step(80, 11), 11)

        assert end.value.outcome is SearchOutcome.UNSTABLE
        assert end.value.because.startswith(f"{NOW_AND_THEN}: ")

    def test_a_step_that_says_nothing_is_not_learnt(self) -> None:
        """One that this machine was too slow for."""
        stepper = Script(Step(97, 10, [Slice(48, 48)] * 20, generator="busy")).stepper()
        knowing(stepper, BRACKETED)
        count = len(stepper.history.now.steps)

        stepper.take(stepper.step(97, 11), 11)

        assert len(stepper.history.now.steps) == count


class TestBlocks:
    """429 in blocks are seen through by a longer step, where one is long enough."""

    def test_a_longer_step_shows_the_beat(self) -> None:
        """Three times the usual length; what it says is taken."""
        script = Script(blocks(100), held(100, 33.0))
        stepper = script.stepper()

        assert stepper.take(stepper.step(100, 10), 10).held
        assert script.asked == [(100, 10), (100, 33.0)]

    @pytest.mark.parametrize("again", [blocks(100, 33.0), shut(100, 33.0)], ids=["blocks", "shut"])
    def test_a_quota_that_outlasts_it(self, again: Step) -> None:
        """Then no step of this search says anything."""
        stepper = Script(blocks(100), again).stepper()

        with pytest.raises(Stop) as end:
            stepper.take(stepper.step(100, 10), 10)

        assert end.value.outcome is SearchOutcome.UNSTABLE
        assert end.value.because == (
            "429 came in blocks, as of a limiter with a quota for some time: no step of this "
            "search outlasts it: "
            "0/s from second 0 to 45"
            if stepper.history.states
            else "429 came in blocks, as of a limiter with a quota for some time: no step of this "
            "search outlasts it"
        )

    def test_a_door_that_stays_shut(self) -> None:
        """A server that refuses everything, also gently, has a quota for some time."""
        script = Script(shut(100), lambda rate: Step(rate, 2, [Slice(2, 0, 2)] * 4))
        stepper = script.stepper()
        first = stepper.step(100, 10)

        with pytest.raises(Stop, match="429 came in blocks"):
            stepper.take(first, 10)

        assert script.asked[1] == (5.0, 2.0)
        assert stepper.history.now.incidents == [first]

    def test_a_door_that_opens(self) -> None:
        """Where it answers gently again the step is what it is."""
        stepper = Script(shut(100), lambda rate: held(rate, 2.0)).stepper()
        first = stepper.step(100, 10)

        assert stepper.take(first, 10) is first
        assert stepper.history.now.steps == [first]
