"""The self-test's kill table: which fault was caught by which requirement."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from rolecall.screen import wrapped_line

#: Columns of a whole line.
_WIDE = 123
_KINDS = {
    "fault": (
        "Faults",
        (
            "Each breaks the specification in one way; the planted requirement must be the first "
            "finding."
        ),
    ),
    "flip": (
        "Flips",
        "Each turns one cell of the permission table round, for tokens and API keys alike.",
    ),
    "loaded": (
        "Load",
        (
            "The reference server as it is under each load that finds a fault, and legal or "
            "troubled ones; nothing may be held against them."
        ),
    ),
    "legal": (
        "Legal variants",
        "Each differs in a way that the specification allows; nothing may be held against it.",
    ),
    "trouble": (
        "Trouble",
        "The run must end honestly and accuse no requirement that was kept.",
    ),
    "lint": (
        "Lint",
        (
            "A server that rejects every request outside the specification that is not marked as "
            "an attack."
        ),
    ),
}
#: What a run can be without, by the word for it.
_WITHOUT = {"api-keys": "API keys", "clock-and-key": "clock and key"}

#: The counts of a self-test, in the order in which `summary` says them.
_COUNTS = (
    "caught",
    "faults",
    "localised",
    "silent",
    "false_alarms",
    "innocent",
    "wrong_accusations",
    "troubled",
    "crashes",
    "harmed",
)


def header(width: int | None) -> str:
    """What stands above the lines of the cases."""
    return _columns("", "case", "planted", "first finding", "seconds", width or _WIDE)


def _columns(mark: str, name: str, planted: str, first: str, seconds: str, width: int) -> str:
    """A line of the table; on a narrow terminal what was planted has no column of its own, and a
    finding that has no room stands below.
    """
    if width < _WIDE:
        room = width - 13 - max(22, len(first))
        if len(name) > room:
            return f"{mark:<3}{name:<{width - 12}}{seconds:>9}\n   {first}"
        return f"{mark:<3}{name:<{room}} {first:<22} {seconds:>8}"
    return f"{mark:<3}{name:<44}{planted:<34}{first:<34}{seconds:>8}"


def line(case: dict[str, Any], width: int | None = None) -> str:
    """One case on a terminal of so many columns: ``ok``, or ``!!`` with what was said instead."""
    width = width or _WIDE
    first = _found(case)[0] if _found(case) else case["verdict"] or "-"
    mark, about = "ok" if case["as_expected"] else "!!", case["case"]
    seconds = f"{case['seconds']:.1f}"
    text = _columns(mark, about["name"], about["planted"] or "-", first, seconds, width)
    if case["as_expected"]:
        return text
    details = filter(
        None,
        (
            f"planted: {about['planted']}" if width < _WIDE else "",
            case["crash"],
            *case["harm"],
            ", ".join(_found(case)[1:]),
            f"undecided: {', '.join(case['undecided'])}" if case["undecided"] else "",
        ),
    )
    return text + "".join(f"\n      {detail}" for detail in details)


def title_without(name: str) -> str:
    """The heading of what is said without something."""
    return f"without {_WITHOUT[name]}"


def line_without(case: dict[str, Any], name: str, width: int | None = None) -> str:
    """One fault on a terminal of so many columns, and what is said of it without something."""
    said, about = case["without"][name], case["case"]
    mark = "!!" if said.startswith("NO") else "ok"
    if width and width < _WIDE:
        return f"{mark:<3}{about['name']}\n" + "\n".join(wrapped_line(said, width, "   ", "   "))
    return f"{mark:<3}{about['name']:<44}{about['planted']:<34}{said}"


def summary_without(cases: Iterable[dict[str, Any]]) -> list[str]:
    """For each thing that was left out, how many faults are still caught and why the others are
    not, in a sentence.
    """
    cases = list(cases)
    sentences = []
    for name, title in _WITHOUT.items():
        said = [case["without"][name] for case in cases if name in case["without"]]
        missed = sum(words.startswith("NO") for words in said)
        explained = sum(words.startswith("needs") for words in said)
        if said:
            sentences.append(
                f"Without {title}: {len(said) - missed - explained} of {len(said)} still caught, "
                f"{explained} missed for want of that, {missed} for another reason."
            )
    return sentences


def summary(counts: dict[str, int]) -> str:
    """The counts in two sentences."""
    return (
        f"{counts['caught']} of {counts['faults']} faults caught, {counts['localised']} "
        f"localised, {counts['silent']} silent; "
        f"{counts['false_alarms']} false alarms on {counts['innocent']} innocent servers, "
        f"{counts['wrong_accusations']} wrong accusations on {counts['troubled']} troubled ones, "
        f"{counts['crashes']} crashes, "
        f"{counts['harmed']} servers harmed."
    )


def strength(page: str) -> dict[str, Any]:
    """The counts on a kill table that `write` made, and the page's digest.

    Raises:
        ValueError: the page does not say them.
    """
    said = re.sub(r"[0-9]+", r"([0-9]+)", re.escape(summary(dict.fromkeys(_COUNTS, 0))))
    if not (found := re.search(rf"^{said}$", page, re.MULTILINE)):
        raise ValueError("this is not a kill table: it has no sentence with the counts")
    counts = dict(zip(_COUNTS, map(int, found.groups()), strict=True))
    return {**counts, "digest": f"sha256:{hashlib.sha256(page.encode()).hexdigest()}"}


def write(cases: Iterable[dict[str, Any]], counts: dict[str, int]) -> str:
    """The whole table as Markdown."""
    cases = list(cases)
    lines = [
        "# Kill table",
        "",
        "Made by `make selftest`; not edited by hand.",
        "",
        summary(counts),
    ]
    lines += [line for sentence in summary_without(cases) for line in ("", sentence)]
    for kind, (title, meaning) in _KINDS.items():
        rows = [case for case in cases if case["case"]["kind"] == kind]
        if rows:
            lines += ["", f"## {title}", "", meaning, ""]
            lines += _faults(rows) if kind in ("fault", "flip") else _others(rows)
    lines += [
        "",
        "## Requirements",
        "",
        "Which faults trip each requirement, those that were planted for it first.",
        "",
    ]
    lines += ["| requirement | tripped by |", "|---|---|"]
    lines += [f"| {id} | {', '.join(names)} |" for id, names in sorted(_tripped(cases).items())]
    return "\n".join(lines) + "\n"


def _faults(cases: list[dict[str, Any]]) -> list[str]:
    """The rows of faults; a run under load is not asked what it sees without something."""
    asked = [name for name in _WITHOUT if any(name in case["without"] for case in cases)]
    heading = [
        "case",
        "what it does",
        "modelled on",
        "planted",
        "first finding",
        *map(title_without, asked),
        "as expected",
    ]
    rows = [
        [
            case["case"]["name"],
            case["case"]["description"],
            case["case"]["report"] or "-",
            case["case"]["planted"],
            _found(case)[0] if _found(case) else "none",
            *(case["without"].get(name, "-") for name in asked),
            _as_expected(case),
        ]
        for case in cases
    ]
    return _table(heading, rows)


def _others(cases: list[dict[str, Any]]) -> list[str]:
    rows = [
        [
            case["case"]["name"],
            case["case"]["description"],
            case["verdict"] or case["crash"],
            _as_expected(case),
        ]
        for case in cases
    ]
    return _table(["case", "what it does", "verdict", "as expected"], rows)


def _table(heading: list[str], rows: list[list[str]]) -> list[str]:
    return [_row(heading), "|" + "---|" * len(heading), *map(_row, rows)]


def _row(parts: list[str]) -> str:
    return f"| {' | '.join(parts)} |"


def _as_expected(case: dict[str, Any]) -> str:
    return "yes" if case["as_expected"] else "NO"


def _tripped(cases: list[dict[str, Any]], most: int = 3) -> dict[str, list[str]]:
    """The requirements that faults were held to have broken, each with some of these faults."""
    tripped: dict[str, list[str]] = {}
    faults = [case for case in cases if case["case"]["kind"] in ("fault", "flip")]
    for case in faults:
        for id in _found(case):
            tripped.setdefault(id, []).append(case["case"]["name"])
    planted = {case["case"]["name"]: case["case"]["planted"] for case in faults}
    return {
        id: sorted(names, key=lambda name: planted[name] != id)[:most]
        for id, names in tripped.items()
    }


def _found(case: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(case["findings"] + case["advice"]))
