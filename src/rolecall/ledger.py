"""What a run created or changed on the target, written to disk before the request leaves.

A line of ``ledger.jsonl`` is one event; whatever interrupts the run, the file says what may have
been left.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolecall.whole_files import NotWrittenWhole

#: Resources of the ledger that are no things to delete: a change of a user that was there before
#: the run, and of the target's clock. They are undone, or named; never deleted.
CHANGE, CLOCK = "change of user", "change of the clock"


@dataclass(eq=False)
class LedgerEntry:
    """One thing that may exist because of us.

    ``id`` is empty until (and unless) it is certain; ``claimed`` is what an answer called it before
    that.
    """

    number: int
    resource: str
    name: str
    id: str = ""
    gone: bool = False
    refused: bool = False
    claimed: str = ""

    @property
    def is_thing(self) -> bool:
        """Whether it is a thing that the run made, and not a change of what was there."""
        return self.resource not in (CHANGE, CLOCK)

    def __str__(self) -> str:
        return f"{self.resource} {self.id or '(id unknown)'} ({self.name})"


class Ledger:
    """The entries of one run, in order of their creation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: list[LedgerEntry] = []
        self._by_id: dict[tuple[str, str], LedgerEntry] = {}
        self._file = path.open("a", encoding="utf-8")

    def intend(self, resource: str, name: str) -> LedgerEntry:
        """Note that a request which may create ``name``, or change it, is about to leave.

        Raises:
            NotWrittenWhole: it could not be written down, so the request must not leave.
        """
        entry = LedgerEntry(len(self._entries) + 1, resource, name)
        self._entries.append(entry)
        self._write(event="intend", number=entry.number, resource=resource, name=name)
        return entry

    def created(self, entry: LedgerEntry, id: str) -> None:
        """Note the id of what was made, once it is certain that the run made it.

        Raises:
            ValueError: the id is empty: it would be the id of nothing, or of the whole collection.
        """
        if not id:
            raise ValueError(f"{entry} cannot have an empty id")
        entry.id = id
        before = self._by_id.get((entry.resource, id))
        if (
            before and before is not entry
            # given anew when its thing is gone, or written over: it is one thing, and the newest
            # counts
        ):
            self.gone(before)
        self._by_id[entry.resource, id] = entry
        self._write(event="created", number=entry.number, id=id)

    def gone(self, entry: LedgerEntry) -> None:
        """Note that the thing was deleted, or was never made."""
        if not entry.gone:
            entry.gone = True
            self._write(event="gone", number=entry.number)

    def refused(self, entry: LedgerEntry) -> None:
        """Note that the target said no; whether it kept to that is another question."""
        entry.refused = True
        self._write(event="refused", number=entry.number)

    def of(self, resource: str, id: str) -> LedgerEntry | None:
        """The entry of the thing of this kind with this id; ids are unique within a kind only."""
        return self._by_id.get((resource, id)) if id else None

    def named(self, resource: str, name: str) -> LedgerEntry | None:
        """The newest entry of a thing of this kind that was to have this name."""
        return next(
            (
                entry
                for entry in reversed(self._entries)
                if (entry.resource, entry.name) == (resource, name)
            ),
            None,
        )

    def is_open(self, entry: LedgerEntry) -> bool:
        """Whether a request for this entry may leave: it is written down, its end is unknown."""
        return (
            entry.number <= len(self._entries)
            and self._entries[entry.number - 1] is entry
            and not entry.gone
        )

    def with_id(self, resource: str) -> Iterator[LedgerEntry]:
        """The things of this kind that were certainly made, also those that are gone."""
        return (entry for entry in self._entries if entry.resource == resource and entry.id)

    @property
    def left(self) -> Iterator[LedgerEntry]:
        """What has an id and is not known to be gone, newest first."""
        return (entry for entry in reversed(self._entries) if entry.id and not entry.gone)

    @property
    def doubtful(self) -> Iterator[LedgerEntry]:
        """What may have been made without our learning its id: no answer came, or none that shows
        that it is ours.
        """
        return (
            entry
            for entry in reversed(self._entries)
            if not (entry.id or entry.gone or entry.refused)
        )

    @property
    def resources(self) -> Iterable[str]:
        """The kinds of things that may have been created, oldest first."""
        return dict.fromkeys(entry.resource for entry in self._entries if entry.is_thing)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # what could not be written is tried once more
            self._file.close()

    def _write(self, **event: Any) -> None:
        """Write an event.

        Only what has not been done yet may wait for room on the disk: of what was done the entries
        here know, and the clean-up goes by them.

        Raises:
            NotWrittenWhole: the file system refused what is about to be done.
        """
        try:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
        except OSError as error:
            if event["event"] == "intend":
                self._entries[-1].gone = True  # it is not going to be made
                why = error.strerror or type(error).__name__
                raise NotWrittenWhole(str(self.path), why) from None
