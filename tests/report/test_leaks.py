"""The check of a file before it is written: leaks are masked and named, our own words stay."""

from __future__ import annotations

import json
from html import escape
from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.redaction import Secrets
from rolecall.report import leaks

PASSWORD = 'Sesame & "Open" 42'


def secrets(*tokens: str) -> Secrets:
    """The password, and tokens that a server chose."""
    known = Secrets()
    known.add(PASSWORD, "password")
    for token in tokens:
        known.add(token, "token")
    return known


def har(url: str, **request: Any) -> str:
    """A HAR file of one entry."""
    entry = {
        "_caller": "guest-of-the-day",
        "startedDateTime": "2026-10-10T20:20:20.000Z",
        "request": {"url": url} | request,
    }
    return json.dumps({"log": {"version": "1.2", "entries": [entry]}})


TOKEN = "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3"
#: Ways to plant a secret that is not there as it is.
PLANTED = {
    "reversed": TOKEN[::-1],
    "a half": TOKEN[:20],
    "the other half": TOKEN[20:],
    "both": f"{TOKEN[:20]} {TOKEN[20:]}",
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
class TestReversedAndParts:
    """The sweep finds what a server turned round or spread, in each kind of file."""

    def test_in_json(self, planted: str) -> None:
        """In an answer in a HAR file, which names the place."""
        masked, places = leaks.masked("evidence.har", har(f"http://t/{planted}"), secrets(TOKEN))

        assert places == ["log.entries[0].request.url"]
        assert planted not in masked
        assert leaks.masked("evidence.har", masked, secrets(TOKEN)) == (masked, [])

    def test_in_xml(self, planted: str) -> None:
        """In the text of a failure, which stays XML."""
        text = (
            '<testsuites><testsuite><testcase classname="A" name="b"><failure message="x">got '
            f"{planted}</failure></testcase></testsuite></testsuites>"
        )

        masked, places = leaks.masked("junit.xml", text, secrets(TOKEN))

        assert places == ["A b"]
        assert planted not in masked
        assert ElementTree.fromstring(masked) is not None

    def test_in_pages_and_lines(self, planted: str) -> None:
        """In a page and in a summary its label is text, and no tag."""
        for name in ("report.html", "summary.md"):
            masked, places = leaks.masked(name, f"<p>{planted}</p>\n", secrets(TOKEN))

            assert len(places) == 1
            assert planted not in masked
            assert "of token-1&gt;" in masked or "&lt;reversed token-1&gt;" in masked


class TestFiles:
    """Each format, with a secret where other people's words stand."""

    def test_evidence(self) -> None:
        """In a HAR file, which still is one afterwards."""
        text = har(
            "http://t/", method="POST", postData={"text": json.dumps({"password": PASSWORD})}
        )

        masked, places = leaks.masked("evidence.har", text, secrets())

        assert places == ["log.entries[0].request.postData.text"]
        assert json.loads(masked)["log"]["entries"][0]["request"] == {
            "url": "http://t/",
            "method": "POST",
            "postData": {"text": '{"password": "<password-1>"}'},
        }

    def test_results(self) -> None:
        """In results.json, whose names and outcomes stay."""
        text = json.dumps(
            {
                "verdict": "not-conformant",
                "findings": [{"test": "test_x", "actual": f"200 with {PASSWORD}"}],
            }
        )

        masked, places = leaks.masked("results.json", text, secrets())

        assert places == ["findings[0].actual"]
        assert json.loads(masked)["findings"] == [
            {"test": "test_x", "actual": "200 with <password-1>"}
        ]

    def test_allure(self) -> None:
        """In a result and in an attachment of Allure's."""
        result, places = leaks.masked(
            "allure-results/1-result.json",
            json.dumps({"statusDetails": {"trace": PASSWORD}}),
            secrets(),
        )
        attached, lines = leaks.masked(
            "allure-results/1-attachment.txt", f"### exchange 1\nGET /\n{PASSWORD}\n", secrets()
        )

        assert (json.loads(result), places) == (
            {"statusDetails": {"trace": "<password-1>"}},
            ["statusDetails.trace"],
        )
        assert (attached, lines) == ("### exchange 1\nGET /\n<password-1>\n", ["line 3"])

    def test_junit(self) -> None:
        """In what a test of JUnit's file says, which still is XML afterwards."""
        suites = ElementTree.Element("testsuites")
        case = ElementTree.SubElement(suites, "testcase", classname="ISSUE-status", name="test_x")
        ElementTree.SubElement(case, "failure", message=f"got {PASSWORD}").text = f"got\n{PASSWORD}"
        text = ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)

        masked, places = leaks.masked("junit.xml", text, secrets())
        failure = ElementTree.fromstring(masked).find("testcase/failure")

        assert places == ["ISSUE-status test_x"]
        assert failure is not None
        assert (failure.get("message"), failure.text) == ("got <password-1>", "got\n<password-1>")

    def test_summary(self) -> None:
        """In a line of the Markdown summary, where the label is text and no tag."""
        text = f"## Rolecall\n\n- got {PASSWORD}\n"

        masked, places = leaks.masked("summary.md", text, secrets())

        assert places == ["line 3"]
        assert masked == "## Rolecall\n\n- got &lt;password-1&gt;\n"

    def test_page(self) -> None:
        """In the data of a page, in its text and in an attribute; its code stays to the byte."""
        data = json.dumps({"run": "1", "texts": ["a", f"got {PASSWORD} <b>"]}).replace(
            "<", "\\u003c"
        )
        code = f"<style>p {{}}</style><script>say({json.dumps(PASSWORD)})</script>"
        page = (
            f'<p title="{escape(PASSWORD)}">{escape(PASSWORD)}</p>{code}'
            f'<script type="application/json" id="data">{data}</script>'
        )

        masked, places = leaks.masked("report.html", page, secrets())

        label = "&lt;password-1&gt;"
        assert masked.startswith(f'<p title="{label}">{label}</p>{code}')
        assert len(places) == 3
        assert places[2] == "texts[1]"
        inside = masked.partition('id="data">')[2].removesuffix("</script>")
        assert "<" not in inside
        assert json.loads(inside) == {"run": "1", "texts": ["a", "got <password-1> <b>"]}

    def test_ledger(self) -> None:
        """In an id of the ledger, of which every other line and every name stays."""
        lines = [
            {"event": "intend", "number": 1, "resource": "contact", "name": "rolecall-1-contact"},
            {"event": "created", "number": 1, "id": f"id-{PASSWORD}"},
            {"event": "created", "number": 2, "id": "599e1f"},
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)

        masked, places = leaks.masked("ledger.jsonl", text, secrets("rolecall-1-contact"))
        lines[1]["id"] = "id-<password-1>"

        assert places == ["line 2.id"]
        assert [json.loads(line) for line in masked.splitlines()] == lines


class TestOurs:
    """What a server calls its token may stand in our own names and numbers: that is no leak."""

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("evidence.har", har("http://t/")),
            (
                "results.json",
                json.dumps(
                    {
                        "cells": [{"operation": "guest-of-the-day", "outcome": "passed"}],
                        "guest-of-the-day": 1,
                    }
                ),
            ),
            ("allure-results/1-result.json", json.dumps({"name": "guest-of-the-day"})),
            (
                "allure-results/1-attachment.txt",
                "### exchange 1, 2026-10-10T20:20:20.000Z, as guest-of-the-day\nGET /",
            ),
            (
                "junit.xml",
                (
                    '<testsuites><testcase name="guest-of-the-day" classname="x"><skipped '
                    'message="y"/></testcase></testsuites>'
                ),
            ),
            ("ledger.jsonl", json.dumps({"event": "intend", "name": "guest-of-the-day"}) + "\n"),
            ("report.html", "<script>const guest = 'guest-of-the-day'</script><p>all is well</p>"),
        ],
    )
    def test_it_stays(self, name: str, text: str) -> None:
        """The file is as it was, and nothing is said of it."""
        known = secrets("guest-of-the-day", "2026-10-10T20")

        assert known.stands_in(text)
        assert leaks.masked(name, text, known) == (text, [])
