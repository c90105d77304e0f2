"""The documentation keeps step with the program."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from rolecall.loadgen.scenarios import NAMES
from rolecall.report import docs_pages
from rolecall.report.artefacts import FORMATS
from rolecall.spec.loading import load_specification
from tests.support.command import FILES
from tests.support.documentation import PAGES, ROOT

_ALIKE = 30  # characters
_A_FENCE = re.MULTILINE | re.DOTALL
_PICTURE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")
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
    is_fresh = expected() == (ROOT / "docs" / page).read_text(encoding="utf-8")

    assert is_fresh, f"docs/{page} is not what its table says: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file that is there."""
    broken = [
        link
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]

    assert [] == broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_said_twice(page: Path) -> None:
    """No page has two paragraphs that begin alike, or a picture twice."""
    text = re.sub("^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=_A_FENCE)
    blocks = [block.strip() for block in text.split("\n\n")]
    seen = Counter(block[:_ALIKE] for block in blocks if len(block) >= _ALIKE and block[0] != "|")
    seen.update(_PICTURE.findall(text))

    assert [] == [what for what, times in seen.items() if times > 1]


def test_the_target_file_page_names_every_reading_table_and_setting() -> None:
    """Nothing that a target file may hold is missing from its page."""
    page = (ROOT / "docs" / "target-file.md").read_text(encoding="utf-8")
    source = (ROOT / "src" / "rolecall" / "target.py").read_text(encoding="utf-8")

    settings = set(re.findall(r'\.(?:text|number|value|environment|given)\("(\w+)"', source)) - {
        "dialect",
        "operations",
    }

    assert settings, "the reader asks for its settings by name"
    assert set() == {setting for setting in settings if f"{setting}" not in page}


def test_the_readme_shows_every_exit_code() -> None:
    """README's list of exit codes is complete."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for word in (
        "0 conformant",
        "1 a",
        "2 usage",
        "3 inconclusive",
        "4 target",
        "5 a [waiver]",
        "6 harness",
        "7 created",
        "8 a secret",
        "130",
    ):
        assert word in readme


@pytest.mark.parametrize("page", ["README.md", "reports/README.md"])
def test_every_file_of_a_run_has_a_row(page: str) -> None:
    """A page that says what a run leaves has a row for each of its files, and for no other."""
    table = re.findall(r"^\| `([^`]+)` \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    in_some_runs = {"allure-results/", "certificate.json", "harness-errors.txt"}
    files = FILES | in_some_runs

    assert files == set(table[: len(files)])


def test_every_format_has_a_row() -> None:
    """docs/formats.md has a row for each name of `--format`, with the file that it makes."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `(.+?)` \|", page, re.MULTILINE))

    assert FORMATS == {name: file for name, file in rows.items() if not name.startswith("allure")}


def test_every_load_scenario_has_a_row() -> None:
    """The table of scenarios in docs/load.md has each of them, and README's example names each."""
    page = (ROOT / "docs" / "load.md").read_text(encoding="utf-8")
    table = page.partition("\n| scenario | a step |\n")[2].partition("\n\n")[0]
    named = [
        name for row in table.splitlines()[1:] for name in re.findall("`(.+?)`", row.split("|")[1])
    ]
    (listed,) = re.findall(
        r"^\$ rolecall load (issuance) .+ # or (.+)$",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )

    assert set(NAMES) == set(named)
    assert set(NAMES) == {listed[0], *listed[1].split(", ")}


def test_the_index_leads_to_every_page() -> None:
    """docs/index.md has a link to each page in docs/ but itself."""
    linked = set(_LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))

    assert [] == [
        page.name
        for page in PAGES
        if page.parent.name == "docs" and page.name not in {*linked, "index.md"}
    ]


def test_the_glossary_has_thirty_words_each_in_a_sentence() -> None:
    """The glossary can be read at a sitting: 30 words in alphabetical order, each with one
    sentence.
    """
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", page, re.MULTILINE)

    assert 30 == len(rows)
    assert sorted(rows) == rows
    assert [] == [word for word, sentence in rows if not sentence.endswith(".") or ". " in sentence]


def test_the_site_has_a_place_for_every_page() -> None:
    """The menu of the site names every page, and no other."""
    menu = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))

    pages = {page.name.lower() if page.parent == ROOT else page.name for page in PAGES}
    assert pages | {"a-runs-folder.md"} == menu  # reports/README.md


def test_the_picture_of_layers_is_the_one_that_is_checked() -> None:
    """docs/architecture.md draws the layers of pyproject.toml, in the same order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checked = project["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ \| (.{46}) \|", page, re.MULTILINE)
    drawn = re.sub(r"\n(?=\| )| \|$", " ", "\n".join(row.strip() for row in rows))

    layers = [" ".join(re.findall(r"\w+", line)) for line in drawn.splitlines()]

    assert ["conformance load", *(layer.replace(" | ", " ") for layer in checked)] == layers
