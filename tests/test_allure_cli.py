"""An Allure command line is found, called, and what it makes loads nothing from elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from rolecall.allure_cli import HISTORY, Allure, find, has_history, without_analytics
from rolecall.errors import RolecallError, UsageError
from tests.conftest import Watched
from tests.support.command import rolecall

#: A command line that does what ours needs of Allure, with the words of its own version.
STAND_IN = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
if words == ["--version"]:
    print("{version}")
    sys.exit()
given = dict(zip(words[2::2], words[3::2]))
page = pathlib.Path(given["--output"])
page.mkdir()
(page / "index.html").write_text('<p>kept</p><script async '
    'src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>')
if "--config" in given:
    lines = pathlib.Path(json.load(open(given["--config"]))["historyPath"])
    with lines.open("a") as file:
        file.write("{{}}\\n")
else:
    (page / "history").mkdir()
    before = pathlib.Path(words[1]) / "history" / "trend.json"
    trend = json.loads(before.read_text()) if before.exists() else []
    (page / "history" / "trend.json").write_text(json.dumps([*trend, 1]))
"""


def install(folder: Path, version: str) -> Path:
    """A folder for PATH with an Allure of this version in it."""
    folder.mkdir()
    command = folder / "allure"
    command.write_text(STAND_IN.format(python=sys.executable, version=version), encoding="utf-8")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("order", [("a2", "a3"), ("a3", "a2")])
def test_version_3_comes_first(
    order: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever on PATH it is, version 3 is taken before version 2."""
    install(tmp_path / "a2", "2.46.1")
    install(tmp_path / "a3", "3.18.0")
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in order))

    assert find() == Allure(str(tmp_path / "a3" / "allure"), 3)


def test_without_allure_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Allure, the message says how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="npm install --global allure"):
        find()


@pytest.mark.parametrize("version", ["2.46.1", "3.18.0"])
def test_a_page_goes_on_with_the_history_of_the_run_before(version: str, tmp_path: Path) -> None:
    """The second run's page knows of both runs, however often it is made, and loads nothing."""
    allure = Allure(str(install(tmp_path / "bin", version) / "allure"), int(version[0]))
    runs = [tmp_path / "1", tmp_path / "2"]
    for run in runs:
        (run / "allure-results").mkdir(parents=True)

    allure.render(runs[0] / "allure-results", runs[0] / "page", runs[0], None)
    for _ in range(2):
        allure.render(runs[1] / "allure-results", runs[1] / "page", runs[1], runs[0])

    assert has_history(runs[0])
    (kept,) = (runs[1] / HISTORY).iterdir()
    text = kept.read_text(encoding="utf-8")
    assert text == "{}\n{}\n" or json.loads(text) == [1, 1]
    assert (runs[1] / "page" / "index.html").read_text(encoding="utf-8") == "<p>kept</p>"
    assert {path.name for path in runs[1].iterdir()} == {"allure-results", "page", HISTORY}


def test_a_failure_of_allure_is_one_sentence(tmp_path: Path) -> None:
    """What Allure said last is in the message, and no half of a page is left."""
    command = tmp_path / "allure"
    command.write_text("#!/bin/sh\necho first >&2\necho 'no room' >&2\nexit 1\n")
    command.chmod(0o755)

    with pytest.raises(RolecallError, match="could not make the report: no room"):
        Allure(str(command), 3).render(tmp_path, tmp_path / "page", tmp_path, None)

    assert [path.name for path in tmp_path.iterdir()] == ["allure"]


def test_the_tag_is_taken_out_with_its_code_and_nothing_else() -> None:
    """Allure 2's tag is a script that loads and one that calls; other scripts stay."""
    page = (
        '<script src="app.js"></script>\n'
        '<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>\n'
        "<script>\nfunction gtag(){push(arguments);}\ngtag('js', new Date());\n</script>\n"
        "<script>last()</script>"
    )

    assert without_analytics(page) == ('<script src="app.js"></script>\n\n<script>last()</script>')


@pytest.mark.nightly
def test_the_real_allure_renders_a_run(certified: Watched, tmp_path: Path) -> None:
    """The Allure that is installed makes a page of a whole run, in which nothing is loaded from
    elsewhere.
    """
    if not shutil.which("allure"):
        pytest.skip("there is no command `allure` on PATH (npm install --global allure)")
    run = tmp_path / "run"
    shutil.copytree(certified.finished.folder, run)

    assert rolecall("report", run, "--format", "allure-html", cwd=tmp_path).code == 0

    pages = list((run / "allure-report").rglob("*.html"))
    assert pages
    assert not any("googletagmanager" in page.read_text(encoding="utf-8") for page in pages)
