"""Runs that were tampered with before they were sealed: tables and evidence find them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rolecall.report.certificate import CERTIFICATE
from tests.support.certified_runs import (
    MadeRun,
    bytes_of,
    checked,
    key_pair,
    made_run,
    resealed,
    statement_of,
)

WAIVER = {
    "requirement": "EXPIRY-403",
    "cell": "",
    "reason": "known",
    "owner": "",
    "link": "",
    "line": 1,
    "until": "2027-01-01",
    "first_seen": None,
    "last_seen": None,
    "state": "live",
    "failures": ["test_it"],
}


def _drop_a_cell(run: MadeRun) -> None:
    run.results["cells"].remove(run.cell("list-users guest token"))


def _double_a_cell(run: MadeRun) -> None:
    run.results["cells"].append(run.cell("list-users guest token"))


def _turn_a_cell_round(run: MadeRun) -> None:
    run.cell("list-users guest token")["expected"] = "allow"


def _leave_a_cell_untested(run: MadeRun) -> None:
    run.cell("list-users guest token")["outcome"] = "not-tested"


def _drop_a_cells_test(run: MadeRun) -> None:
    tests = run.requirement("PERM-list-users")["tests"]
    tests.remove(next(test for test in tests if "guest-token" in test["name"]))


def _change_a_cells_status(run: MadeRun) -> None:
    run.cell("list-users guest token")["status"] = 404


def _drop_a_requirement(run: MadeRun) -> None:
    run.results["requirements"].remove(run.requirement("EXPIRY-403"))


def _make_a_requirement_advice(run: MadeRun) -> None:
    run.requirement("EXPIRY-403")["level"] = "hardening"


def _leave_expiry_untested(run: MadeRun) -> None:
    entry = run.requirement("EXPIRY-403")
    entry["outcome"] = entry["tests"][0]["outcome"] = "not-tested"


def _call_a_failure_passed(run: MadeRun) -> None:
    run.requirement("EXPIRY-403")["tests"].append(
        {**run.requirement("EXPIRY-403")["tests"][0], "outcome": "failed"}
    )


def _keep_a_finding(run: MadeRun) -> None:
    run.results["findings"].append(
        {
            "requirement": "EXPIRY-403",
            "level": "must",
            "clause": "",
            "statement": "",
            "test": "test_it",
            "cell": None,
            "expected": "",
            "actual": "",
            "exchange": None,
            "curl": None,
        }
    )


def _count_otherwise(run: MadeRun) -> None:
    run.results["counts"]["tests"]["passed"] += 1


def waive_without_a_waiver(run: MadeRun) -> None:
    """Call a requirement waived."""
    entry = run.requirement("EXPIRY-403")
    entry["outcome"] = entry["tests"][0]["outcome"] = "waived"


def _drop_an_exchange(run: MadeRun) -> None:
    run.evidence["log"]["entries"].pop()


def _add_an_exchange(run: MadeRun) -> None:
    entry = run.evidence["log"]["entries"][0]
    number = len(run.evidence["log"]["entries"]) + 1
    run.evidence["log"]["entries"].append({**entry, "_number": number})


def _double_an_exchange(run: MadeRun) -> None:
    entries = run.evidence["log"]["entries"]
    entries[1] = {**entries[1], "_number": 1}


def _cite_nothing(run: MadeRun) -> None:
    run.requirement("EXPIRY-403")["tests"][0]["exchanges"] = []


def _leave_out_what_was_answered(run: MadeRun) -> None:
    run.evidence["log"]["entries"][0]["response"] = None


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_drop_a_cell, "1 of 376 cells are missing in results.json (list-users-guest-token)"),
        (_double_a_cell, "a cell more than once: list-users-guest-token"),
        (_turn_a_cell_round, "expects otherwise than the table of list-users-guest-token"),
        (_leave_a_cell_untested, "not every cell is proven: list-users-guest-token"),
        (_drop_a_cells_test, "came to the outcome of list-users-guest-token"),
        (_change_a_cells_status, "another status in results.json than their answer"),
        (_drop_a_requirement, "are missing in results.json (EXPIRY-403)"),
        (_make_a_requirement_advice, "the level of EXPIRY-403 is not the table's"),
        (_leave_expiry_untested, "decides the verdict is proven: EXPIRY-403"),
        (_call_a_failure_passed, "decides the verdict is proven: EXPIRY-403"),
        (_keep_a_finding, "holds findings: EXPIRY-403"),
        (_count_otherwise, "the counts of tests"),
        (waive_without_a_waiver, "EXPIRY-403 is waived, and no waiver is given"),
        (_drop_an_exchange, "which evidence.har does not hold"),
        (_add_an_exchange, "holds 998 exchanges and results.json counts 997"),
        (_double_an_exchange, "two exchanges of one number"),
        (_cite_nothing, "came to an outcome without any exchange"),
        (_leave_out_what_was_answered, "not an archive of numbered exchanges"),
    ],
    ids=lambda value: value.__name__[1:] if callable(value) else "",
)
def test_what_was_changed_before_it_was_sealed_is_noticed(
    tamper: Callable[[MadeRun], None], said: str
) -> None:
    """A seal is no proof: whoever seals a run in which something is missing or invented is found
    out by the tables and by the evidence.
    """
    run = made_run()
    tamper(run)
    faults = checked(run.files()).faults

    assert any(said in fault for fault in faults), faults


def test_what_a_target_lacks_is_excused() -> None:
    """Cells of API keys that the target does not have, and requirements that need something, may
    be untested; the certificate lists them.
    """
    run = made_run()
    keys = [cell for cell in run.results["cells"] if cell["credential"] == "api-key"]
    for cell in keys:
        cell["outcome"], cell["reason"], cell["status"] = "not-tested", "no API keys", None
    for entry in run.results["requirements"]:
        for test in entry["tests"]:
            if "api-key]" in test["name"]:
                test["outcome"], test["exchanges"], test["evidence"] = "not-tested", [], {}
    count(run)
    found = checked(run.files())

    assert [] == found.faults
    assert found.statement is not None
    assert 188 == len(found.statement["predicate"]["rolecall"]["not_covered"])


def test_a_waiver_is_a_warning_and_stands_on_the_certificate() -> None:
    """A run with a waiver in force is certified with the result WARNED, the waiver, and what it
    covers.
    """
    run = made_run(waivers=[WAIVER])
    waive_without_a_waiver(run)
    count(run)
    found = checked(run.files())

    assert [] == found.faults
    assert found.statement is not None
    assert "WARNED" == found.statement["predicate"]["result"]
    assert ["EXPIRY-403"] == found.statement["predicate"]["warnedTests"]
    assert [WAIVER] == found.statement["predicate"]["rolecall"]["waivers"]


def count(run: MadeRun) -> None:
    """Make the counts those of what is listed."""
    listed = {
        "cells": run.results["cells"],
        "requirements": run.results["requirements"],
        "tests": [test for entry in run.results["requirements"] for test in entry["tests"]],
    }
    for what, entries in listed.items():
        tally = run.results["counts"][what]
        for outcome in tally:
            tally[outcome] = sum(entry["outcome"] == outcome for entry in entries)


def test_other_tables_leave_it_open() -> None:
    """Whether a run of other tables is complete cannot be known here: neither valid nor invalid."""
    run = made_run()
    other = f"sha256:{'0' * 64}"
    run.results["suite"] |= {"requirements": other, "package": other, "version": "9.9"}
    found = checked(run.files())

    (reason,) = found.open
    assert [] == found.faults
    assert "requirements.toml of the run are not those of this Rolecall" in reason
    assert reason.endswith("verify it with rolecall 9.9")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "inconclusive", "exit_code": 3}, "this one is inconclusive, exit code 3"),
        ({"exit_code": 7}, "this one is conformant, exit code 7"),
        ({"selected": True}, "of a selected part"),
        ({"read_only": True}, "read-only"),
    ],
    ids=["inconclusive", "left-behind", "selected", "read-only"],
)
def test_what_is_not_certified_says_why(change: dict[str, Any], said: str) -> None:
    """A run that is not whole and conformant gets no certificate, and a check says why not."""
    files = made_run(**change).files(key_pair()[0])
    (fault,) = checked(files).faults

    assert CERTIFICATE not in files
    assert said in fault


@pytest.mark.parametrize("member", ["package", "kill_table", "operations", "readings"])
def test_results_that_do_not_name_their_suite_are_a_fault(member: str) -> None:
    """What earlier versions left out of results.json, and a certificate has to say, is missed."""
    run = made_run()
    statement = statement_of(run.files())
    del run.results["suite"][member]
    (fault,) = checked(resealed(bytes_of(run.texts()), statement)).faults

    assert "does not say which suite it is of" in fault
