"""What a person reads of a comparison: changes by whose doing they were, the bad ones first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.report.comparison import Whose, is_better
from rolecall.screen import harmless_document

#: How a group of changes is headed.
_DOING = {
    Whose.TARGET: "another target answers so",
    Whose.SERVER: "the server's doing",
    Whose.UNCLEAR: "the server's doing, or that of what else changed (see above)",
    Whose.SUITE: "the suite's doing: its tests or tables changed",
    Whose.DIALECT: "the dialect's doing: another reading is in force",
    Whose.WAIVER: "a waiver's doing",
    Whose.RUN: "the run's: one of the two could not decide it",
    Whose.SELECTION: "the selection's: only one of the two looked",
}
#: Changes of a group that are shown; all are in the document.
MOST = 10


def text(comparison: Mapping[str, Any], *, most: int = MOST) -> str:
    """The whole comparison; ``most`` changes of each group."""
    comparison = harmless_document(comparison)
    verdict = comparison["verdict"]
    lines = [f"compared with  {comparison['run']}"]
    lines += [f"not comparable {reason}" for reason in comparison["reasons"]]
    lines += [f"note           {note}" for note in comparison["notes"]]
    if verdict["before"] != verdict["after"]:
        lines.append(f"verdict        {verdict['before']}, then {verdict['after']}")
    changes = comparison["changes"]
    for word in ("Worse", "Better", "Changed"):
        for whose in Whose:
            group = [
                change
                for change in changes
                if _direction(change) == word and change["whose"] == whose
            ]
            if group:
                shown = 0 if whose is Whose.SELECTION else most
                lines += [f"{word}, {_DOING[whose]} ({len(group)}):", *_lines(group, shown)]
    if not changes:
        lines.append("No cell and no requirement changed.")
    return "\n".join(lines)


def _direction(change: Mapping[str, Any]) -> str:
    if change["worse"]:
        return "Worse"
    return "Better" if is_better(change) else "Changed"


def _lines(group: list[dict[str, Any]], most: int) -> Iterator[str]:
    """The changes of a group, ``most`` of each kind; with 0 they are only counted."""
    for what in ("requirement", "cell"):
        of_kind = [change for change in group if change["what"] == what]
        for change in of_kind[:most]:
            note = f"  ({change['note']})" if change["note"] else ""
            yield (
                f"   {what:<11} {change['name']}: {change['before']}, then {change['after']}{note}"
            )
        if 0 < most < len(of_kind):
            yield f"   ... and {len(of_kind) - most} more {what}s"
