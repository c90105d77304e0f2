"""``summary.md``: what a reader of Markdown makes of it, and that a target's words stay words."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from markdown_it import MarkdownIt

from rolecall.report import summary
from rolecall.report.comparison import compare
from tests.report.test_causes import finding
from tests.support.results import cell, requirement, results

#: Words that mean something in Markdown, in HTML, or to GitHub.
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</details><h1>Passed</h1>",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "http://evil.example/ and www.evil.example and a@evil.example",
    "<http://evil.example/>",
    "` | ``` | <b>",
    "| a | b |",
    "@octocat #1 $x$ ~~gone~~ **bold** _it_",
    "line\n\n# Passed\n\n| a |\n|---|\n",
    "--- ",
    "# Passed",
    "1. a",
    "&lt;script&gt; &amp; &#x3c;",
    "\\[x\\](y)",
    "\u202egnp.x\x1b[31m",
    "```\n</details>\n```",
]


def rendered(text: str) -> str:
    """The HTML that a job's page would show: tables, and addresses as links."""
    return str(MarkdownIt("gfm-like").render(text))


def inconclusive(said: str) -> dict[str, Any]:
    """A requirement that could not be decided, in these words."""
    entry = requirement("ISSUE-status", "inconclusive")
    entry["tests"][0] |= {"reason": said, "look_at": said}
    return entry


def document(said: str, **more: Any) -> dict[str, Any]:
    """The results of a run in which the target said this wherever it could."""
    failed = finding(
        "test_it[op-0]", actual=said, expected=f"403, not {said}", curl=f"curl '{said}'"
    )
    return results(
        **{
            "verdict": "not-conformant",
            "exit_code": 1,
            "reasons": [said],
            "target": {"name": said, "base_url": said},
            "requirements": [
                requirement("EXPIRY-403", "failed", {"test_it[op-0]": "failed"}),
                inconclusive(said),
            ],
            "findings": [failed],
            "cells": [cell("list-users guest token", "failed", 200, reason=said)],
            **more,
        }
    )


def test_verdict_findings_and_table() -> None:
    """The page has the verdict as its heading, a row for the cause, its curl line, and the
    cells.
    """
    page = rendered(summary.write(document("401, as RFC 6750 has it")))

    assert "<h2>❌ Rolecall: not-conformant</h2>" in page
    assert "<td>401 instead of 403</td>" in page
    assert "<td>1 of 1</td>" in page
    assert "curl '401, as RFC 6750 has it'" in unescape(page)
    assert "exchange 987 in <code>evidence.har</code>" in page
    assert page.count("<table>") == 3
    assert re.search(r"<td>list-users</td>\s*<td[^>]*>❌</td>", page)


@pytest.mark.parametrize("said", HOSTILE)
def test_a_targets_words_are_words(said: str) -> None:
    """No tag, link, image, heading, table or block comes of anything that a target says."""
    expected = re.findall(r"<(?!!--)/?[a-z0-9]+", rendered(summary.write(document("words"))))

    page = rendered(summary.write(document(said)))

    assert re.findall(r"<(?!!--)/?[a-z0-9]+", page) == expected
    assert "\x1b" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("said", HOSTILE)
def test_a_targets_words_can_be_read(said: str) -> None:
    """What is shown as text is what was said, but for ends of lines and control characters."""
    page = rendered(summary.write(document(said, findings=[])))
    items = [unescape(re.sub(r"<[^>]*>", "", item)) for item in re.findall(r"<li>(.*?)</li>", page)]
    plain = " ".join(said.split()).replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")

    assert items[0] == plain
    assert plain in items[1]


def test_a_great_many_findings_stay_below_a_mebibyte() -> None:
    """GitHub shows nothing of a summary that is larger."""
    findings = [
        finding(f"test_{number}[{'x' * 200}-{number}]", requirement=f"R-{number}", actual="é" * 700)
        for number in range(300)
    ]
    text = summary.write(document("x", findings=findings, reasons=["y" * 100_000], requirements=[]))

    assert len(text.encode()) < 2**20 / 4
    assert "250 more are in `results.json`" in text


def test_a_conformant_run_is_short() -> None:
    """Where nothing was found, nothing is said of findings."""
    text = summary.write(results())

    assert "✅ Rolecall: conformant" in text
    assert "Findings" not in text
    assert "Not decided" not in text


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (0, "## ✅ Rolecall: conformant\n"),
        (2, "(not run: the target file is wrong, or a log-in was refused)\n"),
        (4, "(not run: the target was not reached)\n"),
        (5, "(a waiver is stale or has expired)\n"),
        (130, "(interrupted)\n"),
    ],
)
def test_the_heading_says_how_the_run_ended(exit_code: int, words: str) -> None:
    """A run that was interrupted or never reached its target is told by its first line."""
    first, _, _ = summary.write(results(exit_code=exit_code)).partition("\n")

    assert f"{first}\n".endswith(words)


def test_what_changed_since_the_last_run_is_said() -> None:
    """Requirements with their outcomes then and now, whose doing it was, and how many cells."""
    before = results(requirements=[requirement("PERM-list-users", "failed")])
    after = results("20261127-030000-bbbbbb")
    text = summary.write(after | {"since": compare(before, after)})

    assert "### Since `20261126-030000-aaaaaa`" in text
    assert "- `PERM-list-users`: failed, then passed (server)" in text
    assert "- no cell changed" in text
    assert "Since" not in summary.write(after | {"since": None})
