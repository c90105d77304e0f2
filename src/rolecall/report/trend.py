"""What a history of runs says: which failures are new, broken, flaky or mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from rolecall.finished_run import cell_name
from rolecall.report.comparison import is_broken_off, same_target
from rolecall.screen import harmless_document
from rolecall.wording import counted

Line = Mapping[str, Any]

#: Outcomes that a line names; what it does not name has passed, or was not applicable.
_NAMED = ("failed", "waived", "inconclusive", "error", "not-tested")
_MARKS = {"failed": "X", "waived": "w", "inconclusive": "?", "error": "!", "not-tested": "-"}
_BAD = frozenset({"failed", "waived"})
#: The newest runs that are looked at.
WINDOW = 30
#: A failure that came and went this often is flaky; one that did so twice is where it, or the time
#: between, lasted for one run.
_OFTEN = 3
_KINDS = ("new", "broken", "flaky", "mended")


def line_of(results: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's line for the history; None where the run was broken off and has no end to tell of."""
    if is_broken_off(results):
        return None
    cells = [(cell_name(cell), cell["outcome"]) for cell in results["cells"]]
    requirements = [(entry["id"], entry["outcome"]) for entry in results["requirements"]]
    return {
        "run": results["run"],
        "finished": results["finished"],
        "target": {name: results["target"][name] for name in ("name", "base_url")},
        "suite": results["suite"],
        "dialect": results["dialect"]["departures"],
        "selected": results["selected"],
        "read_only": results["read_only"],
        "verdict": results["verdict"],
        "exit_code": results["exit_code"],
        # Of a part all else was not tested: only failures are worth a line.
        "requirements": _by_outcome(requirements, whole=not results["selected"]),
        "cells": _by_outcome(cells, whole=not results["selected"]),
    }


def _by_outcome(outcomes: Sequence[tuple[str, str]], *, whole: bool) -> dict[str, list[str]]:
    named = {
        outcome: [name for name, found in outcomes if found == outcome]
        for outcome in _NAMED
        if whole or outcome != "not-tested"
    }
    return {outcome: names for outcome, names in named.items() if names}


def trends(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The trend of each target, those with the newest runs last.

    Each has ``target``, ``runs`` (ids of the whole runs that count, oldest first), ``parts`` (how
    many runs were of a selected part), ``verdicts`` and ``failures``: ``what``, ``name``, ``kind``
    (new, broken, flaky, mended), ``marks`` (a character a run), ``failed`` (how often), ``since``
    (the first run of the present state).
    """
    groups: list[list[Line]] = []
    for line in lines:
        group = next((g for g in groups if same_target(g[-1]["target"], line["target"])), None)
        if group:
            groups.remove(group)
        groups.append([*(group or []), line])
    return [_trend(group) for group in groups]


def _trend(lines: Sequence[Line]) -> dict[str, Any]:
    whole = [line for line in lines if not line["selected"]]
    runs = whole[-WINDOW:]
    return {
        "target": lines[-1]["target"],
        "runs": [line["run"] for line in runs],
        "parts": len(lines) - len(whole),
        "verdicts": [line["verdict"] for line in runs],
        "failures": sorted(
            [*_failures("requirement", "requirements", runs), *_failures("cell", "cells", runs)],
            key=lambda failure: _KINDS.index(failure["kind"]),
        ),
    }


def _failures(what: str, member: str, runs: Sequence[Line]) -> Iterator[dict[str, Any]]:
    names = dict.fromkeys(
        name for line in runs for outcome in _BAD for name in line[member].get(outcome, ())
    )
    for name in sorted(names):
        outcomes = [_outcome(line[member], name) for line in runs]
        yield {
            "what": what,
            "name": name,
            **_kind(outcomes, runs),
            "marks": "".join(_MARKS.get(outcome, ".") for outcome in outcomes),
            "failed": sum(outcome in _BAD for outcome in outcomes),
        }


def _outcome(by_outcome: Mapping[str, Sequence[str]], name: str) -> str:
    return next((outcome for outcome in _NAMED if name in by_outcome.get(outcome, ())), "passed")


def _kind(outcomes: Sequence[str], runs: Sequence[Line]) -> dict[str, str]:
    """How a failure behaves over the runs that decided it, and since which run.

    A change between runs of different suites or dialects is not the server's, and makes nothing
    flaky.
    """
    decided = [
        (run, outcome in _BAD)
        for run, outcome in zip(runs, outcomes, strict=True)
        if outcome in _BAD or outcome == "passed"
    ]
    streaks = [
        (is_bad, [run for run, _ in streak])
        for is_bad, streak in groupby(decided, key=lambda entry: entry[1])
    ]
    changes = [_judged_alike(before[1][-1], after[1][0]) for before, after in pairwise(streaks)]
    is_bad, last = streaks[-1]
    short = len(changes) == 2 and all(changes) and len(streaks[1][1]) == 1  # see _OFTEN
    if sum(changes) >= _OFTEN or short:
        kind = "flaky"
    elif not is_bad:
        kind = "mended"
    else:
        kind = "new" if len(last) == 1 else "broken"
    return {"kind": kind, "since": last[0]["run"]}


def _judged_alike(one: Line, other: Line) -> bool:
    return bool(one["suite"] == other["suite"] and one["dialect"] == other["dialect"])


def text(trends: Sequence[Mapping[str, Any]], torn: int = 0) -> str:
    """What a person reads of all trends."""
    blocks = ["\n".join(_lines(harmless_document(trend))) for trend in trends]
    if torn:
        blocks.append(f"{counted(torn, 'line')} of the history could not be read.")
    return "\n\n".join(blocks) if blocks else "There are no finished runs in the history."


def _lines(trend: Mapping[str, Any]) -> Iterator[str]:
    runs, parts = trend["runs"], trend["parts"]
    target = f"{trend['target']['name']} at {trend['target']['base_url']}"
    others = f", and {parts} of a part" if parts else ""
    yield f"{target}: {counted(len(runs), 'whole run')}{others}"
    if not runs:
        return
    yield f"   {runs[0]} to {runs[-1]}; the last one: {trend['verdicts'][-1]}"
    for failure in trend["failures"]:
        yield (
            f"   {failure['kind']:<7} {failure['what']:<11} {failure['name']:<34} "
            f"{failure['marks']}  {_said(failure, len(runs))}"
        )
    if not trend["failures"]:
        yield "   Nothing failed in any of them."


def _said(failure: Mapping[str, Any], runs: int) -> str:
    if failure["kind"] == "flaky":
        return f"failed in {failure['failed']} of {runs} runs"
    return f"since {failure['since']}"
