"""What changed between two runs, and whose doing it was: a function of two results documents.

A server is blamed only where all else is the same: where the suite or the dialect changed as well
and the answers do not tell them apart, the change is ``unclear``; where a run could not prove
anything, it is the run's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from rolecall.finished_run import cell_name
from rolecall.spec.model import DECIDING
from rolecall.urls import is_loopback

Document = Mapping[str, Any]


class Whose(StrEnum):
    """Whose doing a change was; where the tests of a requirement differ, the first decides."""

    TARGET = "target"  # another server was asked
    SERVER = "server"
    UNCLEAR = "unclear"  # the server's, or that of the suite or the dialect, which changed as well
    SUITE = "suite"
    DIALECT = "dialect"
    WAIVER = "waiver"
    RUN = "run"  # what the run was given, or could find out, or a bug of the harness
    SELECTION = "selection"


#: From good to bad: a change to what stands further behind is for the worse.
_RANKS = {
    "passed": 0,
    "not-applicable": 0,
    "waived": 1,
    "not-tested": 2,
    "inconclusive": 3,
    "error": 4,
    "failed": 5,
}
#: Outcomes that prove nothing of the server.
_UNPROVEN = frozenset({"not-tested", "inconclusive", "error"})
_REASON_SHOWN = 300  # characters; results.json has it whole


def compare(before: Document, after: Document) -> dict[str, Any]:
    """What changed from one run to another, as ``since`` in results.json has it.

    ``comparable`` is false where the runs cannot tell whether the server changed as a whole, and
    ``reasons`` says why; what both looked at is compared all the same. ``notes`` are differences
    that explain changes. Each change has ``what`` (cell or requirement), ``name``, ``before`` and
    ``after`` (outcomes, or ``absent``), ``whose``, ``worse`` and a ``note``.
    """
    reasons = list(_reasons(before, after))
    return {
        "run": before["run"],
        "comparable": not reasons,
        "reasons": reasons,
        "notes": list(_notes(before, after)),
        "verdict": {"before": before["verdict"], "after": after["verdict"]},
        "changes": _Changes(before, after).all(),
    }


def is_worse(comparison: Document) -> bool:
    """Whether something got worse that decides a verdict, on the same target."""
    return any(change["worse"] for change in comparison["changes"])


def is_better(change: Document) -> bool:
    """Whether a change of a comparison is for the better: neither a selection's nor that of another
    target.
    """
    ranks = [_RANKS.get(change[name]) for name in ("before", "after")]
    return (
        ranks[0] is not None
        and ranks[1] is not None
        and ranks[1] < ranks[0]
        and change["whose"] not in (Whose.SELECTION, Whose.TARGET)
    )


def same_target(one: Document, other: Document) -> bool:
    """Whether two targets are one: of the same URL, or of the same name on this machine, where
    ports change.
    """
    if one["base_url"].rstrip("/") == other["base_url"].rstrip("/"):
        return True
    return one["name"] == other["name"] and _is_local(one["base_url"], other["base_url"])


def _is_local(*urls: str) -> bool:
    """Whether URLs are of this machine, and of one path."""
    try:
        return all(map(is_loopback, urls)) and len({urlsplit(url).path for url in urls}) == 1
    except ValueError:
        return False


def is_broken_off(document: Document) -> bool:
    """Whether a run ended before all of its tests had."""
    return not document["selected"] and any(
        not requirement["tests"] for requirement in document["requirements"]
    )


def is_whole(document: Document) -> bool:
    """Whether a run was of the whole suite, and came to its end."""
    return not document["selected"] and not is_broken_off(document)


# --- Of the runs as a whole -----------------------------------------------------------------------


def _reasons(before: Document, after: Document) -> Iterator[str]:
    """Why the runs are not comparable as a whole."""
    if not same_target(before["target"], after["target"]):
        yield f"another target: {_target(before)}, then {_target(after)}"
    names = before["suite"]["specification"], after["suite"]["specification"]
    if names[0] != names[1]:
        yield f"another specification: {names[0]}, then {names[1]}"
    for which, document in (("earlier", before), ("later", after)):
        if document["selected"]:
            yield f"the {which} run is of a selected part"
        if is_broken_off(document):
            yield f"the {which} run was broken off"
    if before["read_only"] != after["read_only"]:
        yield f"only the {'earlier' if before['read_only'] else 'later'} run was read-only"


def _notes(before: Document, after: Document) -> Iterator[str]:
    """What else differs between the runs, and may explain a change."""
    if before["started"] > after["started"]:
        yield "the run that is compared with is the later one"
    for name in sorted({*before["suite"], *after["suite"]}):
        old, new = (document["suite"].get(name, "absent") for document in (before, after))
        if old != new and name != "specification":
            yield f"the suite's {name} changed: {_short(old)}, then {_short(new)}"
    values = before["dialect"]["values"], after["dialect"]["values"]
    for name in sorted(_different(*values)):
        old, new = (value.get(name, "absent") for value in values)
        yield f"the dialect's {name} changed: {old}, then {new}"
    grades = [document["expiry_evidence"] or "none" for document in (before, after)]
    if grades[0] != grades[1]:
        yield f"the evidence on expiry changed: {grades[0]}, then {grades[1]}"


def _target(document: Document) -> str:
    return f"{document['target']['name']} at {document['target']['base_url']}"


def _short(value: object) -> str:
    """A digest by its first digits."""
    text = str(value)
    return text[: len("sha256:") + 12] if text.startswith("sha256:") else text


def _different(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


# --- Of cells and requirements --------------------------------------------------------------------


class _Changes:
    """The changes between two documents."""

    def __init__(self, before: Document, after: Document) -> None:
        self._documents = before, after
        self._suite = bool(_different(before["suite"], after["suite"]))
        self._readings = before["dialect"]["values"], after["dialect"]["values"]
        self._dialect = _different(*self._readings)
        self._same_target = same_target(before["target"], after["target"])
        self._cells = [
            {cell_name(cell): cell for cell in document["cells"]} for document in (before, after)
        ]

    def all(self) -> list[dict[str, Any]]:
        """Those of cells, then those of requirements, in the order of the tables."""
        requirements = [
            {entry["id"]: entry for entry in document["requirements"]}
            for document in self._documents
        ]
        return [
            *self._of("cell", *self._cells),
            *self._of("requirement", *requirements),
        ]

    def _of(
        self, what: str, before: Mapping[str, Document], after: Mapping[str, Document]
    ) -> Iterator[dict[str, Any]]:
        for name in dict.fromkeys([*after, *before]):
            old, new = before.get(name), after.get(name)
            if old and new and (not _is_change(old, new) or self._is_cut_off(old, new)):
                continue
            whose = self._of_cell(old, new) if what == "cell" else self._of_requirement(old, new)
            if not self._same_target and whose in (Whose.SERVER, Whose.UNCLEAR):
                whose = Whose.TARGET
            outcomes = [entry["outcome"] if entry else "absent" for entry in (old, new)]
            yield {
                "what": what,
                "name": name,
                "before": outcomes[0],
                "after": outcomes[1],
                "whose": whose.value,
                "worse": self._is_worse(old, new, whose),
                "note": _note(old, new),
            }

    def _is_cut_off(self, *entries: Document) -> bool:
        """Whether one of the runs was broken off before it looked at something."""
        return any(
            _is_unseen(entry) and not document["selected"]
            for entry, document in zip(entries, self._documents, strict=True)
        )

    def _is_worse(self, old: Document | None, new: Document | None, whose: Whose) -> bool:
        if not self._same_target or whose is Whose.SELECTION or new is None:
            return False
        if new.get("level", "must") not in DECIDING:
            return False
        return _RANKS[new["outcome"]] > (_RANKS[old["outcome"]] if old else 0)

    def _of_cell(self, old: Document | None, new: Document | None) -> Whose:
        if old is None or new is None or old["expected"] != new["expected"]:
            return Whose.SUITE
        if _is_unseen(old) or _is_unseen(new):
            return Whose.SELECTION
        known = _known(old["outcome"], new["outcome"])
        if known:
            return known
        if old["status"] == new["status"] and self._is_read_otherwise(new):
            return Whose.DIALECT
        return Whose.UNCLEAR if self._suite else Whose.SERVER

    def _is_read_otherwise(self, cell: Document) -> bool:
        """Whether the dialects differ in what they make of a cell's answer."""
        if "denied_list" in self._dialect and cell["operation"].startswith("list-"):
            return True
        old, new = self._readings
        return any(
            (cell["status"] in _statuses(old.get(name)))
            != (cell["status"] in _statuses(new.get(name)))
            for name in self._dialect
        )

    def _of_requirement(self, old: Document | None, new: Document | None) -> Whose:
        if old is None or new is None:
            return Whose.SUITE
        before, after = _outcomes(old), _outcomes(new)
        if _is_unseen(old) or _is_unseen(new):
            return Whose.SELECTION
        if known := _known(old["outcome"], new["outcome"], unproven=False):
            return known
        found = {
            self._of_test(name, before[name], after[name])
            for name in before.keys() & after.keys()
            if before[name] != after[name]
            and (before[name] == old["outcome"] or after[name] == new["outcome"])
        }
        return next((whose for whose in Whose if whose in found), self._of_other_tests())

    def _of_test(self, name: str, old: str, new: str) -> Whose:
        cells = [cells.get(name.partition("[")[2].removesuffix("]")) for cells in self._cells]
        if cells[0] and cells[1] and _is_change(cells[0], cells[1]):
            return self._of_cell(*cells)
        known = _known(old, new)
        return known or (Whose.UNCLEAR if self._suite or self._dialect else Whose.SERVER)

    def _of_other_tests(self) -> Whose:
        """Whose it is that a requirement was judged by other tests."""
        if any(document["selected"] for document in self._documents):
            return Whose.SELECTION
        if any(map(is_broken_off, self._documents)):
            return Whose.RUN
        return Whose.SUITE


def _is_unseen(entry: Document) -> bool:
    """Whether a run did not look at a cell or a requirement at all."""
    return not entry["tests"] if "tests" in entry else entry["reason"] == "not selected"


def _is_change(old: Document, new: Document) -> bool:
    """Whether the outcome changed, or what a cell is to do, or by what answer it fails."""
    return (
        old["outcome"] != new["outcome"]
        or old.get("expected") != new.get("expected")
        or (new["outcome"] in ("failed", "waived") and old.get("status") != new.get("status"))
    )


def _known(old: str, new: str, *, unproven: bool = True) -> Whose | None:
    """Whose a change is where the outcomes alone say so."""
    if {old, new} == {"failed", "waived"}:
        return Whose.WAIVER
    return Whose.RUN if unproven and _UNPROVEN & {old, new} else None


def _outcomes(requirement: Document) -> dict[str, str]:
    return {test["name"]: test["outcome"] for test in requirement["tests"]}


def _statuses(reading: object) -> Iterable[object]:
    return reading if isinstance(reading, list | tuple) else ()


def _note(old: Document | None, new: Document | None) -> str:
    """What a reader wants to know besides the outcomes."""
    if not old or not new:
        return ""
    if old.get("expected") != new.get("expected"):
        return f"was to {old['expected']}, is to {new['expected']}"
    if old.get("status") != new.get("status"):
        return f"answered {old['status'] or 'nothing'}, now {new['status'] or 'nothing'}"
    return str(new["reason"])[:_REASON_SHOWN] if new["outcome"] != "passed" else ""
