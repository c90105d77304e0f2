"""Mutations of the suite: the catalogue is complete, the arithmetic right, the page fresh."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rolecall.report import mutation_table
from rolecall.selftest import cases as all_cases
from rolecall.selftest import mutation_run
from rolecall.selftest.cases import Case
from rolecall.selftest.mutation import Mutation, Sight, function, nothing
from rolecall.selftest.mutations import catalogue
from rolecall.selftest.trials import Result
from rolecall.spec.loading import load_specification
from tests.support.command import rolecall
from tests.support.servers import ROOT

SPEC = load_specification()
PAGE = ROOT / "docs" / "mutations.md"
FAULT = Case("a-fault", "fault", "PERM-list-users")
PROBE = Case("a-probe", "probe", switches=("--fault", "list-is-empty"))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """All cases of the self-test."""
    return all_cases.cases()


# --- The catalogue -----------------------------------------------------------------------------


def test_every_deciding_requirement_has_a_mutation() -> None:
    """For each requirement that decides there is a mutation that lets its tests pass, whatever they
    find.
    """
    broken = {mutation.requirement for mutation in catalogue().values() if mutation.requirement}

    assert broken == {id for id, entry in SPEC.requirements.items() if entry.decides}


@pytest.mark.parametrize("name", catalogue())
def test_a_mutation_can_be_seen(name: str, cases: list[Case]) -> None:
    """Each mutation says what it breaks, and names servers that the self-test knows, each once."""
    mutation, known = catalogue()[name], {case.name for case in cases}

    assert mutation.name == name
    assert re.fullmatch(r"[A-Z].+\.", mutation.breaks)
    sights = mutation_run.sights_of(mutation, cases)
    servers = [
        sight.server if isinstance(sight.server, str) else sight.server.name for sight in sights
    ]
    assert len(set(servers)) == len(servers) > 0
    assert [server for server in servers if server not in known] == [
        sight.server.name for sight in sights if isinstance(sight.server, Case)
    ]
    for sight in sights:
        assert sight.expects or isinstance(sight.server, str), "a probe says what is expected of it"


def test_a_probe_is_several_switches() -> None:
    """A probe's server has all its switches; one without any is the reference server as it is."""
    assert PROBE.options == ["--fault", "list-is-empty"]
    assert Case("plain", "probe").options == []


def test_a_function_is_replaced_wherever_it_was_imported_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What modules have imported by name is replaced there as well; otherwise a mutation would
    break nothing.
    """
    from rolecall.toolkit import expectations, token_judge

    for module in (expectations, token_judge):
        # put back when the test is over
        monkeypatch.setattr(module, "expect_no_more_than", expectations.expect_no_more_than)
    function(expectations.expect_no_more_than, nothing)()

    assert expectations.expect_no_more_than is nothing
    assert vars(token_judge)["expect_no_more_than"] is nothing


# --- Arithmetic --------------------------------------------------------------------------------


def said(case: Case = FAULT, *findings: str, **more: Any) -> Result:
    """What the suite said of a case."""
    return Result(
        case, "not-conformant" if findings else "inconclusive", findings=list(findings), **more
    )


#: A sight, what was said of it, and whether that is as it should be.
SEEN: dict[str, tuple[Sight, Result, bool]] = {
    "fault-found": (Sight("a-fault"), said(FAULT, "PERM-list-users"), True),
    "fault-not-found": (Sight("a-fault"), said(), False),
    "fault-taken-for-another": (Sight("a-fault"), said(FAULT, "PERM-list-forms"), False),
    "fault-crashed": (Sight("a-fault"), said(FAULT, "PERM-list-users", crash="it broke"), False),
    "innocent-left-alone": (Sight("baseline"), said(Case("baseline", "baseline")), True),
    "innocent-blamed": (
        Sight("baseline"),
        said(Case("baseline", "baseline"), "PERM-list-users"),
        False,
    ),
    "innocent-undecided": (
        Sight("baseline"),
        said(Case("baseline", "baseline"), undecided=["PERM-list-users"]),
        False,
    ),
    "probe-undecided": (
        Sight(PROBE, "", (("X", "inconclusive"),)),
        said(PROBE, outcomes={"X": "inconclusive"}),
        True,
    ),
    "probe-passed": (
        Sight(PROBE, "", (("X", "inconclusive"),)),
        said(PROBE, outcomes={"X": "passed"}),
        False,
    ),
    "probe-not-run": (Sight(PROBE, "", (("X", "inconclusive"),)), said(PROBE), False),
    "probe-verdict": (Sight(PROBE, "", (("verdict", "inconclusive"),)), said(PROBE), True),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_is_as_expected(name: str) -> None:
    """A fault must be found by its requirement, an innocent left alone, and a probe left open."""
    sight, result, right = SEEN[name]

    assert sight.is_as_expected(result) is right


@pytest.mark.parametrize(
    ("without", "with_it", "dead"),
    [
        (said(FAULT, "PERM-list-users"), said(), True),
        (said(FAULT, "PERM-list-users"), said(FAULT, "PERM-list-users"), False),
        (said(), said(), False),
    ],
    ids=["seen", "survived", "not-as-expected-anyway"],
)
def test_a_mutation_is_killed_by_what_it_changes(
    without: Result, with_it: Result, dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutation is killed where a case that is as expected without it is not with it; and nowhere
    else.
    """
    mutation = Mutation("break-it", "It breaks.", lambda: None, (Sight("a-fault"),))
    results = iter([[without], [with_it]])

    def run_trials(trials: Any, on_result: Any = lambda result: None) -> list[Result]:
        found = next(results)
        for trial, result in zip(trials, found, strict=True):
            result.mutation = trial.mutation
            on_result(result)
        return found

    monkeypatch.setattr(mutation_run, "run_trials", run_trials)
    monkeypatch.setattr(mutation_run, "catalogue", lambda: {"break-it": mutation})

    (killed,) = mutation_run.run([mutation], [FAULT])

    assert killed.is_dead is dead
    assert killed.looked_at == ("a-fault",)
    assert killed.document()["killed"] is dead
    assert mutation_table.line(killed.document()).startswith("ok" if dead else "!!")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_sample_is_spread_and_repeatable(size: int) -> None:
    """A sample is ``size`` different mutations, or all there are, the same every time."""
    chosen = [mutation.name for mutation in mutation_run.sample(size)]

    assert chosen == [mutation.name for mutation in mutation_run.sample(size)]
    assert len(chosen) == len(set(chosen)) == min(size, len(catalogue()))


# --- The command -------------------------------------------------------------------------------


def test_an_unknown_mutation_is_a_mistake(tmp_path: Any) -> None:
    """An unknown mutation ends with exit code 2 and the nearest one that there is; faults are no
    mutations.
    """
    finished = rolecall("selftest", "--mutation", "controls-skiped", cwd=tmp_path)
    mixed = rolecall("selftest", "--mutations", "--fault", "list-is-empty", cwd=tmp_path)

    assert (finished.code, mixed.code) == (2, 2)
    assert "Did you mean 'controls-skipped'?" in finished.stderr
    assert "without --mutations" in mixed.stderr


def test_a_broken_check_is_noticed(tmp_path: Any) -> None:
    """A run of the command breaks a check in a process of its own, and the server that shows it is
    named; exit code 0.
    """
    finished = rolecall(
        "selftest",
        "--mutation",
        "any-refusal-will-do",
        "--json",
        "--write",
        "table.md",
        cwd=tmp_path,
    )

    assert finished.code == 0, finished.said
    (row,) = json.loads(finished.stdout)["mutations"]
    assert (row["name"], row["seen_at"], row["spoiled"], row["killed"]) == (
        "any-refusal-will-do",
        ["denied-404"],
        [],
        True,
    )
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == mutation_table.write([row])


@pytest.mark.long
def test_a_sample_of_mutations_is_killed(tmp_path: Any) -> None:
    """Every so many mutations, spread over all of them, are seen by the self-test."""
    finished = rolecall("selftest", "--mutations", "--sample", "12", cwd=tmp_path)

    assert finished.code == 0, finished.said
    assert "12 of 12 mutations of the suite killed, 0 survived." in finished.stdout


# --- The page ----------------------------------------------------------------------------------


def test_the_page_is_complete_and_shows_no_no() -> None:
    """docs/mutations.md has a row for each mutation there is, none of another, and each of them was
    killed.
    """
    lines = [
        line.strip("| ").split(" | ")
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    rows = {row[0]: row for row in lines if row[0] not in ("mutation", "requirement")}

    expected = {mutation.requirement or name: name for name, mutation in catalogue().items()}
    missing = [name for row, name in expected.items() if row not in rows]

    assert set() == set(rows) - set(expected), "there is no such mutation any more: delete the row"
    assert [] == missing, (
        "not in docs/mutations.md yet: run `rolecall selftest --mutation NAME --update "
        "docs/mutations.md`"
    )
    assert [name for name, row in rows.items() if row[-1] != "yes"] == []
    for name, mutation in catalogue().items():
        assert mutation.requirement or rows[name][1] == mutation.breaks
