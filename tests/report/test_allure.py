"""Allure's files that are not results: what Java reads of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rolecall.report import allure, har
from rolecall.report.causes import causes
from tests.report.test_causes import finding
from tests.support.exchanges import exchange
from tests.support.results import requirement, results

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_SHORT = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def made(document: dict[str, Any]) -> dict[str, str]:
    """The files of a run without evidence."""
    return dict(allure.files(document, {"log": {"entries": []}}))


def as_java_reads(line: str) -> str:
    """The value of a line of a properties file, as java.util.Properties reads it (its documentation
    of ``load``).
    """
    value = line.encode("latin-1").decode("latin-1").partition("=")[2].lstrip(" \t\f")
    units = _ESCAPE.sub(
        lambda match: (
            chr(int(match[1][1:], 16)) if match[1][1:] else _SHORT.get(match[1], match[1])
        ),
        value,
    )
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


@pytest.mark.parametrize(
    "value",
    [
        "staging",
        "Prüfung 日本",
        r"C:\\temp\\new",
        "  led by blanks ",
        "#1 = !2 : 3",
        "👍",
        "two\nlines\tand\ta tab",
        r"\\u0041",
        "",
    ],
)
def test_the_environment_is_a_properties_file(value: str) -> None:
    """Whatever the target is called, Allure shows it so."""
    document = results(target={"name": value, "base_url": "http://127.0.0.1:1"})
    lines = made(document)["environment.properties"].split("\n")

    assert len(lines) == 7
    assert as_java_reads(lines[1]) == value


def shown(files: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The results by the names of their tests."""
    documents = [json.loads(text) for name, text in files.items() if name.endswith("-result.json")]
    return {document["name"]: document for document in documents}


def failed() -> dict[str, Any]:
    """The results of a run in which one of three tests failed."""
    tests = {"test_it[op-0]": "failed", "test_it[op-1]": "inconclusive", "test_other": "passed"}
    entry = requirement("EXPIRY-403", "failed", tests)
    entry["tests"][1] |= {"reason": "missing: a control", "look_at": "exchange 3"}
    return results(requirements=[entry], findings=[finding("test_it[op-0]")])


def test_suites_are_requirements() -> None:
    """Each test stands in the suite of its requirement, under the clause."""
    labels = {
        label["name"]: label["value"] for label in shown(made(failed()))["test_it[op-0]"]["labels"]
    }

    assert labels["suite"] == labels["story"] == "EXPIRY-403"
    assert labels["parentSuite"] == "Clause"
    assert labels["severity"] == "critical"


def test_a_finding_is_shown_by_its_exchange_and_not_by_a_traceback() -> None:
    """Where Allure shows a traceback stand expectation, answer, curl line and exchange."""
    details = shown(made(failed()))["test_it[op-0]"]["statusDetails"]

    assert details["trace"].splitlines() == [
        "cause:    401 instead of 403, 1 of 3 tests",
        "expected: 403 once the token has expired (clock, evidence grade A-)",
        "actual:   401, as RFC 6750 has it",
        f"look at:  {causes(failed())[0].look_at}",
        'try:      curl -i -H "Authorization: Bearer $TOKEN" http://target.example/v2/users',
        "exchange: 987",
    ]


def test_what_was_not_decided_is_broken_and_says_where_to_look() -> None:
    """An inconclusive test is neither passed nor failed, and what passed has no details."""
    results_by_name = shown(made(failed()))

    undecided = results_by_name["test_it[op-1]"]
    assert undecided["status"] == "broken"
    assert undecided["statusDetails"] == {
        "message": "missing: a control",
        "trace": "look at:  exchange 3",
    }
    assert "statusDetails" not in results_by_name["test_other"]


def test_a_test_has_one_history_over_runs() -> None:
    """The history id is that of the test, the uuid that of the test in this run; the same run is
    written alike.
    """
    first = shown(made(failed()))["test_it[op-0]"]
    second = shown(made(failed() | {"run": "20261127-030000-bbbbbb"}))["test_it[op-0]"]

    assert first["historyId"] == second["historyId"]
    assert first["parameters"] == [{"name": "case", "value": "op-0", "excluded": True}]
    assert first["uuid"] != second["uuid"]
    assert made(failed()) == made(failed())


def test_ids_are_unique() -> None:
    """Two tests of one name, of two requirements, have two results and two histories."""
    document = results(requirements=[requirement("A-1"), requirement("A-2")])
    texts = [text for name, text in made(document).items() if name.endswith("-result.json")]

    assert len(texts) == 2
    assert len({json.loads(text)["historyId"] for text in texts}) == 2


def test_the_exchanges_of_a_test_are_attached() -> None:
    """The attachment holds the request and the answer as they were on the wire."""
    document = results()
    archive = har.document([exchange(body=b"[]")], str)

    files = dict(allure.files(document, archive))

    (attachment,) = shown(files)["test_it"]["attachments"]
    assert files[attachment["source"]].startswith("### exchange 1, ")
    assert files[attachment["source"]].endswith("\n200\n[]")
