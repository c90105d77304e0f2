"""Which runs' folders may go: the oldest of each target, and none that somebody still needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolecall.errors import ExitCode, UsageError
from rolecall.finished_run import RESULTS, read_document
from rolecall.ledger import LEDGER, Ledger, is_at_work
from rolecall.report.comparison import is_whole, same_target

#: What a run leaves last, by kind of run; where none of it is there, the run may still be going on.
_DOCUMENTS = (RESULTS, "load.json", "capacity.json")
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


@dataclass(frozen=True)
class PastRun:
    """A folder of a run: its document, and why it is not to go (``because``), if it is not."""

    folder: Path
    document: Mapping[str, Any] | None
    because: str = ""


def sorted_out(out: Path, keep: int) -> tuple[list[Path], list[PastRun]]:
    """The folders of runs in ``out`` that may be removed, oldest first, and those that are kept
    beyond the newest ``keep`` of each target, with the reason.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
    """
    groups: list[list[PastRun]] = []
    special: list[PastRun] = []
    for run in _runs(out):
        if run.because:
            special.append(run)
            continue
        group = next((entries for entries in groups if _is_alike(entries[-1], run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    going: list[Path] = []
    for group in groups:  # oldest first
        older = group[:-keep]
        last = next((run for run in reversed(group) if _is_comparable(run)), None)
        if last in older:
            older.remove(last)
            special.append(PastRun(last.folder, None, "--since last compares with it"))
        going += [run.folder for run in older]
    return sorted(going), sorted(special, key=lambda run: run.folder)


def _runs(out: Path) -> Iterator[PastRun]:
    """The runs in a folder, oldest first; links, and folders of other things, are passed over."""
    try:
        names = sorted(path.name for path in out.iterdir() if _RUN.fullmatch(path.name))
    except OSError as error:
        raise UsageError(str(out), f"it cannot be read: {error.strerror}") from None
    for name in names:
        folder = out / name
        if folder.is_symlink() or not folder.is_dir():
            continue
        yield _run(folder)


def _run(folder: Path) -> PastRun:
    if is_at_work(folder):
        return PastRun(folder, None, "it is still at work")
    found = [name for name in _DOCUMENTS if (folder / name).is_file()]
    if not found and (target := _cleaned_target(folder)):
        return PastRun(folder, {"target": target})
    if not found:
        return PastRun(
            folder,
            None,
            "it has no results: `rolecall cleanup` deletes what it may have left on the target",
        )
    try:
        document = read_document(folder / found[0])
        if document["target"].keys() < {"name", "base_url"}:
            raise KeyError
        left = bool(document.get("left_behind")) or document["exit_code"] == ExitCode.LEFT_BEHIND
        left |= any(str(reason).startswith("left behind") for reason in document["reasons"])
    except (UsageError, LookupError, TypeError, AttributeError):
        return PastRun(folder, None, f"{found[0]} cannot be read")
    is_needed = left and not _cleaned_target(folder)
    because = "it left things on the target: `rolecall cleanup` deletes them" if is_needed else ""
    return PastRun(folder, document, because)


def _cleaned_target(folder: Path) -> dict[str, str] | None:
    """The target of a run of which nothing is left on it any more (``rolecall cleanup``), as its
    ledger says; None where something may be.
    """
    try:
        ledger = Ledger.reopen(folder / LEDGER)
    except UsageError:
        return None
    ledger.close()
    if not ledger.facts or any(ledger.left) or any(ledger.doubtful):
        return None
    return {name: str(ledger.about.get(name, "")) for name in ("name", "base_url")}


def _is_alike(one: PastRun, other: PastRun) -> bool:
    """Whether two runs are of one target and of one kind."""
    assert one.document is not None
    assert other.document is not None
    kinds = [run.document.get("scenario", "") for run in (one, other) if run.document]
    return kinds[0] == kinds[1] and same_target(one.document["target"], other.document["target"])


def _is_comparable(run: PastRun) -> bool:
    """Whether ``--since last`` would compare with this run."""
    document = run.document or {}
    try:
        return "requirements" in document and is_whole(document)
    except (LookupError, TypeError):
        return False


def remove(folders: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Remove folders, each whole; the folders that could not be, with what the system said.

    A folder is renamed first: what is half removed is no run any more.
    """
    for folder in folders:
        gone = folder.with_name(f".{folder.name}.pruned")
        try:
            folder.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            yield folder, error.strerror or type(error).__name__


def leftovers(out: Path) -> list[Path]:
    """What an earlier removal was interrupted at."""
    return [
        path
        for path in out.glob(".*.pruned")
        if _RUN.fullmatch(path.name[1 : -len(".pruned")])
        and path.is_dir()
        and not path.is_symlink()
    ]
