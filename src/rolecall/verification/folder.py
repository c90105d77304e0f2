"""What is in the folder of a run, and which of it a certificate speaks of.

A folder to be checked may come from anybody: links and devices are not followed, and what is read
is bounded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rolecall.errors import UsageError
from rolecall.finished_run import EVIDENCE
from rolecall.report.artefacts import ON_REQUEST, WRITERS
from rolecall.report.certificate import CERTIFICATE, SUBJECTS
from rolecall.screen import harmless

#: What the certificate vouches for, and itself.
CHECKED = (*SUBJECTS, CERTIFICATE)
#: The other files of a run, and its folders: made from those, or kept for people.
OTHERS = frozenset({*WRITERS, *ON_REQUEST, "ledger.jsonl", "harness-errors.txt"})
FOLDERS = frozenset({"allure-results", "allure-report", "allure-history"})
#: Bytes of a file that are read at most. A whole run's evidence has 8 million.
LARGEST = 256 * 1024 * 1024
_MOST = 100_000  # entries of a folder that are looked at


@dataclass
class RunFolder:
    """The checked files' bytes, the other known files, and what is wrong with the folder itself."""

    files: dict[str, bytes] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read(folder: Path) -> RunFolder:
    """Look at everything in a folder and read what is checked.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
    """
    found = RunFolder()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        hint = "Give the folder of a run."
        raise UsageError(str(folder), f"it cannot be read: {error.strerror}", hint) from None
    for entry in entries:
        if entry.name in CHECKED:
            _read_into(found, Path(entry.path))
        elif entry.name in OTHERS and entry.is_file(follow_symlinks=False):
            found.others.append(entry.name)
        elif entry.name in FOLDERS and entry.is_dir(follow_symlinks=False):
            found.others.append(f"{entry.name}/")
            found.faults += _evidence_below(Path(entry.path), folder)
        else:
            found.faults.append(
                f"{harmless(entry.name)} is not a file of a run, and the certificate does not "
                "speak of it: do not rely on it; move it elsewhere"
            )
    return found


def _read_into(found: RunFolder, path: Path) -> None:
    """Read a regular file of bounded size, or note why not."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                found.faults.append(f"{path.name} is not a regular file: get the run's own file")
            elif facts.st_size > LARGEST:
                found.faults.append(
                    f"{path.name} has {facts.st_size:,} bytes; more than {LARGEST:,} are not read"
                )
            else:
                found.files[path.name] = stream.read(LARGEST)
    except OSError as error:
        found.faults.append(
            f"{path.name} cannot be read ({error.strerror}): it must be a regular file that you "
            "may read"
        )


def _evidence_below(folder: Path, run: Path) -> Iterator[str]:
    """A sentence on each file below a folder of reports that claims to be evidence."""
    seen = 0
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            seen += 1
            if name.lower().endswith(".har"):
                shown = harmless(str((Path(parent) / name).relative_to(run)))
                yield (
                    f"{shown} claims to be evidence, and the certificate does not speak of it: the "
                    f"run's evidence is {EVIDENCE} alone; move it elsewhere"
                )
        if seen > _MOST:
            yield f"{folder.name} has more than {_MOST:,} files; the rest was not looked at"
            return
