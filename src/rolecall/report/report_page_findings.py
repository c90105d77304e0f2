"""Findings, what is not proven, and advice on a run's page: a block for each cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rolecall.report import blocks, causes
from rolecall.report.causes import Cause, short_name
from rolecall.report.foreign_text import html, more
from rolecall.report.undecided import OUTCOMES, Undecided, by_outcome, undecided
from rolecall.wording import counted

#: Blocks, and tests of a block, in the page; results.json has all of them.
_BLOCKS, _TESTS = 250, 400
#: Characters of a curl line.
_CURL = 6_000


def findings(results: Mapping[str, Any]) -> str:
    """What decides the verdict, causes before what may follow from them."""
    found = causes.causes(results)
    if not found:
        said = "No requirement that decides the verdict was broken."
        return f'<p class="small">{said}</p>'
    requirements = len({cause.requirement for cause in found})
    return (
        f'<p class="small">{counted(len(results["findings"]), "failed test")} of '
        f"{counted(requirements, 'requirement')}, {counted(len(found), 'cause')}; causes before "
        f"what may follow from them.</p>{_drawn(found)}{_tokens(found, results['target'])}"
    )


def advice(results: Mapping[str, Any]) -> str:
    """What hardening found; empty where there is none."""
    found = causes.advice(results)
    if not found:
        return ""
    return (
        '<p class="small">Hardening: it does not decide the verdict.</p>'
        f'<div class="advice">{_drawn(found)}</div>'
    )


def not_proven(results: Mapping[str, Any]) -> str:
    """What neither passed nor failed, by cause; empty where there is nothing."""
    return "".join(
        f'<h3 class="open-kind">{OUTCOMES[outcome]} '
        f'<span class="small">{_tests_of(these)}</span></h3>'
        f"{''.join(map(_open, these[:_BLOCKS]))}{more(len(these) - _BLOCKS)}"
        for outcome, these in by_outcome(undecided(results)).items()
    )


def not_proven_in_short(results: Mapping[str, Any]) -> str:
    """The same in a line: how many tests of each outcome, and of how many causes."""
    found = by_outcome(undecided(results))
    if not found:
        return "nothing: every test was decided"
    said = "; ".join(
        f"{OUTCOMES[outcome].lower()}: {_tests_of(these)}" for outcome, these in found.items()
    )
    return f'<a href="#not-proven">{said}</a>'


def _tests_of(found: Sequence[Undecided]) -> str:
    tests = counted(sum(len(cause.tests) for cause in found), "test")
    return f"{tests} for {counted(len(found), 'cause')}"


def _drawn(found: Sequence[Cause]) -> str:
    return "".join(map(_block, found[:_BLOCKS])) + more(len(found) - _BLOCKS)


def _block(cause: Cause) -> str:
    facts = [("follows", html(cause.step))] if cause.step else []
    where = _button(cause.test, f"exchange {cause.exchange}") if cause.exchange else ""
    facts += [
        ("expected", html(cause.expected)),
        ("actual", f'<b class="no">{html(cause.actual)}</b> {where}'),
        ("look at", html(cause.look_at)),
    ]
    curl = (
        f'<div class="line"><pre class="curl">{html(cause.curl, _CURL)}</pre></div>'
        if cause.curl
        else ""
    )
    return (
        f'<article class="finding"><h3><code>{html(cause.requirement)}</code> {html(cause.kind)} '
        f'<span class="small">{html(cause.level)} · {html(cause.clause)} · '
        f"{len(cause.tests)} of {counted(cause.total, 'test')}</span></h3>"
        f"<p>{html(cause.statement)}</p>{_facts(facts)}{curl}{_tests(cause.tests)}</article>"
    )


def _open(cause: Undecided) -> str:
    """A cause that left tests open."""
    facts = []
    if cause.operations:
        facts.append(("operations", html(", ".join(cause.operations))))
    if cause.kind not in cause.reason or "(exchange " in cause.reason:
        facts.append(("reason", html(cause.reason)))
    if cause.look_at:
        facts.append(("look at", html(cause.look_at)))
    if cause.exchange:
        _, first = cause.tests[0]
        facts.append(("evidence", _button(first, f"exchange {cause.exchange}")))
    facts.append(("of", f"<code>{html(', '.join(cause.requirements))}</code>"))
    names = [name for _, name in cause.tests]
    return (
        f'<article class="finding open {html(cause.outcome)}"><h3>{html(cause.kind)} '
        f'<span class="small">{counted(len(names), "test")}</span></h3>'
        f"{_facts(facts)}{_tests(names)}</article>"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    return f'<dl class="facts">{rows}</dl>'


def _tests(names: Sequence[str]) -> str:
    """The tests of a block: buttons that open their evidence."""
    buttons = "".join(f"<li>{_button(name, short_name(name))}</li>" for name in names[:_TESTS])
    return (
        f"<details><summary>{counted(len(names), 'test')}</summary><ul>{buttons}</ul>"
        f"{more(len(names) - _TESTS)}</details>"
    )


def _button(test: str, words: str) -> str:
    return (
        f'<button type="button" class="link" data-test="{html(test)}">{html(words, 200)}</button>'
    )


def _tokens(found: Sequence[Cause], target: Mapping[str, Any]) -> str:
    """How to get the $TOKEN of the lines to paste."""
    lines = blocks.tokens(found[:_BLOCKS], target, None)
    if not lines:
        return ""
    text = html("\n".join(lines), _CURL)
    return (
        '<details class="tokens"><summary>How to get the $TOKEN of these lines</summary>'
        f'<pre tabindex="0">{text}</pre></details>'
    )
