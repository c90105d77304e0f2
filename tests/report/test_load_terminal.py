"""What a load run prints: within the terminal's width, in colours where there are some."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import pytest

from rolecall.report import load_page, load_summary, load_terminal
from rolecall.screen import over
from tests.report.test_load_page import run, search, step

_CODES = re.compile("\x1b\\[[0-9;]*m")
WHY = (
    "the generator was 61 ms behind its schedule (p99, at most 10 ms): it used 5% of a core, and "
    "waited for one for 30% of the run"
)


def long_document() -> dict[str, Any]:
    """A run with long sentences and a long name."""
    document = run(reasons=[WHY], accounts={"given": 40, "used": 40})
    (row,) = document["entries"]
    document["entries"] = [row, {**row, "name": "refresh-post (after a race)"}]
    return document


@pytest.mark.parametrize("width", [80, 103, None])
def test_a_run_fits_the_terminal(width: int | None) -> None:
    """No line is longer than the terminal is wide, and nothing of it is lost: a narrow table has
    fewer percentiles.
    """
    text = load_terminal.summary(
        long_document(), "reports/runs/20261126-101112-abcdef", width=width
    )

    assert width is None or max(map(len, text.splitlines())) <= width
    assert " ".join(WHY.split()) in " ".join(text.split())
    assert ("p99.9" in text.splitlines()[0]) is (width != 80)
    assert "refresh-post (after a race)" in text


@pytest.mark.parametrize("width", [80, 110, None])
def test_a_search_fits_the_terminal(width: int | None) -> None:
    """The reasons of its steps are wrapped in their column."""
    document = search(steps=[step(100, "generator", why=WHY), step(200, "failed")])

    text = load_terminal.capacity(document, "reports/runs/20261126-101112-abcdef", width=width)

    assert width is None or max(map(len, text.splitlines())) <= width
    assert " ".join(WHY.split()) in " ".join(text.split())


def test_a_long_word_of_an_exchange_is_cut() -> None:
    """A token in a violation's exchange is no wider than a terminal; a file has all of it."""
    token = "eyJ" + "x" * 300
    sample = {"kind": "body", "requirement": "RESPONSE-json", "message": "no JSON", "at": 1.0}
    document = run(
        violation_samples=[{**sample, "exchange": f"GET / HTTP/1.1\nauthorization: Bearer {token}"}]
    )

    narrow = load_terminal.summary(document, "folder", width=80)
    whole = load_terminal.summary(document, "folder")

    assert max(map(len, narrow.splitlines())) <= 80
    assert "| authorization: Bearer\n" in narrow
    assert "xxx..." in narrow
    assert f"| authorization: Bearer {token}\n" in whole


def test_colours_only_paint() -> None:
    """With colours the text is the same: good words are green, bad ones red."""
    document = long_document()
    plain = load_terminal.summary(document, "folder", width=80)
    painted = load_terminal.summary(document, "folder", width=80, colour=True)

    assert _CODES.sub("", painted) == plain
    assert "verdict       \x1b[1;31mMISSED\x1b[0m" in painted
    assert "\x1b[1;31mNOT held\x1b[0m" in painted
    assert "\x1b[32mheld\x1b[0m" in painted
    assert "\x1b" not in plain


def test_colours_of_a_search() -> None:
    """Its steps and its verdict are painted, and only these."""
    painted = load_terminal.capacity(search(), "folder", colour=True)

    assert "\x1b[1;32mMET\x1b[0m" in painted
    assert "  \x1b[32mheld\x1b[0m" in painted
    assert _CODES.sub("", painted) == load_terminal.capacity(search(), "folder")


def test_a_line_over_the_one_before_stays_on_its_row() -> None:
    """At 80 columns a passing line has 79 at most; one that stays is wrapped between words."""
    assert over("x" * 200, 80, passing=True) == "\r" + "x" * 79
    assert over("short", 80, passing=True) == "\r" + "short".ljust(79)
    rows = over(f"  20.0/s for 3 s: generator ({WHY})", 80, passing=False).splitlines()
    assert max(map(len, rows)) <= 80
    assert " ".join(" ".join(rows).split()) == f"20.0/s for 3 s: generator ({WHY})"


def test_what_was_not_sampled_is_said() -> None:
    """A denied cell that was let in before the load is named, a few of them at most, and what a
    server has to do with their names acts on no terminal.
    """
    document = long_document()
    document["sampled"] = {"others": [f"delete-user as bot: {n}, not denied\x1b" for n in range(9)]}
    text = load_terminal.summary(document, "folder")

    assert "not sampled   delete-user as bot: 0, not denied\\x1b" in text
    assert "not sampled   4 more in load.json" in text
    assert text.count("not sampled") == 6


def test_advice_is_told_apart_from_violations() -> None:
    """What changes no verdict is on the terminal, the page and in the Markdown, and says so."""
    sample = {"message": "two of <five> won", "exchange": "a history", "at": 1.0}
    advice = {
        "kind": "race-mixture",
        "requirement": "SEC-R11",
        "statement": "One policy.",
        "count": 1234,
        "samples": [sample],
    }
    document = run(violations={}, violation_samples=[], advice=[advice])

    text = load_terminal.summary(document, "folder")

    assert "advice        race-mixture (SEC-R11), 1,234 times: two of <five> won; it" in text
    assert "violation " not in text
    page = load_page.write(document)
    assert "Advice, which changes no verdict" in page
    assert "two of &lt;five&gt; won" in page
    assert "| `race-mixture` (SEC-R11) | 1,234 |" in load_summary.write(document)


@pytest.mark.parametrize("width", [None, 80, 120])
def test_figures_stand_in_columns_whatever_the_names(width: int | None) -> None:
    """The last figure of every row ends in the column in which its head does, and the unit of the
    times is said.
    """
    document = run()
    document["entries"].append({**document["entries"][0], "name": "refresh-post (after a race)"})

    text = load_terminal.summary(document, "folder", width=width)

    head, *rows = text.split("\n")[: 3 + (width == 80)]
    figures = [row for row in rows if row[-1].isdigit()]
    assert len(figures) == 2
    assert {len(row) for row in figures} == {len(head.removesuffix("   ms"))}
    assert head.endswith(" ms")


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ([], "CPU time not known"),
        ([("local-1", 0.05, 1.0)], "process local-1 used 5% of a core; its machine was 100% busy"),
        (
            [("local-1", 0.05, 0.0), ("local-2", 0.5, 0.0)],
            "process local-1 used 5% of a core, process local-2 used 50% of a core",
        ),
    ],
)
def test_what_the_generator_used(workers: list[tuple[str, float, float]], said: str) -> None:
    """In words: which process used what share of a core."""
    used = [
        {"name": name, "state": "finished", "requests": 1, "cpu": cpu}
        | ({"machine_busy": busy} if busy else {})
        for name, cpu, busy in workers
    ]
    text = load_terminal.summary(run(workers=used), "folder")

    assert f"generator     {said}; longest pause " in text


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("closed", "limits of idle and of used connections"),
        ("timeout", "the target file's timeout"),
        ("502", "the server's log at the time"),
        ("302", "a redirect, and none is followed; look at base_url"),
        ("404", "look at path under [operations.NAME]"),
    ],
)
def test_errors_say_what_they_mean(kind: str, said: str) -> None:
    """Beside the number of errors of a kind stands what happened, and where to look."""
    document = run()
    document["errors"] = {kind: 138, "405": 1}

    text = " ".join(load_terminal.summary(document, "folder", width=100).split())

    assert f"error 138 x {kind}: " in text
    assert said in text
    assert "1 x 405 " in text
    assert escape(said) in load_page.write(document)
