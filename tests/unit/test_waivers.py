"""Waivers in memory: what they cover, when they have to go, and what they never hide."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from rolecall.errors import ExitCode, UsageError
from rolecall.harness.results import TestResult as Tested
from rolecall.harness.results import Verdict, findings, is_good_part, judge
from rolecall.harness.waiving import (
    WaiverState,
    used_waivers,
    waive,
    waive_what_follows,
    waivers_of_run,
)
from rolecall.outcomes import Outcome
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Cell
from rolecall.waivers import Waiver, Waivers
from tests.support.exchanges import exchange

SPEC = load_specification()
ID, OTHER, ADVICE = "PERM-list-users", "EXPIRY-403", "SEC-I20"
TODAY, YESTERDAY = date(2026, 11, 26), date(2026, 11, 25)
GUEST, AGENT = (Cell("list-users", role, "token", allowed=False) for role in ("guest", "agent"))


def waiver(cell: str = "", *, until: date = TODAY, requirement: str = ID) -> Waiver:
    """A waiver on line 3 of the file."""
    return Waiver(requirement, "known", "team", until, 3, cell)


def result(
    outcome: Outcome = Outcome.FAILED, cell: Cell | None = GUEST, requirement: str = ID
) -> Tested:
    """A test of the requirement."""
    return Tested(f"test[{cell}]", requirement, outcome, reason="why", cell=cell)


def run_of(
    *tests: Tested,
    waivers: tuple[Waiver, ...],
    collected: tuple[Tested, ...] = (),
    selected: bool = False,
    left: tuple[str, ...] = (),
    aborted: str = "",
) -> tuple[Verdict, list[WaiverState], list[Tested]]:
    """A run in which all else passed: its verdict, what became of the waivers, and its results.

    ``collected`` are tests of the suite that were not run.
    """
    file = Waivers(waivers, "waivers.toml", TODAY)
    proven = {test.requirement for test in (*tests, *collected)}
    others = [Tested("test", id, Outcome.PASSED) for id in SPEC.requirements if id not in proven]
    results = [*tests, *others]
    for test in results:
        waive(test, file)
    waive_what_follows(results, file)
    suite: dict[str, list[tuple[str, str]]] = {}
    for test in (*results, *collected):
        cell = str(test.cell) if test.cell else ""
        suite.setdefault(test.requirement, []).append((test.name, cell))
    used = used_waivers(file, results, suite)
    verdict = judge(SPEC, results, selected, list(left), aborted, used)
    return verdict, [entry.state for entry in used], results


def test_a_waived_failure_does_not_decide() -> None:
    """A failure that a live waiver covers is waived: the run is conformant and says so, and there
    is no finding.
    """
    verdict, states, results = run_of(result(), waivers=(waiver(),))

    assert (verdict.status, verdict.exit_code) == ("conformant", ExitCode.CONFORMANT)
    assert verdict.reasons == [f"1 requirement waived: {ID}"]
    assert states == [WaiverState.LIVE]
    assert results[0].outcome is Outcome.WAIVED
    assert findings(SPEC, results) == []


@pytest.mark.parametrize("pattern", ["list-users-guest-token", "list-users-guest-*", "*", ""])
def test_a_pattern_covers_cells(pattern: str) -> None:
    """A pattern covers the cells whose names it fits; without one, all of the requirement."""
    assert run_of(result(), waivers=(waiver(pattern),))[0].status == "conformant"


@pytest.mark.parametrize("pattern", ["list-users-agent-*", "list-users-guest", "LIST-*"])
def test_a_pattern_covers_no_other_cell(pattern: str) -> None:
    """A failure of another cell is a failure, whatever else is waived."""
    verdict, _, _ = run_of(result(), waivers=(waiver(pattern),))
    assert (verdict.status, verdict.exit_code) == ("not-conformant", ExitCode.FAILED)


def test_a_pattern_of_cells_covers_no_test_without_one() -> None:
    """A test that is about no cell, and found nobody's answer wrong, is covered by its requirement
    alone.
    """
    assert run_of(result(cell=None), waivers=(waiver("*"),))[0].status == "not-conformant"


@pytest.mark.parametrize(
    ("pattern", "status"),
    [("list-users-guest-*", "conformant"), ("list-users-agent-*", "not-conformant")],
)
def test_a_finding_about_a_row_is_of_its_callers_cell(pattern: str, status: str) -> None:
    """A test of a whole row is covered where the wrong answer was given to the cell's caller."""
    test = result(cell=None)
    test.shown_by = exchange()
    assert run_of(test, waivers=(waiver(pattern),))[0].status == status


def in_the_way(status: int, row: str = ID) -> Tested:
    """A test that came to nothing by an answer to a guest."""
    test = Tested("test[HEAD]", "SEC-A10", Outcome.INCONCLUSIVE, look_at=row)
    test.evidence.exchanges.append(exchange(status=status))
    return test


@pytest.mark.parametrize("pattern", ["", "list-users-guest-*"])
def test_what_follows_from_a_waived_failure_is_waived(pattern: str) -> None:
    """A way around a denial proves nothing where the usual way is open, and that is waived."""
    verdict, states, results = run_of(result(), in_the_way(200), waivers=(waiver(pattern),))
    assert verdict.status == "conformant"
    assert verdict.reasons == [f"2 requirements waived: {ID}, SEC-A10"]
    assert states == [WaiverState.LIVE]
    assert [test.outcome for test in results[:2]] == [Outcome.WAIVED] * 2


@pytest.mark.parametrize(
    ("tests", "pattern"),
    [
        pytest.param([result(Outcome.PASSED), in_the_way(200)], "", id="nothing failed"),
        pytest.param([result(), in_the_way(503)], "", id="trouble"),
        pytest.param([result(), in_the_way(0)], "", id="no answer"),
        pytest.param([result(), in_the_way(200, OTHER)], "", id="no row"),
        pytest.param([result(), in_the_way(200, "PERM-list-forms")], "", id="another row"),
        pytest.param([result(cell=AGENT), in_the_way(200)], "*-agent-*", id="another cell"),
    ],
)
def test_what_does_not_follow_from_a_waived_failure_is_open(
    tests: list[Tested], pattern: str
) -> None:
    """Missing evidence stays inconclusive where no waived failure explains it."""
    copies = [replace(test) for test in tests]
    verdict, _, results = run_of(*copies, waivers=(waiver(pattern),))
    assert results[1].outcome is Outcome.INCONCLUSIVE
    assert verdict.status == "inconclusive"


def test_a_new_failure_beside_a_waived_one_decides() -> None:
    """What is waived for one cell excuses no other one of the same requirement."""
    verdict, states, _ = run_of(
        result(), result(cell=AGENT), waivers=(waiver("list-users-guest-token"),)
    )
    assert (verdict.status, verdict.exit_code) == ("not-conformant", ExitCode.FAILED)
    assert states == [WaiverState.LIVE]


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.ERROR, "inconclusive", ExitCode.HARNESS_ERROR),
        (Outcome.INCONCLUSIVE, "inconclusive", ExitCode.INCONCLUSIVE),
        (Outcome.NOT_TESTED, "inconclusive", ExitCode.INCONCLUSIVE),
    ],
)
def test_a_waiver_hides_nothing_but_failures(outcome: Outcome, status: str, code: ExitCode) -> None:
    """A bug of the harness and missing evidence stay what they are, beside a waived failure too."""
    for tests in ((result(outcome),), (result(), result(outcome, AGENT))):
        verdict, states, results = run_of(*tests, waivers=(waiver(),))
        assert (verdict.status, verdict.exit_code) == (status, code)
        assert results[len(tests) - 1].outcome is outcome
        assert states[0] in (WaiverState.NOT_EXERCISED, WaiverState.LIVE)


def test_a_waiver_hides_no_leftovers() -> None:
    """What could not be deleted is said, and is the exit code, whether a failure is waived, or a
    waiver is stale or has expired.
    """
    for test, until in (
        (result(), TODAY),
        (result(Outcome.PASSED), TODAY),
        (result(), YESTERDAY),
    ):
        verdict, _, _ = run_of(test, waivers=(waiver(until=until),), left=("user 1",))
        assert verdict.exit_code is ExitCode.LEFT_BEHIND


def test_a_waiver_that_is_not_needed_is_stale() -> None:
    """Where all that it covers was tested and passed, the run is conformant and ends with 5, and
    says which line.
    """
    verdict, states, _ = run_of(result(Outcome.PASSED), waivers=(waiver(),))

    assert (verdict.status, verdict.exit_code) == ("conformant", ExitCode.WAIVER)
    assert states == [WaiverState.STALE]
    assert verdict.reasons[-1].startswith(f"waivers.toml, line 3: the waiver of {ID} is not needed")


@pytest.mark.parametrize(
    "rest", [Outcome.INCONCLUSIVE, Outcome.NOT_TESTED, Outcome.ERROR, Outcome.NOT_APPLICABLE]
)
def test_what_was_not_exercised_is_not_stale(rest: Outcome) -> None:
    """A waiver of which a part could not be tested is neither needed nor stale, and neither is one
    where nothing passed.
    """
    tests = [result(rest, AGENT)]
    if rest is not Outcome.NOT_APPLICABLE:
        tests.append(result(Outcome.PASSED))
    assert run_of(*tests, waivers=(waiver(),))[1] == [WaiverState.NOT_EXERCISED]


def test_a_selection_exercises_what_it_selects() -> None:
    """A waiver is stale in a part of the suite only if each test that it covers was selected."""
    passed, left_out = result(Outcome.PASSED), result(Outcome.PASSED, AGENT)
    whole, guest = waiver(), waiver("list-users-guest-*")

    found = run_of(passed, waivers=(whole, guest), collected=(left_out,), selected=True)
    assert found[1] == [WaiverState.NOT_EXERCISED, WaiverState.STALE]
    assert found[0].exit_code is ExitCode.WAIVER
    nothing = run_of(waivers=(whole,), collected=(passed, left_out), selected=True)
    assert nothing[1] == [WaiverState.NOT_EXERCISED]
    assert nothing[0].exit_code is not ExitCode.WAIVER


def test_where_a_part_of_the_files_was_collected_nothing_is_stale() -> None:
    """Without knowing all tests of the suite no waiver is called stale."""
    file = Waivers((waiver(),), "waivers.toml", TODAY)
    (used,) = used_waivers(file, [result(Outcome.PASSED)], {})
    assert used.state is WaiverState.NOT_EXERCISED


def test_the_last_day_counts() -> None:
    """A waiver holds through its last day, and no longer."""
    assert run_of(result(), waivers=(waiver(until=TODAY),))[0].exit_code is ExitCode.CONFORMANT
    verdict, states, results = run_of(result(), waivers=(waiver(until=YESTERDAY),))

    assert (verdict.status, verdict.exit_code) == ("not-conformant", ExitCode.WAIVER)
    assert states == [WaiverState.EXPIRED]
    assert results[0].outcome is Outcome.FAILED
    assert verdict.reasons[-1] == (
        f"waivers.toml, line 3: the waiver of {ID} ended on 2026-11-25; 1 test that it covered "
        "failed again"
    )


def test_an_expired_waiver_does_not_soften_another_failure() -> None:
    """Where something failed that no waiver ever covered, the exit code is that of a failure."""
    verdict, _, _ = run_of(
        result(), result(cell=None, requirement=OTHER), waivers=(waiver(until=YESTERDAY),)
    )
    assert verdict.exit_code is ExitCode.FAILED


def test_an_expired_waiver_has_to_go_in_any_case() -> None:
    """It ends with 5 also where nothing failed, or where nothing was tested."""
    for tests in ((result(Outcome.PASSED),), (result(Outcome.INCONCLUSIVE),)):
        verdict, states, _ = run_of(*tests, waivers=(waiver(until=YESTERDAY),))
        assert (verdict.exit_code, states) == (ExitCode.WAIVER, [WaiverState.EXPIRED])


def test_a_live_waiver_covers_what_an_expired_one_did() -> None:
    """Of two waivers the live one covers; the other one still has to go."""
    verdict, states, _ = run_of(
        result(), waivers=(waiver(until=YESTERDAY), waiver("list-users-guest-*"))
    )
    assert (verdict.status, verdict.exit_code) == ("conformant", ExitCode.WAIVER)
    assert states == [WaiverState.EXPIRED, WaiverState.LIVE]


def test_a_run_that_was_broken_off_proves_no_waiver_stale() -> None:
    """What was not reached was not exercised, and the run is inconclusive."""
    verdict, states, _ = run_of(
        waivers=(waiver(),), collected=(result(Outcome.PASSED),), aborted="interrupted"
    )
    assert (verdict.exit_code, states) == (ExitCode.INCONCLUSIVE, [WaiverState.NOT_EXERCISED])


def test_a_part_in_which_the_rest_passed_is_good() -> None:
    """A waived failure does not spoil a selected part."""
    waived = result(Outcome.WAIVED)
    assert is_good_part(SPEC, [waived, result(Outcome.PASSED, AGENT, requirement=OTHER)])


def test_a_file_is_held_against_the_tables(tmp_path: Path) -> None:
    """The waivers of a run are those of its file, whose cells are the requirement's own."""
    path = tmp_path / "waivers.toml"
    text = f'[[waiver]]\nrequirement = "{ID}"\nreason = "r"\nowner = "o"\nuntil = 2999-01-01\n'
    path.write_text(text + 'cell = "list-users-guest-*"\n', encoding="utf-8")

    (entry,) = waivers_of_run(path).entries
    assert str(entry) == f"{ID} list-users-guest-*"
    assert waivers_of_run(None).entries == ()
    path.write_text(text + 'cell = "list-contacts-*"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=f"no cell of {ID} is called 'list-contacts-"):
        waivers_of_run(path)


def test_what_is_written_of_a_waiver() -> None:
    """A report is told what stands in the file, what became of it, and which tests failed."""
    (used,) = used_waivers(Waivers((waiver(),), "waivers.toml", TODAY), [result()], {})
    assert used.document() == {
        "requirement": ID,
        "cell": "",
        "reason": "known",
        "owner": "team",
        "link": "",
        "line": 3,
        "until": "2026-11-26",
        "first_seen": None,
        "last_seen": None,
        "state": "live",
        "failures": [f"test[{GUEST}]"],
    }
