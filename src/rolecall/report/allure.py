"""``allure-results/``: one result for each test, for Allure 2 and 3, from a run's two documents.

Suites are requirements. What a failed test shows is the request and the answer: a traceback of the
suite says nothing of a server.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rolecall.report import exchanges
from rolecall.report.causes import Cause, by_test
from rolecall.report.shown import entries as entries_of

FOLDER = "allure-results"
#: How Allure's page sorts what did not pass.
_CATEGORIES = [
    {"name": "Requirements that failed", "matchedStatuses": ["failed"]},
    {
        "name": "Not decided: a piece of evidence is missing",
        "matchedStatuses": ["broken"],
        "messageRegex": "(?s).*missing: .*",
    },
    {"name": "The harness broke", "matchedStatuses": ["broken"]},
    {
        "name": "Not applicable here",
        "matchedStatuses": ["skipped"],
        "messageRegex": "(?s).*not applicable: .*",
    },
    {"name": "Not tested", "matchedStatuses": ["skipped"]},
]
_STATUS = {
    "passed": "passed",
    "failed": "failed",
    "not-applicable": "skipped",
    "not-tested": "skipped",
    "waived": "skipped",
}
SEVERITY = {"must": "critical", "derived": "normal", "hardening": "minor", "observe": "trivial"}

_Document = Mapping[str, Any]


def files(results: _Document, evidence: _Document) -> Iterator[tuple[str, str]]:
    """Every file's name and text, of results.json and evidence.har."""
    yield "categories.json", json.dumps(_CATEGORIES, indent=1)
    yield (
        "environment.properties",
        "".join(_property(name, value) for name, value in _environment(results).items()),
    )
    entries = entries_of(evidence)
    texts: dict[int, str] = {}  # many tests cite the same exchanges
    shown = by_test(results)
    for requirement in results["requirements"]:
        for test in requirement["tests"]:
            cause = shown.get((requirement["id"], test["name"]))
            id = _id(results["run"], requirement["id"], test["name"])
            cited = [entries[number] for number in test["exchanges"] if number in entries]
            document = _result(results, requirement, test, cause, cited) | {"uuid": id}
            if cited:
                source = f"{id}-attachment.txt"
                document["attachments"] = [
                    {"name": "exchanges", "source": source, "type": "text/plain"}
                ]
                for entry in cited:
                    texts.setdefault(entry["_number"], exchanges.text(entry))
                yield source, "\n\n".join(texts[entry["_number"]] for entry in cited)
            yield f"{id}-result.json", json.dumps(document, ensure_ascii=False)


def _result(
    results: _Document,
    requirement: _Document,
    test: _Document,
    cause: Cause | None,
    cited: Sequence[_Document],
) -> dict[str, Any]:
    """The members of a result, as allure-pytest has them; the same test has the same history in
    every run.
    """
    start = _milliseconds(cited[0]["startedDateTime"] if cited else results["started"])
    document: dict[str, Any] = {
        "name": test["name"],
        **identity(
            requirement.get("feature", requirement["clause"]), requirement["id"], test["name"]
        ),
        "status": _STATUS.get(test["outcome"], "broken"),
        "stage": "finished",
        "description": _description(requirement),
        "labels": [
            {"name": name, "value": value} for name, value in _labels(results, requirement).items()
        ],
        "start": start,
        "stop": start + round(test["seconds"] * 1000),
    }
    if test["outcome"] != "passed":
        document["statusDetails"] = {"message": test["reason"], "trace": _shown(test, cause)}
    return document


def identity(feature: str, requirement: str, test: str) -> dict[str, Any]:
    """The members by which Allure knows a test again, in another run and under another name of a
    file: also of a test that allure-pytest reports.

    The parameter is ``excluded`` from the history's id, since the full name has it.
    """
    full_name = f"{requirement}.{test}"
    _, bracket, values = test.partition("[")
    case = {"name": "case", "value": values.removesuffix("]"), "excluded": True}
    return {
        "fullName": full_name,
        "titlePath": [feature, requirement],
        "testCaseId": _digest(full_name),
        "historyId": _digest(full_name),
        "parameters": [case] if bracket else [],
    }


def _labels(results: _Document, requirement: _Document) -> dict[str, str]:
    feature = requirement.get("feature", requirement["clause"])
    return {
        "parentSuite": feature,
        "suite": requirement["id"],
        "epic": "Web1on1 v2: authentication",
        "feature": feature,
        "story": requirement["id"],
        "severity": SEVERITY[requirement["level"]],
        "framework": "rolecall",
        "host": results["target"]["name"],
    }


def _description(requirement: _Document) -> str:
    step = requirement.get("step", "")
    return (
        f"{requirement['statement']}\n\nClause: {requirement['clause']} (level: "
        f"{requirement['level']})" + (f"\n\nIt follows by: {step}" if step else "")
    )


def _shown(test: _Document, cause: Cause | None) -> str:
    """What to look at: in the place where Allure shows a traceback."""
    if cause:
        return "\n".join(cause.facts)
    return f"look at:  {test['look_at']}" if test["look_at"] else ""


def _environment(results: _Document) -> dict[str, str]:
    """What a reader wants to know of the run at a glance."""
    return {
        "rolecall": results["suite"]["version"],
        "target": results["target"]["name"],
        "base_url": results["target"]["base_url"],
        "dialect": str(results["dialect"]["departures"] or "default"),
        "verdict": results["verdict"],
        "run": results["run"],
    }


def _id(*words: str) -> str:
    """The same for the same test of the same run, so that a run's folder can be made again."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\n".join(words)))


def _digest(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


# --- environment.properties ---------------------------------------------------------------------


def _property(name: str, value: str) -> str:
    """A line of a Java properties file (java.util.Properties): ISO-8859-1, everything else in the
    UTF-16 units of Java.
    """
    escaped = (
        value.replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\r", "\\r")
        .replace("\n", "\\n")
        .replace("\f", "\\f")
    )
    if escaped.startswith(" "):  # which would belong to the separator
        escaped = f"\\{escaped}"
    units = (character if " " <= character <= "~" else _java(character) for character in escaped)
    return f"{name}={''.join(units)}\n"


def _java(character: str) -> str:
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{int.from_bytes(data[place : place + 2], 'big'):04X}"
        for place in range(0, len(data), 2)
    )
