"""The self-test: its arithmetic, its command line, and the kill table that it writes.

Longer than 400 lines because its tests share the results that they tally.
"""

from __future__ import annotations

import json
import os
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rolecall.__main__ import main
from rolecall.loadgen.checks.violations import KINDS
from rolecall.report import kill_table
from rolecall.selftest import cases as catalogue
from rolecall.selftest import running, without
from rolecall.selftest.cases import Case
from rolecall.selftest.trials import Result, Trial
from rolecall.selftest.without import LACKS
from rolecall.spec.loading import load_specification
from tests.support.command import rolecall
from tests.support.servers import ROOT

SPEC = load_specification()
PAGE = ROOT / "docs" / "kill-table.md"
UPDATE = (
    "run `rolecall selftest --fault NAME --without api-keys --without clock-and-key --update "
    "docs/kill-table.md`"
)

FAULT = Case("a-fault", "fault", "PERM-list-users")
FLIP = Case("flip-list-users-guest", "flip", "PERM-list-users")
LEGAL = Case("a-variant", "legal")
TROUBLE = Case("wrong-content-type", "trouble", "RESPONSE-json")


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """All cases there are."""
    return catalogue.cases()


# --- Processes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("methods", "chosen"), [(["fork", "spawn", "forkserver"], "forkserver"), (["spawn"], "spawn")]
)
def test_how_processes_are_made(
    methods: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no process can be forked (Windows) the self-test begins new ones."""
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: methods)

    assert running._processes().get_start_method() == chosen


def test_later_processes_of_the_caller_are_not_changed() -> None:
    """What the self-test's own processes are begun with is not left in the environment."""
    before = dict(os.environ)

    with running._environment():
        assert os.environ["PYTHONSAFEPATH"] == "1"

    assert dict(os.environ) == before


# --- Cases -------------------------------------------------------------------------------------


def test_cases_are_what_the_server_offers(cases: list[Case]) -> None:
    """The cases are the baseline and every fault and variant that ``rolecall serve`` lists, each
    with its description.
    """
    assert cases[0] == Case("baseline", "baseline", description="The reference server as it is.")
    assert {case.kind for case in cases} == {
        "baseline",
        "loaded",
        "fault",
        "flip",
        "legal",
        "trouble",
        "lint",
    }
    assert sum(case.kind == "flip" for case in cases) == 188
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.description for case in cases)


def test_every_fault_names_a_requirement(cases: list[Case]) -> None:
    """What a fault breaks is a requirement of the tables, and one that accuses, or what a violation
    under load is held against.
    """
    assert {case.planted for case in cases if case.load and case.kind == "fault"} <= {
        kind.requirement for kind in KINDS.values()
    }
    for case in cases:
        if case.kind in ("fault", "flip") and not case.load:
            assert case.planted in SPEC.requirements, f"{case.name} plants {case.planted}"
            assert SPEC.requirements[case.planted].level != "observe", (
                f"{case.name} plants {case.planted}"
            )


def test_a_case_is_a_switch() -> None:
    """A case's name becomes the option of ``rolecall serve`` that makes it."""
    assert Case("baseline", "baseline").options == []
    assert FAULT.options == ["--fault", "a-fault"]
    assert FLIP.options == ["--fault", "flip-list-users-guest"]
    assert LEGAL.options == ["--variant", "a-variant"]


def test_what_is_opt_in_is_run_where_a_fault_needs_it(cases: list[Case]) -> None:
    """A fault that only opt-in tests can see is run with them, and nothing else is."""
    assert {case.planted for case in cases if case.intrusive} == {"SEC-I04", "SEC-I05", "SEC-R21"}


def test_every_requirement_that_accuses_is_planted(cases: list[Case]) -> None:
    """Each requirement that a server can break, whether it decides or is advice, is planted by a
    fault as its first finding.
    """
    planted = {case.planted for case in cases if case.kind in ("fault", "flip")}

    assert [
        id
        for id, entry in SPEC.requirements.items()
        if entry.level != "observe" and id not in planted
    ] == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_sample_is_spread_and_repeatable(size: int, cases: list[Case]) -> None:
    """A sample is the baseline and ``size`` different others from the beginning to the end, the
    same every time.
    """
    chosen = catalogue.sample(cases, size)

    assert chosen == catalogue.sample(cases, size)
    assert chosen[0].name == "baseline"
    assert len(chosen) == len(set(chosen)) == size + 1
    places = [cases.index(case) for case in chosen]
    assert places == sorted(places)
    gaps = [later - earlier for earlier, later in pairwise(places[1:])]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_sample_is_never_larger_than_what_there_is(cases: list[Case]) -> None:
    """More than all is all, each once."""
    assert catalogue.sample(cases, len(cases) + 10) == cases


# --- Arithmetic --------------------------------------------------------------------------------


def result(
    case: Case,
    *findings: str,
    advice: tuple[str, ...] = (),
    cells: tuple[str, ...] = (),
    **more: Any,
) -> Result:
    """What the suite said of a case."""
    verdict = "not-conformant" if findings else "conformant"
    more = {"exit_code": 1 if findings else 0, **more}
    return Result(
        case,
        verdict,
        findings=list(findings),
        advice=list(advice),
        failed_cells=list(cells),
        **more,
    )


BOTH = ("list-users-guest-token", "list-users-guest-api-key")

#: Result, whether it is caught, localised, and as expected.
JUDGED = {
    "fault-first": (result(FAULT, "PERM-list-users", "PERM-list-forms"), True, True, True),
    "fault-second": (result(FAULT, "PERM-list-forms", "PERM-list-users"), True, False, False),
    "fault-silent": (result(FAULT), False, False, False),
    "fault-as-advice": (result(FAULT, advice=("PERM-list-users",)), True, True, True),
    "fault-crashed": (result(FAULT, "PERM-list-users", crash="it broke"), True, True, False),
    "flip-alone": (result(FLIP, "PERM-list-users", cells=BOTH), True, True, True),
    "flip-with-tokens-only": (result(FLIP, "PERM-list-users", cells=BOTH[:1]), True, False, False),
    "flip-with-another-cell": (
        result(FLIP, "PERM-list-users", cells=(*BOTH, "list-users-bot-token")),
        True,
        False,
        False,
    ),
    "flip-with-another-requirement": (
        result(FLIP, "PERM-list-users", "AUTH-required", cells=BOTH),
        True,
        False,
        False,
    ),
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_counts_as_caught(name: str) -> None:
    """A fault is caught when something is held against the server, and localised when that is what
    was planted.
    """
    said, caught, localised, as_expected = JUDGED[name]

    assert (said.caught, said.localised, said.as_expected) == (caught, localised, as_expected)


def test_the_innocent_are_not_to_be_blamed() -> None:
    """A legal variant is as expected when it is conformant and keeps nothing; trouble when nothing
    but its own finding is said.
    """
    assert result(LEGAL).as_expected
    assert not result(LEGAL, exit_code=7).as_expected
    assert not result(LEGAL, "PERM-list-users").as_expected
    assert not Result(LEGAL, "inconclusive").as_expected
    assert result(LEGAL, advice=("SEC-H03",)).as_expected
    assert not result(Case("baseline", "baseline"), advice=("SEC-H03",)).as_expected
    assert result(TROUBLE, "RESPONSE-json").as_expected
    assert Result(TROUBLE, "inconclusive").as_expected
    assert not result(TROUBLE, "RESPONSE-json", "PERM-list-users").as_expected
    assert not result(TROUBLE, crash="it broke").as_expected


def test_the_tally_adds_up() -> None:
    """The counts are those of the results: faults caught, localised, silent; false alarms; wrong
    accusations; crashes.
    """
    harmed = Result(Case("baseline", "baseline"), "conformant", harm=["clock: 0.0 -> 60.0"])
    innocent = [harmed, result(LEGAL, "PERM-list-users"), result(Case("lint", "lint"))]
    troubled = [result(TROUBLE, "RESPONSE-json"), result(TROUBLE, "PERM-list-users")]

    assert running.tally([said for said, *_ in JUDGED.values()] + innocent + troubled) == {
        "faults": 9,
        "caught": 8,
        "localised": 4,
        "silent": 1,
        "innocent": 3,
        "false_alarms": 2,
        "troubled": 2,
        "wrong_accusations": 1,
        "crashes": 1,
        "harmed": 1,
    }


# --- With less ---------------------------------------------------------------------------------

KEYS, EXPIRY = LACKS["api-keys"], LACKS["clock-and-key"]
TESTS = {"PERM-list-users": ["test_a", "test_b"], "SEC-A18": ["test_c"]}
NEEDY = Case("needy", "fault", "PERM-list-users", "It lives too long. (needs clock, intrusive)")
NOT_TESTED = {"test_a": "not-tested", "test_b": "not-tested", "test_c": "passed"}


def less(
    *findings: str, outcomes: dict[str, str] = NOT_TESTED, lacking: str = "", **more: Any
) -> Result:
    """What a run said of a fault that two tests had seen, without something that both say that they
    lack.
    """
    both = ("test_a", "test_b")
    capabilities: dict[str, str] = dict.fromkeys(both, lacking) if lacking else {}
    return Result(FAULT, findings=list(findings), outcomes=outcomes, lacking=capabilities, **more)


#: What was left out, the fault, the run without it, and what is said of it.
WITH_LESS = {
    "still": (KEYS, FAULT, less("PERM-list-users"), "yes"),
    "still, among others": (KEYS, FAULT, less("AUTH-required", "PERM-list-users"), "yes"),
    "as advice": (KEYS, FAULT, less(advice=["PERM-list-users"]), "yes"),
    "by another": (KEYS, FAULT, less("AUTH-required", "PERM-list-forms"), "by AUTH-required"),
    "its tests say what they lack": (KEYS, FAULT, less(lacking="api-keys"), "needs API keys"),
    "they lack something else": (KEYS, FAULT, less(lacking="second-user"), "NO"),
    "they do not say": (KEYS, FAULT, less(), "NO"),
    "the catalogue says it": (EXPIRY, NEEDY, less(), "needs clock and key"),
    "the catalogue says something else": (KEYS, NEEDY, less(), "NO"),
    "a test was run": (
        KEYS,
        FAULT,
        less(outcomes=NOT_TESTED | {"test_b": "passed"}, lacking="api-keys"),
        "NO",
    ),
    "a test was run, though it needs it": (
        EXPIRY,
        NEEDY,
        less(outcomes=NOT_TESTED | {"test_b": "inconclusive"}),
        "NO",
    ),
    "it broke": (KEYS, FAULT, less("PERM-list-users", crash="it broke"), "NO: it broke"),
    "it harmed": (
        KEYS,
        FAULT,
        less("PERM-list-users", harm=["a user is gone"]),
        "NO: a user is gone",
    ),
}


@pytest.mark.parametrize("name", WITH_LESS)
def test_what_is_said_of_a_fault_with_less(name: str) -> None:
    """A fault that nothing catches any more is one for which just the missing thing is needed, or
    it ought to be caught.
    """
    lack, case, said, expected = WITH_LESS[name]

    words = without.verdict(lack, Result(case, failed=TESTS), said)

    assert words == expected
    assert without.is_explained(words) is not expected.startswith("NO")


def test_a_fault_that_was_not_caught_at_all_is_not_explained() -> None:
    """Where no test had seen it with everything, nothing that is missing explains that none sees it
    now.
    """
    assert (
        without.verdict(
            KEYS, Result(FAULT, failed={"PERM-list-users": []}), less(lacking="api-keys")
        )
        == "NO"
    )


def test_a_part_is_run_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a fault all that is named up to its requirement, of a flip all cells as well; of the
    innocent, of hardening, and with --whole, everything.
    """
    first: dict[str, frozenset[str]] = {}
    monkeypatch.setattr(
        running,
        "run_trials",
        lambda trials, on_result: first.update({trial.case.name: trial.first for trial in trials}),
    )
    hardening = Case("advice", "fault", "SEC-T08")
    cells = {operation.requirement for operation in load_specification().operations.values()}

    running.run_all([FAULT, FLIP, LEGAL, hardening])

    assert {"ISSUE-status", "PERM-list-users"} <= first[FAULT.name] < first[FLIP.name]
    assert cells <= first[FLIP.name] < set(load_specification().requirements)
    assert not cells <= first[FAULT.name]
    assert first[LEGAL.name] == first[hardening.name] == frozenset()

    running.run_all([FAULT, FLIP], whole=True)

    assert first[FAULT.name] == first[FLIP.name] == frozenset()


def test_each_fault_is_looked_for_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault's own tests are run first, and what is said of it noted; no load, no innocent
    server.
    """
    under_load = Case("loaded", "fault", "SEC-A17", load=("guarded",))
    whole = [Result(case, failed=TESTS) for case in (FAULT, NEEDY, FLIP, LEGAL, under_load)]
    run: list[Trial] = []

    def run_trials(trials: list[Trial], on_result: Any) -> None:
        for trial in trials:
            run.append(trial)
            found = [] if trial.case is NEEDY else ["PERM-list-users"]
            on_result(Result(trial.case, findings=found, outcomes=NOT_TESTED))

    monkeypatch.setattr(without, "run_trials", run_trials)

    without.look(EXPIRY, whole)

    assert {trial.first for trial in run} == {frozenset({"PERM-list-users"})}
    assert [(trial.case.name, trial.options, trial.without) for trial in run] == [
        ("a-fault", (), "expiry"),
        ("needy", ("--intrusive",), "expiry"),
        ("flip-list-users-guest", (), "expiry"),
    ]
    said = {result.case.name: result.without.get("clock-and-key") for result in whole}
    assert said == {
        "a-fault": "yes",
        "needy": "needs clock and key",
        "flip-list-users-guest": "yes",
        "a-variant": None,
        "loaded": None,
    }


@pytest.mark.parametrize(
    ("lacking", "said", "is_enough"),
    [
        ("", Result(FAULT, findings=["PERM-list-users"]), True),
        ("", Result(FAULT, findings=["ISSUE-user", "PERM-list-users"]), False),
        ("", Result(FAULT), False),
        ("", Result(FAULT, harm=["a user is gone"]), True),
        ("", Result(FAULT, crash="it ended"), False),
        ("expiry", Result(FAULT, findings=["ISSUE-user"]), True),
        ("expiry", Result(FLIP, findings=["PERM-list-users"]), True),
        ("expiry", Result(FAULT), False),
    ],
)
def test_the_rest_is_run_where_the_first_part_is_not_enough(
    lacking: str,
    said: Result,
    is_enough: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole suite follows unless the tests that are run first have found the fault; with
    something lacking it is enough that anything did.
    """
    run: list[Trial] = []

    def run_suite(runs: Any, trial: Trial, place: Path) -> Result:
        run.append(trial)
        return said

    monkeypatch.setattr(running, "_run_suite", run_suite)
    trial = Trial(said.case, without=lacking, first=frozenset({"PERM-list-users"}))

    runs: Any = None  # no process is needed

    running._run(runs, trial, tmp_path)

    assert [bool(attempt.first) for attempt in run] == ([True] if is_enough else [True, False])


def test_a_table_is_left_out_alone() -> None:
    """A target file without one of its tables has all the others."""
    target = '[target]\na = "[b]"\n\n[api_keys]\nc = 1\n\n[expiry]\nd = 1\n\n[dialect]\ne = 1\n'

    assert running._lacking(target, "api_keys") == target.replace("[api_keys]\nc = 1\n\n", "")
    assert running._lacking(target, "dialect") == target.replace("[dialect]\ne = 1\n", "")
    assert running._lacking(target, "") == target


# --- The command -------------------------------------------------------------------------------


def test_an_unknown_fault_is_a_mistake(tmp_path: Path) -> None:
    """A name that is neither fault nor variant ends with exit code 2 and the nearest one that there
    is.
    """
    finished = rolecall("selftest", "--fault", "list-is-emtpy", cwd=tmp_path)

    assert finished.code == 2
    assert "'list-is-emtpy' is not a fault and not a variant" in finished.stderr
    assert "Did you mean 'list-is-empty'?" in finished.stderr
    assert "Traceback" not in finished.said


@pytest.mark.parametrize("name", [name for name in JUDGED if name.startswith("fault")])
def test_a_case_that_is_not_as_expected_fails_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 also for a fault that is found, and blamed on another requirement."""
    said, *_, as_expected = JUDGED[name]
    monkeypatch.setattr(catalogue, "cases", lambda: [FAULT])
    monkeypatch.setattr(running, "run_all", lambda cases, show, whole: [said])

    assert main(["selftest", "--quiet"]) == (0 if as_expected else 1)


@pytest.mark.parametrize("size", ["0", "-1"])
def test_a_sample_of_nothing_is_a_mistake(size: str, tmp_path: Path) -> None:
    """A sample without a case ends with exit code 2."""
    finished = rolecall("selftest", "--sample", size, cwd=tmp_path)

    assert finished.code == 2
    assert "at least one case must be run" in finished.stderr


@pytest.mark.long
def test_json_is_all_that_is_printed(tmp_path: Path) -> None:
    """``--json`` prints counts and cases and nothing else; a fault that is caught by its
    requirement is exit code 0.
    """
    # Longer than 40 lines because it looks at all that one run left.
    words = (
        "--fault",
        "list-is-empty",
        "--without",
        "api-keys",
        "--without",
        "clock-and-key",
        "--json",
        "--write",
        "table.md",
    )

    finished = rolecall("selftest", *words, cwd=tmp_path)

    assert finished.code == 0, finished.said
    document = json.loads(finished.stdout)
    assert (
        document["counts"]["faults"]
        == document["counts"]["caught"]
        == document["counts"]["localised"]
        == 1
    )
    (case,) = document["cases"]
    assert case["case"]["name"] == "list-is-empty"
    assert case["findings"][0] == case["case"]["planted"] == "PERM-list-organizations"
    assert case["as_expected"] is True
    assert case["without"] == {"api-keys": "yes", "clock-and-key": "yes"}
    assert case["seconds"] > 0
    assert case["requests"] < 1000  # a part of the suite, which was enough
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table == kill_table.write(document["cases"], document["counts"])
    assert (
        "| list-is-empty | Every list is answered 200 with nothing in it. | - | "
        "PERM-list-organizations | PERM-list-organizations | yes | yes | yes |" in table
    )
    assert (
        "Without API keys: 1 of 1 still caught, 0 missed for want of that, 0 for another reason."
        in table
    )
    assert "1 of 1 faults caught, 1 localised, 0 silent" in table


def test_a_case_that_breaks_is_no_success(tmp_path: Path) -> None:
    """When a case's server does not even start, that is a crash in the table, and exit code 1 long
    before it is given up.
    """
    began = time.monotonic()

    finished = rolecall(
        "selftest",
        "--fault",
        "baseline",
        "--fault",
        "list-is-empty",
        cwd=tmp_path,
        env={"ROLECALL_SIGNING_KEY": "short"},
    )

    assert finished.code == 1, finished.said
    assert "!! baseline" in finished.stdout
    assert "!! list-is-empty" in finished.stdout
    assert "2 crashes" in finished.stdout
    assert time.monotonic() - began < running._TIMEOUT / 2


# --- The kill table ----------------------------------------------------------------------------


class Row:
    """A row of the kill table: a fault has ``planted`` and ``first``, others a verdict."""

    def __init__(self, line: str) -> None:
        name, description, *middle, as_expected = (
            part.strip() for part in line.strip().strip("|").split(" | ")
        )
        self.name, self.description, self.as_expected = name, description, as_expected
        self.without: list[str]
        self.report, self.planted, self.first, *self.without = (
            middle if len(middle) >= 3 else ("", "", "")
        )
        self.verdict = middle[0] if len(middle) == 1 else ""


@pytest.fixture(scope="module")
def page() -> str:
    """The kill table."""
    if not PAGE.exists():
        pytest.fail("docs/kill-table.md is missing: make selftest")
    return PAGE.read_text(encoding="utf-8")


def lines_of(text: str, heading: str = "") -> list[str]:
    """The rows of the page's tables: of the one below a heading, or of all about cases."""
    before, _, after = text.partition("\n## Requirements\n")
    part = after if heading == "Requirements" else before
    return [
        line
        for line in part.splitlines()
        if line.startswith("| ") and not line.startswith(("| case |", "| requirement |"))
    ]


@pytest.fixture(scope="module")
def rows(page: str) -> dict[str, Row]:
    """The kill table's rows by the name of the case."""
    return {row.name: row for row in map(Row, lines_of(page))}


def test_the_kill_table_is_complete(rows: dict[str, Row], cases: list[Case]) -> None:
    """Every fault and every variant has a row, and no row is left of one that is gone."""
    expected = {case.name for case in cases} - {"baseline"}

    assert set() == set(rows) - expected, (
        f"there is no such case any more: delete the row, or {UPDATE}"
    )
    assert set() == expected - set(rows), f"not in docs/kill-table.md yet: {UPDATE}"


def test_the_kill_table_is_not_stale(rows: dict[str, Row], cases: list[Case]) -> None:
    """Each row tells of its case what the server tells today: what it does and which requirement it
    breaks.
    """
    for case in (case for case in cases if case.name in rows):
        row = rows[case.name]
        assert row.description == case.description
        assert row.planted == (case.planted if case.kind in ("fault", "flip") else "")


def test_the_kill_table_shows_no_no(rows: dict[str, Row]) -> None:
    """Every case was as expected: each fault found first by its own requirement, nobody else
    blamed.
    """
    assert [row.name for row in rows.values() if row.as_expected != "yes"] == []
    assert [row.name for row in rows.values() if row.planted != row.first] == []


def test_the_kill_table_says_what_is_seen_with_less(
    rows: dict[str, Row], cases: list[Case]
) -> None:
    """Each fault that the suite sees is caught without API keys, and without clock and key, or what
    is missing explains it.
    """
    for case in cases:
        if case.kind in ("fault", "flip") and case.name in rows:
            said = rows[case.name].without
            assert len(said) == len(LACKS), f"{case.name}: {UPDATE}"
            assert all(
                words == "-" if case.load else without.is_explained(words) for words in said
            ), f"{case.name}: {said}"


def test_the_kill_tables_counts_are_its_rows(page: str, rows: dict[str, Row]) -> None:
    """The first sentence counts the rows: every fault caught, none silent, no false alarm."""
    faults = sum(bool(row.planted) for row in rows.values())
    summary = re.search(r"^\d+ of \d+ faults caught.*$", page, re.MULTILINE)

    assert summary is not None
    assert summary[0].startswith(
        f"{faults} of {faults} faults caught, {faults} localised, 0 silent; 0 false alarms on "
    )
    assert " 0 wrong accusations on " in summary[0]
    assert summary[0].endswith(" 0 crashes, 0 servers harmed.")


def test_every_deciding_requirement_is_tripped(page: str, rows: dict[str, Row]) -> None:
    """Each must or derived requirement is tripped by at least one fault of the kill table."""
    tripped = dict(line.strip("| ").split(" | ") for line in lines_of(page, "Requirements"))

    assert [
        id for id, entry in SPEC.requirements.items() if entry.decides and id not in tripped
    ] == []
    assert [id for id, names in tripped.items() if not set(names.split(", ")) <= set(rows)] == []


def test_the_kill_table_says_who_tripped_what() -> None:
    """A requirement's row has the faults that were planted for it before those that tripped it in
    passing.
    """
    other = Case("another-fault", "fault", "PERM-list-forms")
    results = [
        result(other, "PERM-list-forms", "PERM-list-users"),
        result(FAULT, "PERM-list-users"),
        result(LEGAL, "X"),
    ]

    table = kill_table.write([said.document() for said in results], running.tally(results))

    assert "| PERM-list-forms | another-fault |" in table
    assert "| PERM-list-users | a-fault, another-fault |" in table
    assert "| X |" not in table


def test_a_narrow_terminal_has_the_line_of_a_case_without_what_was_planted() -> None:
    """In 80 columns a case has one line; where the first finding is another, what was planted is
    below it.
    """
    found = Result(FAULT, findings=["PERM-list-users"]).document()
    missed = Result(FAULT, findings=["ISSUE-user"]).document()

    assert len(kill_table.header(80)) <= 80 < len(kill_table.header(None))
    assert len(kill_table.line(found, 80)) <= 80
    first, below, *_ = kill_table.line(missed, 80).splitlines()
    assert "ISSUE-user" in first
    assert below.strip() == "planted: PERM-list-users"
