"""Writes the files of a run: ``load.json`` or ``capacity.json``, its page, and its figures."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rolecall
from rolecall.errors import ExitCode, RolecallError, UsageError
from rolecall.histogram import Histogram
from rolecall.loadgen import objectives, plan
from rolecall.loadgen.checks.violations import KINDS, Violation, Violations
from rolecall.loadgen.measure.totals import Totals
from rolecall.loadgen.unexpected import described
from rolecall.report import load_junit, load_page, load_summary, percentiles
from rolecall.run_folder import make_folder
from rolecall.wording import iso_time

LOAD, CAPACITY, SUMMARY = "load.json", "capacity.json", "summary.md"
#: The findings of a search that took no step.
NOTHING_FOUND: Mapping[str, Any] = {
    "axis": "rate",
    "outcome": "unfinished",
    "because": "no step was taken",
    "capacity": {"rate": None, "low": None, "high": None},
    "knee": None,
    "steps": [],
}


def about(options: argparse.Namespace, scenario: str, started: float) -> dict[str, Any]:
    """The members that every document begins with; ``started`` is in seconds since the epoch."""
    return {
        "run": Path(options.run_folder).name,
        "rolecall": rolecall.__version__,
        "command": options.command or shlex.join(["locust", *sys.argv[1:]]),
        "scenario": scenario,
        "options": _shape(options, scenario),
        **({"profile": options.schedule_profile} if options.schedule_profile else {}),
        "target": plan.target_shown(options),
        "started": iso_time(started),
        "finished": iso_time(time.time()),
    }


def accounts(options: argparse.Namespace, used: int) -> dict[str, dict[str, int]]:
    """How many accounts there are, and how many of them took part (workers may share some): the
    member ``accounts``, or none where the workers' accounts are not known here.
    """
    given = plan.accounts_given(options)
    return {"accounts": {"given": given, "used": min(used, given)}} if given else {}


def sampled(
    cells: Mapping[str, Iterable[str]], refused: Iterable[tuple[str, int]]
) -> dict[str, list[str]]:
    """The member ``sampled``: what `Coordinator.sampled` and `Coordinator.refused` say."""
    return {
        **{name: sorted(found) for name, found in cells.items()},
        "refused": [
            f"{email} was answered {status}, and never let in" for email, status in sorted(refused)
        ],
    }


def samples(violations: Sequence[Violation]) -> list[dict[str, Any]]:
    """Violations as documents show them."""
    return [
        {
            "kind": violation.kind,
            "requirement": KINDS[violation.kind].requirement,
            "message": violation.message,
            "exchange": violation.exchange,
            "at": violation.at,
        }
        for violation in violations
    ]


def advice(violations: Violations) -> dict[str, list[dict[str, Any]]]:
    """What was seen that changes no verdict: the member ``advice``, or none."""
    found = violations.advised()
    return {"advice": found} if found else {}


class NotWritten(RolecallError):
    """A file of the result could not be written; the text says which, and why."""

    exit_code = ExitCode.HARNESS_ERROR


def write(folder: Path, document: Mapping[str, Any], response: Histogram) -> None:
    """Write what a load run leaves, beside Locust's own CSV files.

    Raises:
        NotWritten: a file could not be; where load.json could, it says so, too.
    """
    _write(
        folder,
        LOAD,
        document,
        {"percentiles.hgrm": lambda: percentiles.write(response), **_page(document)},
    )


def write_document(folder: Path, document: Mapping[str, Any]) -> None:
    """Write load.json and its page; load.json comes last, so it is never there without them.

    Raises:
        NotWritten: as for `write`.
    """
    _write(folder, LOAD, document, _page(document))


def write_capacity(folder: Path, document: Mapping[str, Any]) -> None:
    """Write capacity.json and its page.

    Raises:
        NotWritten: as for `write`.
    """
    page = {"load.html": lambda: load_page.write(None, document)}
    _write(folder, CAPACITY, document, {**page, **_for_ci(document)})


def _page(document: Mapping[str, Any]) -> dict[str, Callable[[], str]]:
    return {"load.html": lambda: load_page.write(document), **_for_ci(document)}


def _for_ci(document: Mapping[str, Any]) -> dict[str, Callable[[], str]]:
    return {
        "junit.xml": lambda: load_junit.write(document),
        SUMMARY: lambda: load_summary.write(document),
    }


def _write(
    folder: Path, name: str, document: Mapping[str, Any], beside: Mapping[str, Callable[[], str]]
) -> None:
    """Write the files ``beside`` the document, then the document, with reasons for missing ones."""
    reasons = []
    with contextlib.suppress(OSError):  # of which the files will say more
        folder.mkdir(parents=True, exist_ok=True)
    for file, text in beside.items():
        try:
            _write_whole(folder / file, text())
        except Exception as error:  # noqa: BLE001  # what was measured is not to be lost for a page
            reasons.append(_why_not(folder / file, error))
    if reasons:
        document = _incomplete(document, reasons)
    try:
        _write_whole(folder / name, _lines(document))
    except OSError as error:
        reasons.append(_why_not(folder / name, error))
    if reasons:
        raise NotWritten("; ".join(reasons))


@contextlib.contextmanager
def folder_of_run(run: Path, argv: Sequence[str], scenario: str) -> Iterator[None]:
    """Make the run's folder. Ctrl-C at any moment leaves a document in it; an error before there is
    anything to say leaves no folder.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        make_folder(run)
        yield
    except KeyboardInterrupt:
        if run.is_dir() and not written(run):
            interrupted = int(ExitCode.INTERRUPTED), "it was interrupted"
            write_nothing(plan.parse(argv), scenario, *interrupted)
        raise
    except BaseException:
        with contextlib.suppress(OSError):
            run.rmdir()
        raise


def written(folder: Path) -> list[Path]:
    """The documents that are in a run's folder."""
    return [path for path in (folder / LOAD, folder / CAPACITY) if path.is_file()]


def leave_out(folder: Path, path: Path, error: Exception) -> None:
    """Add to an existing document that a file beside it could not be written."""
    for document in written(folder):
        found = json.loads(document.read_text(encoding="utf-8"))
        _write_whole(document, _lines(_incomplete(found, [_why_not(path, error)])))


def leave_behind(folder: Path, what: str) -> None:
    """Add to an existing document that something was left at the target."""
    for path in written(folder):
        found = json.loads(path.read_text(encoding="utf-8"))
        missed = found["verdict"] == "missed"
        found["verdict"], found["exit_code"] = (
            ("missed", found["exit_code"]) if missed else ("invalid", int(ExitCode.LEFT_BEHIND))
        )
        found["reasons"].append(f"left behind: {what}")
        if path.name == LOAD:
            write_document(folder, found)
        else:
            write_capacity(folder, found)


def _incomplete(document: Mapping[str, Any], reasons: Sequence[str]) -> dict[str, Any]:
    """The document of a run with a missing file: still missed if it is missed, else invalid."""
    verdict = "missed" if document["verdict"] == "missed" else "invalid"
    found = {
        "verdict": verdict,
        "exit_code": int(ExitCode.HARNESS_ERROR),
        "reasons": [*document["reasons"], *reasons],
    }
    return {**document, **found}


def _why_not(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else described(error)
    return f"{path} could not be written: {reason}"


def write_nothing(options: argparse.Namespace, scenario: str, exit_code: int, why: str) -> None:
    """Write the document of a run in which nothing was measured."""
    document = {
        **about(options, scenario, time.time()),
        "verdict": "invalid",
        "exit_code": exit_code,
        "reasons": [why],
        "violation_samples": [],
    }
    folder, chosen = Path(options.run_folder), plan.objectives(options)
    if options.capacity:
        write_capacity(
            folder,
            {**document, **NOTHING_FOUND, "objectives": [objective.text for objective in chosen]},
        )
        return
    totals = Totals()
    schedule = plan.schedule(options)
    measured = totals.document()
    document |= {
        "arrivals": schedule.pack() if schedule else None,
        "users": None if schedule else options.num_users,
    }
    write(
        folder,
        {**document, **measured, "objectives": objectives.judge(chosen, measured)},
        totals.response,
    )


def _lines(document: Mapping[str, Any]) -> str:
    """A member a line, so that people can read it; the long columns stay on theirs."""
    lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _write_whole(path: Path, text: str) -> None:
    """All of it, or nothing."""
    unfinished = path.with_suffix(".tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def _shape(options: argparse.Namespace, scenario: str) -> dict[str, Any]:
    try:
        return plan.shape(options, scenario)
    except UsageError:  # which is why there is no run
        return {}
