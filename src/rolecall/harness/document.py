"""Makes results.json: everything that a finished run says, as one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rolecall
from rolecall.harness.results import (
    TestResult,
    Verdict,
    advice,
    counts,
    findings,
    requirement_outcomes,
)
from rolecall.outcomes import Outcome
from rolecall.report import curl
from rolecall.spec.model import Cell, Dialect, Operation, Specification
from rolecall.suite_identity import identity
from rolecall.target import Target
from rolecall.wording import iso_time


@dataclass(frozen=True)
class RunFacts:
    """What results.json says of a run besides its results; times in seconds since 1970.

    ``operations`` are those of the target, where its file changes them.
    """

    id: str
    spec: Specification
    target: Target
    dialect: Dialect
    expiry_evidence: str
    selected: bool
    read_only: bool
    started: float
    finished: float
    requests: int
    left_behind: Sequence[str]
    operations: Mapping[str, Operation] = field(default_factory=dict)


def results_document(
    facts: RunFacts, results: list[TestResult], verdict: Verdict, redact: Callable[[str], str]
) -> dict[str, Any]:
    """The document of a run, as schemas/results.schema.json has it.

    ``redact`` takes the secrets out of the curl commands; all else is redacted by the caller.
    """
    spec = facts.spec
    return {
        "verdict": verdict.status,
        "exit_code": int(verdict.exit_code),
        "reasons": verdict.reasons,
        **_head(facts),
        "counts": _counts(spec, results),
        "findings": [_finding(spec, result, redact) for result in findings(spec, results)],
        "operations": {
            operation.name: _operation(operation)
            for operation in (facts.operations or spec.operations).values()
        },
        "requirements": [
            _requirement(spec, id, outcome, tests)
            for id, (outcome, tests) in requirement_outcomes(spec, results).items()
        ],
        "cells": [_cell(cell, result) for cell, result in _by_cell(spec, results)],
        "advice": [_finding(spec, result, redact) for result in advice(spec, results)],
        "observations": [
            {"requirement": result.requirement, "test": result.name, "note": note}
            for result in results
            if spec.requirements[result.requirement].level == "observe"
            for note in result.evidence.notes
        ],
        "left_behind": list(facts.left_behind),
    }


def _head(facts: RunFacts) -> dict[str, Any]:
    return {
        "run": facts.id,
        "suite": {
            "name": "rolecall",
            "version": rolecall.__version__,
            "specification": facts.spec.name,
            **facts.spec.digests,
            **identity(),
        },
        "target": {
            "name": facts.target.name,
            "base_url": facts.target.base_url,
            "accounts": {
                account.name: {"email": account.email, "password_env": account.password_env}
                for account in facts.target.accounts.values()
            },
        },
        "dialect": {"values": facts.dialect.values, "departures": facts.dialect.departures},
        "expiry_evidence": facts.expiry_evidence,
        "selected": facts.selected,
        "read_only": facts.read_only,
        "started": iso_time(facts.started),
        "finished": iso_time(facts.finished),
        "requests": facts.requests,
    }


def _counts(spec: Specification, results: list[TestResult]) -> dict[str, Any]:
    outcomes = requirement_outcomes(spec, results)
    return {
        "cells": counts(
            result.outcome if result else Outcome.NOT_TESTED
            for _, result in _by_cell(spec, results)
        ),
        "requirements": counts(outcome for outcome, _ in outcomes.values()),
        "tests": counts(result.outcome for result in results),
    }


def _by_cell(
    spec: Specification, results: list[TestResult]
) -> list[tuple[Cell, TestResult | None]]:
    """Every cell of the table, with its result if there is one."""
    by_cell = {str(result.cell): result for result in results if result.cell}
    return [(cell, by_cell.get(str(cell))) for cell in spec.cells]


def _requirement(
    spec: Specification, id: str, outcome: Outcome, tests: list[TestResult]
) -> dict[str, Any]:
    requirement = spec.requirements[id]
    return {
        "id": id,
        "feature": requirement.feature,
        "level": requirement.level,
        "clause": requirement.clause,
        "step": requirement.step,
        "statement": requirement.statement,
        "depends": list(requirement.depends),
        "outcome": outcome.value,
        "reason": _reason(outcome, tests),
        "tests": [_test(test) for test in tests],
    }


def _finding(
    spec: Specification, result: TestResult, redact: Callable[[str], str]
) -> dict[str, Any]:
    requirement = spec.requirements[result.requirement]
    return {
        "requirement": requirement.id,
        "level": requirement.level,
        "clause": requirement.clause,
        "step": requirement.step,
        "statement": requirement.statement,
        "test": result.name,
        "cell": str(result.cell) if result.cell else None,
        "expected": result.expected,
        "actual": result.actual,
        "exchange": result.shown_by.number if result.shown_by else None,
        "curl": curl.command(result.shown_by, redact) if result.shown_by else None,
        "caller": result.shown_by.caller if result.shown_by else None,
        **({"waited": round(result.evidence.waited, 1)} if result.evidence.waited else {}),
    }


def _reason(outcome: Outcome, tests: list[TestResult]) -> str:
    """Why a requirement has its outcome: the words of the first test that decided it."""
    if not tests:
        return "not selected"
    deciding = [test for test in tests if test.outcome is outcome]
    others = (
        f" (and {len(deciding) - 1} more)"
        if len(deciding) > 1 and outcome is not Outcome.PASSED
        else ""
    )
    first = next((test.reason for test in deciding if test.reason), "")
    return first + others if first else ""


def _test(test: TestResult) -> dict[str, Any]:
    return {
        "name": test.name,
        "outcome": test.outcome.value,
        "reason": test.reason,
        "look_at": test.look_at,
        **({"said": test.said} if test.said else {}),
        "capability": test.capability,
        "notes": test.evidence.notes,
        "seconds": round(test.seconds, 4),
        "tries": test.tries,
        "evidence": {piece: exchange.number for piece, exchange in test.evidence.named.items()},
        "exchanges": [exchange.number for exchange in test.evidence.exchanges],
    }


def _cell(cell: Cell, result: TestResult | None) -> dict[str, Any]:
    answer = result.evidence.named.get("answer") if result else None
    return {
        "operation": cell.operation,
        "role": cell.role,
        "credential": cell.credential,
        "expected": cell.expected,
        "outcome": result.outcome.value if result else Outcome.NOT_TESTED.value,
        "reason": result.reason if result else "not selected",
        "status": answer.status if answer and answer.status else None,
        "test": result.name if result else None,
        "subject": dict(result.evidence.subject) if result else {},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    """What a reader needs of an operation to judge its cells."""
    return {
        "row": operation.row,
        "effect": operation.effect,
        "method": operation.method,
        "path": operation.path,
        "success": list(operation.success),
        "self": operation.is_self,
    }
