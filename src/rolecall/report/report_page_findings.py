"""Findings and advice of a run's page: a block for each requirement that was broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolecall.report.foreign_text import counted, html

#: Blocks, and tests of a block, in the page; results.json has all of them.
_BLOCKS, _TESTS = 250, 400
#: Characters of a curl line.
_CURL = 6_000

Finding = Mapping[str, Any]


def findings(results: Mapping[str, Any]) -> str:
    """What decides the verdict, causes before what may follow from them."""
    if not results["findings"]:
        said = "No requirement that decides the verdict was broken."
        return f'<p class="small">{said}</p>'
    blocks = _by_requirement(results["findings"])
    return (
        f'<p class="small">{counted(len(results["findings"]), "failed test")} of '
        f"{counted(len(blocks), 'requirement')}, causes before what may follow from them.</p>"
        + _drawn(results, blocks)
    )


def advice(results: Mapping[str, Any]) -> str:
    """What hardening found; empty where there is none."""
    if not results["advice"]:
        return ""
    return (
        '<p class="small">Hardening: it does not decide the verdict.</p><div class="advice">'
        f"{_drawn(results, _by_requirement(results['advice']))}</div>"
    )


def _by_requirement(found: Sequence[Finding]) -> list[list[Finding]]:
    blocks: dict[str, list[Finding]] = {}
    for finding in found:
        blocks.setdefault(finding["requirement"], []).append(finding)
    return list(blocks.values())


def _drawn(results: Mapping[str, Any], blocks: Sequence[Sequence[Finding]]) -> str:
    totals = {required["id"]: len(required["tests"]) for required in results["requirements"]}
    left = len(blocks) - _BLOCKS
    return "".join(_block(block, totals) for block in blocks[:_BLOCKS]) + _more(left)


def _block(block: Sequence[Finding], totals: Mapping[str, int]) -> str:
    first = block[0]
    total = totals.get(first["requirement"], len(block))
    step = f'<p class="small">It follows: {html(first["step"])}</p>' if first.get("step") else ""
    curl = (
        f'<div class="line"><pre class="curl">{html(first["curl"], _CURL)}</pre></div>'
        if first["curl"]
        else ""
    )
    where = (
        f' <button type="button" class="link" data-test="{html(first["test"])}">exchange '
        f"{first['exchange']}</button>"
        if first["exchange"]
        else ""
    )
    return (
        f'<article class="finding"><h3><code>{html(first["requirement"])}</code> '
        f'<span class="small">{html(first["level"])} · {html(first["clause"])} · '
        f"{len(block)} of {counted(total, 'test')}</span></h3>"
        f"<p>{html(first['statement'])}</p>{step}"
        f'<dl class="facts"><dt>expected</dt><dd>{html(first["expected"])}</dd>'
        f'<dt>actual</dt><dd><b class="no">{html(first["actual"])}</b>{where}</dd></dl>{curl}'
        f"{_tests(block)}</article>"
    )


def _tests(block: Sequence[Finding]) -> str:
    """The tests of a block: buttons that open their evidence."""
    buttons = "".join(
        f'<li><button type="button" class="link" data-test="{html(finding["test"])}">'
        f"{html(finding['cell'] or finding['test'], 200)}</button> "
        f'<span class="small">{html(finding["actual"], 300)}</span></li>'
        for finding in block[:_TESTS]
    )
    return (
        f"<details><summary>{counted(len(block), 'test')}</summary><ul>{buttons}</ul>"
        f"{_more(len(block) - _TESTS)}</details>"
    )


def _more(left: int) -> str:
    return f'<p class="small">{left} more in results.json</p>' if left > 0 else ""
