"""``junit.xml``: read by CI systems, so it has to be XML whatever a target sends."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.report import junit
from tests.conftest import Watched


def results(*tests: tuple[str, str], level: str = "must") -> dict[str, Any]:
    """A requirement with tests: outcome and reason of each."""
    return {
        "requirements": [
            {
                "id": "ISSUE-status",
                "level": level,
                "statement": "A statement & <more>.",
                "tests": [
                    {
                        "name": f"test_{number}[é]",
                        "outcome": outcome,
                        "reason": reason,
                        "look_at": "",
                        "seconds": 0.5,
                    }
                    for number, (outcome, reason) in enumerate(tests)
                ],
            },
            {"id": "EMPTY", "level": "must", "statement": "", "tests": []},
        ]
    }


def test_counts_are_those_of_the_elements() -> None:
    """A failed test is a failure, one that proved nothing an error, one that was not tested is
    skipped.
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
            )
        )
    )

    (suite,) = root
    assert suite.attrib == {
        "name": "ISSUE-status",
        "tests": "6",
        "failures": "1",
        "errors": "2",
        "skipped": "2",
    }
    assert [[child.tag for child in case] for case in suite] == [
        [],
        ["failure"],
        ["error"],
        ["error"],
        ["skipped"],
        ["skipped"],
    ]


@pytest.mark.parametrize("level", ["hardening", "observe"])
def test_what_decides_nothing_breaks_no_build(level: str) -> None:
    """Advice that was not followed does not turn a CI job red."""
    (suite,) = ElementTree.fromstring(
        junit.write(results(("failed", "x"), ("inconclusive", "y"), level=level))
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
    text = junit.write(results(("failed", reason)))

    failure = ElementTree.fromstring(text.encode("utf-8")).find(".//failure")
    assert failure is not None
    assert str(failure.get("message")).startswith(reason[0])
    assert "A statement & <more>." in str(failure.text)


@pytest.mark.long
def test_of_a_whole_run(certified: Watched) -> None:
    """The file of a whole run has a case for every test of the results, and no two of one name in a
    suite.
    """
    root = ElementTree.parse(certified.finished.folder / "junit.xml").getroot()

    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == sum(
        len(entry["tests"]) for entry in certified.finished.results["requirements"]
    )
    assert len(names) == len(set(names))
