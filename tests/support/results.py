"""Small results documents, made by hand: what reports and comparisons are tested with."""

from __future__ import annotations

from typing import Any

#: What both digests are unless a test says otherwise.
DIGEST = "sha256:" + "0" * 64
_OUTCOMES = ("passed", "failed", "inconclusive", "not-applicable", "not-tested", "waived", "error")


def cell(
    name: str, outcome: str = "passed", status: int | None = 200, **more: Any
) -> dict[str, Any]:
    """A cell by its name: ``list-users guest token``."""
    operation, role, credential = name.split()
    return {
        "operation": operation,
        "role": role,
        "credential": credential,
        "expected": "allow",
        "outcome": outcome,
        "reason": "" if outcome == "passed" else "why",
        "status": status,
        **more,
    }


def requirement(
    id: str, outcome: str = "passed", tests: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """A requirement with its tests' outcomes by name; without any it has one, with its own."""
    return {
        "id": id,
        "level": "must",
        "clause": "Clause",
        "step": "",
        "statement": "Statement.",
        "outcome": outcome,
        "reason": "" if outcome == "passed" else "why",
        "tests": [
            {
                "name": name,
                "outcome": of_test,
                "reason": "",
                "look_at": "",
                "notes": [],
                "seconds": 0.1,
                "tries": 1,
                "evidence": {},
                "exchanges": [1],
            }
            for name, of_test in ({"test_it": outcome} if tests is None else tests).items()
        ],
        **more,
    }


def results(run: str = "20261126-030000-aaaaaa", **more: Any) -> dict[str, Any]:
    """A document of a whole, conformant run of one cell and one requirement; ``more`` replaces
    members.
    """
    no_counts = dict.fromkeys(_OUTCOMES, 0)
    day = f"{run[:4]}-{run[4:6]}-{run[6:8]}"
    return {
        "verdict": "conformant",
        "exit_code": 0,
        "reasons": [],
        "run": run,
        "suite": {
            "name": "rolecall",
            "version": "1.0.0",
            "specification": "web1on1_v2",
            "permissions": DIGEST,
            "requirements": DIGEST,
        },
        "target": {"name": "staging", "base_url": "https://staging.example.org"},
        "dialect": {"values": {"denied": [403]}, "departures": {}},
        "expiry_evidence": "A",
        "selected": False,
        "read_only": False,
        "started": f"{day}T03:00:00.000Z",
        "finished": f"{day}T03:01:00.000Z",
        "requests": 10,
        "counts": {"cells": no_counts, "requirements": no_counts, "tests": no_counts},
        "findings": [],
        "requirements": [requirement("PERM-list-users")],
        "cells": [cell("list-users guest token")],
        "advice": [],
        "observations": [],
        "left_behind": [],
        **more,
    }
