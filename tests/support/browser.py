"""Chromium on a page of ours that lies on a disk: what it shows, and what it must not do."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
#: The package of the accessibility checker; npm keeps it in its cache.
_AXE = "axe-core@4.14.1"
#: The labels of what scrolls by itself, holds no table, is wider than it is shown, and does not say
#: so.
_UNSEEN = """[...document.querySelectorAll('.wide')].filter(each =>
  each.scrollWidth > each.clientWidth + 1 && each.querySelector('table') === null &&
  !getComputedStyle(each, '::before').content.includes('scrolls')).map(each => each.ariaLabel)"""
_READY = "document.querySelector('#again').classList.length > 1"


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser, as long as the block lasts."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def opened(
    chromium: Browser, file: Path, *, width: int = 1280, scheme: Any = "light", address: str = ""
) -> Iterator[Page]:
    """A page from a disk, once it has judged its cells.

    It must say nothing on the console, ask for nothing beyond the file, and open no dialogue.
    """
    context = chromium.new_context(
        viewport={"width": width, "height": 844 if width < 500 else 900}, color_scheme=scheme
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: said.append(f"dialogue: {dialog.message}"))
    page.on("request", lambda request: said.append(f"request: {request.url.partition('#')[0]}"))
    own = f"request: {file.as_uri()}"
    page.goto(file.as_uri() + address)
    page.wait_for_function(_READY)
    try:
        yield page
        assert said == [own]
    finally:
        context.close()


@functools.cache
def axe() -> str:
    """The script of axe-core, from npm or its cache; without either the test is skipped."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here, and so no axe-core")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", _AXE, "--prefer-offline", "--silent", "--pack-destination", folder]
        packed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if packed.returncode:
            pytest.skip(f"npm gave no {_AXE}: {packed.stderr[-200:]}")
        (archive,) = Path(folder).glob("*.tgz")
        shutil.unpack_archive(archive, folder, filter="data")
        return (Path(folder) / "package" / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """What axe-core finds on a page as it is now: the rule, and the first place."""
    page.evaluate(axe())
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:300]}" for rule in found]


def overflow(page: Page) -> int:
    """Pixels by which a page is wider than its window."""
    wider: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wider


def scrolling_unseen(page: Page) -> list[str]:
    """The labels of charts that are cut off and do not say that they scroll."""
    labels: list[str] = page.evaluate(_UNSEEN)
    return labels
