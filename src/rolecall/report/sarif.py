"""``results.sarif``: the findings, by cause, as SARIF 2.1.0 (OASIS Standard with Errata 01).

A requirement is a rule, a cause is a result, and the exchange that shows it is the result's web
request and response. What could not be decided is a result of kind ``open``, so that a run that
proved nothing does not read like one that found nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urldefrag

from rolecall.report import shown
from rolecall.report.causes import Cause, advice, causes
from rolecall.wording import shortened

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {"must": "error", "derived": "error", "hardening": "note", "observe": "none"}
#: Exit codes of a run that came to its end, whatever it found (design of the command line).
_RAN_TO_ITS_END = (0, 1, 3, 5)
_MOST_OF_A_BODY = 4000  # characters; the whole body is in evidence.har
_MOST_NAMES = 20  # logical locations of one result

_Result = dict[str, Any]


def write(results: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """The text of the file, of results.json and evidence.har."""
    entries = shown.entries(evidence)
    every = [*causes(results), *advice(results)]
    found = [
        _of_cause(cause, entries, mark)
        for cause, mark in zip(every, _fingerprints(every), strict=True)
    ]
    run = {
        "tool": {"driver": _driver(results)},
        "automationDetails": {"id": f"rolecall/{results['target']['name']}/{results['run']}"},
        "invocations": [_invocation(results)],
        "columnKind": "unicodeCodePoints",
        "results": [*found, *_open(results)],
        "properties": {
            "target": results["target"]["base_url"],
            "verdict": results["verdict"],
            "dialect": results["dialect"]["departures"],
        },
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1) + "\n"


def _driver(results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "Rolecall",
        "semanticVersion": results["suite"]["version"],
        "rules": [_rule(requirement) for requirement in results["requirements"]],
    }


def _rule(requirement: Mapping[str, Any]) -> dict[str, Any]:
    step = requirement.get("step", "")
    help = f"Clause: {requirement['clause']}." + (f" It follows by: {step}" if step else "")
    return {
        "id": requirement["id"],
        "shortDescription": {"text": requirement["statement"]},
        "help": {"text": help},
        "defaultConfiguration": {"level": _LEVELS[requirement["level"]]},
        "properties": {"tags": ["security", requirement["level"]]},
    }


def _invocation(results: Mapping[str, Any]) -> dict[str, Any]:
    level = {0: "note", 1: "note"}.get(results["exit_code"], "warning")
    return {
        "executionSuccessful": results["exit_code"] in _RAN_TO_ITS_END,
        "exitCode": results["exit_code"],
        "exitCodeDescription": results["verdict"],
        "startTimeUtc": results["started"],
        "endTimeUtc": results["finished"],
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": reason}} for reason in results["reasons"]
        ],
    }


def _of_cause(cause: Cause, entries: Mapping[int, Mapping[str, Any]], fingerprint: str) -> _Result:
    tests = f"{len(cause.tests)} of {cause.total} tests"
    text = (
        f"{cause.requirement}: {cause.kind}, {tests}. Expected {cause.expected}; got "
        f"{cause.actual}. Look at {cause.look_at}."
    )
    entry = entries.get(cause.exchange or 0)
    return {
        "ruleId": cause.requirement,
        "kind": "fail",
        "level": _LEVELS[cause.level],
        "message": {"text": text},
        "locations": [_location(cause, entry)],
        "partialFingerprints": {"rolecallCause/v2": fingerprint},
        "occurrenceCount": len(cause.tests),
        "properties": {
            "tests": list(cause.tests),
            "exchange": cause.exchange,
            "curl": cause.curl,
        },
        **(_exchange(entry) if entry else {}),
    }


def _fingerprints(found: Sequence[Cause]) -> Iterator[str]:
    """Of each cause the same in another run: made of the requirement and of the kinds of answers,
    not of a status, nor of what a run makes up (ids, times, the number of an exchange).

    Where a server refuses one requirement's requests with two statuses that are both wrong, those
    are two causes with one signature, which are numbered.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for cause in found:
        key = cause.requirement, cause.signature
        seen[key] += 1
        words = (*key, *([str(seen[key])] if seen[key] > 1 else []))
        yield hashlib.sha256("\n".join(words).encode()).hexdigest()


def _location(cause: Cause, entry: Mapping[str, Any] | None) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": name,
                "fullyQualifiedName": f"{cause.requirement}/{name}",
                "kind": "resource",
            }
            for name in cause.names[:_MOST_NAMES]
        ]
    }
    if entry:
        url = urldefrag(entry["request"]["url"]).url.partition("?")[0]
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(url)}}
    return location


def _uri(url: str) -> str:
    """A URL of which every character may stand in a URI (RFC 3986)."""
    allowed = "-._~:/?#[]@!$&'()*+,;=%"
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in allowed)
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
        for character in url
    )


def _open(results: Mapping[str, Any]) -> Iterable[_Result]:
    """A result for each requirement that could not be decided."""
    for requirement in results["requirements"]:
        if (
            requirement["outcome"] in ("inconclusive", "error")
            and _LEVELS[requirement["level"]] == "error"
        ):
            reason = requirement["reason"] or requirement["outcome"]
            yield {
                "ruleId": requirement["id"],
                "kind": "open",
                "level": "none",
                "message": {"text": f"{requirement['id']} could not be decided: {reason}"},
                "locations": [
                    {
                        "logicalLocations": [
                            {"fullyQualifiedName": requirement["id"], "kind": "resource"}
                        ]
                    }
                ],
            }


# --- The exchange that shows a finding ----------------------------------------------------------


def _exchange(entry: Mapping[str, Any]) -> dict[str, Any]:
    request, response = entry["request"], entry["response"]
    sent = request.get("postData", {}).get("text", "")
    got = response["content"].get("text", "")
    return {
        "webRequest": {
            **_protocol(request["httpVersion"]),
            "method": request["method"],
            "target": request["url"],
            "headers": _fields(request["headers"]),
            **({"body": _body(sent)} if sent else {}),
        },
        "webResponse": {
            **_protocol(response["httpVersion"]),
            "statusCode": response["status"],
            "headers": _fields(response["headers"]),
            "noResponseReceived": not response["status"],
            **({"body": _body(got)} if got else {}),
        },
    }


def _protocol(version: str) -> dict[str, str]:
    protocol, _, number = version.partition("/")
    return {"protocol": protocol, "version": number or "1.1"}


def _fields(headers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Header fields by name; values of one name are joined as RFC 9110 (5.3) has it."""
    fields: dict[str, list[str]] = {}
    for header in headers:
        fields.setdefault(header["name"], []).append(header["value"])
    return {name: ", ".join(values) for name, values in fields.items()}


def _body(text: str) -> dict[str, str]:
    return {"text": shortened(text, _MOST_OF_A_BODY)}
