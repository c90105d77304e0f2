"""Which suite a run was made with: the digest of the package, and the figures of the kill table."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from rolecall.report import kill_table
from rolecall.suite_identity import identity, package_digest
from tests.support.servers import ROOT


def test_the_figures_are_those_of_the_kill_table() -> None:
    """What certificates say of the suite's strength is what docs/kill-table.md says now."""
    page = (ROOT / "docs" / "kill-table.md").read_text(encoding="utf-8")
    is_fresh = kill_table.strength(page) == identity()["kill_table"]

    assert is_fresh, "src/rolecall/kill_table.json is not what the kill table says: run `make docs`"


def test_the_figures_of_a_table_are_read() -> None:
    """The counts of a table that is written are read again from its text."""
    counts = {
        "faults": 7,
        "caught": 6,
        "localised": 5,
        "silent": 1,
        "innocent": 4,
        "false_alarms": 2,
        "troubled": 3,
        "wrong_accusations": 8,
        "crashes": 9,
        "harmed": 10,
    }
    strength = kill_table.strength(kill_table.write([], counts))

    assert counts == {name: value for name, value in strength.items() if name != "digest"}
    assert strength["digest"] != kill_table.strength(kill_table.write([], counts) + " ")["digest"]


def test_the_digest_is_what_a_stranger_computes(tmp_path: Path) -> None:
    """The command of docs/certificate.md gives the same digest for the package's files, laid out
    as they are installed.
    """
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "rolecall", tmp_path / "rolecall", ignore=ignore)
    for folder in ("conformance", "load", "schemas"):
        shutil.copytree(ROOT / folder, tmp_path / "rolecall" / folder, ignore=ignore)
    (command,) = [
        line
        for line in (ROOT / "docs" / "certificate.md").read_text(encoding="utf-8").splitlines()
        if "sha256sum | sha256sum" in line
    ]
    printed = subprocess.run(
        command.strip().removeprefix("$ ").partition("here/rolecall && ")[2],
        shell=True,
        cwd=tmp_path / "rolecall",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert package_digest() == printed.split()[0]


def test_the_figures_are_one_json_object() -> None:
    """The file is read by others as well: it is JSON, with a digest and whole numbers."""
    text = (ROOT / "src" / "rolecall" / "kill_table.json").read_text(encoding="utf-8")

    assert all(isinstance(n, int) for name, n in json.loads(text).items() if name != "digest")
