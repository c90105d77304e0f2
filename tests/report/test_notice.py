"""What is news of a run, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report.notice import (
    GOOD,
    flaky_of,
    news,
    remembered,
    state_of,
    state_without_run,
)
from rolecall.report.trend import line_of
from tests.support.results import requirement, results

FIRST, SECOND = "PERM-list-users", "EXPIRY-403"


def failing(*ids: str, **more: Any) -> dict[str, Any]:
    """Results in which these requirements failed."""
    findings = [{"requirement": id, "test": "test_it", "cell": None} for id in ids]
    document = results(verdict="not-conformant", exit_code=1, findings=findings)
    return document | {"requirements": [requirement(id, "failed") for id in ids]} | more


def waiver(state: str) -> dict[str, Any]:
    """An entry of ``waivers``."""
    more = {"cell": "", "owner": "ada", "until": "2026-11-25", "failures": []}
    return {"requirement": FIRST, "state": state, **more}


def test_a_good_first_run_is_no_news() -> None:
    """Nobody is told that all is well when it never was otherwise."""
    assert [] == news(None, state_of(results()))


def test_a_bad_first_run_is_news() -> None:
    """What fails from the beginning is told once."""
    state = state_of(failing(FIRST))

    assert ["not-conformant", f"fails now: {FIRST}"] == news(None, state)
    assert [] == news(state, state)


def test_what_comes_and_goes_is_news() -> None:
    """A failure that came, one that went, and the end of the last one."""
    one, both = state_of(failing(FIRST)), state_of(failing(FIRST, SECOND))

    assert [f"fails now: {SECOND}"] == news(one, both)
    assert [f"fails no more: {SECOND}"] == news(both, one)
    assert ["conformant; it was not-conformant", f"fails no more: {FIRST}"] == news(one, GOOD)


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (2, "not run: the target file is wrong, or a log-in was refused; it was conformant"),
        (4, "not run: the target was not reached; it was conformant"),
        (130, "interrupted; it was conformant"),
        (6, "Rolecall itself broke; it was conformant"),
    ],
)
def test_a_run_that_was_none_is_told_apart(exit_code: int, words: str) -> None:
    """Each such end has words of its own, and what failed until then is said of no server."""
    for state in (
        state_without_run(exit_code),
        state_of(failing(FIRST, exit_code=exit_code)),
    ):
        assert [words] == news(GOOD, state)
        assert [] == news(state, state)


def test_what_failed_before_a_night_without_a_run_still_stands() -> None:
    """After an outage only what changed since the last look is news: what fails still is not said
    to fail now, and what was mended meanwhile is said to fail no more.
    """
    before = state_of(failing(FIRST, SECOND))
    after_outage = remembered(before, state_without_run(4))
    again = news(after_outage, before)

    assert again == ["not-conformant; it was not run: the target was not reached"]
    assert f"fails no more: {FIRST}" in news(after_outage, state_of(failing(SECOND)))
    assert news(remembered(after_outage, state_without_run(4)), before) == again


def test_an_end_of_a_waiver_is_news_once() -> None:
    """A waiver that has expired is told when that shows first, with its owner."""
    live = state_of(results(waivers=[waiver("live")]))
    ended = state_of(failing(FIRST, exit_code=5, waivers=[waiver("expired")]))

    said = news(live, ended)
    assert "not-conformant; it was conformant" in said
    assert f"the waiver of {FIRST} (ada) ended on 2026-11-25" in said
    assert [] == news(ended, ended)


def test_what_is_known_to_be_flaky_is_no_news() -> None:
    """A requirement that comes and goes is told neither way; one beside it is."""
    flaky = state_of(failing(FIRST), {FIRST})

    assert [] == news(GOOD, flaky) == news(flaky, GOOD)
    ended = state_of(failing(SECOND, exit_code=5, waivers=[waiver("expired")]))
    beside = state_of(failing(FIRST, SECOND, waivers=[waiver("expired")]), {FIRST})
    assert [] == news(ended, beside) == news(beside, ended)
    both = state_of(failing(FIRST, SECOND), {FIRST})
    assert f"fails now: {SECOND}" in news(GOOD, both)
    assert FIRST not in "".join(news(GOOD, both))


def undecided(*reasons: str, **more: Any) -> dict[str, Any]:
    """Results in which a test was left open for each of these reasons."""
    entry = requirement(
        FIRST, "inconclusive", {str(n): "inconclusive" for n in range(len(reasons))}
    )
    for test, reason in zip(entry["tests"], reasons, strict=True):
        test["reason"] = reason
    return results(verdict="inconclusive", exit_code=3, requirements=[entry]) | more


def test_what_passed_at_the_second_try_is_no_news() -> None:
    """A run that is inconclusive for that alone is as good as one that is conformant."""
    assert GOOD == state_of(undecided("flaky: expected 200; got 500"))


@pytest.mark.parametrize(
    "document",
    [
        undecided("missing: the control"),
        undecided("flaky: expected 200; got 500", "missing: the control"),
        undecided("flaky: a", reasons=["2 requirements not proven, because not tested: A, B"]),
        undecided("missing: the control", verdict="not-conformant", exit_code=1),
        undecided(verdict="inconclusive"),
    ],
    ids=["open", "open beside flaky", "untested", "flaky failed", "for no requirement"],
)
def test_what_else_is_open_is_news(document: dict[str, Any]) -> None:
    """Whatever else keeps a run from being conformant is told."""
    assert "inconclusive" == state_of(document)["verdict"]


def test_what_was_left_behind_is_news_beside_flaky() -> None:
    """Flaky or not, somebody has to look after the target's data."""
    state = state_of(undecided("flaky: a", exit_code=7))

    assert ["conformant, things were left on the target"] == news(None, state)


def test_the_history_tells_what_is_flaky() -> None:
    """A requirement that came and went in the runs of this target, and of no other."""
    elsewhere = {"name": "other", "base_url": "https://other.example.org"}
    documents = [results() if night % 2 else failing(FIRST) for night in range(6)]
    lines = [line for line in map(line_of, documents) if line]

    assert {FIRST} == flaky_of(lines, documents[0]["target"])
    assert set() == flaky_of(lines, elsewhere)


def test_a_part_that_passed_is_as_good_as_a_whole() -> None:
    """A selected part that passed is good news of that part."""
    assert GOOD == state_of(results(verdict="part-passed"))
