"""The pictures in README.md: ``python -m tests.screenshots``.

The whole suite is run against a reference server with three faults; its page, and what it prints,
are photographed in Chromium. Given the folder of a run, only that run's page is.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from functools import partial
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
_ROWS, _LINES, _COLUMNS = 8, 20, 100  # of the cells, of what follows them, and of both
#: Colours of a terminal's escapes (ECMA-48 8.3.117), as they look on a dark ground.
_COLOURS = {"1": "font-weight: bold", "2": "color: #97a2b0", "31": "color: #ff8b87"}
_COLOURS |= {"32": "color: #7fd18b", "33": "color: #e3c26b", "36": "color: #7cc7d6"}
_ESCAPE = re.compile(r"\x1b\[([\d;]*)m")
_TERMINAL = """<!doctype html><meta charset="utf-8"><title>rolecall certify</title>
<style>pre {{ margin: 0; padding: 18px 22px; width: 100ch; white-space: pre-wrap;
overflow-wrap: anywhere; background: #12161c; color: #e6eaf0;
font: 13px/1.45 "DejaVu Sans Mono", monospace; }}</style><pre>{}</pre>"""


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
        terminal, ours = pty.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
        with subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment(**server.env, TERM="xterm-256color", NO_COLOR=""),
            stdout=ours,
            stderr=subprocess.DEVNULL,
        ):
            os.close(ours)
            said = b"".join(iter(partial(_read, terminal), b""))
    (run,) = filter(Path.is_dir, (folder / "runs").iterdir())  # the history stands beside it
    return run, f"$ rolecall certify {Path(command[2]).name}\n{said.decode()}"


def _read(terminal: int) -> bytes:
    """More of what is printed on a terminal; nothing once its last writer has left (EIO)."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def photograph_report(chromium: Browser, file: Path) -> None:
    """The beginning of the heat map at 1280 pixels, and the evidence of a cell."""
    with opened(chromium, file) as page:
        page.evaluate("document.querySelector('#permissions').scrollIntoView()")
        page.screenshot(path=IMAGES / "report.png")
        page.click(f'[data-cell="{_CELL}"]')
        page.locator("#sheet").screenshot(path=IMAGES / "report-cell.png")


def photograph_terminal(chromium: Browser, printed: str, folder: Path) -> None:
    """The first rows of the cells, the first findings, and the end."""
    lines = printed.splitlines()
    cells = next(number for number, line in enumerate(lines) if "may, and did" in line)
    end = next(number for number, line in enumerate(lines) if line.startswith("cells "))
    shown = [*lines[: _ROWS + 3], "...", *lines[cells : cells + _LINES], "...", *lines[end:]]
    page = folder / "terminal.html"
    page.write_text(_TERMINAL.format(_coloured("\n".join(shown))), encoding="utf-8")
    terminal = chromium.new_page(viewport={"width": 1280, "height": 900})
    terminal.goto(page.as_uri())
    terminal.locator("pre").screenshot(path=IMAGES / "terminal.png")
    terminal.close()


def _coloured(text: str) -> str:
    """A terminal's text as HTML."""
    first, *rest = _ESCAPE.split(escape(text))
    pieces = [first]
    for codes, piece in zip(rest[::2], rest[1::2], strict=True):
        style = "; ".join(_COLOURS[code] for code in codes.split(";") if code in _COLOURS)
        pieces.append(f'<span style="{style}">{piece}</span>' if style else piece)
    return "".join(pieces)


if __name__ == "__main__":
    main(sys.argv[1:])
