"""How a search for the capacity ends, and in which words, at servers whose capacity is known.

Longer than 400 lines because each way to end has servers of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rolecall.loadgen.capacity import by_rate, posterior
from rolecall.loadgen.capacity.by_rate import Search
from rolecall.loadgen.capacity.findings import Capacity, SearchOutcome
from rolecall.loadgen.capacity.steps import Share, Slice, Step, StepVerdict
from tests.unit.fluids import Fluid, changing, steady


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates are told apart by a fortieth only, and few ways in which an objective breaks: a search
    takes a sixteenth of the time.
    """
    monkeypatch.setattr(posterior, "_CELL", 0.024)
    monkeypatch.setattr(posterior, "_POWERS", (5, 80, 1280))


def searched(server: Fluid, **settings: Any) -> Capacity:
    """A search against a server."""
    return Search(server.measure, clock=server.clock, **settings).run()


# --- It is found -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server",
    [steady(100), steady(100, refuses=True), steady(100, patience=2.0)],
    ids=["queue", "429", "timeout"],
)
def test_what_a_server_carries_is_found(server: Fluid) -> None:
    """Whether it queues what is too much, refuses it, or is given up: the answer held in the last
    and longest step.
    """
    found = searched(server)

    assert found.outcome is SearchOutcome.FOUND
    assert found.rate == pytest.approx(100, rel=0.03)
    assert found.low is not None
    assert found.high is not None
    assert found.rate is not None
    assert found.low <= found.rate <= 100 <= found.high
    assert (found.steps[-1].step.rate, found.steps[-1].verdict) == (found.rate, StepVerdict.HELD)
    assert found.because.startswith(f"{found.rate:.5g}/s held for 15 s at the end; known to ±")
    assert found.seconds == server.now < 175


def test_an_objective_is_found() -> None:
    """A server that errs beyond 80/s carries no more, whatever it answers."""
    found = searched(steady(1000, erring=lambda rate: 0.001 if rate < 80 else 0.2))

    assert found.outcome is SearchOutcome.FOUND
    assert found.rate is not None
    assert 60 < found.rate < 80


def test_errors_within_the_limit_limit_nothing() -> None:
    """Nine in a thousand at any rate, where ten are allowed."""
    assert searched(steady(1000, erring=lambda rate: 0.009)).rate == pytest.approx(1000, rel=0.03)


def test_a_server_that_warmed_up_is_what_it_is_now() -> None:
    """It carried less before: that is said, and the last step takes the time that is left."""
    found = searched(changing((0, 50), (40, 200)))

    assert found.outcome is SearchOutcome.FOUND
    assert found.rate == pytest.approx(200, rel=0.05)
    assert "and until second 18 it carried less" in found.because
    assert [state.value < 100 for state in found.states] == [True, False]


# --- It is not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "settings", "outcome", "because"),
    [
        (
            steady(1000),
            {"ceiling": 70.0},
            SearchOutcome.AT_LEAST,
            "70/s held for 15 s at the end: the most that it was to try",
        ),
        (
            steady(100, erring=lambda rate: 0.5),
            {},
            SearchOutcome.NOTHING_HELD,
            "not even 1.95/s held: not errors<1%",
        ),
        (
            steady(1000, wrong=80),
            {},
            SearchOutcome.VIOLATED,
            "at 80/s it was no longer right: 1 violation",
        ),
        (
            steady(1000, most=150),
            {},
            SearchOutcome.GENERATOR,
            "this machine ran out before the server did: its core was busy",
        ),
        (
            steady(1000, most=5),
            {},
            SearchOutcome.GENERATOR,
            "this machine ran out before the server did: its core was busy",
        ),
        (
            steady(10_000),
            {"seconds": 15.0},
            SearchOutcome.UNFINISHED,
            "the time was over before a rate failed",
        ),
        (
            changing((0, 400), (60, 100)),
            {},
            SearchOutcome.UNSTABLE,
            "it carried more before than it does now: ",
        ),
        (
            changing((0, 200), (25, 50)),
            {"ceiling": 70.0},
            SearchOutcome.UNSTABLE,
            "it carried more before than it does now: 6",
        ),
        (
            changing((0, 200), (30, 20), patience=5.0),
            {},
            SearchOutcome.UNSTABLE,
            "it carried more before than it does now: 200/s from second 0 to ",
        ),
        (
            Fluid(lambda at: 200 if (at // 40) % 2 else 100),
            {},
            SearchOutcome.UNSTABLE,
            "the same rates held at one time and failed at another: ",
        ),
        (
            changing((0, 200), (50, 1)),
            {},
            SearchOutcome.UNSTABLE,
            "19",
        ),
    ],
    ids=[
        "ceiling",
        "errs",
        "violates",
        "generator",
        "generator-at-once",
        "no-time",
        "collapses",
        "collapses-at-the-ceiling",
        "collapses-for-long",
        "alternates",
        "dies",
    ],
)
def test_how_a_search_ends(
    server: Fluid, settings: dict[str, Any], outcome: SearchOutcome, because: str
) -> None:
    """Each outcome with its sentence; a rate that is not known is not told."""
    found = searched(server, **settings)

    assert (found.outcome, found.because[: len(because)]) == (outcome, because)
    known = {
        SearchOutcome.AT_LEAST: (70.0, 70.0, None),
        SearchOutcome.NOTHING_HELD: (None, None, None),
        SearchOutcome.VIOLATED: (40.0, 40.0, None),
        SearchOutcome.UNFINISHED: (40.0, 40.0, None),
    }
    if outcome in known:
        assert (found.rate, found.low, found.high) == known[outcome]
    if outcome is SearchOutcome.UNSTABLE:
        assert found.rate is None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.high
        assert " from second 0 to " in found.because


def test_what_the_generator_could_offer_is_told() -> None:
    """The highest rate that held is the least that the server carries."""
    found = searched(steady(1000, most=150))

    assert found.rate == found.low == max(judged.step.rate for judged in found.steps if judged.held)
    assert found.high is None
    assert found.rate is not None
    assert 130 < found.rate <= 150


def test_a_search_that_only_went_down_says_that_nothing_held_yet() -> None:
    """Where the time is over on the way down, it is a rate that held that is missing."""
    found = searched(steady(1), start=1000.0, seconds=20.0)

    assert found.outcome is SearchOutcome.UNFINISHED
    assert found.because.startswith("the time was over before a rate held: search for longer")


def test_errors_at_any_rate_are_no_capacity() -> None:
    """Errors at any rate leave no rate that holds, and the sentence says how many there were."""
    found = searched(steady(1000, erring=lambda rate: 0.015))

    assert found.outcome is SearchOutcome.NOTHING_HELD
    assert found.rate is None
    assert found.because.startswith("not errors<1% at any rate: 1.")


def test_nothing_is_carried_any_more_is_another_thing_than_nothing_ever_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that carried something before has changed: `nothing-held` is one that never did."""
    found = searched(changing((0, 100), (40, 0.5)), seconds=400.0)

    assert found.outcome is SearchOutcome.UNSTABLE


def test_a_server_that_changes_all_the_time_is_not_looked_at_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After so many changes it is said that it does not stay the same."""
    monkeypatch.setattr(by_rate, "_CHANGES", 1)
    found = searched(changing((0, 50), (40, 200)))

    assert (found.outcome, found.because[:26]) == (
        SearchOutcome.UNSTABLE,
        "it did not stay the same: ",
    )


# --- At the answer -----------------------------------------------------------------------------


def at_the_end(change: Callable[[int, Step], Step | None], seconds: float = 15.0) -> Fluid:
    """A server of 100/s, of which the long steps are changed, by their number among those."""
    count = 0

    def changed(_: int, step: Step) -> Step:
        nonlocal count
        if step.seconds < seconds:
            return step
        count += 1
        return change(count, step) or step

    return steady(100, change=changed)


def missing(share: float, step: Step) -> Step:
    """A step of which a share was not answered."""
    part = step.due // len(step.slices)
    return replace(step, slices=[Slice(part, round(part * (1 - share)))] * len(step.slices))


def late(bad: int, step: Step) -> Step:
    """A step in which so many came late."""
    return replace(step, objectives=[Share("p99<1s", bad, step.due, 0.01)])


def tried(found: Capacity, seconds: float = 15.0) -> list[float]:
    """The rates of the long steps."""
    return [judged.step.rate for judged in found.steps if judged.step.seconds >= seconds]


def test_an_answer_that_does_not_hold_is_lowered() -> None:
    """What is answered is what held, below what did not."""
    found = searched(at_the_end(lambda number, step: missing(0.03, step) if number == 1 else None))

    first, second = tried(found)
    assert found.outcome is SearchOutcome.FOUND
    assert found.rate == second <= 0.985 * first


def test_an_answer_that_never_holds_is_none() -> None:
    """Tries that never hold go down to no rate at all, and the last one is named."""
    found = searched(at_the_end(lambda number, step: missing(0.02, step)))

    assert tried(found) == sorted(tried(found), reverse=True)
    assert len(tried(found)) > 1
    assert (found.outcome, found.rate) == (SearchOutcome.UNFINISHED, None)
    assert found.because == (
        f"{tried(found)[-1]:.5g}/s was to be the answer, and did not hold ({found.steps[-1].why})"
    )
    assert found.steps[-1].why


def test_an_objective_that_is_nearly_kept_is_looked_at_twice() -> None:
    """Where chance may have broken it, the same rate deserves another look, and both together have
    to keep it.
    """
    found = searched(
        at_the_end(lambda number, step: late(17, step) if number == 1 else late(5, step))
    )

    first, second = tried(found)
    assert first == second == found.rate
    assert found.outcome is SearchOutcome.FOUND


def test_two_looks_that_break_it_together_lower_the_answer() -> None:
    """Thirty-two and thirty-two of 2,700 each are too many, however the second came about."""
    found = searched(
        at_the_end(lambda number, step: late(32, step) if number <= 2 else late(0, step), 27.0),
        seconds=300.0,
    )

    first, second, third = tried(found, 27.0)
    assert first == second
    assert third == found.rate
    assert third < first


def test_what_chance_does_not_explain_is_not_looked_at_twice() -> None:
    """Thirty of fifteen hundred are not chance: the answer is lowered at once."""
    found = searched(at_the_end(lambda number, step: late(30, step) if number == 1 else None))

    first, second = tried(found)
    assert second < first


def test_a_ceiling_that_held_shortly_and_not_for_long_is_none() -> None:
    """Where the ceiling held in a short step and not in a long one, the search goes on below it."""
    found = searched(
        steady(
            60,
            refuses=True,
            change=lambda number, step: (
                replace(step, slices=[Slice(70, 70)] * 20) if number <= 4 else step
            ),
        ),
        ceiling=70.0,
    )

    assert found.outcome is not SearchOutcome.AT_LEAST
    assert found.rate is None or found.rate < 61


# --- Whatever happens --------------------------------------------------------------------------


def test_what_is_known_when_it_breaks_off() -> None:
    """An interrupted search says what it knows by then; one without a step says nothing."""
    server = steady(100)

    def measure(rate: float, seconds: float) -> Step:
        if server.now > 40:
            raise KeyboardInterrupt
        return server.measure(rate, seconds)

    looking = Search(measure, clock=server.clock)
    assert (looking.capacity().rate, looking.capacity().because) == (None, "it was interrupted")
    with pytest.raises(KeyboardInterrupt):
        looking.run()

    found = looking.capacity()
    assert (found.outcome, found.because) == (SearchOutcome.UNFINISHED, "it was interrupted")
    assert found.rate == pytest.approx(100, rel=0.1)


def test_every_step_is_told() -> None:
    """As it comes, each with the second at which it began."""
    told: list[float] = []
    found = searched(steady(100), told=lambda judged: told.append(judged.second))

    assert told == [judged.second for judged in found.steps]
    assert told == sorted(told)


def test_a_search_never_asks_for_more_than_it_may() -> None:
    """Neither on the way nor near the capacity."""
    server = steady(72)
    searched(server, ceiling=75.0, start=80.0)

    assert max(rate for rate, _ in server.asked) == 75


def test_a_hiccup_of_this_machine_is_asked_again() -> None:
    """One step that it was too slow for does not end the search."""
    found = searched(
        steady(
            100,
            change=lambda number, step: replace(step, generator="busy") if number == 5 else step,
        )
    )

    assert found.outcome is SearchOutcome.FOUND


def test_a_machine_that_is_too_slow_too_often_ends_it() -> None:
    """The fourth step for which this machine is too slow ends the search."""
    found = searched(
        steady(
            100, change=lambda number, step: replace(step, generator="busy") if number > 6 else step
        )
    )

    assert (found.outcome, found.because) == (
        SearchOutcome.GENERATOR,
        "this machine ran out before the server did: busy",
    )


def test_an_incident_is_looked_at_again_and_not_counted() -> None:
    """A step well below that failed, and does not fail again, says nothing of the capacity, but the
    interval is wider.
    """

    def pause(number: int, step: Step) -> Step:
        return missing(0.4, step) if number == 7 else step

    found = searched(steady(100, change=pause))

    assert found.outcome is SearchOutcome.FOUND
    assert found.rate == pytest.approx(100, rel=0.05)
    assert found.low is not None
    assert found.rate is not None
    assert found.low <= 0.955 * found.rate


def test_a_server_that_refuses_in_blocks_is_not_searched() -> None:
    """All, and then nothing: no step outlasts the quota."""

    def blocks(number: int, step: Step) -> Step:
        if step.rate < 40:
            return step
        part = step.due // 20
        quota = [Slice(part, part)] * 4 + [Slice(part, 0, part)] * 8 + [Slice(part, part)] * 8
        return replace(step, slices=quota)

    found = searched(steady(1000, change=blocks))

    assert found.outcome is SearchOutcome.UNSTABLE
    assert found.because.startswith(
        "429 came in blocks, as of a limiter with a quota for some time: no step of this search "
        "outlasts it"
    )


def test_the_document_of_a_search() -> None:
    """Figures with five digits, the steps and the states; no knee where all steps are as fast."""
    found = searched(steady(100))
    document = found.document()

    assert document["capacity"]["rate"] == pytest.approx(found.rate, rel=1e-4)
    assert set(document["capacity"]) == {"rate", "low", "high", "held", "failed", "confidence"}
    assert (
        document["capacity"]["held"]
        <= document["capacity"]["rate"]
        < document["capacity"]["failed"]
    )
    assert document["states"][0].keys() == {"from", "to", "rate", "low", "high"}
    assert len(document["steps"]) == len(found.steps)
    assert document["knee"] is None
    assert (document["axis"], document["outcome"], document["because"]) == (
        "rate",
        "found",
        found.because,
    )


def test_there_is_no_knee_where_no_rate_failed() -> None:
    """What was slower beyond a rate may be chance, as long as no rate was too much."""
    found = searched(steady(100))
    slower = [replace(judged, step=replace(judged.step, p50=0.1)) for judged in found.steps]
    slower[0] = replace(slower[0], step=replace(slower[0].step, p50=0.001))

    assert replace(found, steps=slower).document()["knee"] is not None
    assert replace(found, steps=slower, failed=None).document()["knee"] is None


def test_the_document_of_nothing() -> None:
    """A search that measured nothing has one, too."""
    document = Search(steady(100).measure, clock=lambda: 0.0).capacity().document()

    assert (document["knee"], document["steps"], document["states"]) == (None, [], [])
    assert math.isclose(document["seconds"], 0)
