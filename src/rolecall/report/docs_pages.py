"""The tables of the specification as pages of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NOTE = "Made by `make docs` from `{source}`; not edited by hand."

#: What the columns of the requirements mean.
_LEGEND = """\
Level `must` is said by the specification, `derived` follows from it in one step, `hardening` is
advice, `observe` is recorded only; the first two decide the verdict. *Cases* are rows of the
catalogue of negative cases. *Needs* names what a target may lack, or a run may not be given,
without being blamed.

`rolecall requirements ISSUE-status` prints one of them with its tests and with the faults of the
reference server that break it; without an id it prints all.
"""


def requirements(entries: Mapping[str, Any]) -> str:
    """``docs/requirements.md``: every requirement, feature by feature."""
    lines = [
        "# Requirements",
        "",
        _NOTE.format(source="conformance/web1on1_v2/requirements.toml"),
        "",
        *_LEGEND.splitlines(),
    ]
    features: dict[str, list[Any]] = {}
    for entry in entries.values():
        features.setdefault(entry.feature, []).append(entry)
    for feature, group in features.items():
        lines += [
            "",
            f"## {feature}",
            "",
            "| id | level | statement | clause | follows by | cases | needs |",
            "|---|---|---|---|---|---|---|",
        ]
        for entry in group:
            cells = (
                entry.id,
                entry.level,
                entry.statement,
                entry.clause,
                entry.step,
                ", ".join(entry.cases),
                entry.capability,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def readings(entries: Mapping[str, Any]) -> str:
    """``docs/readings.md``: every gap of the specification, and how it is read."""
    lines = [
        "# How the specification's gaps are read",
        "",
        _NOTE.format(source="conformance/web1on1_v2/readings.toml"),
        "",
        (
            "The default decides the verdict. A target file chooses another reading under "
            "`[dialect]`; every one that is not the"
        ),
        (
            "default is printed with the verdict and stands in `results.json`. A list is a set of "
            "acceptable HTTP statuses, all of the default's kind (200 to 299, or 400 to 499)."
        ),
        "The code and the changelog call a gap by the number that stands with it here.",
        "",
        "| reading | default | meaning | gap |",
        "|---|---|---|---|",
    ]
    chosen = [entry for entry in entries.values() if entry.default is not None]
    lines += [
        f"| `{entry.name}` | `{_toml(entry.default)}` | {entry.statement} | {entry.ambiguity} |"
        for entry in chosen
    ]
    lines += ["", "The rest cannot be chosen, for every server is taken as it is:", ""]
    rest = [entry for entry in entries.values() if entry not in chosen]
    lines += [f"- {entry.ambiguity}: {entry.statement}" for entry in rest]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
