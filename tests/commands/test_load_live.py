"""``--live``: real runs, watched and ended on their page, in Chromium and by a program."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.browser import browser, overflow, violations
from tests.support.command import target_file, target_text
from tests.support.load_runs import Meanwhile, free_port, load, wait_until
from tests.support.load_servers import one_in, sound
from tests.support.miniatures import Miniature, always, response

#: Seconds within which a run has begun, on a machine that does much else.
_PATIENCE = 120.0
#: An answer that would be a picture and a script, if it were taken for a page.
_MARKUP = b'{"note": "<img src=x onerror=alert(1)><script>alert(2)</script>"}'


def there(address: str) -> bool:
    """Whether the page answers."""
    try:
        return httpx.get(address, trust_env=False).is_success
    except httpx.TransportError:
        return False


def stopped(port: int, when: str) -> Meanwhile:
    """Ends the run as its page does, once the state has a member that is not empty."""
    address = f"http://127.0.0.1:{port}/"

    def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
        wait_until(lambda: there(address), _PATIENCE)
        page = httpx.get(address, trust_env=False).text
        found = re.search(r'"token":"([^"]+)"', page)
        assert found is not None
        state = f"{address}state"
        wait_until(lambda: httpx.get(state, trust_env=False).json().get(when), _PATIENCE)
        assert httpx.post(f"{address}stop", trust_env=False).status_code == 403
        token = {"X-Rolecall-Token": found[1]}
        assert httpx.post(f"{address}stop", headers=token, trust_env=False).status_code == 202

    return meanwhile


@pytest.mark.long
def test_a_search_is_stopped(tmp_path: Path) -> None:
    """The page of a search for the capacity tells its steps, and ends it, by its token alone."""
    port = free_port()
    with Miniature(sound) as server:
        file = target_file(tmp_path, target_text(server.url))
        words = (file, "--live", str(port), "--search-time", "60")
        ended = load(*words, cwd=tmp_path, meanwhile=stopped(port, "said"), command="capacity")
    document = json.loads((ended.folder / "capacity.json").read_text(encoding="utf-8"))

    assert ended.code == document["exit_code"] == 130, ended.said
    assert document["reasons"][0] == "it was stopped on its live page"
    assert document["steps"]


@pytest.mark.long
def test_in_a_browser(tmp_path: Path) -> None:
    """At 1280, 768 and 390 pixels, by day and by night, the page does not scroll sideways, and
    axe-core finds nothing; markup of the server is shown as text; the button ends the run as Ctrl-C
    does: what was measured is kept and adds up, no process is left, and the result says who did.
    """
    # Longer than 40 lines because it is one visit to a page that costs a run.
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    said: list[str] = []

    def visit(page: Any) -> None:
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialogue: {dialog.message}"))
        page.on("request", lambda request: said.append(request.url.partition("?")[0]))
        page.goto(address)
        page.wait_for_selector("#violations details", timeout=60_000)
        page.wait_for_selector("#times path.p99[d^=M]", state="attached", timeout=60_000)
        for width in (1280, 768, 390):
            for scheme in ("light", "dark"):
                page.set_viewport_size({"width": width, "height": 844})
                page.emulate_media(color_scheme=scheme)
                assert overflow(page) == 0, width
                assert violations(page) == [], (width, scheme)
        page.click("#violations summary")
        assert "<img src=x onerror=alert(1)>" in page.inner_text("#violations details[open] pre")
        assert page.query_selector("main img, main script") is None
        assert page.inner_text("#state") == "running"
        page.click("#stop")
        page.click("#stop")
        page.wait_for_selector("#state:text-matches('^(missed|ended)$')", timeout=60_000)

    def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
        wait_until(lambda: there(address), _PATIENCE)
        with browser() as chromium:
            visit(chromium.new_context().new_page())

    wrong = always(response(200, _MARKUP, content_type="application/json"))
    with Miniature(one_in(5, wrong)) as server:
        file = target_file(tmp_path, target_text(server.url))
        words = ("issuance", file, "--rate", "20", "--duration", "10m", "--live", str(port))
        run = load(*words, cwd=tmp_path, meanwhile=meanwhile)

    # when the run is over, nothing answers any more
    heard = {line for line in said if "ERR_CONNECTION_REFUSED" not in line}
    assert heard == {address, f"{address}state", f"{address}stop"}
    assert run.code == 130, run.said
    assert run.left == []
    assert f"live          {address}" in run.stderr
    assert run.document["verdict"] == "missed"
    assert "it was stopped on its live page" in run.document["reasons"]
    assert run.document["conservation"]["holds"]


@pytest.mark.long
def test_to_the_end(tmp_path: Path) -> None:
    """A page that is open when the run ends by itself shows the verdict, also of two workers."""
    port = free_port()
    shown = []

    with browser() as chromium, Miniature(sound) as server:  # a browser takes longer than the run
        page = chromium.new_page()

        def meanwhile(process: subprocess.Popen[str], out: Path) -> None:
            wait_until(lambda: there(f"http://127.0.0.1:{port}/"), _PATIENCE)
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("#state.met, #state.invalid, #state.missed", timeout=60_000)
            shown.extend([page.inner_text("#state"), page.inner_text("#note")])

        file = target_file(tmp_path, target_text(server.url))
        words = ("--rate", "20", "--duration", "6s", "--workers", "2", "--live", str(port))
        run = load("issuance", file, *words, cwd=tmp_path, meanwhile=meanwhile)

    assert run.came_to(0), run.said
    assert shown[0] == run.document["verdict"]
    assert f"load.html in {run.folder}" in shown[1]
