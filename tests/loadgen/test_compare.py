"""Two runs compared: noise is called noise, slower is called slower."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen import plan
from rolecall.loadgen.compare import compare, read
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.result import about
from rolecall.schema_validation import validation_errors
from tests.support.load_documents import load_document

Times = Callable[[random.Random, float], float]


def verdicts(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """The verdict on each measure that is not the same."""
    comparison = compare(before, after)
    assert comparison.comparable, comparison.reasons
    return {
        change.measure: change.verdict for change in comparison.measures if change.verdict != "same"
    }


def slower(factor: float, tail: float = 1.0) -> Times:
    """Response times that many times as long, and the longest fiftieth of them ``tail`` times as
    long again.
    """

    def times(dice: random.Random, at: float) -> float:
        return dice.lognormvariate(-5, 0.5) * factor * (tail if dice.random() < 0.02 else 1)

    return times


@pytest.fixture(scope="module")
def baseline() -> dict[str, Any]:
    """A run of 40 s, with an error in a hundred requests."""
    return load_document(1, errors=0.01)


def test_an_equal_run_is_no_different(baseline: dict[str, Any]) -> None:
    """Another run of the same server differs in figures and not in verdicts; every interval holds
    zero.
    """
    comparison = compare(baseline, load_document(2, errors=0.01))

    assert {change.verdict for change in comparison.measures} == {"same"}
    for change in comparison.measures:
        assert change.low is not None
        assert change.high is not None
        assert change.low <= 0 <= change.high
        assert "no difference beyond noise" in change.sentence


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"times": slower(1.2)}, {"p50": "worse", "p99": "worse"}),
        ({"times": slower(0.8)}, {"p50": "better", "p99": "better"}),
        ({"times": slower(1, tail=4)}, {"p99": "worse"}),
        ({"errors": 0.04}, {"errors": "worse", "rate": "worse"}),
        ({"errors": 0.003}, {"errors": "better"}),
        ({"throttled": 0.03}, {"throttled": "worse", "rate": "worse"}),
    ],
    ids=["slower", "faster", "tail", "errors", "fewer-errors", "throttled"],
)
def test_a_difference_is_found_where_it_is(
    baseline: dict[str, Any], after: dict[str, Any], expected: dict[str, str]
) -> None:
    """Each kind of change is found in its own measures and in no other."""
    assert verdicts(baseline, load_document(3, **{"errors": 0.01, **after})) == expected


def test_the_words_hold_the_figures(baseline: dict[str, Any]) -> None:
    """A sentence says both values, the change and its interval, and what that means."""
    comparison = compare(baseline, load_document(3, errors=0.01, times=slower(1.2)))

    assert str(comparison).splitlines()[0].startswith("p50 6.")
    assert "% interval +1" in comparison.measures[0].sentence
    assert comparison.measures[0].sentence.endswith(": slower")
    assert comparison.measures[0].change == pytest.approx(0.2, abs=0.05)


def test_the_last_part_of_a_second_does_not_count_as_a_whole_one() -> None:
    """A run of 10.2 s has ten seconds and a fifth: its rate is the one that the verdict has, and
    it does not differ from that of a run of 10 s.
    """
    shorter = load_document(1, rate=60, seconds=10)
    longer = load_document(2, rate=60, seconds=10)
    recorder, totals = Recorder(0.0), Totals()
    entry = recorder.entry("POST", "/v2/auth/token")
    for number in range(612):
        at = number / 60 + 0.005
        entry.success(at - 0.005, at - 0.005, at, 1)
    totals.merge("one", recorder.take())
    longer |= totals.document()
    assert longer["duration_s"] == pytest.approx(10.2, abs=0.05)
    assert longer["batches"][-1]["end_s"] == longer["duration_s"]

    rate = next(change for change in compare(shorter, longer).measures if change.measure == "rate")

    assert rate.after == pytest.approx(longer["rate"], abs=0.01)
    assert rate.verdict == "same"
    # as versions before this one wrote it
    longer["batches"][-1]["end_s"] = 11.0
    again = next(change for change in compare(shorter, longer).measures if change.measure == "rate")
    assert again.after == rate.after


def test_a_change_has_no_exponent(baseline: dict[str, Any]) -> None:
    """Twenty-three times as slow is +2,2xx %, as people write it."""
    sentence = compare(baseline, load_document(2, times=slower(23.0), errors=0.01)).measures[0]

    assert re.search(r", \+2,[12]\d\d % \(", sentence.sentence), sentence.sentence
    assert "e+" not in sentence.sentence


def test_a_stall_in_one_run_is_noise(baseline: dict[str, Any]) -> None:
    """One stall moves p99 a hundredfold, and is still no difference between servers."""

    def stall(dice: random.Random, at: float) -> float:
        return dice.lognormvariate(-5, 0.5) + max(0.0, 21 - at if at >= 20 else 0.0)

    comparison = compare(baseline, load_document(4, errors=0.01, times=stall))

    p99 = comparison.measures[1]
    assert (p99.measure, p99.verdict) == ("p99", "same")
    assert p99.after > 10 * p99.before


def test_what_a_histogram_cannot_resolve_is_no_difference() -> None:
    """Half a per cent is less than a bucket, however steady the runs are."""
    before = load_document(5, times=lambda dice, at: 0.010)
    after = load_document(5, times=lambda dice, at: 0.01005)

    assert verdicts(before, after) == {}


def test_the_same_runs_give_the_same_answer(baseline: dict[str, Any]) -> None:
    """Two comparisons of the same runs are alike, because the random numbers are seeded."""
    other = load_document(6)

    assert compare(baseline, other) == compare(baseline, other)


def test_violations_are_no_matter_of_chance(baseline: dict[str, Any]) -> None:
    """A kind that only one of the runs has is said."""
    assert "violations (shape): 0 -> 3" in str(
        compare(baseline, load_document(7, violations={"shape": 3}))
    )


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"verdict": "invalid", "reasons": ["a worker died"]}, "invalid: a worker died"),
        ({"scenario": "session"}, "other scenario"),
        ({"rate": 300}, "other load"),
        ({"users": 10, "arrivals": None}, "other load"),
        ({"seconds": 50}, "other load"),
        ({"duration_s": 60.0}, "other duration"),
        ({"seconds": 5}, "too short"),
        ({"throttled": 1.0}, "no answers"),
    ],
    ids=["invalid", "scenario", "rate", "users", "phases", "duration", "short", "empty"],
)
def test_what_is_not_comparable_is_not_compared(
    baseline: dict[str, Any], members: dict[str, Any], words: str
) -> None:
    """Each reason is given, and no measure, whichever of the two runs it is."""
    other = load_document(8, **members)

    for comparison in (compare(baseline, other), compare(other, baseline)):
        assert not comparison.comparable
        assert comparison.measures == []
        assert words in str(comparison)


MIX = ["--weights", "issuance=1"]


@pytest.mark.parametrize(
    ("scenario", "before", "after", "words"),
    [
        (
            "mixed",
            MIX,
            ["--weights", "refresh-race=1"],
            "other --weights: issuance=1, and now refresh-race=1",
        ),
        ("mixed", [], MIX, "other --weights"),
        (
            "mixed",
            ["--weights", "refresh-race=1"],
            ["--weights", "refresh-race=1", "--racers", "8"],
            "other --racers: 5, and now 8",
        ),
        ("refresh-race", [], ["--racers", "8"], "other --racers"),
        ("guarded", [], ["--guarding", "session"], "other --guarding: issuance, and now session"),
        ("issuance", [], ["--in-flight", "2"], "other --in-flight: 1000, and now 2"),
        ("issuance", [], ["--racers", "8"], ""),
        ("mixed", MIX, [*MIX, "--racers", "8"], ""),
        ("session", [], MIX, ""),
        (
            "time-to-deny",
            [],
            ["--guarding", "session"],
            "other --guarding: issuance, and now session",
        ),
        ("guarded", [], [], ""),
    ],
)
def test_another_mix_is_another_load(
    scenario: str, before: list[str], after: list[str], words: str
) -> None:
    """Options that shape a scenario's load are in load.json, and runs in which they differ are not
    compared; others do not matter.
    """
    pair = []
    for seed, options in enumerate((before, after)):
        document = load_document(seed, rate=50, seconds=10, scenario=scenario)
        pair.append(document | about(plan.parse(["--rate", "50", *options]), scenario, 0.0))
        assert validation_errors("load", pair[-1]) == []

    assert compare(*pair).comparable == (not words)
    assert words in str(compare(*pair))


def test_workers_and_older_runs() -> None:
    """So do other --workers make another load; an older run does not say what was in its mix, where
    there is one.
    """
    one, other = (load_document(seed, rate=50, seconds=10, options={}) for seed in (1, 2))
    older = {name: value for name, value in one.items() if name != "options"}
    more = {**other, "workers": other["workers"] * 2}

    assert "other --workers: 1, and now 2" in str(compare(one, more))
    assert compare(older, other).comparable
    mixed = str(compare(older | {"scenario": "mixed"}, other | {"scenario": "mixed"}))
    assert "the baseline does not say what it was made of" in mixed


def test_a_comparison_fits_the_schema(baseline: dict[str, Any]) -> None:
    """load.json with a comparison is valid, also where a share has no ratio."""
    comparison = compare(baseline, load_document(3, times=slower(2))).document()

    assert validation_errors("load", {**baseline, "comparison": comparison}) == []


def test_a_run_is_read_from_its_folder(baseline: dict[str, Any], tmp_path: Path) -> None:
    """A run can be named by its folder or by its load.json."""
    (tmp_path / "load.json").write_text(json.dumps(baseline), encoding="utf-8")

    assert read(tmp_path) == read(tmp_path / "load.json") == baseline


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read"), ("{", "cannot be read"), ("{}", "is not a load.json")],
)
def test_what_is_no_run_is_refused(text: str | None, words: str, tmp_path: Path) -> None:
    """No file, no JSON, and another file's JSON, each with what to give instead."""
    if text is not None:
        (tmp_path / "load.json").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=words) as error:
        read(tmp_path)

    assert error.value.hint


def test_the_schema_notices() -> None:
    """A document of the recorder is valid; each thing that is missing or of another kind is not."""
    document = load_document(9, seconds=3, errors=0.1)
    assert validation_errors("load", document) == []

    for name in (
        "verdict",
        "scheduled",
        "late",
        "errors",
        "violations",
        "response_ms",
        "timeline",
        "batches",
        "workers",
    ):
        assert (
            validation_errors(
                "load", {key: value for key, value in document.items() if key != name}
            )
            != []
        )
    for name, value in (
        ("verdict", "good"),
        ("rate", "100"),
        ("errors", 3),
        ("exit_code", 77),
        ("dropped", -1),
    ):
        assert validation_errors("load", {**document, name: value}) != []
    torn = copy.deepcopy(document)
    torn["batches"][0]["response_ms"][0] = [1.5]
    assert validation_errors("load", torn) != []


@pytest.mark.long
def test_equal_runs_are_seldom_called_different() -> None:
    """Of thirty pairs of equal runs whose good and bad times last for seconds, at most three are
    called different.
    """
    different = 0
    for seed in range(30):
        pair = [
            load_document(2 * seed + number, rate=100, times=waves(2 * seed + number))
            for number in (0, 1)
        ]
        different += bool(verdicts(*pair))

    assert different <= 3


def waves(seed: int) -> Times:
    """A level that drifts: each second is seven tenths of the one before it, and something new."""
    dice, levels = random.Random(seed), [0.0]
    for _ in range(100):
        levels.append(0.7 * levels[-1] + dice.gauss(0, 0.05))
    return lambda own, at: own.lognormvariate(-5 + levels[int(at)], 0.5)
