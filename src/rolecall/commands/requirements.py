"""Print the requirements: level, clause and statement, the tests that prove them, and the faults of
the reference server that break them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rolecall.commands import say_document
from rolecall.screen import say

if TYPE_CHECKING:
    from rolecall.reference.faults import Fault
    from rolecall.spec.model import Requirement

HELP = "print the requirements, their tests and the faults that break them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which requirements, and how they are printed."""
    parser.add_argument(
        "ids",
        nargs="*",
        metavar="ID",
        help="only these requirements, such as ISSUE-status (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Print the requirements that were asked for, or all.

    Raises:
        UsageError: there is no such requirement.
        RolecallError: the suite could not be read.
    """
    from rolecall.errors import UsageError, suggest
    from rolecall.harness.entry import list_tests
    from rolecall.reference.faults import FAULTS
    from rolecall.spec.loading import load_specification

    requirements = load_specification().requirements
    for unknown in (name for name in arguments.ids if name not in requirements):
        hint = suggest(unknown, requirements, "Without an ID, all are printed.")
        raise UsageError("ID", f"{unknown!r} is not a requirement", hint)
    tests = list_tests()
    faults: dict[str, list[Fault]] = {}
    for fault in FAULTS.values():
        faults.setdefault(fault.finding, []).append(fault)
    rows = [
        _row(requirement, tests[name], faults.get(name, []))
        for name, requirement in requirements.items()
        if name in (arguments.ids or requirements)
    ]
    if arguments.json:
        say_document({"requirements": rows})
    else:
        say("\n\n".join(map(_block, rows)), wraps=True)
    return 0


def _row(requirement: Requirement, tests: list[str], faults: list[Fault]) -> dict[str, Any]:
    return {
        "id": requirement.id,
        "level": requirement.level,
        "clause": requirement.clause,
        "statement": requirement.statement,
        "step": requirement.step,
        "capability": requirement.capability,
        "tests": tests,
        "faults": [fault.name for fault in faults if "load" not in fault.needs],
        "faults_under_load": [fault.name for fault in faults if "load" in fault.needs],
    }


def _block(row: Mapping[str, Any]) -> str:
    """A requirement as lines for people."""
    lines = [f"{row['id']}  ({row['level']}; {row['clause']})", row["statement"]]
    lines += [f"follows by: {row['step']}"] * bool(row["step"])
    lines += [f"needs: {row['capability']}"] * bool(row["capability"])
    lines += [f"test: {test}" for test in row["tests"]]
    for kind in ("faults", "faults_under_load"):
        lines += [f"{kind.replace('_', ' ')}: {', '.join(row[kind])}"] * bool(row[kind])
    return "\n  ".join(lines)
