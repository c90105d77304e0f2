"""What a person reads at the end of a run: the heat map of cells, the findings, the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from rolecall.report import blocks, comparison_text, waiver_text
from rolecall.report.causes import advice, causes, deciding
from rolecall.report.undecided import OUTCOMES, Undecided, by_outcome, undecided
from rolecall.screen import harmless, harmless_document, wrapped
from rolecall.wording import counted

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
_VERDICTS = {
    "conformant": "1;32",
    "part-passed": "32",
    "not-conformant": "1;31",
    "inconclusive": "1;33",
}

_MOST_LEFT = 8  # things left behind that are named on the screen


def summary(
    results: dict[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
    """The whole text; a heat map only where there is something to see.

    ``width`` is that of the terminal in columns; without one no line is wrapped.
    """
    results = harmless_document(results)
    anything = any(cell["outcome"] != "not-tested" for cell in results["cells"])
    parts = [
        heat_map(results, colour=colour) if anything else "",
        findings(results, harmless(folder), colour=colour, width=width),
        waiver_text.text(results),
        comparison_text.text(results["since"], most=5) if results.get("since") else "",
        verdict(results, folder, colour=colour, width=width),
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
    waived = "   w waived" if any(cell["outcome"] == "waived" for cell in cells) else ""
    lines.append(
        f"+ may, and did   - may not, refused   X failed   ? inconclusive   . not tested{waived}"
    )
    return "\n".join(lines)


def findings(
    results: dict[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
    """A block for each cause of what failed, then one for each of what could not be decided."""
    found = causes(results)
    parts = [
        *(_titled(block, colour) for block in blocks.findings(found, folder, width)),
        blocks.tokens(found, results["target"], width),
        *_open(undecided(results), colour, width),
        blocks.advice(advice(results), width),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _titled(block: list[str], colour: bool) -> list[str]:
    return [_paint(block[0], "1;31", colour), *block[1:]]


def _open(found: list[Undecided], colour: bool, width: int | None) -> Iterable[list[str]]:
    """What was not proven, by cause; what says nothing against the target is counted."""
    for outcome, these in by_outcome(found).items():
        title = OUTCOMES[outcome]
        if outcome == "not-applicable":
            yield blocks.summed_up(title, these, width)
        else:
            tests = sum(len(cause.tests) for cause in these)
            heading = f"{title} ({counted(tests, 'test')}):"
            lines = [line for cause in these for line in blocks.undecided(cause, width)]
            yield [_paint(heading, _COLOURS[outcome], colour), *lines]


#: What the last lines tell of: the other members are by far the largest.
_OF_THE_VERDICT = (
    "counts",
    "dialect",
    "reasons",
    "left_behind",
    "verdict",
    "target",
    "requests",
    "exit_code",
)


def verdict(
    results: dict[str, Any], folder: str, *, colour: bool = False, width: int | None = None
) -> str:
    """The last lines: counts, what else to know, and the verdict itself; ``width`` in columns."""
    requirements = deciding(results)
    results = harmless_document({name: results[name] for name in _OF_THE_VERDICT})
    lines = [
        f"cells         {_counted(results['counts']['cells'])}",
        f"requirements  {_counted(requirements)}",
    ]
    for name, value in results["dialect"]["departures"].items():
        lines.append(f"reading       {name} = {value} (not the default)")
    lines += [f"note          {reason}" for reason in results["reasons"]]
    left = results["left_behind"]
    lines += [f"left behind   {thing}" for thing in left[:_MOST_LEFT]]
    if len(left) > _MOST_LEFT:
        lines.append(f"left behind   {len(left) - _MOST_LEFT} more things in results.json")
    if left:
        lines.append(f"next          rolecall cleanup {shlex.quote(harmless(folder))}")
    word = results["verdict"].upper().replace("-", " ")
    last = (
        f"verdict       {word}: {results['target']['name']} at {results['target']['base_url']} "
        f"({results['requests']} request{'s' * (results['requests'] != 1)}, "
        f"exit {results['exit_code']})"
    )
    first, *more = wrapped([last], width)
    painted = first.replace(word, _paint(word, _VERDICTS[results["verdict"]], colour), 1)
    return "\n".join([*wrapped(lines, width), f"files         {harmless(folder)}", painted, *more])


def _counted(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in tally.items() if number)


def _mark(cell: dict[str, Any], colour: bool) -> str:
    mark = _PASSED[cell["expected"]] if cell["outcome"] == "passed" else _MARKS[cell["outcome"]]
    return _paint(mark, _COLOURS[cell["outcome"]], colour)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\033[{code}m{text}\033[0m" if colour else text
