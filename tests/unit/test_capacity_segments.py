"""What lies between a search for the capacity and the load: how a step is cut, what chance
explains, and objectives of the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rolecall.loadgen.capacity import chance
from rolecall.loadgen.capacity.findings import broken
from rolecall.loadgen.capacity.segments import SLICES, Segments, Stopped, cut, rows
from rolecall.loadgen.capacity.steps import Share, Slice, Step
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.objectives import Objective


class TestChance:
    """A one-sided binomial test, in clumps."""

    @pytest.mark.parametrize(
        ("bad", "of", "allowed"),
        [(2, 60, 0.01), (9, 300, 0.01), (40, 1000, 0.02), (1, 1, 0.5), (60, 60, 0.5)],
    )
    def test_is_the_tail_of_a_binomial(self, bad: int, of: int, allowed: float) -> None:
        """So many or more of so many: as counted one by one."""
        exact = sum(
            math.comb(of, k) * allowed**k * (1 - allowed) ** (of - k) for k in range(bad, of + 1)
        )

        assert exact == pytest.approx(chance.tail(bad, of, allowed))

    @pytest.mark.parametrize(
        ("bad", "allowed", "probability"),
        [(0, 0.0, 1.0), (1, 0.0, 0.0), (5, 1.0, 1.0), (1, 0.5, 1.0)],
    )
    def test_has_ends(self, bad: int, allowed: float, probability: float) -> None:
        """None bad is always possible, one where none is allowed never; what is below the mean is
        no question.
        """
        assert probability == chance.tail(bad, 100, allowed)

    def test_what_comes_together_is_one_event(self) -> None:
        """Forty at once of a thousand are far more probable than forty by themselves."""
        assert chance.tail(40, 1000, 0.01) < 1e-10
        assert chance.tail(40, 1000, 0.01, clump=40) > 0.05

    def test_whether_the_rate_makes_a_difference(self) -> None:
        """Bad requests that grow with the rate are told from those of a server that errs at any;
        clumps say less than single ones.
        """
        flat = [(10, 2, 100), (20, 2, 200), (40, 5, 400), (80, 14, 800), (75, 9, 750), (70, 8, 700)]
        growing = [
            (10, 0, 100),
            (20, 0, 200),
            (40, 0, 400),
            (80, 30, 800),
            (75, 9, 750),
            (70, 2, 700),
        ]

        assert chance.trend(flat) < 2
        assert chance.trend(growing) > 10
        assert chance.trend(growing, clump=20) < 2
        assert chance.trend([(10, 0, 100)]) == chance.trend([]) == 0

    def test_the_size_of_clumps_is_seen_in_slices(self) -> None:
        """All in one slice of twenty are one clump; evenly spread, each came by itself."""
        assert chance.clump([0] * 20) == chance.clump([2] * 20) == 1
        assert 35 < chance.clump([40] + [0] * 19) < 40


@pytest.mark.parametrize("seconds", [2.0, 3.0, 6.0, 11.0, 18.0, 33.0])
def test_slices_end_when_a_recorder_counts(seconds: float) -> None:
    """An answer that arrives after the end of a slice is in the next one: the end is a moment at
    which the recorder settles.
    """
    width, warm_up = cut(seconds)
    recorder = Recorder(1000.0, width)
    entry = recorder.entry("POST", "issue")

    moments = [
        1000.0 + width * (number + part)
        for number in range(warm_up + SLICES)
        for part in (0.01, 0.99)
    ]
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
        (
            70.0,
            "at-least",
            ["rate>100 did not hold: the capacity is 70.0/s, the most that it was to try"],
        ),
    ],
)
def test_an_objective_of_the_rate_is_asked_of_the_capacity(
    rate: float, outcome: str, said: list[str]
) -> None:
    """``rate>100`` cannot hold at 10/s, and need not: what was found has to hold it."""
    findings: dict[str, Any] = {"outcome": outcome, "capacity": {"rate": rate}}

    assert said == list(broken(map(Objective.parse, ("rate>100", "p99<250ms")), findings))


class Load:
    """A coordinator that has led a segment: answers in each slice, as workers recorded them."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.width, self.warm_up = cut(seconds)
        self.violations = SimpleNamespace(total=0)
        self.refused: set[tuple[str, int]] = set()
        self.recorder = Recorder(1000.0, self.width)
        self.entry = self.recorder.entry("POST", "issue")
        self.slices = [Slice(2, 2)] * SLICES

    def answers(self, at: int, count: int, ms: float = 10.0) -> None:
        """So many good answers in a slice, the warm-up's counted."""
        moment = 1000.0 + self.width * (at + 0.5)
        for _ in range(count):
            self.entry.success(moment - ms / 1000, moment - ms / 1000, moment, 0)
        self._sent(count)

    def errors(self, at: int, count: int, kind: str = "500") -> None:
        """So many errors in a slice."""
        moment = 1000.0 + self.width * (at + 0.5)
        for _ in range(count):
            self.entry.failure(kind, moment - 0.01, moment - 0.01, moment)
        self._sent(count)

    def _sent(self, count: int) -> None:
        self.recorder.scheduled += count
        self.recorder.sent += count
        self.recorder.begun += count
        self.recorder.completed += count

    def step(
        self, *objectives: str, errors: Sequence[str] = (), segments: Segments | None = None
    ) -> Step:
        """The step that this was, for these objectives."""
        made = segments or Segments(cast(Any, self), [Objective.parse(text) for text in objectives])
        self.recorder.tick(1000.0 + self.width * (self.warm_up + SLICES))
        totals = Totals(self.width)
        totals.merge("one", {**self.recorder.take(), "cpu": [1.0, 10.0]})
        segment = cast(Any, SimpleNamespace(totals=totals, errors=list(errors)))
        return made.step(50.0, self.width, segment, totals.document(10), self.slices, waiting=3)


def test_a_segment_becomes_a_step() -> None:
    """Its rate, its slices and what waited are told; response times are those after the warm-up."""
    load = Load()
    load.answers(0, 50, ms=900)
    for at in range(load.warm_up, load.warm_up + SLICES):
        load.answers(at, 10, ms=10)

    step = load.step()

    assert (step.rate, step.seconds, step.waiting, step.left, step.generator) == (
        50,
        SLICES * load.width,
        3,
        0,
        "",
    )
    assert step.slices == load.slices
    assert (step.p50, step.p99) == pytest.approx((0.01, 0.01), rel=0.02)


def test_nothing_answered_has_no_times() -> None:
    """A step without answers has no response times, also where its warm-up is left out."""
    load = Load()
    load.answers(0, 5)

    assert (load.step().p50, load.step().p99) == (None, None)


def test_a_percentile_becomes_a_share_of_late_ones() -> None:
    """After the warm-up: of two hundred seven took longer than they may, all in one slice."""
    load = Load()
    load.answers(0, 50, ms=900)
    for at in range(load.warm_up, load.warm_up + SLICES):
        load.answers(at, 10 if at > load.warm_up else 3)
    load.answers(load.warm_up, 7, ms=600)

    (share,) = load.step("p99<250ms").objectives

    assert (share.name, share.bad, share.of) == ("p99<250ms", 7, 200)
    assert share.allowed == pytest.approx(0.01)
    assert share.clump == pytest.approx(chance.clump([7] + [0] * 19))


def test_a_share_of_errors_is_one_of_the_slices() -> None:
    """Those of the warm-up are not counted."""
    load = Load()
    load.errors(0, 30)
    for at in range(load.warm_up, load.warm_up + SLICES):
        load.answers(at, 9)
        load.errors(at, 1)

    (share,) = load.step("errors<2%").objectives

    assert (share.bad, share.of, share.allowed, share.clump) == (20, 200, 0.02, 1.0)


@pytest.mark.parametrize(
    ("text", "bad"),
    [("errors<=5", 0), ("errors<5", 1), ("max<1s", 0), ("max<5ms", 1), ("dropped<1%", 0)],
)
def test_any_other_objective_is_kept_or_broken(text: str, bad: int) -> None:
    """It is a share of one, and no sample of anything."""
    load = Load()
    load.answers(load.warm_up, 95)
    load.errors(load.warm_up, 5)

    assert load.step(text).objectives == [Share(text, bad, 1, 0.5)]


def test_violations_are_those_of_the_step() -> None:
    """The coordinator counts them over the whole run."""
    load = Load()
    segments = Segments(cast(Any, load), [])
    load.violations.total = 3
    assert load.step(segments=segments).violations == 3
    assert load.step(segments=segments).violations == 0
    load.violations.total = 5
    assert load.step(segments=segments).violations == 2


def test_a_wrong_password_is_not_searched_for() -> None:
    """Where the log-ins of an account that was never let in are what breaks an objective, the
    search ends at once, and says so: they would at any rate.
    """
    load = Load()
    load.answers(load.warm_up, 95)
    load.errors(load.warm_up, 5, "401")
    load.refused.add(("ada@example.org", 401))

    with pytest.raises(
        Stopped, match=r"^ada@example.org was never let in: look at the passwords; .*<1%"
    ):
        load.step("errors<1%", "p99<250ms")


@pytest.mark.parametrize(("kind", "objective"), [("500", "errors<1%"), ("401", "errors<10%")])
def test_what_a_wrong_password_does_not_break(kind: str, objective: str) -> None:
    """Errors of another kind are the server's; and an objective that holds is not looked into."""
    load = Load()
    load.answers(load.warm_up, 95)
    load.errors(load.warm_up, 5, kind)
    load.refused.add(("ada@example.org", 401))

    (share,) = load.step(objective).objectives
    assert share.bad == 5


def test_what_a_server_may_still_work_on() -> None:
    """Sent and never completed, timed out, or given up at the end; other errors are answers."""
    load = Load()
    load.errors(load.warm_up, 4, "timeout")
    load.errors(load.warm_up, 2, "unanswered")
    load.errors(load.warm_up, 8, "500")
    load.recorder.sent += 5

    assert load.step().left == 11


def test_what_this_machine_was_too_slow_for() -> None:
    """What workers said, and what the figures say, in one sentence."""
    load = Load()
    for _ in range(100):
        load.recorder.lag.note(0.3)

    said = load.step(errors=["a worker was late"]).generator

    assert said.startswith("a worker was late; the generator was 3")
    assert "ms behind its schedule (p99, at most 10 ms): it used 10% of a core" in said


def test_rows_of_a_timeline() -> None:
    """As many as are asked for: zeros where it was over before, and no more where it went on."""
    measured = {"timeline": {"a": [1, 2, 3], "b": [4, 5, 6]}}

    assert rows(measured, ("a", "b"), 5) == [(1, 4), (2, 5), (3, 6), (0, 0), (0, 0)]
    assert rows(measured, ("b",), 2) == [(4,), (5,)]
