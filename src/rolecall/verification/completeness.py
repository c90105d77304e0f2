"""Whether results.json has everything that its tables ask for, and its verdict follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rolecall.finished_run import cell_name
from rolecall.report.certificate import EXECUTED, TABLES, is_due, why_not
from rolecall.screen import harmless
from rolecall.spec.model import API_KEY, Specification
from rolecall.wording import first_few

_NOT_TESTED = "not-tested"
_NAMED = 3  # cells or requirements in a sentence
_AGAIN = "ask for a whole run of this target"


def other_tables(results: Mapping[str, Any], spec: Specification) -> list[str]:
    """The tables of a run that are not those of this Rolecall."""
    suite = results["suite"]
    return [file for table, file in TABLES.items() if suite.get(table) != spec.digests[table]]


def completeness_faults(results: Mapping[str, Any], spec: Specification) -> Iterator[str]:
    """A sentence on each thing that is missing, added or not proven.

    ``results`` follows its schema, and its tables are those of ``spec``.
    """
    if not is_due(results):
        yield f"results.json is not of a run that can be certified: {why_not(results)}"
    yield from _of_cells(results, spec)
    yield from _of_requirements(results, spec)
    yield from _of_findings(results, spec)
    yield from _of_counts(results)


def _of_cells(results: Mapping[str, Any], spec: Specification) -> Iterator[str]:
    found = [cell_name(cell) for cell in results["cells"]]
    expected = {str(cell): cell.expected for cell in spec.cells}
    yield from _differences("cell", found, expected)
    by_name = {cell_name(cell): cell for cell in results["cells"]}
    known = [cell for name, cell in by_name.items() if name in expected]
    turned = [cell_name(c) for c in known if c["expected"] != expected[cell_name(c)]]
    if turned:
        yield f"results.json expects otherwise than the table of {_some(turned)}: {_AGAIN}"
    open_ = [
        cell_name(cell)
        for cell in known
        if cell["outcome"] not in EXECUTED
        and not (cell["outcome"] == _NOT_TESTED and cell["credential"] == API_KEY)
    ]
    if open_:
        yield f"not every cell is proven: {_some(open_)}: {_AGAIN}"
    tests = {
        entry["id"]: {test["name"].partition("[")[2]: test["outcome"] for test in entry["tests"]}
        for entry in results["requirements"]
    }
    alone = [
        cell_name(cell)
        for cell in known
        if tests.get(f"PERM-{cell['operation']}", {}).get(f"{cell_name(cell)}]") != cell["outcome"]
    ]
    if alone:
        yield (
            f"no test in results.json came to the outcome of {_some(alone)}: the file was put "
            f"together by hand; {_AGAIN}"
        )


def _of_requirements(results: Mapping[str, Any], spec: Specification) -> Iterator[str]:
    entries = results["requirements"]
    yield from _differences("requirement", [entry["id"] for entry in entries], spec.requirements)
    known = [entry for entry in entries if entry["id"] in spec.requirements]
    levels = [e["id"] for e in known if e["level"] != spec.requirements[e["id"]].level]
    if levels:
        yield f"the level of {_some(levels)} is not the table's: {_AGAIN}"
    deciding = [entry for entry in known if spec.requirements[entry["id"]].decides]
    open_ = [entry["id"] for entry in deciding if not _is_proven(entry, spec)]
    if open_:
        yield f"not every requirement that decides the verdict is proven: {_some(open_)}: {_AGAIN}"


def _is_proven(entry: Mapping[str, Any], spec: Specification) -> bool:
    """Whether a requirement's outcome is good for the verdict, and is that of its tests."""
    excuses = (_NOT_TESTED,) if spec.requirements[entry["id"]].capability else ()
    outcomes = {test["outcome"] for test in entry["tests"]}
    good = (*EXECUTED, *excuses)
    follows = entry["outcome"] in outcomes
    return follows and entry["outcome"] in good and outcomes <= set(good)


def _of_findings(results: Mapping[str, Any], spec: Specification) -> Iterator[str]:
    waived = {e["id"] for e in results["requirements"] if e["outcome"] == "waived"}
    waived |= {f"PERM-{c['operation']}" for c in results["cells"] if c["outcome"] == "waived"}
    found = [f["requirement"] for f in results["findings"] if f["requirement"] not in waived]
    if found:
        yield f"results.json calls the run conformant and holds findings: {_some(found)}"
    if waived and not results.get("waivers"):
        yield f"{_some(waived)} is waived, and no waiver is given: {_AGAIN}"


def _of_counts(results: Mapping[str, Any]) -> Iterator[str]:
    """Whether the sums are those of what they sum up."""
    listed = {
        "cells": [cell["outcome"] for cell in results["cells"]],
        "requirements": [entry["outcome"] for entry in results["requirements"]],
        "tests": [t["outcome"] for entry in results["requirements"] for t in entry["tests"]],
    }
    for what, outcomes in listed.items():
        said = {outcome: n for outcome, n in results["counts"][what].items() if n}
        if said != Counter(outcomes):
            yield f"the counts of {what} in results.json are not those of its {what}: {_AGAIN}"


def _differences(what: str, found: Iterable[str], expected: Iterable[str]) -> Iterator[str]:
    times, wanted = Counter(found), set(expected)
    missing = [name for name in expected if name not in times]
    if missing:
        yield (
            f"{len(missing)} of {len(wanted)} {what}s are missing in results.json "
            f"({_some(missing)}): {_AGAIN}"
        )
    if added := [name for name in times if name not in wanted]:
        yield f"results.json has a {what} that is not in the tables: {_some(added)}"
    if twice := [name for name, count in times.items() if count > 1]:
        yield f"results.json has a {what} more than once: {_some(twice)}"


def _some(names: Iterable[str]) -> str:
    """The first of some names, as they may be printed."""
    return first_few([harmless(name)[:80] for name in names], _NAMED)
