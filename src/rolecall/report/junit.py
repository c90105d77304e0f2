"""``junit.xml`` from a run's documents: one suite per requirement, one case per test.

The elements and attributes are those that Jenkins' xUnit plugin allows (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from rolecall.report import causes, shown, undecided
from rolecall.report.causes import Cause
from rolecall.report.undecided import Undecided
from rolecall.spec.model import DECIDING
from rolecall.wording import counted

#: Characters that XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENT = {
    "failed": "failure",
    "error": "error",
    "inconclusive": "skipped",
    "not-applicable": "skipped",
    "not-tested": "skipped",
    "waived": "skipped",
}
#: What an inconclusive test can be: skipped, or an error for gates that look at this file alone.
INCONCLUSIVE = ("skipped", "error")


def write(
    results: Mapping[str, Any],
    evidence: Mapping[str, Any],
    *,
    inconclusive: str = INCONCLUSIVE[0],
) -> str:
    """The text of the file. What decides nothing (hardening, observations) is shown as skipped when
    it did not pass.

    Args:
        evidence: the run's evidence.har, for the request and the status at a failure.
        inconclusive: which of `INCONCLUSIVE` a test is whose evidence was not complete.
    """
    # Longer than 40 lines because the elements stand in the order of the file.
    entries = shown.entries(evidence)
    failed, left_open = causes.by_test(results), undecided.by_test(results)
    suites = ElementTree.Element("testsuites", name="rolecall")
    for requirement in filter(lambda requirement: requirement["tests"], results["requirements"]):
        suite = ElementTree.SubElement(suites, "testsuite", name=requirement["id"])
        tally: dict[str, int] = dict.fromkeys(("failure", "error", "skipped"), 0)
        for test in requirement["tests"]:
            element = _element(test["outcome"], requirement["level"], inconclusive)
            name = requirement["id"], test["name"]
            if cause := failed.get(name):
                lines = _of_cause(cause, entries)
            else:
                lines = [_rule(requirement), *_of_open(test, left_open.get(name))]
            _add_case(suite, test, element, "\n".join(lines))
            if element:
                tally[element] += 1
        suite.set("tests", str(len(requirement["tests"])))
        suite.set("failures", str(tally["failure"]))
        suite.set("errors", str(tally["error"]))
        suite.set("skipped", str(tally["skipped"]))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ElementTree.Element, test: Mapping[str, Any], element: str, text: str) -> None:
    """A test; what did not pass has an ``element`` with the ``text``."""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=suite.get("name", ""),
        name=clean(test["name"]),
        time=f"{test['seconds']:.3f}",
    )
    if element:
        child = ElementTree.SubElement(
            case, element, message=clean(test["reason"]), type=test["outcome"]
        )
        child.text = clean(text)


def _element(outcome: str, level: str, inconclusive: str) -> str:
    """The element of a test that did not pass; nothing for one that did."""
    if outcome not in _ELEMENT:
        return ""
    if level not in DECIDING:
        return "skipped"
    return inconclusive if outcome == "inconclusive" else _ELEMENT[outcome]


def _rule(requirement: Mapping[str, Any]) -> str:
    return f"{requirement['statement']} [{requirement['clause']}]"


def _of_cause(cause: Cause, entries: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """What a reader of the failure needs: what is required, what was seen, and how to see it."""
    lines = [f"{cause.statement} [{cause.clause}]"]
    lines += [f"follows:  {cause.step}"] if cause.step else []
    if entry := entries.get(cause.exchange or 0):
        answer = entry["response"]["status"] or entry["_error"]
        request = entry["request"]
        lines.append(f"request:  {request['method']} {request['url']} -> {answer}")
    return lines + cause.facts


def _of_open(test: Mapping[str, Any], cause: Undecided | None) -> list[str]:
    """The same of a test that neither passed nor failed."""
    lines = [test["reason"]] if test["reason"] else []
    look_at = test["look_at"]
    if cause and len(cause.tests) > 1:
        lines.append(f"cause:    {cause.kind}, {counted(len(cause.tests), 'test')}")
        look_at = cause.look_at if cause.operations else look_at
    lines += [f"look at:  {look_at}"] if look_at else []
    if pieces := test.get("evidence"):
        numbers = ", ".join(f"{name} {number}" for name, number in pieces.items())
        lines.append(f"exchange: {numbers}")
    return lines


def clean(text: str) -> str:
    """A text without the characters that XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)
