"""Findings by cause: which belong together, and what stands for them."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report.causes import Cause, advice, causes, short_name

SHOWN = {
    "requirement": "EXPIRY-403",
    "level": "must",
    "clause": "Time-based Tokens",
    "step": "",
    "statement": "An expired token is answered 403.",
    "cell": None,
    "expected": "403 once the token has expired (clock, evidence grade A-)",
    "actual": "401, as RFC 6750 has it",
    "exchange": 987,
    "curl": 'curl -i -H "Authorization: Bearer $TOKEN" http://target.example/v2/users',
}


def finding(test: str, **more: Any) -> dict[str, Any]:
    """A finding of results.json."""
    return {**SHOWN, "test": test, **more}


def results(*findings: dict[str, Any], depends: tuple[str, ...] = ()) -> dict[str, Any]:
    """The parts of results.json that are read, with these findings."""
    requirements: dict[str, list[dict[str, str]]] = {}
    for found in findings:
        requirements.setdefault(found["requirement"], []).append({"name": found["test"]})
    return {
        "findings": list(findings),
        "advice": [],
        "requirements": [
            {"id": id, "tests": tests, "depends": depends} for id, tests in requirements.items()
        ],
    }


def only(*findings: dict[str, Any]) -> Cause:
    """The one cause of these findings."""
    (cause,) = causes(results(*findings))
    return cause


def test_one_kind_of_answer_is_one_cause() -> None:
    """Fifty-one tests that were answered alike are one cause, with the first test's evidence."""
    cause = only(*(finding(f"test_it[op-{number}]") for number in range(51)))

    assert cause.kind == "401 instead of 403"
    assert (len(cause.tests), cause.total) == (51, 51)
    assert cause.names[:2] == ("op-0", "op-1")
    assert (cause.exchange, cause.curl) == (987, SHOWN["curl"])
    assert (cause.statement, cause.clause) == (SHOWN["statement"], SHOWN["clause"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("200", "200: it was allowed"),
        ("200", "204"),
        ("500", "503: a server error is not a denial"),
        ("200: let in as user 'a'", "200: let in as user 'b'"),
        ("201, and it was created all the same", "204, and it was deleted all the same"),
        ("200 with form 5f1b0c2d3e4f5a6b7c8d9e0f in it", "200 with form 0f9e8d7c6b5a4f3e in it"),
        ("3600 s", "86,401 s"),
        (
            "POST /v2/forms as admin (token) -> 201 (exchange 3): later it was created",
            "PATCH /v2/users/1 as bot (token) -> 200 (exchange 4): later it was updated",
        ),
    ],
)
def test_what_differs_in_details_is_one_cause(one: str, other: str) -> None:
    """Ids, quoted values, numbers, and which success or server error it was make no difference."""
    assert len(only(finding("test_a", actual=one), finding("test_b", actual=other)).tests) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("401", "404"),
        ("401", "200"),
        ("401", "401 with a token"),
        ("401 with a token", "200 with a token"),
        ("500", "302: a redirect is not a denial"),
        ("204", "204, and it was deleted all the same"),
    ],
)
def test_other_answers_are_other_causes(one: str, other: str) -> None:
    """Another status, or something else that came with it, is a cause of its own."""
    assert len(causes(results(finding("a", actual=one), finding("b", actual=other)))) == 2


def test_a_refusal_and_a_success_that_were_expected_are_two_causes() -> None:
    """403 where 200 was right, and 403 where 401 was, are told apart."""
    found = causes(
        results(
            finding("a", actual="403: it was refused", expected="200: admin may list users"),
            finding("b", actual="403", expected="401: a caller without a token may not"),
        )
    )

    assert [cause.kind for cause in found] == ["403 instead of 200", "403 instead of 401"]


def test_every_failed_requirement_is_named() -> None:
    """Two hundred requirements that failed alike are two hundred causes, in the given order."""
    ids = [f"REQ-{number}" for number in range(200)]

    found = causes(results(*(finding("test", requirement=id) for id in ids)))

    assert [cause.requirement for cause in found] == ids


def test_statuses_are_listed() -> None:
    """A cause of several successes names all of them, and what was expected by its status."""
    cause = only(
        finding("a", actual="200: it was allowed", expected="a refusal: list users, by guest"),
        finding("b", actual="201"),
        finding("c", actual="204"),
    )

    assert cause.kind == "200, 201 or 204 instead of 403"


def test_a_kind_is_the_same_in_the_next_run() -> None:
    """What was expected in words is shortened, and has no ids."""
    expected = "user f2251f451fcdbb20b49c9603, just made, in the list (exchange 7)"

    cause = only(finding("a", expected=expected, actual="200 without it"))

    assert cause.kind == "200 without it instead of user ..., just made, in the list"


def test_one_that_can_be_tried_stands_for_all() -> None:
    """A finding with a line to paste is shown rather than one without."""
    cause = only(finding("a", curl=None, exchange=None), finding("b"))

    assert (cause.tests, cause.curl) == (("a", "b"), SHOWN["curl"])


def test_one_that_was_seen_at_once_stands_for_all() -> None:
    """A finding that was waited for is shown only where every one was: its hint is of waiting."""
    at_once, late = finding("b"), finding("a", waited=3.0)

    assert only(late, at_once).test == "b"
    assert "it was so for 3 s" in only(late).look_at


def test_what_it_may_follow_from_comes_first() -> None:
    """A requirement that depends on another failed one says to look at that one first."""
    document = results(finding("a"), finding("b", requirement="AUTH-required"))
    document["requirements"][0]["depends"] = ["ISSUE-status"]
    document["requirements"].append(
        {"id": "ISSUE-status", "tests": [], "depends": ["AUTH-required"]}
    )

    first, second = causes(document)

    assert first.look_at == "AUTH-required first: this may follow from it"
    assert "AUTH" not in second.look_at


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"actual": "503"}, "the server's log"),
        ({"actual": "200"}, "let this request in"),
        ({"actual": "401"}, "[dialect]"),
        ({"actual": "403", "expected": "200: let in"}, "the body of the refusal"),
        ({"actual": "'none'", "expected": "a signed JWT"}, "the answer in that exchange"),
        ({"actual": "202", "expected": "200 for good credentials"}, "whether this status is meant"),
        (
            {"cell": "fetch-user-self-agent-api-key", "actual": "403", "expected": "200: may"},
            "the right of agent to fetch-user-self, with its api-key",
        ),
        ({"cell": "list-users-guest-token", "actual": "200"}, "list-users: guest gets past it"),
        (
            {
                "cell": "list-contacts-agent-token",
                "actual": "200 without it",
                "expected": "contact 5f in the answer",
            },
            "what list-contacts shows to agent, and why this thing is not among it",
        ),
        (
            {
                "cell": "create-form-admin-token",
                "actual": "201, and it is not there",
                "expected": "the new form, readable afterwards",
            },
            "whether create-form does what its answer to admin says",
        ),
        ({"cell": "list-users-guest-token", "actual": "401"}, "which check refuses list-users"),
        (
            {"cell": "list-users-guest-token", "actual": "404", "expected": "403: may not"},
            "where that status is meant, the target file can say so, [dialect] denied = [403, 404]",
        ),
        (
            {"cell": "create-form-bot-token", "actual": "202", "expected": "200 or 201: may"},
            "the target file can say so, [dialect] created = [200, 201, 202]",
        ),
        (
            {"actual": "a token with scope 'admin'", "expected": "a refusal, or a token with x"},
            "from what the server takes the user, the scope",
        ),
        (
            {"actual": "role 'admin' after an update", "expected": "role 'guest' as before"},
            "which members an update of one's own user may set",
        ),
        (
            {"actual": "200, and it was changed", "expected": "user 5f as it was"},
            "by what the server finds the thing that it writes",
        ),
        (
            {
                "actual": "200 with a token",
                "expected": "a refusal: the password is another one in its last character",
            },
            "how many characters of a password are compared",
        ),
        ({"actual": "403, and it is gone"}, "does before it is refused"),
        ({"actual": "403: later it was done"}, "does before it is refused"),
        (
            {"cell": "delete-user-guest-token", "actual": "403, and it was done all the same"},
            "does before it is refused",
        ),
        ({"actual": "403, and the list does not show it any more"}, "does before it is refused"),
    ],
)
def test_what_to_look_at_is_said(more: dict[str, Any], said: str) -> None:
    """Each kind of answer has the place in the server that makes it."""
    assert said in only(finding("a", **more)).look_at


def test_advice_is_apart() -> None:
    """Hardening that failed is no finding, and is grouped in the same way."""
    document = results()
    document["advice"] = [finding(f"test_it[{n}]", level="hardening") for n in range(14)]

    assert causes(document) == []
    assert [(cause.level, len(cause.tests)) for cause in advice(document)] == [("hardening", 14)]


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_it_is_refused[list-users]", "list-users"),
        ("test_a_401_names_the_scheme", "a-401-names-the-scheme"),
        ("test_it[a[0]-b]", "a[0]-b"),
    ],
)
def test_short_names(test: str, name: str) -> None:
    """A test is named by its parameters, or by its words."""
    assert short_name(test) == name


def test_a_wait_in_vain_names_the_reading() -> None:
    """Where a test waited for what a server may remember, the reader learns for how long, and where
    a longer time is said.
    """
    assert "for 3 s: where that is meant" in only(finding("a", waited=3.0)).look_at
    assert "consistency" not in only(finding("a")).look_at
