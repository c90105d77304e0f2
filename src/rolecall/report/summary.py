"""``summary.md``: the verdict and its causes as Markdown, for the page of a CI job.

GitHub shows what is appended to the file that ``$GITHUB_STEP_SUMMARY`` names, up to 1 MiB. Words of
a target stand in code spans or are escaped: none of them is a link, an image or a tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.report.causes import Cause, advice, causes, deciding
from rolecall.report.markdown import bounded as _bounded
from rolecall.report.markdown import code as _code
from rolecall.report.markdown import entities as _entities
from rolecall.report.markdown import fence as _fence
from rolecall.report.markdown import text as _text
from rolecall.report.notice import ended
from rolecall.report.undecided import undecided
from rolecall.wording import counted, first_few

_SIGNS = {
    "conformant": "✅",
    "part-passed": "☑️",
    "not-conformant": "❌",
    "inconclusive": "❓",
}
_ALLOWED, _REFUSED = "✓", "–"  # noqa: RUF001  # a dash, as in tables
_MARKS = {
    "failed": "❌",
    "inconclusive": "❓",
    "error": "❗",
    "waived": "waived",
    "not-tested": "·",
    "not-applicable": "n/a",
}
_MOST_CAUSES, _MOST_OPEN, _MOST_NAMES = 50, 20, 12


def write(results: Mapping[str, Any]) -> str:
    """The text of the file, below 1 MiB however much was found."""
    found, hints = causes(results), advice(results)
    parts = [_head(results), _reasons(results), _since(results.get("since"))]
    if found:
        parts.append(_findings(found))
    parts += [_open(results), _advice(hints), _matrix(results["cells"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    verdict = results["verdict"]
    rows = [
        ("Target", f"{_code(results['target']['name'])} at {_code(results['target']['base_url'])}"),
        ("Requirements", _counts(deciding(results))),
        ("Cells", _counts(results["counts"]["cells"])),
        ("Suite", f"rolecall {_text(results['suite']['version'])}"),
        ("Expiry evidence", results["expiry_evidence"] or "none"),
        ("Dialect", _departures(results["dialect"]["departures"])),
        ("Run", f"{_code(results['run'])}, {results['requests']:,} requests"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    end = ended(results["exit_code"])
    heading = f"## {_SIGNS[verdict]} Rolecall: {verdict}{f' ({end})' if end else ''}"
    return "\n".join([heading, "", "| | |", "|---|---|", *lines])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number) or "0"


def _departures(departures: Mapping[str, Any]) -> str:
    return _code(", ".join(f"{name} = {value}" for name, value in departures.items()) or "default")


def _reasons(results: Mapping[str, Any]) -> str:
    return "\n".join(f"- {_text(reason)}" for reason in results["reasons"])


def _since(compared: Mapping[str, Any] | None) -> str:
    """What changed since the run that this one was compared with."""
    if not compared:
        return ""
    requirements = [change for change in compared["changes"] if change["what"] == "requirement"]
    lines = [f"### Since {_code(compared['run'])}", ""]
    lines += [f"- not comparable: {_text(reason)}" for reason in compared["reasons"]]
    lines += [
        f"- {_code(change['name'])}: {change['before']}, then {change['after']} ({change['whose']})"
        for change in requirements[:_MOST_OPEN]
    ]
    if len(requirements) > _MOST_OPEN:
        lines.append(f"- {len(requirements) - _MOST_OPEN} more are in `results.json`")
    cells = len(compared["changes"]) - len(requirements)
    lines.append(f"- {counted(cells, 'cell')} changed" if cells else "- no cell changed")
    return "\n".join(lines)


def _findings(found: Sequence[Cause]) -> str:
    lines = ["### Findings", "", "| requirement | answered | tests |", "|---|---|---|"]
    for cause in found[:_MOST_CAUSES]:
        tests = f"{len(cause.tests)} of {cause.total}"
        lines.append(f"| {_code(cause.requirement)} | {_text(cause.kind)} | {tests} |")
    blocks = [_block(cause) for cause in found[:_MOST_CAUSES]]
    if len(found) > _MOST_CAUSES:
        blocks.append(f"{len(found) - _MOST_CAUSES} more are in `results.json`.")
    return "\n\n".join(["\n".join(lines), *blocks])


def _block(cause: Cause) -> str:
    """One cause, folded: what a reader needs to look into it."""
    lines = [
        f"- {_text(cause.statement)} (clause: {_text(cause.clause)}, level: {cause.level})",
        *([f"- It follows by: {_text(cause.step)}"] if cause.step else []),
        f"- Expected {_text(cause.expected)}; got {_text(cause.actual)}",
        f"- Tests: {_listed(cause.names)}",
        f"- Look at {_text(cause.look_at)}"
        + (f"; exchange {cause.exchange} in `evidence.har`" if cause.exchange else ""),
    ]
    command = f"\n\n{_fence(cause.curl)}" if cause.curl else ""
    title = _entities(_bounded(f"{cause.requirement}: {cause.kind}"))
    text = "\n".join(lines)
    return f"<details><summary>{title}</summary>\n\n{text}{command}\n\n</details>"


def _open(results: Mapping[str, Any]) -> str:
    """What could not be decided, or was not tested: a line for each cause."""
    found = [cause for cause in undecided(results) if cause.outcome != "not-applicable"]
    if not found:
        return ""
    lines = [
        f"- {_MARKS[cause.outcome]} {cause.outcome}, {counted(len(cause.tests), 'test')} "
        f"({_listed(cause.requirements)}): {_text(cause.kind)}"
        + (f"; look at {_text(cause.look_at)}" if cause.look_at else "")
        for cause in found[:_MOST_OPEN]
    ]
    if len(found) > _MOST_OPEN:
        lines.append(f"- {len(found) - _MOST_OPEN} more are in `results.json`")
    return "\n".join(["### Not decided, or not tested", "", *lines])


def _listed(names: Sequence[str]) -> str:
    """The first names as code spans, and how many there are besides."""
    return first_few([_code(name) for name in names], _MOST_NAMES)


def _advice(hints: Sequence[Cause]) -> str:
    if not hints:
        return ""
    ids = list(dict.fromkeys(cause.requirement for cause in hints))
    return f"Advice, which decides nothing: {_listed(ids)}."


# --- The permission table -----------------------------------------------------------------------


def _matrix(cells: Sequence[Mapping[str, Any]]) -> str:
    """The cells that were looked at, a row for each operation, folded."""
    cells = [cell for cell in cells if cell["reason"] != "not selected"]
    if not cells:
        return ""
    columns = list(dict.fromkeys((cell["credential"], cell["role"]) for cell in cells))
    marks = {(cell["operation"], cell["credential"], cell["role"]): _mark(cell) for cell in cells}
    heads = " | ".join(f"{role}<br>{credential}" for credential, role in columns)
    rows = [
        f"| {operation} | {' | '.join(marks.get((operation, *column), '') for column in columns)} |"
        for operation in dict.fromkeys(cell["operation"] for cell in cells)
    ]
    legend = f"{_ALLOWED} may, and did; {_REFUSED} may not, and was refused; " + ", ".join(
        f"{mark} {outcome}" for outcome, mark in _MARKS.items() if mark != outcome
    )
    table = "\n".join([f"| operation | {heads} |", f"|---|{':-:|' * len(columns)}", *rows])
    summary = "<summary>The permission table</summary>"
    return f"<details>{summary}\n\n{table}\n\n{legend}\n\n</details>"


def _mark(cell: Mapping[str, Any]) -> str:
    if cell["outcome"] == "passed":
        return _ALLOWED if cell["expected"] == "allow" else _REFUSED
    return _MARKS[cell["outcome"]]
