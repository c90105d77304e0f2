"""What pytest and its plugins show of a failing test holds no token and no password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Reference
from tests.harness.test_plugin import suite
from tests.support.servers import serving

#: A token with all three parts, however long it is.
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")


@pytest.fixture(scope="module")
def wrong_cell() -> Iterator[Reference]:
    """A server whose bots may not list contacts."""
    with serving("--fault", "flip-list-contacts-bot") as running:
        yield running


@pytest.mark.parametrize(
    "words",
    [("--showlocals", "-vv"), pytest.param(("-vvv", "--tb=long"), marks=pytest.mark.long)],
    ids=" ".join,
)
def test_variables_of_a_failing_test_are_not_shown(
    words: tuple[str, ...], wrong_cell: Reference, tmp_path: Path
) -> None:
    """Neither on the terminal, nor in pytest's own JUnit file, nor by Allure's plugin; what failed
    is told all the same.
    """
    theirs = (f"--junitxml={tmp_path / 'theirs.xml'}", "--alluredir", tmp_path / "allure")
    file = wrong_cell.target_file(tmp_path)
    target = ("--target", file, "-k", "list-contacts-bot-token")

    finished = suite("conformance", *target, *words, *theirs, out=tmp_path / "runs")

    assert finished.code == 1, finished.said
    written = [tmp_path / "theirs.xml", *(tmp_path / "allure").iterdir()]
    texts = [finished.said, *(path.read_text(encoding="utf-8") for path in written)]
    passwords = re.findall(r'^password = "(.+)"', wrong_cell.text, re.MULTILINE)
    assert len(passwords) == 5
    for text in texts:
        assert not TOKEN.search(text)
        assert not [password for password in passwords if password in text]
    assert "expected: 200: bot may list contacts" in finished.stdout
    assert ("--showlocals shows nothing here" in finished.stdout) == ("--showlocals" in words)
