"""What a run leaves: ``load.json`` or ``capacity.json``, and the pages and figures beside it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rolecall
from rolecall.load import objectives, plan
from rolecall.load.capacity.findings import Outcome
from rolecall.load.checks.violations import KINDS, Violation
from rolecall.load.measure.histogram import Histogram
from rolecall.load.measure.totals import Totals
from rolecall.reports import load_page, percentiles

LOAD, CAPACITY = "load.json", "capacity.json"
#: The findings of a search that took no step.
NOTHING_FOUND: Mapping[str, Any] = {
    "axis": "rate",
    "outcome": str(Outcome.UNFINISHED),
    "because": "no step was taken",
    "capacity": {"rate": None, "low": None, "high": None},
    "knee": None,
    "steps": [],
}


def about(options: argparse.Namespace, scenario: str, started: float) -> dict[str, Any]:
    """What every document says first; ``started`` in seconds since the epoch."""
    return {
        "run": Path(options.run_folder).name,
        "rolecall": rolecall.__version__,
        "scenario": scenario,
        "target": plan.whereto(options),
        "started": _iso(started),
        "finished": _iso(time.time()),
    }


def samples(violations: Sequence[Violation]) -> list[dict[str, Any]]:
    """Violations as documents show them."""
    return [
        {"kind": it.kind, "requirement": KINDS[it.kind].requirement, "message": it.message, "exchange": it.exchange, "at": it.at}
        for it in violations
    ]


def write(folder: Path, document: Mapping[str, Any], response: Histogram) -> None:
    """Write what a load run leaves, beside Locust's own CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "percentiles.hgrm").write_text(percentiles.write(response), encoding="utf-8")
    write_document(folder, document)


def write_document(folder: Path, document: Mapping[str, Any]) -> None:
    """Write load.json and its page; whoever finds load.json finds all of it."""
    (folder / "load.html").write_text(load_page.write(document), encoding="utf-8")
    _write_whole(folder / LOAD, document)


def write_capacity(folder: Path, document: Mapping[str, Any]) -> None:
    """Write capacity.json and its page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "load.html").write_text(load_page.write(None, document), encoding="utf-8")
    _write_whole(folder / CAPACITY, document)


def write_nothing(options: argparse.Namespace, scenario: str, exit_code: int, why: str) -> None:
    """Write what is left of a run in which nothing was measured."""
    document = {
        **about(options, scenario, time.time()),
        "verdict": "invalid",
        "exit_code": exit_code,
        "reasons": [why],
        "violation_samples": [],
    }
    folder, chosen = Path(options.run_folder), plan.objectives(options)
    if options.capacity:
        write_capacity(folder, {**document, **NOTHING_FOUND, "objectives": [objective.text for objective in chosen]})
        return
    totals = Totals()
    schedule = plan.schedule(options)
    measured = totals.document()
    document |= {"arrivals": schedule.pack() if schedule else None, "users": None if schedule else options.num_users}
    write(folder, {**document, **measured, "objectives": objectives.judge(chosen, measured)}, totals.response)


def _write_whole(path: Path, document: Mapping[str, Any]) -> None:
    """A member a line, so that people can read it; the long columns stay on theirs."""
    lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items())
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    unfinished.replace(path)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
