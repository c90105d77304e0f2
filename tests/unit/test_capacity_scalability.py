"""Throughput by concurrency, and the law that it follows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rolecall.loadgen.capacity.by_users import Scaling, SearchByUsers, numbers
from rolecall.loadgen.capacity.findings import SearchOutcome
from rolecall.loadgen.capacity.scalability import CannotFit, Law, Point, fit
from rolecall.loadgen.capacity.steps import Share, Slice, Step, StepVerdict

SCHEMA = Path(__file__).parent.parent.parent / "schemas" / "capacity.schema.json"

LAWS = {
    "peak": Law(100, 0.05, 0.0005, 1, 0, 256),
    "late-peak": Law(1000, 0.02, 0.00005, 1, 0, 256),
    "contention": Law(50, 0.3, 0, 1, 0, 256),
    "coherency": Law(50, 0, 0.001, 1, 0, 256),
    "linear": Law(50, 0, 0, 1, 0, 256),
}


def points(law: Law, noise: float, seed: int) -> list[Point]:
    """What would be measured where this law holds, with noise as a share."""
    dice = random.Random(seed)
    return [Point(n, law.throughput(n) * dice.gauss(1, noise)) for n in numbers(256)]


class TestFit:
    """A law from points."""

    @pytest.mark.parametrize("name", LAWS)
    def test_is_exact_where_nothing_is_noisy(self, name: str) -> None:
        """The parameters that made the points come back, and the law misses nothing."""
        law = LAWS[name]

        found = fit(points(law, 0, 0))

        assert (law.rate, law.sigma, law.kappa) == pytest.approx(
            (found.rate, found.sigma, found.kappa), rel=1e-6, abs=1e-12
        )
        assert (0, 1) == pytest.approx((found.off, found.r2), abs=1e-6)

    @pytest.mark.parametrize("name", ["peak", "late-peak", "coherency"])
    def test_finds_the_peak_in_noise(self, name: str) -> None:
        """With 3 % of noise the peak's throughput is within 5 %, its place within a third, and the
        noise is reported.
        """
        law = LAWS[name]
        assert law.peak

        for seed in range(50):
            found = fit(points(law, 0.03, seed))
            assert found.peak
            assert law.peak.throughput == pytest.approx(found.peak.throughput, rel=0.05)
            assert law.peak.concurrency == pytest.approx(found.peak.concurrency, rel=0.34)
            assert 0.01 < found.off < 0.06

    @pytest.mark.parametrize("name", ["contention", "linear"])
    def test_invents_no_peak(self, name: str) -> None:
        """Without a peak, noise makes none within the measured range, nine times of ten."""
        peaks = [
            fit(points(LAWS[name], 0.03, seed)).document()["peak_measured"] for seed in range(50)
        ]

        assert peaks.count(True) <= 5

    @pytest.mark.parametrize(
        ("name", "bound"), [("contention", 50 / 0.3), ("linear", None), ("peak", None)]
    )
    def test_says_what_is_never_exceeded(self, name: str, bound: float | None) -> None:
        """Where work waits its turn and nothing else is in the way, throughput comes ever nearer to
        a bound.
        """
        assert fit(points(LAWS[name], 0, 0)).document()["bound"] == (
            bound and pytest.approx(bound, rel=1e-4)
        )

    def test_says_that_a_peak_lies_beyond(self) -> None:
        """A peak that was extrapolated is marked."""
        law = LAWS["peak"]

        short = fit([Point(n, law.throughput(n)) for n in (1, 2, 4, 8, 16)])

        assert short.peak
        assert 44 == pytest.approx(short.peak.concurrency, rel=0.02)
        assert not short.document()["peak_measured"]

    def test_says_that_it_is_off(self) -> None:
        """A server that falls off a cliff does not fit, and the fit says how far off it is."""
        cliff = [Point(n, 100 * n if n <= 16 else 150) for n in numbers(128)]

        assert fit(cliff).off > 0.2

    @pytest.mark.parametrize(
        ("measured", "why"),
        [
            ([Point(n, 10 * n) for n in (1, 2, 4, 8)], "4 levels"),
            ([Point(2, 20)] * 9, "1 levels"),
            ([Point(n, 0) for n in range(1, 9)], "without throughput"),
        ],
        ids=["few", "the-same", "nothing"],
    )
    def test_refuses(self, measured: list[Point], why: str) -> None:
        """Too few levels, or levels without an answer, give no curve."""
        with pytest.raises(CannotFit, match=why):
            fit(measured)


def level(throughput: float, clients: int, **changes: Any) -> Step:
    """A step of 5 seconds with this throughput."""
    each = round(throughput / 2)
    return replace(
        Step(
            throughput,
            5.0,
            [Slice(each, each)] * 10,
            clients,
            clients / throughput,
            2 * clients / throughput,
        ),
        **changes,
    )


def climbed(measure: Callable[[int], Step], **settings: Any) -> Scaling:
    """A search whose levels take no time."""
    return SearchByUsers(
        lambda clients, seconds: measure(clients), clock=lambda: 0.0, **settings
    ).run()


class TestClimb:
    """Ever more clients."""

    def test_goes_on_until_the_peak_has_passed(self) -> None:
        """The levels end where throughput has fallen, and the peak is in the document."""
        found = climbed(lambda clients: level(LAWS["peak"].throughput(clients), clients), most=1024)
        written = found.document()

        assert SearchOutcome.FOUND == found.outcome
        assert 44 < found.steps[-1][0] < 300
        assert 43.6 == pytest.approx(written["usl"]["peak_concurrency"], rel=0.05)
        assert 1074 == pytest.approx(written["capacity"]["rate"], rel=0.02)

    def test_the_most_clients_get_the_most(self) -> None:
        """Where throughput only rises, the capacity is at least that."""
        found = climbed(lambda clients: level(50 * clients, clients), most=32)

        assert (SearchOutcome.AT_LEAST, 32) == (found.outcome, found.steps[-1][0])
        assert 1600 == found.document()["capacity"]["rate"]

    def test_a_level_that_refuses_is_the_last_and_on_no_curve(self) -> None:
        """From where the server answers with errors its throughput says nothing of the law."""

        def measure(clients: int) -> Step:
            return level(
                50 * clients,
                clients,
                slices=[Slice(100, 50, failed=50)] * 10 if clients > 16 else [Slice(100, 100)] * 10,
                # which is not why it ends
                objectives=[Share("p99<250ms", 500, 1000, 0.01)] if clients > 16 else [],
            )

        found = climbed(measure)

        assert (SearchOutcome.FOUND, 23) == (found.outcome, found.steps[-1][0])
        assert 16 == max(point.concurrency for point in found.points)
        assert found.because == (
            "with 23 clients it refused 500 of 1,000 requests: 500 errors, 0 answers of 429"
        )

    @pytest.mark.parametrize(
        ("changes", "outcome", "verdict"),
        [
            ({"violations": 1}, SearchOutcome.VIOLATED, StepVerdict.VIOLATED),
            ({"generator": "its core was busy"}, SearchOutcome.GENERATOR, StepVerdict.GENERATOR),
        ],
        ids=["violated", "generator"],
    )
    def test_stops(
        self, changes: dict[str, Any], outcome: SearchOutcome, verdict: StepVerdict
    ) -> None:
        """A violation, or a machine that is too slow, ends the search, and there are too few levels
        for a law.
        """
        found = climbed(
            lambda clients: level(50 * clients, clients, **changes if clients > 2 else {})
        )

        assert (outcome, verdict, 3) == (
            found.outcome,
            found.steps[-1][1].verdict,
            len(found.steps),
        )
        assert found.document()["usl"] is None
        assert "too few" in found.document()["because"]

    def test_no_time(self) -> None:
        """A search that takes longer than it may is unfinished, and has used what it was given."""
        now = [0.0]

        def measure(clients: int, seconds: float) -> Step:
            now[0] += seconds + 20
            return level(50 * clients, clients)

        found = SearchByUsers(measure, seconds=60, clock=lambda: now[0]).run()

        assert SearchOutcome.UNFINISHED == found.outcome
        assert 2 <= len(found.steps) < 5
        assert found.seconds < 80

    def test_its_levels_share_the_time(self) -> None:
        """However many levels, they are through within the time that the search has."""
        asked, now = [], [0.0]

        def measure(clients: int, seconds: float) -> Step:
            asked.append(seconds)
            now[0] += seconds + 1.2
            return level(50 * clients, clients)

        found = SearchByUsers(measure, seconds=165, clock=lambda: now[0]).run()

        assert SearchOutcome.AT_LEAST == found.outcome
        assert 150 < found.seconds < 170
        assert max(asked) < 2 * min(asked)

    def test_the_document_agrees_with_its_schema(self) -> None:
        """The findings are as the published schema says."""
        written = climbed(
            lambda clients: level(LAWS["peak"].throughput(clients), clients)
        ).document()
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

        jsonschema.Draft202012Validator({**schema, "required": list(written)}).validate(
            json.loads(json.dumps(written))
        )
        assert [1, 2, 3] == [step["concurrency"] for step in written["steps"][:3]]


@pytest.mark.parametrize("most", [1, 2, 7, 256, 1000])
def test_levels_reach_the_most(most: int) -> None:
    """Levels begin with one client, rise, and end with as many as there may be."""
    levels = numbers(most)

    assert (1, most) == (levels[0], levels[-1])
    assert sorted(set(levels)) == levels
