"""Runs that were tampered with before they were sealed: tables and evidence find them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rolecall.report.certificate import CERTIFICATE
from tests.support.certified_runs import (
    NAME,
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


def _waive_without_a_waiver(run: MadeRun) -> None:
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


def _answer_otherwise(run: MadeRun) -> None:
    run.exchange("list-users guest token")["response"]["status"] = 200
    run.cell("list-users guest token")["status"] = 200


def _refuse_what_is_allowed(run: MadeRun) -> None:
    run.exchange("list-users admin token")["response"]["status"] = 403
    run.cell("list-users admin token")["status"] = 403


def _name_no_answer(run: MadeRun) -> None:
    for test in run.requirement("PERM-list-users")["tests"]:
        test["evidence"] = {}


def _answer_somebody_else(run: MadeRun) -> None:
    run.exchange("list-users guest token")["_caller"] = "agent (token)"


def _answer_something_else(run: MadeRun) -> None:
    run.exchange("list-users guest token")["request"]["method"] = "POST"


def _fail_the_control(run: MadeRun) -> None:
    run.exchange("list-users guest token", "control")["response"]["status"] = 500


def _let_the_credential_die(run: MadeRun) -> None:
    run.exchange("list-users guest token", "alive")["response"]["status"] = 401


def _look_too_early(run: MadeRun) -> None:
    run.exchange("create-contact guest token", "observation")["_started"] = 0.0


def _show_what_was_refused(run: MadeRun) -> None:
    content = run.exchange("create-contact guest token", "observation")["response"]["content"]
    content["text"] = f'[{{"name":"{NAME}"}}]'


def _delete_what_was_refused(run: MadeRun) -> None:
    run.exchange("delete-contact guest token", "observation")["response"]["status"] = 404


def _show_nothing_that_was_made(run: MadeRun) -> None:
    content = run.exchange("create-contact admin token", "observation")["response"]["content"]
    content["text"] = "[]"


def _show_nothing_that_is_there(run: MadeRun) -> None:
    run.exchange("list-users admin token")["response"]["content"]["text"] = "[]"


def _call_a_cell_not_applicable(run: MadeRun) -> None:
    cell = run.cell("list-users guest token")
    cell["outcome"] = "not-applicable"
    tests = run.requirement("PERM-list-users")["tests"]
    next(t for t in tests if t["name"] == cell["test"])["outcome"] = "not-applicable"


def _drop_a_test(run: MadeRun) -> None:
    run.evidence["log"]["entries"][0]["_test"] = "test_time.py::test_another[guest]"


def _number_otherwise(run: MadeRun) -> None:
    run.evidence["log"]["entries"][5]["_number"] = 5_000


def _move_the_day(run: MadeRun) -> None:
    run.results["started"] = run.results["finished"] = "2027-06-01T00:00:00.000Z"


def _end_before_the_beginning(run: MadeRun) -> None:
    run.results["finished"] = "2026-01-01T00:00:00.000Z"


def _name_another_target(run: MadeRun) -> None:
    run.results["target"]["base_url"] = "https://production.example"


def _replay_nothing(run: MadeRun) -> None:
    run.replay = {}


def _grade_expiry_higher(run: MadeRun) -> None:
    run.results["expiry_evidence"] = "A"


def _leave_things_behind(run: MadeRun) -> None:
    run.results["left_behind"].append("user 1")


def _claim_another_strength(run: MadeRun) -> None:
    run.results["suite"]["kill_table"] = {**run.results["suite"]["kill_table"], "faults": 9_999}


def _claim_more_than_all(run: MadeRun) -> None:
    suite = run.results["suite"]
    suite["package"] = f"sha256:{'0' * 64}"
    suite["kill_table"] = {**suite["kill_table"], "caught": 9_999, "faults": 1}


def _waive_by_another_waiver(run: MadeRun) -> None:
    _waive_without_a_waiver(run)
    run.results["waivers"] = [{**WAIVER, "failures": ["test_of_something_else"]}]


def _waive_too_late(run: MadeRun) -> None:
    _waive_without_a_waiver(run)
    run.results["waivers"] = [{**WAIVER, "until": "2026-01-31"}]


def _keep_a_stale_waiver(run: MadeRun) -> None:
    run.results["waivers"] = [{**WAIVER, "state": "stale", "failures": []}]


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_answer_otherwise, "it is denied, and was answered 200"),
        (_refuse_what_is_allowed, "it is allowed, and was answered 403"),
        (_name_no_answer, "no exchange that is its answer) and of 7 more"),
        (_answer_somebody_else, "answer is that to another caller"),
        (_answer_something_else, "answer is that to another operation"),
        (_fail_the_control, "control did not succeed"),
        (_let_the_credential_die, "was not seen to be alive"),
        (_look_too_early, "the thing was looked at before its answer came"),
        (_show_what_was_refused, "it is denied, and was done all the same"),
        (_delete_what_was_refused, "what was to be deleted is gone"),
        (_show_nothing_that_was_made, "does not show what it wrote"),
        (_show_nothing_that_is_there, "does not show the thing"),
        (_call_a_cell_not_applicable, "so none is not applicable"),
        (_drop_a_test, "no outcome of tests that evidence.har has (test_another[guest])"),
        (_number_otherwise, "are not numbered from 1 to 997"),
        (_move_the_day, "another day for the run than its id, replay.json, evidence.har"),
        (_end_before_the_beginning, "an end of the run before its beginning"),
        (_name_another_target, "replay.json is of another target"),
        (_replay_nothing, "replay.json is of another target"),
        (_grade_expiry_higher, "grade A, and the run had no bank"),
        (_leave_things_behind, "names things left on the target"),
        (_claim_another_strength, "names the suite that checks it, and another version or other"),
        (_claim_more_than_all, "figures of known faults in results.json cannot be"),
        (_waive_by_another_waiver, "no waiver in force covers what is waived (test_it)"),
        (_waive_too_late, "a waiver that is stale or has expired (EXPIRY-403)"),
        (_keep_a_stale_waiver, "a waiver that is stale or has expired (EXPIRY-403)"),
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
        (_waive_without_a_waiver, "EXPIRY-403 is waived, and no waiver is given"),
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


def test_an_id_with_escapes_is_an_id() -> None:
    """A body that writes an id with the escapes of JSON shows it all the same."""
    run = made_run()
    cell, content = (
        run.cell("list-users admin token"),
        run.exchange("list-users admin token")["response"]["content"],
    )
    cell["subject"]["thing"] = 'a/b"\u00fc'
    content["text"] = r'[{"id":"a\/b\"\u00fc"}]'

    assert checked(run.files()).faults == []


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
    _waive_without_a_waiver(run)
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
