"""``waivers.toml``: failures that somebody answers for, for a while.

A waiver covers the failed tests of one requirement, or of those of its cells that a pattern names.
It says why, who answers for it, and until when. What it covers does not decide the verdict; nothing
else is hidden by it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError, suggest
from rolecall.text_files import read_text
from rolecall.toml_table import read_toml

#: The settings of a waiver; those with True have to be there.
_SETTINGS = {
    "requirement": True,
    "cell": False,
    "reason": True,
    "owner": True,
    "link": False,
    "until": True,
    "first_seen": False,
    "last_seen": False,
}
_DATES = ("until", "first_seen", "last_seen")
_HEADER = re.compile(r"""[ \t]*\[\[[ \t]*(?:waiver|"waiver"|'waiver')[ \t]*\]\][ \t]*(?:#.*)?\r?""")
#: What a cell is called in a pattern.
_EXAMPLE = "A cell is called list-users-guest-token; * and ? stand for any characters."


@dataclass(frozen=True)
class Waiver:
    """One entry of the file; ``line`` is where it begins, ``until`` its last day (UTC)."""

    requirement: str
    reason: str
    owner: str
    until: date
    line: int
    cell: str = ""
    link: str = ""
    first_seen: date | None = None
    last_seen: date | None = None

    def covers(self, requirement: str, cell: str) -> bool:
        """Whether it is about a test of this requirement, and of this cell (empty: of none)."""
        return requirement == self.requirement and (
            not self.cell or (bool(cell) and fnmatchcase(cell, self.cell))
        )

    def __str__(self) -> str:
        return f"{self.requirement} {self.cell}".rstrip()


@dataclass(frozen=True)
class Waivers:
    """All entries of a file on one day; a run without a file has none."""

    entries: tuple[Waiver, ...] = ()
    source: str = ""
    today: date = date.min
    text: str = field(default="", repr=False)

    def has_expired(self, waiver: Waiver) -> bool:
        """Whether its last day is over."""
        return waiver.until < self.today


def load_waivers(
    path: Path, decides: Mapping[str, bool], cells: Mapping[str, Collection[str]], today: date
) -> Waivers:
    """Read a file of waivers.

    Args:
        decides: every requirement's id, and whether it counts for the verdict.
        cells: the names of the cells that a requirement has, for those that have any.

    Raises:
        UsageError: the file cannot be read, or something in it is unknown, missing, of the wrong
            type, or about nothing.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(str(path), f"the waivers cannot be read: {reason}") from None
    return Waivers(tuple(parse_waivers(text, str(path), decides, cells)), str(path), today, text)


def parse_waivers(
    text: str, source: str, decides: Mapping[str, bool], cells: Mapping[str, Collection[str]]
) -> list[Waiver]:
    """The entries of a file's text.

    Raises:
        UsageError: as for `load_waivers`.
    """
    lines = text.split("\n")
    waivers: list[Waiver] = []
    for begin, end, values in located(text, source):
        reader = _Entry(values, source, begin, lines[begin:end])
        waiver = reader.waiver()
        _check_subject(waiver, reader, decides, cells)
        for other in waivers:
            if (other.requirement, other.cell) == (waiver.requirement, waiver.cell):
                raise UsageError(
                    reader.at("requirement"),
                    f"the waiver of line {other.line} covers the same",
                    "Keep one of them.",
                )
        waivers.append(waiver)
    return waivers


def located(text: str, source: str) -> list[tuple[int, int, dict[str, Any]]]:
    """The values of each entry, with the lines of it in the text: the first one's index, and that
    behind the last one.

    Raises:
        UsageError: it is not TOML, or not a list of ``[[waiver]]`` tables.
    """
    document = read_toml(text, source)
    for name in document:
        if name != "waiver":
            hint = f"{suggest(name, ['waiver'])} Each waiver begins with [[waiver]]."
            raise UsageError(source, f"unknown setting {name!r}", hint)
    tables = document.get("waiver", [])
    lines = text.split("\n")  # as TOML counts them
    begins = [number for number, line in enumerate(lines) if _HEADER.fullmatch(line)]
    if not isinstance(tables, list) or len(begins) != len(tables):
        raise UsageError(source, "each waiver must begin with a line of its own, [[waiver]]")
    ends = [*begins, len(lines)][1:]
    return list(zip(begins, ends, tables, strict=True))


class _Entry:
    """One ``[[waiver]]`` table, and where its settings stand."""

    def __init__(
        self, values: Mapping[str, Any], source: str, begin: int, lines: list[str]
    ) -> None:
        self._values, self._source, self._begin, self._lines = values, source, begin, lines

    def at(self, key: str) -> str:
        """Where a setting stands, for a message; where it is missing, where the entry begins."""
        setting = re.compile(rf"""[ \t]*["']?{re.escape(key)}["']?[ \t]*[=.]""")
        found = (number for number, line in enumerate(self._lines) if setting.match(line))
        line = self._begin + next(found, 0) + 1
        return f"{self._source}, line {line}, [[waiver]] {key}"

    def waiver(self) -> Waiver:
        """The entry, checked by itself."""
        for key in self._values:
            if key not in _SETTINGS:
                raise UsageError(self.at(key), "unknown setting", suggest(key, _SETTINGS))
        dates = {key: self._date(key) for key in _DATES}
        texts = {
            key: self._text(key, required)
            for key, required in _SETTINGS.items()
            if key not in _DATES
        }
        if texts["link"] and not texts["link"].startswith(("https://", "http://")):
            raise UsageError(self.at("link"), "this must be a URL, such as https://...")
        if dates["until"] is None:
            raise UsageError(
                self.at("until"),
                "this is missing",
                "Say until when somebody answers for it, such as until = 2027-01-31.",
            )
        return Waiver(
            **texts,
            until=dates["until"],
            line=self._begin + 1,
            first_seen=dates["first_seen"],
            last_seen=dates["last_seen"],
        )

    def _text(self, key: str, required: bool) -> str:
        value = self._values.get(key, "")
        if not isinstance(value, str):
            raise UsageError(self.at(key), "this must be a string")
        if required and not value.strip():
            said = "this is empty" if key in self._values else "this is missing"
            raise UsageError(self.at(key), said)
        return value.strip()

    def _date(self, key: str) -> date | None:
        """A date of TOML's own, or one in a string."""
        value = self._values.get(key)
        if isinstance(value, str):
            try:
                value = date.fromisoformat(value)
            except ValueError:
                value = ""
        if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
            raise UsageError(self.at(key), "this must be a date, such as 2027-01-31")
        return value


def _check_subject(
    waiver: Waiver,
    entry: _Entry,
    decides: Mapping[str, bool],
    cells: Mapping[str, Collection[str]],
) -> None:
    """Refuse a waiver that could never cover anything."""
    if waiver.requirement not in decides:
        raise UsageError(
            entry.at("requirement"),
            f"unknown requirement {waiver.requirement!r}",
            suggest(waiver.requirement, decides, "`rolecall requirements` lists them."),
        )
    if not decides[waiver.requirement]:
        raise UsageError(
            entry.at("requirement"),
            f"{waiver.requirement} is advice and decides nothing: there is nothing to waive",
        )
    names = cells.get(waiver.requirement, ())
    if waiver.cell and not any(fnmatchcase(name, waiver.cell) for name in names):
        what = f"no cell of {waiver.requirement} is called {waiver.cell!r}"
        raise UsageError(
            entry.at("cell"), what, _EXAMPLE if names else "Leave it out: there are no cells."
        )


def iso(day: date | None) -> str | None:
    """A date as JSON has it."""
    return day.isoformat() if day else None


def described(waiver: Waiver) -> Iterator[tuple[str, Any]]:
    """The members of results.json that stand in the file."""
    for name in ("requirement", "cell", "reason", "owner", "link", "line"):
        yield name, getattr(waiver, name)
    for name in _DATES:
        yield name, iso(getattr(waiver, name))
