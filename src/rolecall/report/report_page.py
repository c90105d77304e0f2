"""Makes report.html of a run's two documents: one file that loads nothing and opens from a disk.

What stands in the page was written by a server that is being judged: it is text, escaped and
bounded, and the page's policy lets nothing run but the page's own two scripts, by their digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from rolecall.report import report_page_basis as basis
from rolecall.report import (
    report_page_data,
    report_page_findings,
    report_page_matrix,
    report_page_timings,
)
from rolecall.report.foreign_text import LINES, html, items, more
from rolecall.report.page import locked_page

#: Sections that the filters are for, one after the other.
_FILTERED = ("permissions", "requirements")


@cache
def asset(name: str) -> str:
    """A file of `assets/`."""
    return (files("rolecall.report") / "assets" / name).read_text(encoding="utf-8")


def write(results: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """The text of the file, of results.json and evidence.har."""
    sections = {
        "findings": ("Findings", report_page_findings.findings(results)),
        "not-proven": ("Not proven", report_page_findings.not_proven(results)),
        "changes": ("Changes", _changes(results.get("since"))),
        "permissions": ("Permissions", report_page_matrix.matrix(results)),
        "requirements": ("Requirements", report_page_matrix.requirements(results)),
        "advice": ("Advice", report_page_findings.advice(results)),
        "observations": ("Observations", _observations(results)),
        "timings": ("Timings", report_page_timings.timings(results, evidence)),
    }
    shown = {id: section for id, section in sections.items() if section[1]}
    body = (
        basis.head(results) + _contents(shown) + _main(results, shown) + _footer(results) + _SHEET
    )
    return locked_page(
        f"{results['verdict']}: {html(results['target']['name'], 100)} - Rolecall",
        body,
        report_page_data.data(results, evidence),
        asset("report.css"),
        [asset("judge.js"), asset("report.js")],
    )


#: What a cell's evidence is shown in.
_SHEET = (
    '<dialog id="sheet" aria-labelledby="sheet-title"><div class="bar">'
    '<div><p class="small" id="sheet-kind"></p><h2 id="sheet-title"></h2></div>'
    '<button type="button" id="sheet-close" aria-label="Close">✕</button></div>'
    '<div id="sheet-body"></div></dialog>\n'
)


def _main(results: Mapping[str, Any], shown: Mapping[str, tuple[str, str]]) -> str:
    """The sections; the filters go along with those that they filter."""
    drawn = {
        id: f'<section id="{id}"><h2>{title}</h2>{content}</section>\n'
        for id, (title, content) in shown.items()
    }
    filtered = "".join(drawn[id] for id in _FILTERED)
    drawn["permissions"] = f"<div>{report_page_matrix.filters(results)}{filtered}</div>\n"
    del drawn["requirements"]
    return f"<main>{''.join(drawn.values())}</main>"


def _contents(shown: Mapping[str, tuple[str, str]]) -> str:
    links = "".join(f'<a href="#{id}">{title}</a>' for id, (title, _) in shown.items())
    return f'<nav class="contents" aria-label="Contents">{links}</nav>\n'


def _footer(results: Mapping[str, Any]) -> str:
    suite = results["suite"]
    return (
        f'<footer class="small"><p>Run {html(results["run"])}. Made by {html(suite["name"])} '
        f"{html(suite['version'])} of results.json and evidence.har, which say more: "
        f"<code>rolecall show {html(results['run'])} NUMBER</code> prints an exchange.</p>"
        "<p>Secrets are masked: the same secret has the same label. A token keeps its header and "
        "claims and loses its signature.</p></footer>\n"
    )


def _observations(results: Mapping[str, Any]) -> str:
    notes: dict[str, dict[str, None]] = {}
    for seen in results["observations"]:
        notes.setdefault(seen["requirement"], {})[seen["note"]] = None
    if not notes:
        return ""
    rows = "".join(
        f"<dt><code>{html(id)}</code></dt><dd>{items(seen)}</dd>" for id, seen in notes.items()
    )
    return (
        '<p class="small">What was seen where the specification says nothing.</p>'
        f'<dl class="facts">{rows}</dl>'
    )


def _changes(since: Mapping[str, Any] | None) -> str:
    """What changed since the run that this one was compared with."""
    if since is None:
        return ""
    changes = since.get("changes", ())
    said = items([*since.get("reasons", ()), *since.get("notes", ())])
    if not changes:
        return f"<p>Nothing has changed since run {html(since.get('run', ''))}.</p>{said}"
    rows = "".join(
        f'<tr><td class="left"><code>{html(change["name"])}</code> '
        f'<span class="small">{html(change["what"])}</span></td>'
        f'<td class="left">{html(change["before"])} → {html(change["after"])}</td>'
        f'<td class="left">{html(change["whose"])}</td></tr>'
        for change in changes[:LINES]
    )
    head = "".join(f'<th class="left">{name}</th>' for name in ("what", "change", "whose doing"))
    return (
        f'<p class="small">{len(changes)} changes since run {html(since["run"])}.</p>{said}'
        '<div class="wide" tabindex="0" role="group" aria-label="Changes"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"</div>{more(len(changes) - LINES)}"
    )
