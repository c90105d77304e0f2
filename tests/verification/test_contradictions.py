"""Runs whose evidence, or what they say of themselves, contradicts the verdict that was sealed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.certified_runs import NAME, MadeRun, checked, made_run
from tests.verification.test_tampering import WAIVER, waive_without_a_waiver


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
    waive_without_a_waiver(run)
    run.results["waivers"] = [{**WAIVER, "failures": ["test_of_something_else"]}]


def _waive_too_late(run: MadeRun) -> None:
    waive_without_a_waiver(run)
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
    ],
    ids=lambda value: value.__name__[1:] if callable(value) else "",
)
def test_what_contradicts_the_verdict_is_noticed(
    tamper: Callable[[MadeRun], None], said: str
) -> None:
    """A seal is no proof: a run that was called good is found out by its own exchanges, and by what
    it says of its day, its target, its waivers and its suite.
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
