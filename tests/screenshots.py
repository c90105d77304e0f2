"""The pictures in README.md: ``python -m tests.screenshots``.

The whole suite is run against a reference server with three faults; its page, and what it prints,
are photographed in Chromium. Given the folder of a run, only that run's page is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser import browser, opened
from tests.support.command import environment
from tests.support.servers import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).parent.parent / "docs" / "images"
FAULTS = ("flip-list-users-guest", "denied-delete-hides", "expired-401")
#: The cell whose evidence is shown; it failed.
_CELL = "list-users-guest-token"
_LINES, _COLUMNS = 34, 118
_TERMINAL = """<!doctype html><meta charset="utf-8"><title>rolecall certify</title>
<style>pre {{ margin: 0; padding: 18px 22px; width: max-content; background: #12161c;
color: #e6eaf0; font: 13px/1.45 "DejaVu Sans Mono", monospace; }}</style><pre>{}</pre>"""


def main(words: list[str]) -> None:
    """Make both pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        run, printed = (Path(words[0]), "") if words else certified(Path(folder))
        photograph_report(chromium, run / "report.html")
        if printed:
            photograph_terminal(chromium, printed, Path(folder))


def certified(folder: Path) -> tuple[Path, str]:
    """The folder of a run against a server with faults, and what the run printed."""
    switches = [word for fault in FAULTS for word in ("--fault", fault)]
    with serving("--clock", *switches) as server:
        command = ["rolecall", "certify", str(server.target_file(folder)), "--out", "runs"]
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment(**server.env, COLUMNS=f"{_COLUMNS}"),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    (run,) = filter(Path.is_dir, (folder / "runs").iterdir())  # the history stands beside it
    return run, f"$ rolecall certify {Path(command[2]).name}\n{ended.stdout}"


def photograph_report(chromium: Browser, file: Path) -> None:
    """The beginning of the heat map at 1280 pixels, and the evidence of a cell."""
    with opened(chromium, file) as page:
        page.evaluate("document.querySelector('#permissions').scrollIntoView()")
        page.screenshot(path=IMAGES / "report.png")
        page.click(f'[data-cell="{_CELL}"]')
        page.locator("#sheet").screenshot(path=IMAGES / "report-cell.png")


def photograph_terminal(chromium: Browser, printed: str, folder: Path) -> None:
    """The beginning of what a run prints after its progress."""
    lines = [line[:_COLUMNS] for line in printed.splitlines()]
    shown = lines[:_LINES] + (["..."] if len(lines) > _LINES else [])
    page = folder / "terminal.html"
    page.write_text(_TERMINAL.format(escape("\n".join(shown))), encoding="utf-8")
    terminal = chromium.new_page(viewport={"width": 1280, "height": 900})
    terminal.goto(page.as_uri())
    terminal.locator("pre").screenshot(path=IMAGES / "terminal.png")
    terminal.close()


if __name__ == "__main__":
    main(sys.argv[1:])
