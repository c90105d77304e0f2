"""``junit.xml`` of a load run or a search: its verdict, objectives, violations and baseline.

What an invalid run says of the server proves nothing: its objectives are skipped, and the verdict
is an error with the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from rolecall.report.judged import observed
from rolecall.report.junit import clean


@dataclass(frozen=True)
class LoadCase:
    """A case; what did not pass has an ``element`` with the ``message``, and more in ``text``."""

    name: str
    element: Literal["", "failure", "error", "skipped"] = ""
    message: str = ""
    text: str = ""


def write(document: Mapping[str, Any]) -> str:
    """The text of the file, of a ``load.json`` or a ``capacity.json``."""
    suites = ElementTree.Element("testsuites", name="rolecall")
    groups = {
        "verdict": [_verdict(document)],
        "objectives": list(_objectives(document)),
        "violations": list(_violations(document)),
        "baseline": list(_baseline(document)),
    }
    for name, cases in groups.items():
        if not cases:
            continue
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=f"{clean(document['scenario'])}: {name}",
            tests=str(len(cases)),
            failures=str(sum(case.element == "failure" for case in cases)),
            errors=str(sum(case.element == "error" for case in cases)),
            skipped=str(sum(case.element == "skipped" for case in cases)),
        )
        for case in cases:
            _add(suite, name, case, document)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add(
    suite: ElementTree.Element, group: str, case: LoadCase, document: Mapping[str, Any]
) -> None:
    seconds = document.get("duration_s", document.get("seconds", 0.0)) if group == "verdict" else 0
    element = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"rolecall.{clean(document['scenario'])}.{group}",
        name=clean(case.name),
        time=f"{seconds:.3f}",
    )
    if case.element:
        child = ElementTree.SubElement(element, case.element, message=clean(case.message))
        child.text = clean(case.text or case.message)


def _verdict(document: Mapping[str, Any]) -> LoadCase:
    name = f"{document['scenario']} on {document['target']['name']}"
    reasons = document["reasons"]
    if document["verdict"] == "met":
        return LoadCase(name)
    element: Literal["failure", "error"] = "failure" if document["verdict"] == "missed" else "error"
    message = f"{document['verdict']}: {reasons[0] if reasons else 'no reason given'}"
    return LoadCase(name, element, message, "\n".join(reasons))


def _objectives(document: Mapping[str, Any]) -> Iterator[LoadCase]:
    """Each objective; a search has judged them step by step, so that its verdict is theirs."""
    for judged in document["objectives"]:
        if isinstance(judged, str):
            continue
        shown = observed(judged)
        if document["verdict"] == "invalid":
            said = f"the run is invalid; observed: {shown}"
            yield LoadCase(judged["objective"], "skipped", said)
        elif judged["held"]:
            yield LoadCase(judged["objective"])
        else:
            yield LoadCase(judged["objective"], "failure", f"did not hold: {shown}")


def _violations(document: Mapping[str, Any]) -> Iterator[LoadCase]:
    samples = document.get("violation_samples", ())
    counts: Mapping[str, int] = document.get("violations") or {
        sample["kind"]: sum(other["kind"] == sample["kind"] for other in samples)
        for sample in samples
    }
    if not counts:
        yield LoadCase("no violation")
    for kind, count in counts.items():
        shown = next((sample for sample in samples if sample["kind"] == kind), None)
        about = f" ({shown['requirement']}): {shown['message']}" if shown else ""
        yield LoadCase(
            kind, "failure", f"{count:,} x {kind}{about}", shown["exchange"] if shown else ""
        )


def _baseline(document: Mapping[str, Any]) -> Iterator[LoadCase]:
    """What was asked of the comparison; what was not decided is no failure."""
    for gate in (document.get("comparison") or {}).get("gates", ()):
        element: Literal["", "failure", "skipped"] = (
            "" if gate["held"] else "skipped" if gate["held"] is None else "failure"
        )
        yield LoadCase(gate["gate"], element, gate["sentence"])
