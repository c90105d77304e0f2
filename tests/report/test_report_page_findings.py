"""Findings and what is not proven on the page: the same blocks as in every other report."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.report import junit, report_page_findings, sarif, summary, terminal
from rolecall.report.causes import causes
from rolecall.report.undecided import undecided
from tests.report.test_causes import finding
from tests.report.test_undecided import open_test, stopped
from tests.support.results import requirement, results

NOTHING: dict[str, Any] = {"log": {"entries": []}}


def run_with_both() -> dict[str, Any]:
    """Three causes of findings, of which two are of one requirement, and two of what is open."""
    found = [
        finding("test_it[list-users]"),
        finding("test_it[list-forms]"),
        finding("test_it[fetch-form]", actual="404"),
        finding("test_a[1]", requirement="AUTH-required", actual="200: let in"),
    ]
    left = [open_test(f"test_b[{n}]", stopped(500, "/v2/forms/1"), look_at="forms") for n in "12"]
    lacking = [open_test("test_c", "no key", outcome="not-tested", look_at="[api_keys]")]
    entries = [
        requirement("EXPIRY-403", "failed", {found["test"]: "failed" for found in found[:3]}),
        requirement("AUTH-required", "failed", {"test_a[1]": "failed"}),
    ]
    for id, tests in {"SEC-A10": left, "SEC-K01": lacking}.items():
        timed = [{"seconds": 0.1, **test} for test in tests]
        entries.append(requirement(id, "inconclusive", {}) | {"tests": timed})
    return results(findings=found, requirements=entries, cells=[])


def text_of(markup: str) -> str:
    """What a reader sees of markup, in one line."""
    return " ".join(unescape(re.sub("<[^>]+>", " ", markup)).split())


REPORTS = {
    "page": lambda run: text_of(
        report_page_findings.findings(run) + report_page_findings.not_proven(run)
    ),
    "terminal": lambda run: " ".join(terminal.findings(run, "runs/1").split()),
    "summary.md": lambda run: text_of(summary.write(run)).replace("\\", ""),
    "junit.xml": lambda run: " ".join(
        " ".join(ElementTree.fromstring(junit.write(run, NOTHING)).itertext()).split()
    ),
}


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_shows_the_same_causes(report: str) -> None:
    """Each cause of what failed and of what was left open stands in each report, with how many
    tests it has and what to look at.
    """
    run = run_with_both()

    text = REPORTS[report](run)

    found, left = causes(run), undecided(run)
    assert (len(found), len(left)) == (3, 2)
    for cause in found:
        assert cause.kind in text
        assert f"{len(cause.tests)} of {cause.total}" in text
        assert cause.look_at in text
    for open_cause in left:
        assert open_cause.look_at in text
        assert open_cause.kind in text or open_cause.reason in text


def test_sarif_has_a_result_for_each() -> None:
    """What scanners' dashboards count are causes as well."""
    run = run_with_both()

    text = sarif.write(run, NOTHING)

    assert text.count('"kind": "fail"') == len(causes(run))


def test_blocks_are_of_requirement_and_kind_of_answer() -> None:
    """Two tests that were answered alike are one block with two buttons, and a third is another."""
    page = report_page_findings.findings(run_with_both())

    assert page.count("<article") == 3
    first = page.split("<article")[1]
    assert "401 instead of 403" in first
    assert first.count('data-test="test_it[list-users]"') == 2  # its exchange, and its test
    assert first.count('data-test="test_it[list-forms]"') == 1
    assert "4 failed tests of 2 requirements, 3 causes" in page


def test_the_token_of_a_line_is_explained() -> None:
    """Where a line needs $TOKEN, the page has the command that fills it."""
    found = [finding("test_it", caller="guest (token)")]
    target = {
        "name": "staging",
        "base_url": "https://staging.example.org",
        "accounts": {"guest": {"email": "guest@example.org", "password_env": "GUEST"}},
    }

    page = text_of(report_page_findings.findings(results(findings=found, target=target)))

    assert "$TOKEN of guest: TOKEN=$(python3 -c" in page


def test_where_everything_was_decided_it_says_so() -> None:
    """A run with nothing open has no section for it, and a line at the top."""
    run = results()

    assert report_page_findings.not_proven(run) == ""
    assert report_page_findings.not_proven_in_short(run) == "nothing: every test was decided"


def test_what_is_open_in_short() -> None:
    """The top of the page counts tests and causes, and leads to them."""
    said = report_page_findings.not_proven_in_short(run_with_both())

    assert 'href="#not-proven"' in said
    assert text_of(said) == "not decided: 2 tests for 1 cause; not tested: 1 test for 1 cause"
