"""What a run created or changed on the target, on the disk before the request leaves.

A line of ``ledger.jsonl`` is one event; whatever interrupts the run, the file says what may have
been left, and `rolecall cleanup` goes by it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError
from rolecall.file_lock import lock
from rolecall.ledger_file import LedgerFile
from rolecall.whole_files import NotWrittenWhole

#: Resources of the ledger that are no things to delete: a change of a user that was there before
#: the run, and of the target's clock. They are undone, or named; never deleted.
CHANGE, CLOCK = "change of user", "change of the clock"
#: The file in a run's folder.
LEDGER = "ledger.jsonl"

_TO_END_AN_ENTRY = 256  # bytes in which it is told what became of an entry


@dataclass(eq=False)
class LedgerEntry:
    """One thing that may exist because of us.

    ``id`` is empty until (and unless) it is certain; ``claimed`` is what an answer called it before
    that. ``undo`` is what another process has to know to take a change back. What is noted
    ``at_any_rate`` undoes something, and does not wait for the disk.
    """

    number: int
    resource: str
    name: str
    id: str = ""
    gone: bool = False
    refused: bool = False
    claimed: str = ""
    undo: Mapping[str, Any] = field(default_factory=dict)
    at_any_rate: bool = False

    @property
    def is_thing(self) -> bool:
        """Whether it is a thing that the run made, and not a change of what was there."""
        return self.resource not in (CHANGE, CLOCK)

    def __str__(self) -> str:
        return f"{self.resource} {self.id or '(id unknown)'} ({self.name})"


class Ledger:
    """The entries of one run, in order of their creation.

    Raises:
        NotWrittenWhole: the file cannot be made, or opened.

    Attributes:
        full: why nothing more may be made: the disk takes no more entries.
        facts: what else was noted, by its event, as a run that finishes another one reads it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.full: NotWrittenWhole | None = None
        self.facts: dict[str, list[Mapping[str, Any]]] = {}
        self._entries: list[LedgerEntry] = []
        self._by_id: dict[tuple[str, str], LedgerEntry] = {}
        self._stored = 0  # the number of the last entry that is on the disk for certain
        try:
            self._file = LedgerFile(path)
        except OSError as error:
            raise NotWrittenWhole(str(path), error.strerror or type(error).__name__) from None

    @classmethod
    def reopen(cls, path: Path) -> Ledger:
        """The ledger of a run that has ended somehow, to be gone on with.

        A last line that was not written to its end is cut off: what it told of was not sent.

        Raises:
            UsageError: it cannot be opened, or a line in it is not an entry of a ledger.
        """
        number = 0
        try:
            data = path.read_bytes()
            ledger = cls(path)
            whole = data.rpartition(b"\n")[0]
            for line in whole.splitlines():
                number += 1
                ledger._take(json.loads(line))
            if ledger.is_held and len(whole) + 1 < len(data):
                ledger._file.cut(len(whole) + 1 if whole else 0)
        except OSError as error:
            raise UsageError(str(path), f"it cannot be opened: {error.strerror}") from None
        except NotWrittenWhole as error:
            raise UsageError(str(path), f"it cannot be written: {error.why}") from None
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            ledger.close()
            raise UsageError(str(path), f"line {number} is not an entry of a ledger") from None
        return ledger

    def _take(self, line: dict[str, Any]) -> None:
        """Take an event that was written earlier."""
        event, number = line.pop("event"), line.get("number")
        if event == "intend":
            while len(self._entries) + 1 < line["number"]:  # one that could not be written
                self._entries.append(LedgerEntry(len(self._entries) + 1, "", "", gone=True))
            self._entries.append(LedgerEntry(**line))
        elif number is None:
            self.facts.setdefault(event, []).append(line)
        elif 0 < number <= len(self._entries):
            entry = self._entries[number - 1]
            entry.id = line.get("id", entry.id)
            entry.gone = entry.gone or event == "gone"
            entry.refused = entry.refused or event == "refused"
            if entry.id:
                self._by_id[entry.resource, entry.id] = entry

    @property
    def about(self) -> Mapping[str, Any]:
        """What was noted of the run; nothing, where that is not known."""
        return (self.facts.get("run") or [{}])[0]

    @property
    def entries(self) -> Iterator[LedgerEntry]:
        """All of them, oldest first."""
        return iter(self._entries)

    @property
    def is_held(self) -> bool:
        """Whether no other process writes this ledger."""
        return self._file.is_held

    def intend(
        self,
        resource: str,
        name: str,
        *,
        undo: Mapping[str, Any] | None = None,
        at_any_rate: bool = False,
    ) -> LedgerEntry:
        """Note that a request which may create ``name``, or change it, is about to leave.

        Room for what becomes of it is taken, too. It may leave when the entry `is_stored`; one that
        undoes something is noted ``at_any_rate``, as well as can be.

        Raises:
            NotWrittenWhole: it could not be written down, so the request must not leave.
        """
        if self.full and not at_any_rate:
            raise replace(self.full)
        number = len(self._entries) + 1
        entry = LedgerEntry(number, resource, name, undo=undo or {}, at_any_rate=at_any_rate)
        line = {"number": number, "resource": resource, "name": name}
        self._entries.append(entry)
        try:
            self._write("intend", **line, **({"undo": undo} if undo else {}))
        except OSError as error:
            if not at_any_rate:
                entry.gone = True  # it is not going to be made
                raise self._filled(error) from None
        return entry

    def _filled(self, error: OSError) -> NotWrittenWhole:
        """The disk takes no more: nothing more may be made."""
        self.full = NotWrittenWhole(str(self.path), error.strerror or type(error).__name__)
        return replace(self.full)

    def is_stored(self, entry: LedgerEntry) -> bool:
        """Whether an entry is on the disk, or need not be."""
        return entry.number <= self._stored or entry.at_any_rate

    def store(self) -> None:
        """Wait until every entry is on the disk. It may be called in another thread.

        Raises:
            NotWrittenWhole: the disk did not take them, so no request of theirs may leave.
        """
        if self.full:
            raise replace(self.full)
        last = len(self._entries)
        try:
            self._file.store()
        except OSError as error:
            raise self._filled(error) from None
        self._stored = last

    def note(self, event: str, **members: Any) -> None:
        """Note what is no entry and what another process has to know to finish the run, once."""
        if members not in (known := self.facts.setdefault(event, [])):
            known.append(members)
            self._tell(event, **members)

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
        self._tell("created", number=entry.number, id=id)

    def gone(self, entry: LedgerEntry) -> None:
        """Note that the thing was deleted, or was never made."""
        if not entry.gone:
            entry.gone = True
            self._tell("gone", number=entry.number)

    def refused(self, entry: LedgerEntry) -> None:
        """Note that the target said no; whether it kept to that is another question."""
        entry.refused = True
        self._tell("refused", number=entry.number)

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
        self._file.close()

    def _tell(self, event: str, **members: Any) -> None:
        """Write an event down if that can be done: of what was done the entries here know, and the
        clean-up goes by them.
        """
        try:
            self._write(event, **members)
        except OSError:
            return

    def _write(self, event: str, **members: Any) -> None:
        """Write an event, and keep room for what is still to be told.

        Raises:
            OSError: the file system refused.
        """
        line = json.dumps({"event": event, **members})
        if event == "intend":
            untold = sum(not entry.gone for entry in self._entries)
            self._file.reserve(len(line) + 1 + untold * _TO_END_AN_ENTRY)
        self._file.append(line)


def is_at_work(folder: Path) -> bool:
    """Whether the run of this folder goes on: a process holds its ledger."""
    if not (folder / LEDGER).is_file():
        return False
    try:
        descriptor = os.open(folder / LEDGER, os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock(descriptor)
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
