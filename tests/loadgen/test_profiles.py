"""A profile is a text for --rate: the shape that its name has in the field, of the usual rate."""

from __future__ import annotations

import re

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.profiles import SHAPES, Profile
from rolecall.loadgen.schedule import Schedule
from tests.support.documentation import ROOT

#: The rows of the table in docs/load.md: name, what is asked, its defaults, and its schedule.
ROWS = re.findall(
    r"^\| `(\w+)` \| (.+) \| `(\S+)` \| `(\S+)` \|$",
    (ROOT / "docs" / "load.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_the_documented_profiles() -> None:
    """docs/load.md has every profile with the question, defaults and schedule that it has."""
    made = [
        (name, shape.question, str(Profile.parse(name)), Profile.parse(name).schedule("100"))
        for name, shape in SHAPES.items()
    ]
    assert made == ROWS


@pytest.mark.parametrize(
    ("text", "rate", "expected"),
    [
        ("spike:10x30s", "100", "100:30s,1000:30s,100:30s"),
        ("spike:3x", "2.5", "2.5:30s,7.5:30s,2.5:30s"),
        ("spike:1m30s", "100", "100:90s,1000:90s,100:90s"),
        ("soak:2h", "50", "0..50:5m,50:2h,50..0:5m"),
        ("soak: 0.8x 2h", "50", "0..40:5m,40:2h,40..0:5m"),
        ("average:6s", "10", "0..10:1s,10:6s,10..0:1s"),
        ("breakpoint:2x500ms", "3", "3..6:0.5s"),
        ("smoke", "0.5", "0.05:30s"),
        ("stress:1000x1s", "1000000", "0..1000000000:0.333s,1000000000:1s,1000000000..0:0.167s"),
    ],
)
def test_a_schedule(text: str, rate: str, expected: str) -> None:
    """The schedule is what it should be, and --rate takes its text as it is."""
    schedule = Profile.parse(text).schedule(rate)

    assert schedule == expected
    assert Schedule.parse(schedule, 30).pack()["phases"]


def test_the_whole_schedule_follows_the_usual_rate() -> None:
    """Of each profile twice the rate is twice as many arrivals, in the same time."""
    for name in SHAPES:
        once, twice = (
            Schedule.parse(Profile.parse(name).schedule(rate), 30) for rate in ("100", "200")
        )
        assert twice.duration == once.duration
        assert twice.count() == pytest.approx(2 * once.count(), rel=0.001)


def test_duration_is_the_length_of_the_main_part() -> None:
    """--duration says what the profile's text leaves out; both together are refused."""
    assert str(Profile.parse("soak:2x", "10m")) == "soak:2x10m"
    with pytest.raises(UsageError, match="--duration: --profile soak:2h says how long"):
        Profile.parse("soak:2h", "10m")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "soakk:2h",
            "unknown profile 'soakk'\n.*Did you mean 'soak'. Known: smoke, average, stress",
        ),
        ("", "unknown profile ''\n.*Known: smoke, average, stress, soak, spike, breakpoint"),
        ("spike:10", "'spike:10' is not a profile\n.*spike:10x30s"),
        ("spike:x30s", "'spike:x30s' is not a profile"),
        ("spike:10x30", "'spike:10x30' is not a profile"),
        ("spike:-1x30s", "'spike:-1x30s' is not a profile"),
        ("spike:10x30w", "'30w' is not a duration"),
        ("spike:10x0s", "'0s' is not a duration"),
        ("spike:1x", "more than 1 and at most 1000 times"),
        ("stress:0.5x", "more than 1 and at most 1000 times"),
        ("soak:0x", "more than 0 and at most 1000 times"),
        ("breakpoint:1001x", "more than 1 and at most 1000 times"),
    ],
)
def test_what_is_no_profile(text: str, said: str) -> None:
    """It is refused in one sentence, with what would be right."""
    with pytest.raises(UsageError, match=f"(?s)--profile: .*{said}"):
        Profile.parse(text)


@pytest.mark.parametrize("rate", ["10..100", "100:30s", "fast", "0", "-1", "inf", "nan"])
def test_the_usual_rate_is_one_number(rate: str) -> None:
    """A rate that is a schedule already, or none at all, is refused."""
    with pytest.raises(UsageError, match=r"--rate: .* is not the usual rate"):
        Profile.parse("spike").schedule(rate)
