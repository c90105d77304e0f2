"""The permission heat map and the requirements of a run's page, with the filters of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.report.foreign_text import html
from rolecall.spec.model import DECIDING
from rolecall.wording import counted

#: What a cell shows: what the table says of it where that was found so, else what was found.
_SIGNS = {"allow": "+", "deny": "\N{MINUS SIGN}"}
_FOUND = {"failed": "✕", "waived": "w", "inconclusive": "?", "error": "!", "not-tested": "·"}
_CREDENTIALS = {"token": "Token", "api-key": "API key"}
#: Outcomes in words, in the order of the filters.
_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "inconclusive": "proves nothing",
    "not-tested": "not tested",
    "not-applicable": "not applicable",
    "waived": "waived",
    "error": "error of the suite",
    "advice": "advice",
}
_LEVELS = {
    "must": "must",
    "derived": "derived",
    "hardening": "advice",
    "observe": "observed",
}


def matrix(results: Mapping[str, Any]) -> str:
    """The key and the heat map: operations in the order of the permission table."""
    cells, roles = results["cells"], _roles(results)
    credentials = list(dict.fromkeys(cell["credential"] for cell in cells))
    by_operation: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for cell in cells:
        by_operation.setdefault(cell["operation"], {})[cell["credential"], cell["role"]] = cell
    columns = [(credential, role) for credential in credentials for role in roles]
    operations = results.get("operations", {})
    changed = {
        change["name"]
        for change in (results.get("since") or {}).get("changes", ())
        if change["what"] == "cell"
    }
    rows, effect = [], ""
    for name, of_columns in by_operation.items():
        operation = operations.get(name, {})
        if (new := operation.get("effect") or name.partition("-")[0]) != effect:
            effect = new
            rows.append(f"</tbody><tbody>{_group(effect.capitalize(), len(columns) + 1)}")
        rows.append(_row(name, operation, [of_columns.get(column) for column in columns], changed))
    head = "".join(
        f'<th scope="colgroup" colspan="{len(roles)}">{html(_CREDENTIALS.get(name, name))}</th>'
        for name in credentials
    )
    names = "".join(f'<th scope="col"><span>{html(role)}</span></th>' for _, role in columns)
    return (
        f"{_key()}"
        '<table class="matrix"><caption class="hidden">Operations by role and kind of credential. '
        "Arrow keys move from cell to cell, Enter shows the evidence.</caption>"
        f'<thead><tr><th scope="col" rowspan="2" class="left">Operation</th>{head}</tr>'
        f"<tr>{names}</tr></thead>{''.join(rows).removeprefix('</tbody>')}</tbody></table>"
    )


def _group(title: str, width: int) -> str:
    return (
        f'<tr class="group"><th scope="rowgroup" colspan="{width}" class="left">{html(title)}</th>'
        "</tr>"
    )


def _row(
    name: str,
    operation: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any] | None],
    changed: set[str],
) -> str:
    words = name.replace("-", " ").capitalize()
    where = f"{operation.get('method', '')} {operation.get('path', '')}".strip()
    drawn = "".join("<td></td>" if cell is None else _cell(words, cell, changed) for cell in cells)
    return (
        f'<tr class="operation"><th scope="row" class="left" title="{html(where, 300)}">'
        f"{html(words)}</th>{drawn}</tr>"
    )


def _cell(words: str, cell: Mapping[str, Any], changed: set[str]) -> str:
    name = f"{cell['operation']}-{cell['role']}-{cell['credential']}"
    outcome, expected = cell["outcome"], cell["expected"]
    sign = _FOUND.get(outcome, _SIGNS[expected])
    is_changed = " changed" if name in changed else ""
    label = (
        f"{words}, {cell['role']}, {_CREDENTIALS.get(cell['credential'], '')}: "
        f"{expected}, {_WORDS.get(outcome, outcome)}{is_changed}"
    )
    return (
        f'<td><button type="button" class="cell {html(outcome)} {html(expected)}{is_changed}" '
        f'data-cell="{html(name)}" aria-label="{html(label)}">{sign}</button></td>'
    )


def _key() -> str:
    shown = [
        ("passed allow", "+", "allowed, and its effect is there"),
        ("passed deny", _SIGNS["deny"], "denied, with all four pieces of evidence"),
        ("failed", "✕", "failed"),
        ("inconclusive", "?", "proves nothing"),
        ("not-tested", "·", "not tested"),
    ]
    return (
        '<p class="small keys">'
        + "".join(
            f'<span class="key"><i class="cell {style}" aria-hidden="true">{sign}</i>{words}</span>'
            for style, sign, words in shown
        )
        + "</p>"
    )


def _roles(results: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(cell["role"] for cell in results["cells"]))


def filters(results: Mapping[str, Any]) -> str:
    """The form that filters cells and requirements."""
    counts = results["counts"]
    present = [
        outcome
        for outcome in _WORDS
        if counts["cells"].get(outcome) or counts["requirements"].get(outcome)
    ]
    outcomes = "".join(
        f'<label class="chip"><input type="checkbox" name="outcome" value="{outcome}">'
        f"<span>{_WORDS[outcome]}</span></label>"
        for outcome in present
    )
    options = "".join(
        f'<option value="{html(role)}">{html(role)}</option>' for role in _roles(results)
    )
    return (
        '<form id="filters" class="filters" role="search" aria-label="Filter cells and '
        f'requirements"><fieldset><legend class="hidden">Outcome</legend>{outcomes}</fieldset>'
        '<label><span class="hidden">Role</span><select name="role"><option value="">every '
        f"role</option>{options}</select></label>"
        '<label class="grows"><span class="hidden">Text</span><input type="search" name="text" '
        'placeholder="Operation, requirement or test" autocomplete="off"></label>'
        '<output class="small" id="filtered"></output></form>'
    )


def requirements(results: Mapping[str, Any]) -> str:
    """All requirements by chapter; report.js fills in their tests."""
    chapters: dict[str, list[Mapping[str, Any]]] = {}
    for required in results["requirements"]:
        chapters.setdefault(required.get("feature") or required["clause"], []).append(required)
    return "".join(_chapter(title, inside) for title, inside in chapters.items())


def _word(required: Mapping[str, Any]) -> str:
    """The outcome of a requirement; what fails and decides nothing is advice."""
    is_advice = required["outcome"] == "failed" and required["level"] not in DECIDING
    return "advice" if is_advice else str(required["outcome"])


def _chapter(title: str, inside: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(map(_word, inside))
    said = " · ".join(
        f'<span class="of-{outcome}">{counts[outcome]} {word}</span>'
        for outcome, word in _WORDS.items()
        if counts[outcome]
    )
    is_open = " open" if set(counts) & {"failed", "error"} else ""
    return (
        f'<details class="chapter"{is_open}><summary><h3>{html(title)}</h3> '
        f'<span class="small">{said}</span></summary>'
        + "".join(map(_requirement, inside))
        + "</details>"
    )


def _requirement(required: Mapping[str, Any]) -> str:
    outcome = _word(required)
    step = (
        f'<p class="small">It follows: {html(required["step"])}</p>' if required.get("step") else ""
    )
    reason = (
        f'<p class="of-{html(outcome)}">{html(required["reason"])}</p>'
        if required["reason"]
        else ""
    )
    level = _LEVELS.get(required["level"], required["level"])
    tests = counted(len(required["tests"]), "test")
    return (
        f'<details class="requirement" data-outcome="{html(outcome)}" '
        f'data-requirement="{html(required["id"])}"><summary>'
        f'<span class="state {html(outcome)}">{html(_WORDS.get(outcome, outcome))}</span> '
        f"<code>{html(required['id'])}</code> {html(required['statement'])}</summary>"
        f'<div class="inside"><p class="small">{html(level)} · {html(required["clause"])} · '
        f'{tests}</p>{step}{reason}<div class="tests"></div></div></details>'
    )
