"""``load.json`` and what lies beside it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rolecall
from rolecall.errors import RolecallError
from rolecall.load import objectives, plan
from rolecall.load.histogram import Histogram
from rolecall.load.totals import Totals
from rolecall.load.violations import KINDS, Violation
from rolecall.reports import load_page, percentiles


def document(
    options: argparse.Namespace,
    scenario: str,
    measured: Mapping[str, Any],
    *,
    verdict: str,
    exit_code: int,
    reasons: Sequence[str],
    started: float,
    judged: Sequence[Mapping[str, Any]] = (),
    samples: Sequence[Violation] = (),
    sampled: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """All of ``load.json`` (schemas/load.schema.json).

    Args:
        measured: what `Totals.document` gave.
        started: when, in seconds since the epoch.
        sampled: cells of the permission table that were tried under load, others that were not, and what was left behind.
        judged: the objectives, with what was observed.
    """
    schedule = plan.schedule(options) if options.rate else None
    return {
        "verdict": verdict,
        "exit_code": exit_code,
        "reasons": list(reasons),
        "run": Path(options.run_folder).name,
        "rolecall": rolecall.__version__,
        "scenario": scenario,
        "target": plan.whereto(options),
        "started": iso(started),
        "finished": iso(time.time()),
        "arrivals": schedule.pack() if schedule else None,
        "users": None if schedule else getattr(options, "num_users", None),
        **measured,
        "objectives": list(judged),
        "violation_samples": [
            {
                "kind": it.kind,
                "requirement": KINDS[it.kind].requirement,
                "message": it.message,
                "exchange": it.exchange,
                "at": it.at,
            }
            for it in samples
        ],
        "sampled": {name: sorted(found) for name, found in (sampled or {}).items()},
    }


def write(folder: Path, document: Mapping[str, Any], response: Histogram) -> None:
    """Write what a load run leaves, beside Locust's own CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "percentiles.hgrm").write_text(percentiles.write(response), encoding="utf-8")
    (folder / "load.html").write_text(load_page.write(document), encoding="utf-8")
    text = json.dumps(document, indent=1) + "\n"
    unfinished = folder / "load.json.tmp"  # whoever finds load.json finds all of it
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(folder / "load.json")


def write_nothing(options: argparse.Namespace, scenario: str, error: RolecallError) -> None:
    """Write what is left of a run in which nothing was measured."""
    totals = Totals()
    measured = totals.document()
    judged = objectives.judge(plan.objectives(options), measured)
    left = document(
        options,
        scenario,
        measured,
        verdict="invalid",
        exit_code=int(error.exit_code),
        reasons=[str(error)],
        started=time.time(),
        judged=judged,
    )
    write(Path(options.run_folder), left, totals.response)


def iso(moment: float) -> str:
    """A moment (seconds since the epoch) as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
