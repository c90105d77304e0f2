"""Waivers, comparisons and the history in real runs, from the command's options to its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rolecall import history
from rolecall.schema_validation import validation_errors
from tests.conftest import Reference
from tests.support.command import Finished
from tests.support.servers import certify, serving

SELECTED = "PERM-fetch-contact"
WAIVER = """
[[waiver]]
requirement = "PERM-fetch-contact"
reason = "answers 404 until the migration"
owner = "team-contacts"
until = {until}
"""


def waivers(folder: Path, *, cell: str = "", until: str = "2999-01-01") -> Path:
    """A file of one waiver, which begins on line 2."""
    path = folder / "waivers.toml"
    pattern = f'cell = "{cell}"\n' if cell else ""
    path.write_text(WAIVER.format(until=until) + pattern, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The target file of a server that refuses with 404."""
    with serving("--fault", "denied-404") as server:
        yield server.target_file(tmp_path_factory.mktemp("broken"))


def run(target: Path, *more: str | Path) -> Finished:
    """A run of one requirement."""
    return certify(target, SELECTED, more=map(str, more))


def test_a_waived_failure_is_waived_in_every_file(target: Path, tmp_path: Path) -> None:
    """The failure does not decide; results.json and the terminal say what is waived and why, and
    the file says when it was seen.
    """
    file = waivers(tmp_path)
    finished = run(target, "--waivers", file)
    document = finished.results

    assert document["verdict"] != "not-conformant"
    assert document["findings"] == []
    assert validation_errors("results", document) == []
    (waiver,) = document["waivers"]
    assert (waiver["state"], waiver["line"]) == ("live", 2)
    outcomes = {cell["outcome"] for cell in document["cells"] if "404" in cell["reason"]}
    assert outcomes == {"waived"}
    assert "Waived:" in finished.stdout
    assert "answers 404 until the migration (team-contacts" in finished.stdout
    assert f"last_seen = {datetime.now(UTC).date()}" in file.read_text(encoding="utf-8")
    (line,), _ = history.read(finished.out)
    assert line["requirements"] == {"waived": [SELECTED]}


@pytest.mark.long
def test_a_waived_cell_ends_well(tmp_path: Path) -> None:
    """A server that is wrong in one cell alone, which is waived, is good with all that belongs to
    the row and all ways around it.
    """
    with serving("--clock", "--fault", "flip-list-contacts-guest") as server:
        file = waivers(tmp_path, cell="list-contacts-guest-*")
        text = file.read_text(encoding="utf-8").replace("fetch-contact", "list-contacts")
        file.write_text(text, encoding="utf-8")
        target = server.target_file(tmp_path)
        finished = certify(
            target, "list-contacts or SEC-A10 or SEC-A11", more=["--waivers", str(file)]
        )

    assert finished.code == 0, finished.said
    outcomes = {entry["id"]: entry["outcome"] for entry in finished.results["requirements"]}
    waived = {id for id, outcome in outcomes.items() if outcome == "waived"}
    assert waived == {"PERM-list-contacts", "SEC-A10", "SEC-A11"}


def test_a_new_failure_has_its_entry(target: Path, tmp_path: Path) -> None:
    """What no waiver covers fails as ever, and an entry for it is printed."""
    finished = run(target, "--waivers", waivers(tmp_path, cell="fetch-contact-guest-token"))

    assert finished.code == 1
    assert 'cell = "fetch-contact-guest-api-key"' in finished.stdout
    assert "fetch-contact-guest-token" not in {
        finding["cell"] for finding in finished.results["findings"]
    }


def test_an_expired_waiver_ends_with_5(target: Path, tmp_path: Path) -> None:
    """The failure is one again, and the line of the waiver that has to go is named."""
    file = waivers(tmp_path, until="2026-01-01")
    finished = run(target, "--waivers", file)

    assert (finished.code, finished.results["verdict"]) == (5, "not-conformant")
    assert f"{file}, line 2: the waiver of {SELECTED} ended on 2026-01-01" in finished.stdout


@pytest.mark.long
def test_a_stale_waiver_ends_with_5_and_what_changed_is_said(
    target: Path, reference: Reference, tmp_path: Path
) -> None:
    """A server that has been mended needs the waiver no more; the comparison with an earlier run
    says whose doing it is, and that these were parts.
    """
    before = run(target)
    file = waivers(tmp_path)
    finished = certify(
        reference.target_file(tmp_path),
        SELECTED,
        env=reference.env,
        more=["--waivers", str(file), "--since", str(before.folder)],
    )

    assert finished.code == 5
    assert f"{file}, line 2: the waiver of {SELECTED} is not needed any more" in finished.stdout
    since = finished.results["since"]
    assert not since["comparable"]
    changed = {change["name"]: change["whose"] for change in since["changes"]}
    assert changed[SELECTED] == changed["fetch-contact-guest-token"] == "server"
    assert "not comparable the earlier run is of a selected part" in finished.stdout
    assert "seen" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--waivers", "nowhere.toml", "nowhere.toml: the waivers cannot be read: No such file"),
        (
            "--waivers",
            "broken.toml",
            "broken.toml, line 1, [[waiver]] requirement: this is missing",
        ),
        ("--since", "nowhere", "nowhere: there is no such folder"),
    ],
)
def test_mistakes_are_said_before_anything_is_sent(
    option: str, value: str, said: str, target: Path, tmp_path: Path
) -> None:
    """A file of waivers or a run that is not what it should be ends with 2, and makes no folder."""
    (tmp_path / "broken.toml").write_text("[[waiver]]\n", encoding="utf-8")
    finished = run(target, option, tmp_path / value)

    assert finished.code == 2
    assert said in finished.stderr
    assert not finished.folders


def test_what_a_run_leaves_is_as_the_schema_says(target: Path) -> None:
    """Without waivers and without an earlier run the members are there, and empty."""
    document = json.loads((run(target).folder / "results.json").read_text(encoding="utf-8"))
    assert (document["waivers"], document["waiver_file"], document["since"]) == ([], None, None)
    assert validation_errors("results", document) == []
