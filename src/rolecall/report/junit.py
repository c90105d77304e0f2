"""``junit.xml`` from a run's results: one suite per requirement, one case per test."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

#: Characters that XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENT = {
    "failed": "failure",
    "inconclusive": "error",
    "error": "error",
    "not-applicable": "skipped",
    "not-tested": "skipped",
    "waived": "skipped",
}


def write(results: dict[str, Any]) -> str:
    """The text of the file. What decides nothing (hardening, observations) is shown as skipped when
    it did not pass.
    """
    suites = ElementTree.Element("testsuites", name="rolecall")
    for requirement in results["requirements"]:
        if not requirement["tests"]:
            continue
        suite = ElementTree.SubElement(suites, "testsuite", name=requirement["id"])
        tally = {"failure": 0, "error": 0, "skipped": 0}
        for test in requirement["tests"]:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=requirement["id"],
                name=_clean(test["name"]),
                time=f"{test['seconds']:.3f}",
            )
            element = _ELEMENT.get(test["outcome"])
            if element and requirement["level"] not in ("must", "derived"):
                element = "skipped"
            if element:
                tally[element] += 1
                child = ElementTree.SubElement(
                    case, element, message=_clean(test["reason"]), type=test["outcome"]
                )
                child.text = _clean(
                    "\n".join(
                        filter(None, (requirement["statement"], test["reason"], test["look_at"]))
                    )
                )
        suite.set("tests", str(len(requirement["tests"])))
        suite.set("failures", str(tally["failure"]))
        suite.set("errors", str(tally["error"]))
        suite.set("skipped", str(tally["skipped"]))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
