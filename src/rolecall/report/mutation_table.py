"""The table of mutations: which broken piece of the suite was seen, and at which server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rolecall.screen import wrapped_line

#: Columns of a whole line.
_WIDE = 95


def header(width: int | None = None) -> str:
    """What stands above the lines of the mutations."""
    return _columns("", "mutation", "seen at", "seconds", width)


def _columns(mark: str, name: str, seen: str, seconds: str, width: int | None) -> str:
    """A line of the table; on a narrow terminal where it was seen has no column of its own."""
    if width and width < _WIDE:
        return f"{mark:<3}{name:<{width - 13}} {seconds:>8}"
    return f"{mark:<3}{name:<40}{seen:<44}{seconds:>8}"


def line(row: dict[str, Any], width: int | None = None) -> str:
    """One mutation on a terminal of so many columns: ``ok`` when it was seen, else ``!!``."""
    mark, seen = "ok" if row["killed"] else "!!", ", ".join(row["seen_at"]) or "-"
    text = _columns(mark, row["name"], seen, f"{row['seconds']:.1f}", width)
    if row["killed"]:
        return text
    said = (
        f"not as expected without any mutation: {', '.join(row['spoiled'])}"
        if row["spoiled"]
        else f"survived at {', '.join(row['looked_at'])}: {row['breaks']}"
    )
    indent = " " * 6
    return "\n".join([text, *wrapped_line(said, width, indent, indent)])


def summary(rows: list[dict[str, Any]]) -> str:
    """The counts in a sentence."""
    killed = sum(row["killed"] for row in rows)
    return f"{killed} of {len(rows)} mutations of the suite killed, {len(rows) - killed} survived."


def write(rows: list[dict[str, Any]]) -> str:
    """The whole table as Markdown."""
    lines = [
        "# Mutations of the suite",
        "",
        "Made by `rolecall selftest --mutations --write docs/mutations.md`; not edited by hand.",
        "",
        (
            "Each breaks one piece of the suite: a check, a comparison, an observation, a control. "
            "It is killed when a case of the"
        ),
        (
            "self-test is no longer as expected: a fault that is not found, an innocent server "
            "that is blamed, or a server of which"
        ),
        (
            "something must stay undecided and does not. Each case is as expected without the "
            "mutation."
        ),
        "",
        summary(rows),
        "",
        "## Pieces of the machinery",
        "",
        *_table("mutation", ((row["name"], row) for row in rows if not row["requirement"])),
        "",
        "## Requirements",
        "",
        "Whatever the tests of the requirement find, they pass.",
        "",
        *_table("requirement", ((row["requirement"], row) for row in rows if row["requirement"])),
    ]
    return "\n".join(lines) + "\n"


def _table(first: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    if first == "requirement":
        head = [f"| {first} | seen at | killed |", "|---|---|---|"]
        return head + [f"| {name} | {_seen(row)} | {_killed(row)} |" for name, row in rows]
    head = [f"| {first} | what it breaks | seen at | killed |", "|---|---|---|---|"]
    return head + [
        f"| {name} | {row['breaks']} | {_seen(row)} | {_killed(row)} |" for name, row in rows
    ]


def _seen(row: dict[str, Any]) -> str:
    return ", ".join(row["seen_at"]) or "nowhere"


def _killed(row: dict[str, Any]) -> str:
    return "yes" if row["killed"] else "NO"
