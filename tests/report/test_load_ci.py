"""What a CI job reads of a load run: JUnit and Markdown say what load.json says, and no more."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.report import load_junit, load_summary
from tests.report.test_load_page import HOSTILE, run, search

GATES = [
    {"gate": "slower", "held": False, "sentence": "--fail-if slower: p50 3.6 -> 84 ms: slower"},
    {"gate": "baseline:p99<+10%", "held": None, "sentence": "the two runs do not decide it"},
    {"gate": "baseline:rate>-5%", "held": True, "sentence": "it holds"},
]
COMPARISON = {"comparable": True, "reasons": [], "measures": [], "gates": GATES}


def cases(document: dict[str, Any]) -> dict[str, str]:
    """What each case of the file came to: the name of its element, or passed."""
    found: dict[str, str] = {}
    for suite in ElementTree.fromstring(load_junit.write(document)):
        outcomes = [next((child.tag for child in case), "passed") for case in suite]
        assert int(suite.attrib["tests"]) == len(outcomes)
        for name, attribute in (("failure", "failures"), ("error", "errors"), ("skipped",) * 2):
            assert int(suite.attrib[attribute]) == outcomes.count(name)
        found |= {
            f"{suite.attrib['name'].partition(': ')[2]}/{case.attrib['name']}": outcome
            for case, outcome in zip(suite, outcomes, strict=True)
        }
    return found


def test_junit_of_a_run_that_missed() -> None:
    """The verdict, each objective, each kind of violation and each condition on a baseline."""
    assert cases(run(comparison=COMPARISON)) == {
        "verdict/issuance on reference": "failure",
        "objectives/p50<20ms": "passed",
        "objectives/p99<=100ms": "failure",
        "objectives/max<5s": "passed",
        "objectives/errors<0.1%": "failure",
        "objectives/rate>10": "passed",
        "violations/another-user": "failure",
        "baseline/slower": "failure",
        "baseline/baseline:p99<+10%": "skipped",
        "baseline/baseline:rate>-5%": "passed",
    }


def test_junit_of_a_run_that_proves_nothing() -> None:
    """An invalid run is an error, and its objectives are neither passed nor failed."""
    invalid = {"verdict": "invalid", "exit_code": 3, "reasons": ["it was late"]}
    found = cases(run(**invalid, violations={}, violation_samples=[]))

    assert found.pop("verdict/issuance on reference") == "error"
    assert found.pop("violations/no violation") == "passed"
    assert set(found.values()) == {"skipped"}


def test_junit_of_a_search() -> None:
    """Its verdict is that of its objectives, which were judged step by step."""
    assert cases(search()) == {
        "verdict/issuance on queue": "passed",
        "violations/no violation": "passed",
    }
    assert cases(search(verdict="invalid", exit_code=3, reasons=["\x00 known to ±48 %"]))[
        "verdict/issuance on queue"
    ] == ("error")


def test_markdown_of_a_run() -> None:
    """Verdict, reasons, figures, objectives, baseline, violations and the command."""
    page = load_summary.write(
        run(comparison=COMPARISON, run="20261126-1", rolecall="1.2", command="rolecall load x")
    )

    for part in (
        "missed: issuance on reference",
        "- another-user: 3 violations",
        "| `POST /v2/auth/token` | ",
        "| `p99<=100ms` | ",
        "did not hold |",
        "slower: p50 3.6",
        "| `another-user` | 3 |",
        "`rolecall load x`",
    ):
        assert part in page, part


def test_markdown_of_a_search() -> None:
    """Its steps by rate, with what they came to."""
    page = load_summary.write(search())

    assert "met: issuance on queue" in page
    rates = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    assert rates[1:5] == ["| 100", "| 200", "| 220", "| 400"]


@pytest.mark.parametrize("write", [load_junit.write, load_summary.write], ids=["junit", "markdown"])
def test_words_of_a_target_are_only_words(write: Any) -> None:
    """Its name, what it answered and a command line make no tag, no link and no end of a table."""
    document = run(command=f"rolecall load {HOSTILE} | x", reasons=[HOSTILE])
    document["target"]["name"] = HOSTILE
    document["entries"][0]["name"] = f"a | b {HOSTILE}"

    text = write(document)

    outside = "".join(text.split("`")[::2]) if write is load_summary.write else text
    assert "<script>" not in outside
    assert "<img" not in outside
