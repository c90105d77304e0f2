"""The documentation keeps step with the program."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rolecall.report import docs_pages
from rolecall.spec.loading import load_specification

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("requirements.md", lambda: docs_pages.requirements(load_specification().requirements)),
        ("readings.md", lambda: docs_pages.readings(load_specification().readings)),
    ],
    ids=["requirements", "readings"],
)
def test_pages_made_from_tables_are_fresh(page: str, expected: Callable[[], str]) -> None:
    """A page that is made from a table is what `make docs` would make of it now."""
    assert expected() == (ROOT / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CHANGELOG.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file that is there."""
    broken = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]

    assert [] == broken


def test_the_target_file_page_names_every_reading_table_and_setting() -> None:
    """Nothing that a target file may hold is missing from its page."""
    page = (ROOT / "docs" / "target-file.md").read_text(encoding="utf-8")
    source = (ROOT / "src" / "rolecall" / "target.py").read_text(encoding="utf-8")

    settings = set(re.findall(r'\.(?:text|number|value|environment)\("(\w+)"', source)) - {"dialect", "operations"}

    assert settings, "the reader asks for its settings by name"
    assert set() == {setting for setting in settings if f"{setting}" not in page}


def test_the_readme_shows_every_exit_code_and_file() -> None:
    """README's list of exit codes and files is complete."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for word in ("0 conformant", "1 a", "2 usage", "3 inconclusive", "4 target", "6 harness", "7 created", "8 a secret", "130"):
        assert word in readme
    for file in ("results.json", "junit.xml", "allure-results/", "evidence.har", "ledger.jsonl"):
        assert file in readme
