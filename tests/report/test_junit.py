"""``junit.xml``: read by CI systems, so it has to be XML whatever a target sends."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.report import har, junit
from tests.conftest import Watched
from tests.support.exchanges import exchange
from tests.support.published_schemas import junit_errors


def results(*tests: tuple[str, str], level: str = "must") -> dict[str, Any]:
    """A requirement with tests: outcome and reason of each."""
    return {
        "requirements": [
            {
                "id": "ISSUE-status",
                "level": level,
                "clause": "Permissions",
                "statement": "A statement & <more>.",
                "tests": [
                    {
                        "name": f"test_{number}[é]",
                        "outcome": outcome,
                        "reason": reason,
                        "look_at": "",
                        "seconds": 0.5,
                        "evidence": {},
                    }
                    for number, (outcome, reason) in enumerate(tests)
                ],
            },
            {"id": "EMPTY", "level": "must", "statement": "", "tests": []},
        ],
        "findings": [],
        "advice": [],
        "cells": [],
    }


NOTHING: dict[str, Any] = {"log": {"entries": []}}


def test_counts_are_those_of_the_elements() -> None:
    """A failed test is a failure, a broken harness an error; one that proved nothing or was not
    tested is skipped.
    """
    root = ElementTree.fromstring(
        junit.write(
            results(
                ("passed", ""),
                ("failed", "x"),
                ("inconclusive", "y"),
                ("error", "z"),
                ("not-tested", ""),
                ("waived", ""),
            ),
            NOTHING,
        )
    )

    (suite,) = root
    assert suite.attrib == {
        "name": "ISSUE-status",
        "tests": "6",
        "failures": "1",
        "errors": "1",
        "skipped": "3",
    }
    assert [[child.tag for child in case] for case in suite] == [
        [],
        ["failure"],
        ["skipped"],
        ["error"],
        ["skipped"],
        ["skipped"],
    ]


def test_a_gate_can_ask_for_errors() -> None:
    """Where it is asked for, an inconclusive test is an error with its reason, and nothing else
    changes.
    """
    given = results(("passed", ""), ("inconclusive", "y"), ("not-tested", "z"))

    (suite,) = ElementTree.fromstring(junit.write(given, NOTHING, inconclusive="error"))

    assert (suite.get("errors"), suite.get("skipped")) == ("1", "1")
    assert [[(child.tag, child.get("message")) for child in case] for case in suite] == [
        [],
        [("error", "y")],
        [("skipped", "z")],
    ]


def test_a_failure_has_what_one_needs() -> None:
    """Statement, clause, expectation, request, the answer's status, the line to paste and the
    exchange stand in the text of a failure.
    """
    given = results(("failed", "expected 403; got 200"))
    given["findings"] = [
        {
            "requirement": "ISSUE-status",
            "level": "must",
            "clause": "Permissions",
            "statement": "A statement & <more>.",
            "step": "It follows.",
            "test": "test_0[é]",
            "expected": "403",
            "actual": "200: it was allowed",
            "exchange": 987,
            "curl": "curl -i http://target.example/v2/users",
        }
    ]
    evidence = har.document(
        [exchange("GET", "http://target.example/v2/users", number=987, status=200)], str
    )

    failure = ElementTree.fromstring(junit.write(given, evidence)).find(".//failure")

    assert failure is not None
    assert failure.text == (
        "A statement & <more>. [Permissions]\n"
        "follows:  It follows.\n"
        "request:  GET http://target.example/v2/users -> 200\n"
        "cause:    200 instead of 403, 1 of 1 test\n"
        "expected: 403\n"
        "actual:   200: it was allowed\n"
        "look at:  why the server let this request in, and whether it was done before it was "
        "checked\n"
        "try:      curl -i http://target.example/v2/users\n"
        "exchange: 987"
    )


def test_what_is_open_says_where_to_look() -> None:
    """A skipped test has its reason, the place to look at and its evidence as text."""
    given = results(("inconclusive", "missing: a form"))
    given["requirements"][0]["tests"][0] |= {"look_at": "[accounts]", "evidence": {"control": 3}}

    skipped = ElementTree.fromstring(junit.write(given, NOTHING)).find(".//skipped")

    assert skipped is not None
    assert str(skipped.text).splitlines()[1:] == [
        "missing: a form",
        "look at:  [accounts]",
        "exchange: control 3",
    ]


def test_what_is_open_belongs_to_a_cause() -> None:
    """Tests that were left open for one cause say so, each with its own place to look at."""
    given = results(("not-tested", "no API key"), ("not-tested", "no API key"))

    first, second = ElementTree.fromstring(junit.write(given, NOTHING)).iter("skipped")

    assert first.text == second.text
    assert "cause:    no API key, 2 tests" in str(first.text)


def test_it_is_as_the_schema_has_it() -> None:
    """Every element has the attributes and the children that Jenkins' schema allows."""
    outcomes = ("passed", "failed", "inconclusive", "error", "not-tested", "not-applicable")

    given = results(*((outcome, "x") for outcome in outcomes))

    assert junit_errors(junit.write(given, NOTHING)) == []


@pytest.mark.parametrize("level", ["hardening", "observe"])
def test_what_decides_nothing_breaks_no_build(level: str) -> None:
    """Advice that was not followed does not turn a CI job red."""
    (suite,) = ElementTree.fromstring(
        junit.write(results(("failed", "x"), ("inconclusive", "y"), level=level), NOTHING)
    )

    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "2")


@pytest.mark.parametrize(
    "reason",
    [f"a{chr(code)}b" for code in (0, 8, 11, 27, 127, 0xD800, 0xFFFE, 0x1F600)]
    + ["]]>", '"<&>"', "a\r\nb\tc"],
)
def test_it_is_xml_whatever_a_reason_holds(reason: str) -> None:
    """Control characters, halves of characters and markup in a server's words leave a file that an
    XML parser reads.
    """
    text = junit.write(results(("failed", reason)), NOTHING)

    failure = ElementTree.fromstring(text.encode("utf-8")).find(".//failure")
    assert failure is not None
    assert str(failure.get("message")).startswith(reason[0])
    assert "A statement & <more>." in str(failure.text)


@pytest.mark.long
def test_of_a_whole_run(certified: Watched) -> None:
    """The file of a whole run has a case for every test of the results, and no two of one name in a
    suite.
    """
    text = (certified.finished.folder / "junit.xml").read_text(encoding="utf-8")
    assert junit_errors(text) == []
    root = ElementTree.fromstring(text.encode("utf-8"))

    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == sum(
        len(entry["tests"]) for entry in certified.finished.results["requirements"]
    )
    assert len(names) == len(set(names))
