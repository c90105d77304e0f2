"""load.html in Chromium, wide and narrow, light and dark: readable, and nothing cut off unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rolecall.report import load_page
from tests.report.test_load_page import DENIALS, run, search, step
from tests.support.browser import browser, overflow, scrolling_unseen, violations

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WORKER = {"waited": 0.1, "quota": 0.0, "machine_busy": 0.9, "stolen": 0.02}
_FIRST_COLUMNS = """[...document.querySelectorAll('tbody tr td:first-child')].map(
  cell => cell.getBoundingClientRect().width)"""


def page_of(folder: Path) -> Path:
    """A page with everything on it: a run, a search, a comparison, denials, workers."""
    gates = [{"gate": "slower", "held": False, "sentence": "--fail-if slower: p50"}]
    document = run(
        accounts={"given": 40, "used": 40},
        command="rolecall load session staging.toml --rate 100 --duration 30s --slo 'p99<100ms'",
        comparison={"comparable": True, "reasons": [], "measures": [], "gates": gates},
        denials=DENIALS,
        rolecall="1.0",
        run="20261126-101112-abcdef",
    )
    document["workers"] = [{**worker, **WORKER} for worker in document["workers"]]
    file = folder / "load.html"
    file.write_text(load_page.write(document, search(rolecall="1.0")), encoding="utf-8")
    return file


def page_of_long_words(folder: Path) -> Path:
    """A page of a target, a command and requests whose names have no end, in several scripts, and
    of a search of many steps.
    """
    long, foreign = "w" * 300, "\u7528\u6237 \u05e2\u05d1\u05e8\u05d9\u05ea n\u0308 " * 20
    document = run(reasons=[long, foreign], command=f"rolecall load session {long}")
    document["target"] |= {"name": long, "base_url": f"https://example.org/{long}"}
    (entry,) = document["entries"]
    document["entries"] = [entry | {"name": name} for name in (long, foreign)]
    (sample,) = document["violation_samples"]
    document["violation_samples"] = [sample | {"message": long, "exchange": long}] * 100
    document["workers"] = [{**worker, **WORKER} for worker in document["workers"]]
    steps = [step(10 + number, "failed", why=long) for number in range(300)]
    file = folder / "load.html"
    file.write_text(load_page.write(document, search(steps=steps)), encoding="utf-8")
    return file


@contextmanager
def shown(chromium: Browser, file: Path, width: int, scheme: Any) -> Iterator[Page]:
    """The page in a window."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page = context.new_page()
        page.goto(file.as_uri())
        yield page
    finally:
        context.close()


@pytest.mark.long
def test_at_every_width(tmp_path: Path) -> None:
    """At 1280, 768 and 390 pixels the page does not scroll sideways, no first column is squeezed,
    charts that are wider than the window say that they scroll, and axe-core finds nothing.
    """
    file = page_of(tmp_path)
    with browser() as chromium:
        for width in (1280, 768, 390):
            for scheme in ("light", "dark"):
                with shown(chromium, file, width, scheme) as page:
                    assert overflow(page) == 0, width
                    assert min(page.evaluate(_FIRST_COLUMNS)) >= 100, width
                    assert scrolling_unseen(page) == [], width
                    assert violations(page) == [], (width, scheme)
                    assert "Rolecall 1.0" in page.inner_text("footer")


@pytest.mark.long
def test_long_words_do_not_widen_the_page(tmp_path: Path) -> None:
    """A name without an end is broken, or scrolls in its table; the page does not."""
    file = page_of_long_words(tmp_path)
    with browser() as chromium:
        for width in (1280, 768, 390):
            with shown(chromium, file, width, "light") as page:
                assert overflow(page) == 0, width
                assert violations(page) == [], width
