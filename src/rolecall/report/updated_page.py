"""Replaces the rows of single cases in a page of the self-test.

`updated_kill_table` and `updated_mutations` give what a whole run would write, if all other rows
are still right. Only cases that came out as expected are taken, so the page's sentences stay those
of a self-test that passed, with other counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_MOST = 3  # faults that the kill table names for a requirement
_FAULTS = ("Faults", "Flips")
#: What the description of a fault that only load shows ends with.
NEEDS_LOAD = "(needs load)"
_INNOCENT = ("Load", "Legal variants", "Lint")


class NotUpdatable(ValueError):
    """The page cannot take these rows; the text says why, and what to do."""


@dataclass
class _Section:
    """A heading with one table: the text before its rows, and the rows by their first column."""

    before: list[str]
    rows: dict[str, str]

    @property
    def header(self) -> list[str]:
        return _cells(self.before[-2])

    def column(self, title: str) -> dict[str, str]:
        """One column's cells by the name of the row; nothing where there is no such column."""
        if title not in self.header:
            return {}
        index = self.header.index(title)
        return {name: _cells(row)[index] for name, row in self.rows.items()}


def updated_kill_table(page: str, fresh: str, order: Sequence[str]) -> str:
    """The kill table ``page`` with the rows of ``fresh``, which is a kill table of a few cases;
    ``order`` is the catalogue's.

    Raises:
        NotUpdatable: a case was not as expected, or the page has other columns.
    """
    top, sections = _read(page)
    _, others = _read(fresh)
    tripped, newly = sections["Requirements"], others.pop("Requirements")
    known, anew = {**tripped.rows}, {name for section in others.values() for name in section.rows}
    _replace(sections, others, order)
    planted = {
        name: id
        for title in _FAULTS
        if title in sections
        for name, id in sections[title].column("planted").items()
    }
    for id in {*known, *newly.rows}:
        names = [name for name in _names(known.get(id)) if name not in anew] + _names(
            newly.rows.get(id)
        )
        names = sorted(
            dict.fromkeys(names), key=lambda name: (planted.get(name) != id, _place(name, order))
        )
        tripped.rows[id] = f"| {id} | {', '.join(names[:_MOST])} |"
    tripped.rows = {id: row for id, row in sorted(tripped.rows.items()) if _names(row)}
    return _write([_counted(line, sections) for line in top], sections)


def updated_mutations(page: str, fresh: str, order: Sequence[str]) -> str:
    """The page of mutations with the rows of ``fresh``, which is such a page of a few mutations.

    Raises:
        NotUpdatable: a mutation survived.
    """
    top, sections = _read(page)
    _replace(sections, _read(fresh)[1], order)
    count = sum(len(section.rows) for section in sections.values())
    counted = [
        re.sub(r"^\d+ of \d+ mutations", f"{count} of {count} mutations", line) for line in top
    ]
    return _write(counted, sections)


def _replace(
    sections: Mapping[str, _Section], others: Mapping[str, _Section], order: Sequence[str]
) -> None:
    for title, fresh in others.items():
        bad = [name for name, row in fresh.rows.items() if _cells(row)[-1] != "yes"]
        if bad:
            raise NotUpdatable(f"not as expected: {', '.join(bad)}; the page keeps what it had")
        if fresh.rows:
            header = sections[title].header if title in sections else []
            if fresh.header != header:
                fresh.rows = dict(_under_load(fresh, header))
            rows = {**sections[title].rows, **fresh.rows}
            sections[title].rows = dict(sorted(rows.items(), key=lambda row: _place(row[0], order)))


def _under_load(fresh: _Section, header: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Rows of faults that only load shows, in a page with more columns: a run under load is never
    asked what it sees without something.
    """
    asked = [title for title in header if title not in fresh.header]
    if (
        not header
        or not all(title.startswith("without ") for title in asked)
        or not all(NEEDS_LOAD in row for row in fresh.rows.values())
    ):
        raise NotUpdatable(
            "the page has other columns; choose the same --without as it was made with"
        )
    for name, row in fresh.rows.items():
        cells = dict(zip(fresh.header, _cells(row), strict=True))
        yield name, f"| {' | '.join(cells.get(title, '-') for title in header)} |"


def _counted(line: str, sections: Mapping[str, _Section]) -> str:
    """A sentence of the top, with the counts of the rows below."""
    if re.match(r"\d+ of \d+ faults caught", line):
        faults = sum(len(sections[title].rows) for title in _FAULTS if title in sections)
        # the baseline has no row
        innocent = 1 + sum(len(sections[title].rows) for title in _INNOCENT if title in sections)
        troubled = len(sections["Trouble"].rows) if "Trouble" in sections else 0
        line = re.sub(
            r"^\d+ of \d+ faults caught, \d+ localised",
            f"{faults} of {faults} faults caught, {faults} localised",
            line,
        )
        line = re.sub(r"\d+ innocent", f"{innocent} innocent", line)
        return re.sub(r"on \d+ troubled", f"on {troubled} troubled", line)
    if found := re.match(r"(Without .+?): \d+ of \d+ still caught, \d+ missed", line):
        columns = [
            sections[title].column(found[1].lower().replace("api", "API"))
            for title in _FAULTS
            if title in sections
        ]
        said = [words for column in columns for words in column.values() if words != "-"]
        explained = sum(words.startswith("needs") for words in said)
        return (
            f"{found[1]}: {len(said) - explained} of {len(said)} still caught, {explained} missed"
            + line[found.end() :]
        )
    return line


def _read(page: str) -> tuple[list[str], dict[str, _Section]]:
    """What stands on top, and the sections by their titles."""
    top, *parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    sections = {}
    for part in parts:
        lines = part.rstrip("\n").split("\n")
        begin = next(index for index, line in enumerate(lines) if line.startswith("|---")) + 1
        rows = {_cells(line)[0]: line for line in lines[begin:] if line.startswith("| ")}
        sections[lines[0].removeprefix("## ")] = _Section(lines[:begin], rows)
    return top.rstrip("\n").split("\n"), sections


def _write(top: Iterable[str], sections: Mapping[str, _Section]) -> str:
    parts = ["\n".join([*section.before, *section.rows.values()]) for section in sections.values()]
    return "\n\n".join(["\n".join(top), *parts]) + "\n"


def _cells(row: str) -> list[str]:
    return row.removeprefix("| ").removesuffix(" |").split(" | ")


def _names(row: str | None) -> list[str]:
    return [name for name in _cells(row)[1].split(", ") if name] if row else []


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)
