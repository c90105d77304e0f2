"""report.html in Chromium: heat map, evidence, filters, second judgement; and hostile targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rolecall.report import report_page
from tests.conftest import Watched
from tests.report.test_judging_again import documents, run_of_stories
from tests.support.browser import browser, opened, overflow, scrolling_unseen, violations
from tests.support.run_documents import RunDocuments
from tests.support.servers import certify, serving, without

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long

SIZES = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
FAULTS = (
    "flip-list-users-guest",
    "flip-fetch-organization-admin",
    "flip-create-form-agent",
    "update-does-nothing",
    "denied-delete-hides",
)
_COUNTED = """
[...document.querySelectorAll("button.cell")].reduce((counts, cell) => {
  const outcome = cell.classList[1];
  return {...counts, [outcome]: (counts[outcome] ?? 0) + 1};
}, {})
"""
_MOVE_ON = """
async selector => {
  const sheet = document.getElementById("sheet");
  const told = new Promise(resolve => sheet.addEventListener("close", resolve));
  sheet.close();
  document.querySelector(selector).focus();
  await told;
}
"""
_BIDI = "\N{RIGHT-TO-LEFT OVERRIDE}\N{LEFT-TO-RIGHT ISOLATE}\N{ZERO WIDTH SPACE}"
HOSTILE = (
    "</script></style></pre><script>alert(1)</script><img src=https://example.org/x "
    f"onerror=\"alert(2)\"><svg onload='alert(3)'>&amp;<!--<script>{_BIDI} \x1b[31m \x00 "
    "javascript:alert(4) ]]> ${alert(5)} \ud800"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    with browser() as started:
        yield started


def written(folder: Path, results: Any, evidence: Any) -> Path:
    """The page of two documents, on a disk."""
    file = folder / "report.html"
    file.write_text(
        report_page.write(results, evidence), encoding="utf-8", errors="backslashreplace"
    )
    return file


@pytest.fixture(scope="module")
def runs(certified: Watched, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of three runs: conformant, with faults, and inconclusive."""
    folder = tmp_path_factory.mktemp("runs")
    switches = [word for fault in FAULTS for word in ("--fault", fault)]
    with serving("--clock", *switches) as server:
        faulty = certify(server.target_file(folder), "PERM", env=server.env)
    with serving("--clock", "--variant", "lists-of-the-newest-25") as server:
        file = server.target_file(folder)
        text = without(file.read_text(encoding="utf-8"), "api_keys")
        file.write_text(text, encoding="utf-8")
        undecided = certify(file, "PERM", env=server.env)
    return {
        "conformant": certified.finished.folder,
        "faulty": faulty.folder,
        "inconclusive": undecided.folder,
    }


@pytest.mark.parametrize("name", ["conformant", "faulty", "inconclusive"])
@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_of_a_run(
    name: str, width: int, scheme: str, runs: dict[str, Path], chromium: Browser
) -> None:
    """The heat map has as many cells of each outcome as the results say, the page judges alike, axe
    finds nothing to say, and nothing is wider than the window, with a cell's evidence open as well.
    """
    folder = runs[name]
    results, _ = documents(folder)
    expected = {outcome: n for outcome, n in results["counts"]["cells"].items() if n}

    with opened(chromium, folder / "report.html", width=width, scheme=scheme) as page:
        assert page.evaluate(_COUNTED) == expected
        assert sum(expected.values()) == 376
        assert "all 376 cells agree" in page.inner_text("#again")
        assert results["verdict"] == page.inner_text(".verdict")
        assert overflow(page) == 0
        assert scrolling_unseen(page) == []
        assert violations(page) == []
        page.click("button.cell")
        assert page.inner_text("#sheet-title") == "list organizations"
        assert overflow(page) == 0
        assert violations(page) == []


def test_a_cell_opens_by_mouse_and_by_keyboard(runs: dict[str, Path], chromium: Browser) -> None:
    """A click, or arrows and Enter, show a cell's pieces of evidence, its exchanges and a line to
    send it again; Escape leads back to the cell, and an address leads to a cell.
    """
    file = runs["faulty"] / "report.html"
    with opened(chromium, file) as page:
        page.click('[data-cell="list-users-guest-token"]')
        sheet = page.inner_text("#sheet")
        assert "403: guest may not list users" in sheet
        assert "This page's own judgement agrees (200: it was allowed)" in sheet
        assert "curl -i" in sheet
        assert '"Authorization: Bearer $TOKEN"' in sheet
        page.keyboard.press("Escape")
        assert not page.is_visible("#sheet")
        assert _focused(page) == "list-users-guest-token"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert _focused(page) == "list-conversations-agent-token"
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        sheet = page.inner_text("#sheet")
        assert page.inner_text("#sheet-title") == "list conversations"
        for piece in ("answer", "control", "alive"):
            assert piece in page.inner_text(".pieces")
        assert "GET /v2/conversations → 403" in sheet
    with opened(chromium, file, address="#fetch-form-bot-token") as page:
        assert page.inner_text("#sheet-title") == "fetch form"


def test_a_key_right_after_escape_is_not_lost(runs: dict[str, Path], chromium: Browser) -> None:
    """Who moves on while the sheet's end is not yet told stays where he went."""
    with opened(chromium, runs["faulty"] / "report.html") as page:
        page.click('[data-cell="list-users-guest-token"]')
        page.evaluate(_MOVE_ON, '[data-cell="list-users-bot-token"]')
        assert _focused(page) == "list-users-bot-token"


def _focused(page: Page) -> str:
    focused: str = page.evaluate("document.activeElement.dataset.cell")
    return focused


def test_filters(runs: dict[str, Path], chromium: Browser) -> None:
    """Outcome, role and text leave the cells and requirements that fit, and say how many."""
    results, _ = documents(runs["faulty"])
    failed = [cell for cell in results["cells"] if cell["outcome"] == "failed"]
    with opened(chromium, runs["faulty"] / "report.html") as page:
        page.check('[name=outcome][value="failed"]')
        assert f"{len(failed)} of 376 cells" in page.inner_text("#filtered")
        assert page.locator("button.cell:not(.faded)").count() == len(failed)
        assert page.locator(".requirement:visible").count() == sum(
            required["outcome"] == "failed" and required["level"] in ("must", "derived")
            for required in results["requirements"]
        )
        page.select_option("[name=role]", "guest")
        of_guest = [cell for cell in failed if cell["role"] == "guest"]
        assert f"{len(of_guest)} of 376 cells" in page.inner_text("#filtered")
        page.fill("[name=text]", "list users")
        assert "2 of 376 cells" in page.inner_text("#filtered")
        assert page.locator("tr.operation:visible").count() == 1
        page.fill("[name=text]", "no such thing")
        assert "0 of 376 cells, 0 of " in page.inner_text("#filtered")
        page.fill("[name=text]", "")
        page.select_option("[name=role]", "")
        page.uncheck('[name=outcome][value="failed"]')
        assert page.inner_text("#filtered") == ""
        assert page.locator("tr.operation:visible").count() == 47


def test_a_requirement_shows_its_tests(runs: dict[str, Path], chromium: Browser) -> None:
    """A requirement unfolds to its tests, and a test that is no cell's shows its exchanges."""
    with opened(chromium, runs["conformant"] / "report.html") as page:
        page.fill("[name=text]", "ISSUE-status")
        page.click('[data-requirement="ISSUE-status"] summary')
        page.locator('[data-requirement="ISSUE-status"] .tests button').first.click()
        assert "POST /v2/auth/token → 200" in page.inner_text("#sheet")
        assert "rolecall show" in page.text_content("#sheet")  # type: ignore[operator]


def test_a_tampered_verdict(runs: dict[str, Path], chromium: Browser, tmp_path: Path) -> None:
    """Where cells that failed are said to have passed, the page names them."""
    results, evidence = documents(runs["faulty"])
    failed = [cell for cell in results["cells"] if cell["outcome"] == "failed"]
    for cell in failed:
        cell["outcome"] = "passed"
    results["verdict"] = "conformant"

    with opened(chromium, written(tmp_path, results, evidence)) as page:
        said = page.inner_text("#again")
        assert f"{len(failed)} of 376 cells differ" in said
        assert "list-users-guest-token" in said
        assert f"The verdict says conformant, and {len(failed)} cells fail." in said
        assert page.locator(".cell.differs").count() == len(failed)


def test_size_and_time(runs: dict[str, Path], chromium: Browser) -> None:
    """The page of a whole run is below 3 MB, and takes less than a second of the processor's time
    until a cell has been opened.
    """
    file = runs["conformant"] / "report.html"
    assert file.stat().st_size < 3_000_000
    context = chromium.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(file.as_uri())
    page.click("button.cell")
    page.wait_for_selector("#sheet-title")
    metrics = session.send("Performance.getMetrics")["metrics"]
    context.close()
    (seconds,) = (metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
    assert 0 < seconds < 1.0


def hostile(size: int = 0) -> RunDocuments:
    """A run against a target that puts markup and more into everything that it says.

    Longer than 40 lines because each member that a target can fill is filled.
    """
    text = HOSTILE + "x" * size
    change = {
        "what": "cell",
        "name": "fetch-contact-bot-token",
        "before": text,
        "after": text,
        "whose": "server",
        "worse": True,
        "note": text,
    }
    waiver = dict.fromkeys(("requirement", "cell", "reason", "owner", "link"), text)
    run = RunDocuments(
        target={"name": HOSTILE, "base_url": "https://chat.example.org"},
        reasons=[text],
        left_behind=[text],
        observations=[{"requirement": "SEC-1", "test": "test_it", "note": text}],
        waivers=[
            waiver
            | {"line": 1, "until": "2027-01-01", "first_seen": None, "last_seen": None}
            | {"state": "live", "failures": [text]}
        ],
        since={
            "run": text,
            "comparable": False,
            "reasons": [text],
            "notes": [text],
            "verdict": {"before": text, "after": text},
            "changes": [change],
        },
    )
    answer = run.exchange(
        path=f"/v2/contacts/{text}",
        body={"id": text, text: text},
        caller="bot (token)",
        headers={text: text},
        token=text,
    )
    run.cell("fetch-contact", "bot", "allow", "failed", {"answer": answer}, reason=text)
    found = finding(run, text)
    run.members["findings"] = [found]
    run.members["advice"] = [found | {"level": "hardening"}]
    return run


def finding(run: RunDocuments, text: str) -> dict[str, Any]:
    """A finding of a run's first cell, in words of the target's."""
    return {
        "requirement": "PERM-fetch-contact",
        "level": "must",
        "clause": "Permissions",
        "step": "",
        "statement": "Only some may.",
        "test": run.requirements[0]["tests"][0]["name"],
        "cell": "fetch-contact-bot-token",
        "expected": text,
        "actual": text,
        "exchange": 1,
        "curl": f"curl {text}",
    }


@pytest.mark.parametrize("size", [0, 5_000_000], ids=["short", "5 MB"])
def test_a_hostile_target(size: int, chromium: Browser, tmp_path: Path) -> None:
    """Whatever a target writes stays text, is bounded, and shows the characters that would hide or
    turn it round; nothing runs, and nothing is asked for.
    """
    run = hostile(size)
    results = run.results()
    file = written(tmp_path, results, run.evidence)

    assert file.stat().st_size < 3_000_000
    for width in (1280, 390):
        with opened(chromium, file, width=width) as page:
            page.click("button.cell")
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            page.locator(".tests button").first.wait_for()  # told later that they are open
            assert page.locator("img, iframe, svg[onload], [onerror]").count() == 0
            shown = page.text_content("body") or ""
            assert "<script>alert(1)</script>" in shown
            visible = page.inner_text("#sheet")
            assert "⟨U+202E⟩⟨U+2066⟩⟨U+200B⟩" in visible
            assert not set(_BIDI) & set(visible + page.inner_text("header"))
            assert overflow(page) == 0
            assert page.title().endswith("- Rolecall")


def test_every_outcome(chromium: Browser, tmp_path: Path) -> None:
    """A run with each kind of outcome, some of which are ours to explain, is drawn and judged."""
    run = run_of_stories()
    results = run.results()
    with opened(chromium, written(tmp_path, results, run.evidence), width=390) as page:
        assert f"all {len(run.cells)} cells agree" in page.inner_text("#again")
        assert Counter(page.evaluate(_COUNTED)) != {}
        assert overflow(page) == 0
        assert violations(page) == []


def test_on_paper(runs: dict[str, Path], chromium: Browser) -> None:
    """Printed, all chapters are open, and what needs a mouse is not there."""
    with opened(chromium, runs["faulty"] / "report.html") as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator(".chapter:not([open])").count() == 0
        assert not page.is_visible("#filters")
        assert page.is_visible(".matrix")
