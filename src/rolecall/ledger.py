"""What a run created or changed on the target, written to disk before the request leaves.

A line of ``ledger.jsonl`` is one event; whatever interrupts the run, the file says what may have been left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Resources of the ledger that are no things to delete: a change of a user that was there before the run, and of the
#: target's clock. They are undone, or named; never deleted.
CHANGE, CLOCK = "change of user", "change of the clock"


@dataclass(eq=False)
class Entry:
    """One thing that may exist because of us; ``id`` is empty until (and unless) the target named it."""

    number: int
    resource: str
    name: str
    id: str = ""
    gone: bool = False
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.resource} {self.id or '(id unknown)'} ({self.name})"


class Ledger:
    """The entries of one run, in order of their creation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: list[Entry] = []
        self._file = path.open("a", encoding="utf-8")

    def intend(self, resource: str, name: str) -> Entry:
        """Note that a request which may create ``name`` is about to leave."""
        entry = Entry(len(self._entries) + 1, resource, name)
        self._entries.append(entry)
        self._write(event="intend", number=entry.number, resource=resource, name=name)
        return entry

    def created(self, entry: Entry, id: str) -> None:
        """Note the id that the target gave."""
        entry.id = id
        self._write(event="created", number=entry.number, id=id)

    def gone(self, entry: Entry) -> None:
        """Note that the thing was deleted, or was never made."""
        if not entry.gone:
            entry.gone = True
            self._write(event="gone", number=entry.number)

    def refused(self, entry: Entry) -> None:
        """Note that the target said no; whether it kept to that is another question."""
        entry.refused = True
        self._write(event="refused", number=entry.number)

    def of(self, id: str) -> Entry | None:
        """The entry of the thing with this id."""
        return next((entry for entry in self._entries if entry.id == id), None)

    @property
    def left(self) -> Iterator[Entry]:
        """What has an id and is not known to be gone, newest first."""
        return (entry for entry in reversed(self._entries) if entry.id and not entry.gone)

    @property
    def doubtful(self) -> Iterator[Entry]:
        """What may have been made without our learning its id: nobody answered, or not in words that we understand."""
        return (entry for entry in reversed(self._entries) if not (entry.id or entry.gone or entry.refused))

    @property
    def resources(self) -> Iterable[str]:
        """The kinds of things that may have been created, oldest first."""
        return dict.fromkeys(entry.resource for entry in self._entries)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()
