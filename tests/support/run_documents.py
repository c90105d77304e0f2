"""The two documents of a run, made by hand: cells with their evidence, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rolecall.outcomes import Outcome
from rolecall.schema_validation import validation_errors

BASE = "https://chat.example.org"
START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
_SUCCESS = {"list": [200], "fetch": [200], "create": [200, 201], "update": [200, 204]}
_METHODS = {"list": "GET", "fetch": "GET", "create": "POST", "update": "PATCH", "delete": "DELETE"}
OPERATIONS = {
    f"{effect}-contact": {
        "row": f"{effect.capitalize()} contact",
        "effect": effect,
        "method": method,
        "path": "/v2/contacts" + ("" if effect in ("list", "create") else "/{id}"),
        "success": _SUCCESS.get(effect, [200, 204]),
        "self": False,
    }
    for effect, method in _METHODS.items()
}


class RunDocuments:
    """results.json and evidence.har, to which cells are added one by one."""

    def __init__(self, **members: Any) -> None:
        self.entries: list[dict[str, Any]] = []
        self.cells: list[dict[str, Any]] = []
        self.requirements: list[dict[str, Any]] = []
        self.members = members

    def exchange(
        self,
        method: str = "GET",
        path: str = "/v2/contacts/c1",
        status: int = 200,
        *,
        caller: str = "admin (token)",
        body: Any = None,
        sent: Any = None,
        at: int = 0,
        token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Add an exchange that left ``at`` milliseconds after the start and took 5; its number.

        Longer than 40 lines because an entry of an archive has that many members.
        """
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
        when = (START + timedelta(milliseconds=at)).isoformat(timespec="milliseconds")
        fields = {"authorization": f"Bearer {token or caller}"}
        entry: dict[str, Any] = {
            "_number": len(self.entries) + 1,
            "_caller": caller,
            "_attack": "",
            "_attempts": 1,
            "_error": "" if status else "the connection was reset",
            "startedDateTime": when.replace("+00:00", "Z"),
            "time": 5.0,
            "request": {
                "method": method,
                "url": BASE + path,
                "headers": [{"name": name, "value": value} for name, value in fields.items()],
                "queryString": [],
            },
            "response": {
                "status": status,
                "headers": [
                    {"name": name, "value": value} for name, value in (headers or {}).items()
                ],
                "content": {"size": len(text), "mimeType": "application/json", "text": text},
            },
            "timings": {"blocked": 0, "send": 0, "wait": 5.0, "receive": 0},
        }
        if sent is not None:
            entry["request"]["postData"] = {"text": json.dumps(sent)}
        self.entries.append(entry)
        return len(self.entries)

    def cell(
        self,
        operation: str,
        role: str,
        expected: str,
        outcome: str,
        evidence: Mapping[str, int] | None = None,
        *,
        credential: str = "token",
        reason: str = "",
        **subject: str,
    ) -> None:
        """Add a cell, with the test that judged it.

        Longer than 40 lines because both have that many members.
        """
        name = f"test_{len(self.cells)}[{operation}-{role}-{credential}]"
        answer = (evidence or {}).get("answer")
        self.cells.append(
            {
                "operation": operation,
                "role": role,
                "credential": credential,
                "expected": expected,
                "outcome": outcome,
                "reason": reason,
                "status": (self.entries[answer - 1]["response"]["status"] or None)
                if answer
                else None,
                "test": name,
                "subject": {"thing": "c1", "name": "", "mark": "", **subject},
            }
        )
        test = {
            "name": name,
            "outcome": outcome,
            "reason": reason,
            "look_at": "",
            "notes": [],
            "seconds": 0.1,
            "tries": 1,
            "evidence": dict(evidence or {}),
            "exchanges": list((evidence or {}).values()),
        }
        self.requirements.append(self.requirement(f"PERM-{operation}", outcome, [test], reason))

    @staticmethod
    def requirement(id: str, outcome: str, tests: list[Any], reason: str = "") -> dict[str, Any]:
        """A requirement that decides."""
        return {
            "id": id,
            "feature": "Permissions",
            "level": "must",
            "clause": "Permissions",
            "statement": "Only some may.",
            "outcome": outcome,
            "reason": reason,
            "tests": tests,
        }

    @property
    def evidence(self) -> dict[str, Any]:
        """evidence.har."""
        return {"log": {"version": "1.2", "entries": self.entries}}

    def results(self) -> dict[str, Any]:
        """results.json, which is valid.

        Longer than 40 lines because the document has that many members.
        """
        none = {outcome.value: 0 for outcome in Outcome}
        of_cells, digest = dict(none), f"sha256:{'0' * 64}"
        for cell in self.cells:
            of_cells[cell["outcome"]] += 1
        document = {
            "verdict": "not-conformant" if of_cells["failed"] else "inconclusive",
            "exit_code": 1 if of_cells["failed"] else 3,
            "reasons": [],
            "run": "20261126-120000-abcdef",
            "suite": {
                "name": "rolecall",
                "version": "0.1.0",
                "specification": "web1on1_v2",
                "permissions": digest,
                "requirements": digest,
            },
            "target": {"name": "a server", "base_url": BASE},
            "dialect": {
                "values": {"denied": [403], "denied_list": "status", "gone": [404, 410]},
                "departures": {},
            },
            "expiry_evidence": "",
            "selected": False,
            "read_only": False,
            "started": "2026-11-26T12:00:00.000Z",
            "finished": "2026-11-26T12:00:09.000Z",
            "requests": len(self.entries),
            "counts": {"cells": of_cells, "requirements": dict(none), "tests": dict(of_cells)},
            "findings": [],
            "operations": OPERATIONS,
            "requirements": self.requirements,
            "cells": self.cells,
            "advice": [],
            "observations": [],
            "left_behind": [],
            **self.members,
        }
        assert validation_errors("results", document) == []
        return document
