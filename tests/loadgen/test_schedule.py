"""Schedules: every arrival is due once, at the right time, over any number of workers."""

from __future__ import annotations

import itertools
import json
import statistics

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.schedule import Phase, Schedule, duration

SHAPES = ["40", "10..100", "100..10", "10,50,20", "0..80:3s,80:2s,80..0:1s", "20:1s,0:2s,30"]


def shared(schedule: Schedule, workers: int) -> list[float]:
    """What all workers together send, ascending."""
    return sorted(
        itertools.chain.from_iterable(schedule.due(worker, workers) for worker in range(workers))
    )


def expected(schedule: Schedule, begin: float, end: float) -> float:
    """The integral of the rate, summed in small steps."""
    steps = 20_000
    width = (end - begin) / steps
    return sum(schedule.rate_at(begin + (step + 0.5) * width) for step in range(steps)) * width


def test_a_constant_rate_is_evenly_spaced() -> None:
    """Four a second for two seconds: eight arrivals, a quarter of a second apart, the first at
    once.
    """
    assert list(Schedule.parse("4", 2).due()) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]


@pytest.mark.parametrize("shape", SHAPES)
def test_arrivals_follow_the_integral_of_the_rate(shape: str) -> None:
    """Up to any moment as many requests are due as the rate adds up to, to within one; in order,
    and as many as announced.
    """
    schedule = Schedule.parse(shape, 7)
    times = list(schedule.due())

    assert times == sorted(times)
    assert len(times) == schedule.count()
    assert 0 <= times[0]
    assert times[-1] < schedule.duration
    for moment in (0.5, 1.7, 3.0, 4.9, schedule.duration):
        assert sum(time < moment for time in times) == pytest.approx(
            expected(schedule, 0, moment), abs=1.01
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("workers", [2, 3, 7])
def test_workers_share_the_schedule_exactly(shape: str, workers: int) -> None:
    """The streams of all workers together are the stream of one."""
    schedule = Schedule.parse(shape, 7)

    assert shared(schedule, workers) == list(schedule.due())


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("shape", ["1000", "100..1900", "500,1500"])
def test_poisson_arrivals_have_the_rate_and_the_noise_of_poisson(shape: str, workers: int) -> None:
    """Counts of slices of equal expectation have mean and variance alike, for one worker and for
    the sum of several.
    """
    schedule = Schedule.parse(shape, 20, arrivals="poisson", seed=5)
    slices = [0] * 400
    for time in shared(schedule, workers):
        slices[int(expected_so_far(schedule, time) / 50)] += 1

    assert statistics.fmean(slices) == pytest.approx(50, rel=0.03)
    assert statistics.variance(slices) == pytest.approx(50, rel=0.25)


def expected_so_far(schedule: Schedule, moment: float) -> float:
    """The integral of the rate up to a moment, exactly."""
    total = 0.0
    for phase in schedule.phases:
        within = min(max(moment, 0.0), phase.seconds)
        total += (phase.low + (phase.high - phase.low) * within / phase.seconds / 2) * within
        moment -= phase.seconds
    return total


def test_poisson_arrivals_are_repeatable() -> None:
    """The same seed gives the same schedule, another seed another, and no two workers the same
    stream.
    """
    schedule = Schedule.parse("100", 5, arrivals="poisson", seed=1)

    assert list(schedule.due(1, 3)) == list(schedule.due(1, 3))
    assert list(schedule.due(1, 3)) != list(schedule.due(2, 3))
    assert list(schedule.due()) != list(Schedule.parse("100", 5, arrivals="poisson", seed=2).due())


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_an_endless_schedule_costs_nothing(arrivals: str) -> None:
    """A year at a million a second starts at once: times are made when they are asked for."""
    schedule = Schedule((Phase(1e6, 1e6, 86_400 * 365),), arrivals)  # type: ignore[arg-type]  # one of the two

    first = list(itertools.islice(schedule.due(), 1000))

    assert first[-1] == pytest.approx(0.001, rel=0.2)


def test_a_ramp_leads_from_nothing_to_the_rate() -> None:
    """--ramp comes before the schedule, and half as many requests are due in it."""
    schedule = Schedule.parse("100", 10, ramp=4)

    assert schedule.duration == 14
    assert schedule.count() == 200 + 1000
    assert [schedule.rate_at(second) for second in (-1, 0, 2, 4, 13.9, 14)] == [
        0,
        0,
        50,
        100,
        100,
        0,
    ]


def test_parts_share_what_the_duration_leaves() -> None:
    """A part with a length keeps it; those without divide the rest."""
    schedule = Schedule.parse("0..100:10s, 100, 200", 40)

    assert [phase.seconds for phase in schedule.phases] == [10, 15, 15]


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_a_schedule_travels(arrivals: str) -> None:
    """Packed, sent as JSON or msgpack would and unpacked, it is the same."""
    schedule = Schedule.parse("0..80:3s,80", 7, arrivals=arrivals, seed=3)  # type: ignore[arg-type]  # one of the two

    assert Schedule.unpack(json.loads(json.dumps(schedule.pack()))) == schedule


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("fast", "not a rate"),
        ("-5", "not a rate"),
        ("1..", "not a rate"),
        ("nan", "not a rate"),
        ("inf", "not a rate"),
        ("", "not a rate"),
        ("10:", "not a duration"),
        ("10:soon", "not a duration"),
        ("10:60s,20", "no time"),
        ("0", "no request"),
    ],
)
def test_a_rate_that_cannot_be_read_is_explained(rate: str, words: str) -> None:
    """The message names the option, the text and what is wrong with it."""
    with pytest.raises(UsageError, match=words) as error:
        Schedule.parse(rate, 60)

    assert error.value.where == "--rate"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("2m", 120)],
)
def test_durations_are_written_as_people_do(text: str, seconds: float) -> None:
    """Hours, minutes, seconds, milliseconds and their sums."""
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-3s", "3 days", "s", "1..2s", "9000h", "9" * 400])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing, less than nothing, unknown units, and more than a year."""
    with pytest.raises(UsageError, match=r"not a duration|longer than a year"):
        duration(text)


def test_a_rate_that_changes() -> None:
    """It is said of each second of a schedule in which it does, and of no other."""
    assert Schedule.parse("10..30:20s", 20).changing_rate_at(5) == 15
    assert Schedule.parse("10..30:20s", 20).changing_rate_at(20) is None
    assert Schedule.parse("10:5s,10", 20).changing_rate_at(5) is None
