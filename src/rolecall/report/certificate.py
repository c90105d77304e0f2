"""The certificate's Statement, of results.json: in-toto v1 with the predicate test-result v0.1.

All that it says follows from results.json and from the digests of the files beside it, so whoever
has those can make it again and compare.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rolecall.finished_run import EVIDENCE, REPLAY, RESULTS, cell_name
from rolecall.spec.model import DECIDING

#: The file's name in a run's folder, and the files whose digests are its subjects.
CERTIFICATE = "certificate.json"
SUBJECTS = (RESULTS, EVIDENCE, REPLAY)
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
#: Outcomes that were reached by running the tests and count for the verdict as they are.
EXECUTED = ("passed", "not-applicable", "waived")
#: The tables of ``suite`` in results.json, each with the file that it is the digest of.
TABLES = {
    "permissions": "permissions.md",
    "operations": "operations.toml",
    "requirements": "requirements.toml",
    "readings": "readings.toml",
}


def is_due(results: Mapping[str, Any]) -> bool:
    """Whether a run is certified: all of it was run, it is conformant, and it ended well."""
    return (
        results["verdict"] == "conformant"
        and results["exit_code"] == 0
        and not results["selected"]
        and not results["read_only"]
    )


def why_not(results: Mapping[str, Any]) -> str:
    """The sentence on a run that is not certified."""
    return (
        "only a whole run with the verdict conformant and exit code 0 is certified; this one is "
        f"{results['verdict']}, exit code {results['exit_code']}"
        + (", of a selected part" if results["selected"] else "")
        + (", read-only" if results["read_only"] else "")
    )


def statement(results: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """The Statement of a run that `is_due`.

    Args:
        digests: the SHA-256 of each file in `SUBJECTS`, in hexadecimal.
    """
    requirements = [entry for entry in results["requirements"] if entry["level"] in DECIDING]
    cells = [(cell_name(cell), cell["outcome"], cell["reason"]) for cell in results["cells"]]
    outcomes = [(entry["id"], entry["outcome"], entry["reason"]) for entry in requirements]
    waivers = [waiver for waiver in results.get("waivers", ()) if waiver["state"] == "live"]
    waived = _named([*outcomes, *cells], "waived")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in SUBJECTS],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": "WARNED" if waived or waivers else "PASSED",
            "configuration": _configuration(results["suite"]),
            "passedTests": _named([*outcomes, *cells], "passed"),
            "warnedTests": waived,
            "failedTests": [],
            "rolecall": {
                **{
                    name: results[name]
                    for name in ("run", "target", "verdict", "started", "finished", "requests")
                },
                "dialect": results["dialect"],
                "expiry_evidence": results["expiry_evidence"],
                "required": _sets(outcomes, cells),
                "executed": _sets(*(_named_as(rows, *EXECUTED) for rows in (outcomes, cells))),
                "not_covered": [
                    {"name": name, "reason": reason}
                    for name, outcome, reason in [*outcomes, *cells]
                    if outcome not in EXECUTED
                ],
                "notes": results["reasons"],
                "waivers": waivers,
            },
        },
    }


def text(document: Mapping[str, Any]) -> str:
    """The Statement as the payload of an envelope."""
    return json.dumps(document, separators=(",", ":"))


Rows = Iterable[tuple[str, str, str]]


def _sets(requirements: Rows, cells: Rows) -> dict[str, list[str]]:
    return {
        "requirements": [name for name, *_ in requirements],
        "cells": [name for name, *_ in cells],
    }


def _named_as(rows: Rows, *outcomes: str) -> list[tuple[str, str, str]]:
    return [row for row in rows if row[1] in outcomes]


def _named(rows: Rows, outcome: str) -> list[str]:
    return [name for name, *_ in _named_as(rows, outcome)]


def _configuration(suite: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the run was made with, as ResourceDescriptors: the program, tables and kill table."""
    strength = dict(suite["kill_table"])
    return [
        {
            "name": suite["name"],
            "uri": f"pkg:pypi/{suite['name']}@{suite['version']}",
            "digest": {"dirHash": _hexadecimal(suite["package"])},
        },
        *(
            {
                "name": f"conformance/{suite['specification']}/{file}",
                "digest": {"sha256": _hexadecimal(suite[table])},
            }
            for table, file in TABLES.items()
        ),
        {
            "name": "docs/kill-table.md",
            "digest": {"sha256": _hexadecimal(strength.pop("digest"))},
            "annotations": strength,
        },
    ]


def _hexadecimal(digest: str) -> str:
    return digest.removeprefix("sha256:")
