"""Locust's own page in Chromium, as somebody finds it who knows nothing but ``locust -f``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.test_locustfile import page
from tests.support.browser import browser
from tests.support.load_runs import accounts_file
from tests.support.load_servers import one_in
from tests.support.miniatures import Miniature, html


@pytest.mark.nightly
def test_violations_are_found_on_the_page(tmp_path: Path) -> None:
    """Of the scenarios one is chosen, and not all; once a run has begun there is a tab with what
    the server did wrong.
    """
    with (
        Miniature(one_in(5, html)) as server,
        page("--host", server.url, "--accounts", accounts_file(tmp_path), cwd=tmp_path) as (
            client,
            _,
        ),
        browser() as chromium,
    ):
        shown = chromium.new_page()
        shown.goto(f"{client.base_url}")
        shown.get_by_text("Custom parameters").click()
        assert shown.locator("select[name=scenario]").input_value() == "session"
        shown.get_by_role("button", name="Start").last.click()
        shown.get_by_role("tab", name="Violations").click(timeout=60_000)
        shown.get_by_role("cell", name="ISSUE-fields").first.wait_for(timeout=60_000)
