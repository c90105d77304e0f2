"""A finished run's folder, read again: results.json and evidence.har."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError
from rolecall.schema_validation import validation_errors

RESULTS, EVIDENCE, REPLAY = "results.json", "evidence.har", "replay.json"
#: Runs among which the last one of a target is looked for.
_NEWEST = 200


@dataclass(frozen=True)
class FinishedRun:
    """The documents of a run, and the folder that they are in."""

    folder: Path
    results: dict[str, Any]
    evidence: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> FinishedRun:
        """Read a run's folder.

        Raises:
            UsageError: it is not the folder of a finished run, or a file in it is malformed.
        """
        results = read_results(folder)
        evidence = read_document(folder / EVIDENCE)
        if not isinstance(evidence.get("log"), dict):
            raise UsageError(str(folder / EVIDENCE), "it is not an HTTP archive (HAR 1.2)")
        return cls(folder, results, evidence)


def cell_name(cell: Mapping[str, Any]) -> str:
    """A cell of results.json by one name: ``list-users-guest-token``."""
    return f"{cell['operation']}-{cell['role']}-{cell['credential']}"


def find_run(name: str, out: Path) -> Path:
    """The folder of a run: a path, or the run's id in the folder ``out``."""
    folder = Path(name)
    return out / name if not folder.is_dir() and (out / name).is_dir() else folder


def newest_run(out: Path, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    """The results of the newest run in the folder ``out`` that is wanted; folders of other things,
    and of runs without results, are passed over.
    """
    try:
        folders = sorted((path for path in out.iterdir() if path.is_dir()), reverse=True)
    except OSError:
        return None
    for folder in folders[:_NEWEST]:
        try:
            results = read_document(folder / RESULTS)
            # The whole schema takes a second: first what is quickly told.
            if is_wanted(results) and not validation_errors("results", results):
                return results
        except (UsageError, LookupError, TypeError, AttributeError):
            continue
    return None


def read_results(folder: Path) -> dict[str, Any]:
    """What a run found.

    Raises:
        UsageError: it is no folder of a finished run, or its results are not what they should be.
    """
    if not folder.is_dir():
        raise UsageError(str(folder), "there is no such folder", "Give a run's folder, or its id.")
    results = read_document(folder / RESULTS)
    if faults := validation_errors("results", results):
        raise UsageError(str(folder / RESULTS), f"it is not a run's results: {faults[0]}")
    return results


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        UsageError: it is not there, cannot be read, or holds no JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "A run that was broken off has none."
        raise UsageError(str(path), "there is no such file", hint) from None
    except OSError as error:
        raise UsageError(str(path), f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(str(path), "it is not JSON") from None
    if not isinstance(document, dict):
        raise UsageError(str(path), "it holds no JSON object")
    return document
