"""The top of a run's page: the verdict, and what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rolecall.report.causes import deciding
from rolecall.report.foreign_text import LINES, html, items
from rolecall.report.report_page_findings import not_proven_in_short
from rolecall.wording import counted

#: How strong the evidence is that tokens were really expired (docs/evidence.md).
_GRADES = {
    "A": "A: tokens of an earlier night; real time has passed",
    "A-": "A-: the target's clock was moved, and a new token proves that it was",
    "B": "B: tokens made with the target's key, and one made alike was let in",
    "C": "C: the target's tokens live so short that one could wait",
    "D": "D: a program made them, and their exp says so",
    "": "none: no expired token was to be had",
}
_STYLES = {"conformant": "met", "not-conformant": "missed"}


def style_of(verdict: str) -> str:
    """The class of a verdict."""
    return _STYLES.get(verdict, "invalid")


def head(results: Mapping[str, Any]) -> str:
    """The header of the page, and the cards."""
    target, style = results["target"], style_of(results["verdict"])
    shown_address = "" if target["name"] == target["base_url"] else f"{html(target['base_url'])} · "
    reasons = "".join(f"<li>{html(reason)}</li>" for reason in results["reasons"][:LINES])
    return (
        '<header><div class="small">rolecall certify</div>'
        f"<h1>{html(target['name'], 200)}</h1>"
        f'<p><span class="verdict {style}">{html(results["verdict"])}</span></p>'
        f'<p class="small">{shown_address}{_when(results)} · '
        f"{sum(results['counts']['tests'].values()):,} tests · {results['requests']:,} requests · "
        f"{_seconds(results):.0f} s</p>"
        + (f'<ul class="reasons {style}-reasons">{reasons}</ul>' if reasons else "")
        + '<p id="again" class="again" role="status">This page judges every cell again where '
        "scripts may run.</p>"
        f"{_cards(results)}{_basis(results)}</header>\n"
    )


def _when(results: Mapping[str, Any]) -> str:
    return html(str(results["started"])[:19].replace("T", " ") + " UTC")


def _seconds(results: Mapping[str, Any]) -> float:
    started, finished = (datetime.fromisoformat(results[name]) for name in ("started", "finished"))
    return max(0.0, (finished - started).total_seconds())


def _cards(results: Mapping[str, Any]) -> str:
    cells, required = results["counts"]["cells"], deciding(results)
    unproven = sum(cells[name] for name in ("inconclusive", "error"))
    cards = [
        (cells["passed"], "cells passed", ""),
        (cells["failed"], "cells failed", "bad"),
        (unproven, "cells prove nothing", "unsure"),
        (cells["not-tested"] + cells["not-applicable"], "cells not tested", ""),
        (required["passed"], "requirements passed", ""),
        (required["failed"], "requirements failed", "bad"),
    ]
    if cells["waived"]:
        cards.insert(2, (cells["waived"], "cells waived", "unsure"))
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card {style if number else ""}"><b>{number:,}</b>'
            f"<span>{name}</span></div>"
            for number, name, style in cards
        )
        + "</div>"
    )


def _basis(results: Mapping[str, Any]) -> str:
    """What the verdict rests on, as a list of names and values."""
    suite = results["suite"]
    suite_is = (
        f"{html(suite['name'])} {html(suite['version'])}, {html(suite['specification'])}"
        f'<span class="small digest">permissions {html(suite["permissions"])}<br>'
        f"requirements {html(suite['requirements'])}</span>"
    )
    departures = results["dialect"]["departures"]
    rows = [
        ("Target", f"{html(results['target']['name'])}, {html(results['target']['base_url'])}"),
        ("Suite", suite_is),
        ("Scope", _scope(results)),
        (
            "Dialect",
            items([f"{name} = {json.dumps(value)}" for name, value in departures.items()])
            if departures
            else "no departures: every gap of the specification is read as usual",
        ),
        ("Expiry evidence", html(_GRADES.get(results["expiry_evidence"], ""))),
        ("Not proven", not_proven_in_short(results)),
    ]
    if waivers := results.get("waivers"):
        rows.append(("Waivers", items([_waiver(waiver) for waiver in waivers])))
    if left := results["left_behind"]:
        rows.append(("Left behind", items(left)))
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<h2 id="basis">What it rests on</h2><dl class="facts basis">{listed}</dl>'


def _scope(results: Mapping[str, Any]) -> str:
    scope = "the whole suite"
    if results["selected"]:
        requirements = results["requirements"]
        selected = sum(bool(required["tests"]) for required in requirements)
        scope = f"a part of the suite: {selected} of {counted(len(requirements), 'requirement')}"
    return scope + (", without writes (--read-only)" if results["read_only"] else "")


def _waiver(waiver: Any) -> str:
    if not isinstance(waiver, Mapping):
        return f"{waiver}"
    return ", ".join(f"{name}: {value}" for name, value in waiver.items() if value)
