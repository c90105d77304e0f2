"""What a person reads at the end of a run: the heat map of cells, the findings, the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rolecall.report import comparison_text, waiver_text
from rolecall.screen import harmless, harmless_document

_PASSED = {"allow": "+", "deny": "-"}
_MARKS = {
    "failed": "X",
    "inconclusive": "?",
    "not-applicable": "o",
    "not-tested": ".",
    "waived": "w",
    "error": "!",
}
_COLOURS = {
    "passed": "32",
    "failed": "1;31",
    "inconclusive": "33",
    "not-applicable": "2",
    "not-tested": "2",
    "waived": "35",
    "error": "1;31",
}
#: The outcomes whose reasons are shown, with their headings.
_OPEN = (
    ("error", "The harness broke"),
    ("inconclusive", "Not decided"),
    ("not-tested", "Not tested"),
    ("not-applicable", "Not applicable to this target"),
)
_VERDICTS = {"conformant": "1;32", "not-conformant": "1;31", "inconclusive": "1;33"}
_MOST = 20  # findings shown in full; all are in results.json


def summary(results: dict[str, Any], folder: str, *, colour: bool = False) -> str:
    """The whole text; a heat map only where there is something to see."""
    results = harmless_document(results)
    anything = any(cell["outcome"] != "not-tested" for cell in results["cells"])
    parts = [
        heat_map(results, colour=colour) if anything else "",
        findings(results, colour=colour),
        waiver_text.text(results),
        comparison_text.text(results["since"], most=5) if results.get("since") else "",
        verdict(results, folder, colour=colour),
    ]
    return "\n\n".join(part for part in parts if part)


def heat_map(results: dict[str, Any], *, colour: bool = False) -> str:
    """The cells as a table: a row per operation, a column per credential and role."""
    cells = results["cells"]
    columns = list(dict.fromkeys((cell["credential"], cell["role"]) for cell in cells))
    by_place = {(cell["operation"], cell["credential"], cell["role"]): cell for cell in cells}
    groups = [
        (credential, [role for _, role in group])
        for credential, group in groupby(columns, key=lambda column: column[0])
    ]
    lines = [
        " " * 26
        + "  ".join(f"{credential:<{6 * len(roles) - 1}}" for credential, roles in groups).rstrip(),
        " " * 26
        + "  ".join(" ".join(f"{role:<5}" for role in roles) for _, roles in groups).rstrip(),
    ]
    for operation in dict.fromkeys(
        cell["operation"] for cell in cells if cell["reason"] != "not selected"
    ):
        row = "  ".join(
            " ".join(
                _mark(by_place[operation, credential, role], colour) + "    " for role in roles
            )
            for credential, roles in groups
        )
        lines.append(f"{operation:<26}{row.rstrip()}")
    lines.append(
        "+ may, and did   - may not, and was refused   X failed   ? inconclusive   . not tested"
    )
    return "\n".join(lines)


def findings(results: dict[str, Any], *, colour: bool = False) -> str:
    """Each failed test of a deciding requirement, then what could not be decided."""
    blocks = []
    for number, finding in enumerate(results["findings"][:_MOST], 1):
        place = finding["cell"] or finding["test"]
        block = [
            _paint(
                f"{number}. {finding['requirement']} ({finding['level']}): {place}", "1;31", colour
            ),
            f"   {finding['statement']}  [{finding['clause']}]",
            *([f"   follows   {finding['step']}"] if finding.get("step") else []),
            f"   expected  {finding['expected']}",
            f"   actual    {finding['actual']}",
        ]
        if finding["curl"]:
            block.append(f"   try       {finding['curl']}")
            block.append(f"   evidence  exchange {finding['exchange']} in evidence.har")
        blocks.append("\n".join(block))
    if len(results["findings"]) > _MOST:
        blocks.append(f"... and {len(results['findings']) - _MOST} more findings in results.json")
    blocks += _open(results, colour)
    return "\n\n".join(blocks)


def _open(results: dict[str, Any], colour: bool) -> Iterable[str]:
    """What was not proven, grouped by reason."""
    for outcome, title in _OPEN:
        reasons: dict[tuple[str, str], list[str]] = {}
        for requirement in results["requirements"]:
            for test in requirement["tests"]:
                if test["outcome"] == outcome:
                    reasons.setdefault((test["reason"], test["look_at"]), []).append(
                        f"{requirement['id']} {test['name']}"
                    )
        if reasons:
            lines = [_paint(f"{title}:", _COLOURS[outcome], colour)]
            for (reason, look_at), names in list(reasons.items())[:_MOST]:
                lines.append(
                    f"   {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: "
                    f"{reason}"
                )
                if look_at:
                    lines.append(f"      look at {look_at}")
            if len(reasons) > _MOST:
                lines.append(f"   ... and {len(reasons) - _MOST} more reasons in results.json")
            yield "\n".join(lines)


def verdict(results: dict[str, Any], folder: str, *, colour: bool = False) -> str:
    """The last lines: counts, what else to know, and the verdict itself."""
    results = harmless_document(results)
    cells, requirements = results["counts"]["cells"], results["counts"]["requirements"]
    lines = [
        f"cells         {_counted(cells)}",
        f"requirements  {_counted(requirements)}",
    ]
    for name, value in results["dialect"]["departures"].items():
        lines.append(f"reading       {name} = {value} (not the default)")
    lines += [f"note          {reason}" for reason in results["reasons"]]
    lines += [f"left behind   {thing}" for thing in results["left_behind"]]
    lines.append(f"files         {harmless(folder)}")
    word = results["verdict"].upper().replace("-", " ")
    lines.append(
        f"verdict       {_paint(word, _VERDICTS[results['verdict']], colour)}: "
        f"{results['target']['name']} "
        f"at {results['target']['base_url']} ({results['requests']} requests, exit "
        f"{results['exit_code']})"
    )
    return "\n".join(lines)


def _counted(tally: dict[str, int]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in tally.items() if number)


def _mark(cell: dict[str, Any], colour: bool) -> str:
    mark = _PASSED[cell["expected"]] if cell["outcome"] == "passed" else _MARKS[cell["outcome"]]
    return _paint(mark, _COLOURS[cell["outcome"]], colour)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\033[{code}m{text}\033[0m" if colour else text
