"""The table of mutations: which broken piece of the suite was seen, and at which server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

HEADER = f"{'':<3}{'mutation':<40}{'seen at':<44}{'seconds':>8}"


def line(row: dict[str, Any]) -> str:
    """One mutation on the terminal: ``ok`` when it was seen, else ``!!``."""
    mark, seen = "ok" if row["killed"] else "!!", ", ".join(row["seen_at"]) or "-"
    text = f"{mark:<3}{row['name']:<40}{seen:<44}{row['seconds']:>8.1f}"
    if row["killed"]:
        return text
    if row["spoiled"]:
        return f"{text}\n      not as expected without any mutation: {', '.join(row['spoiled'])}"
    return f"{text}\n      survived at {', '.join(row['looked_at'])}: {row['breaks']}"


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
