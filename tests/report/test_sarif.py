"""``results.sarif``: valid, stable over runs, and never silent about what was not decided."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rolecall.report import sarif
from tests.report.test_causes import finding
from tests.support.published_schemas import sarif_errors
from tests.support.results import requirement, results

URL = "https://staging.example.org/v2/users?limit=2"


def entry(number: int, **more: Any) -> dict[str, Any]:
    """An exchange as evidence.har has it."""
    return {
        "_number": number,
        "request": {
            "method": "POST",
            "url": URL,
            "httpVersion": "HTTP/1.1",
            "headers": [{"name": "accept", "value": "a"}, {"name": "accept", "value": "b"}],
            "postData": {"mimeType": "application/json", "text": "{}"},
        },
        "response": {
            "status": 401,
            "httpVersion": "HTTP/1.1",
            "headers": [],
            "content": {"size": 5, "mimeType": "text/plain", "text": "no" * 5000},
        },
        **more,
    }


def written(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The only run of the file, checked against the schema."""
    text = sarif.write(results(**more), {"log": {"entries": list(entries)}})
    assert sarif_errors(text) == []
    (run,) = json.loads(text)["runs"]
    found: dict[str, Any] = run
    return found


def expiry(*outcomes: str) -> dict[str, Any]:
    """The requirement of `finding`, with a test for each outcome."""
    tests = {f"test_it[op-{number}]": outcome for number, outcome in enumerate(outcomes)}
    return requirement("EXPIRY-403", "failed", tests)


def test_a_cause_is_one_result_with_its_exchange() -> None:
    """Two failed tests of one cause are one result, with the request and the answer that show it,
    in bounds.
    """
    run = written(
        entry(987),
        verdict="not-conformant",
        exit_code=1,
        requirements=[expiry("failed", "failed", "passed")],
        findings=[finding("test_it[op-0]"), finding("test_it[op-1]")],
    )

    (result,) = run["results"]
    assert (result["ruleId"], result["kind"], result["level"]) == ("EXPIRY-403", "fail", "error")
    assert "401 instead of 403, 2 of 3 tests" in result["message"]["text"]
    assert result["occurrenceCount"] == 2
    (location,) = result["locations"]
    assert [place["name"] for place in location["logicalLocations"]] == ["op-0", "op-1"]
    uri = location["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "https://staging.example.org/v2/users"
    assert result["webRequest"]["headers"] == {"accept": "a, b"}
    assert result["webResponse"]["statusCode"] == 401
    assert len(result["webResponse"]["body"]["text"]) < 4100
    assert run["invocations"][0]["executionSuccessful"]


def fingerprints(*findings: dict[str, Any]) -> list[str]:
    """Those of the results of a run with these findings."""
    run = written(requirements=[expiry("failed")], findings=list(findings))
    return [result["partialFingerprints"]["rolecallCause/v2"] for result in run["results"]]


@pytest.mark.parametrize(
    "more",
    [
        {"exchange": 12, "curl": None},
        {"actual": "400"},
        {"expected": "404 or 403 once the token has expired"},
    ],
    ids=["exchange", "another refusal", "statuses of a dialect"],
)
def test_a_fingerprint_is_of_the_cause_and_not_of_the_run(more: dict[str, Any]) -> None:
    """Another exchange, another status of the same kind and another number leave it as it was."""
    assert fingerprints(finding("test_it", **more)) == fingerprints(finding("test_it"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("500: a server error is no denial", "503: a server error is no denial"),
        ("200 with form 5f1b0c2d3e4f5a6b7c8d9e0f in it", "201 with form 0f9e8d7c6b5a4f3e in it"),
        (
            "GET /v2/users as guest (token) -> 200 (exchange 7)",
            "GET /v2/x as a (token) -> 204 (exchange 9)",
        ),
        ("a lifetime of 3600 s", "a lifetime of 86,401 s"),
    ],
)
def test_answers_of_one_kind_have_one_fingerprint(one: str, other: str) -> None:
    """Statuses, ids, paths and numbers are no part of it."""
    assert fingerprints(finding("a", actual=one)) == fingerprints(finding("a", actual=other))


@pytest.mark.parametrize(
    "more",
    [{"actual": "200: it was allowed"}, {"actual": "500"}, {"expected": "200: guest may"}],
)
def test_another_kind_of_answer_is_another_alert(more: dict[str, Any]) -> None:
    """Let in, refused and broken are different causes, and so is what was to be let in."""
    assert fingerprints(finding("test_it", **more)) != fingerprints(finding("test_it"))


def test_no_two_results_have_one_fingerprint() -> None:
    """A requirement that is broken by two refusals has two alerts."""
    found = fingerprints(finding("a"), finding("b", actual="404"), finding("c", actual="500"))

    assert len(set(found)) == 3


def test_every_rule_is_there_also_where_it_was_kept() -> None:
    """A requirement that passed is a rule without a result."""
    run = written()

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["PERM-list-users"]
    assert run["results"] == []


@pytest.mark.parametrize("outcome", ["inconclusive", "error"])
def test_what_was_not_decided_is_open(outcome: str) -> None:
    """An undecided requirement is a result of kind open, which is neither pass nor fail."""
    run = written(
        verdict="inconclusive",
        exit_code=6,
        reasons=["1 requirement could not be decided"],
        requirements=[requirement("ISSUE-status", outcome, reason="missing: an answer")],
    )

    (result,) = run["results"]
    assert (result["kind"], result["level"]) == ("open", "none")
    assert result["message"]["text"].endswith("could not be decided: missing: an answer")
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert invocation["toolExecutionNotifications"][0]["level"] == "warning"


def test_advice_is_a_note() -> None:
    """Hardening that failed decides nothing, and is no error."""
    hint = finding("test_it", requirement="SEC-H10", level="hardening")
    run = written(requirements=[requirement("SEC-H10", "failed", level="hardening")], advice=[hint])

    assert [result["level"] for result in run["results"]] == ["note"]


def test_any_address_is_a_uri() -> None:
    """A URL with blanks, letters beyond ASCII and quotation marks is one that the schema takes."""
    strange = entry(987)
    strange["request"]["url"] = 'http://t/v2/ü "x"\ud800?a=b#c'
    run = written(strange, requirements=[expiry("failed")], findings=[finding("test_it[op-0]")])

    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "http://t/v2/%C3%BC%20%22x%22%3F"
