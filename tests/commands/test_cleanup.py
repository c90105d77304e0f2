"""``rolecall cleanup``: which run, which target, what is said and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from rolecall.__main__ import main
from rolecall.ledger import LEDGER, Ledger
from tests.conftest import Reference
from tests.support.command import ROLES, rolecall, target_file, target_text
from tests.support.servers import Admin, serving

RUN = "20260101-101010-aaaaaa"
NAME = f"rolecall-{RUN}-1-create-contact"


def run_folder(folder: Path, **about: str) -> Path:
    """A folder with the ledger of a run of this target that made one contact, and was killed."""
    run = folder / "runs" / RUN
    run.mkdir(parents=True)
    ledger = Ledger(run / LEDGER)
    ledger.note("run", **({"run": RUN, "name": "t", "base_url": "", "target": ""} | about))
    ledger.created(ledger.intend("contact", NAME), "c1")
    ledger.close()
    return run


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """The exit code, and everything that was printed."""
    code = main(["cleanup", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "cleanup: give a RUN, or --target with --older-than"),
        (("RUN", "--older-than", "24h"), "cleanup: give a RUN, or --target with --older-than"),
        (("--older-than", "24h"), "--older-than: --target FILE is missing"),
        (("--older-than", "a day", "--target", "t.toml"), "--older-than: 'a day' is not an age"),
        (("--older-than=-1h", "--target", "t.toml"), "--older-than: '-1h' is not an age"),
        (("--older-than", "1h", "--target", "none.toml"), "none.toml: the target file cannot be"),
        (("nowhere",), "nowhere: it is not a run's folder"),
    ],
)
def test_what_is_not_clear_is_a_usage_error(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message that says what is missing, and exit code 2."""
    code, text = said(capsys, *words)

    assert (code, text.startswith(f"rolecall: {expected}")) == (2, True), text


def test_the_target_file_has_to_be_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's folder names it; where it is not there any more, --target gives it."""
    folder = run_folder(tmp_path, target="gone.toml", base_url="http://t.example")

    code, text = said(capsys, folder)

    assert code == 2
    assert "the run's target file, gone.toml, is not there" in text
    assert "--target FILE" in text


def test_a_ledger_that_names_no_target_needs_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As that of an older version."""
    folder = tmp_path / RUN
    folder.mkdir()
    (folder / LEDGER).write_text("", encoding="utf-8")

    code, text = said(capsys, folder)

    assert code == 2
    assert "its ledger does not say which target file it had" in text


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("http://staging.example", "http://live.example"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8002"),
    ],
)
def test_another_target_is_refused(
    ours: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ids of one server are not those of another, on this machine neither: there they would be
    found gone, and forgotten.
    """
    folder = run_folder(tmp_path, target="t.toml", name="miniature", base_url=ours)
    file = target_file(tmp_path, target_text(other))
    before = (folder / LEDGER).read_bytes()

    code, text = said(capsys, folder, "--target", file)

    assert code == 2
    assert f"it is the file of {other}, and the run was against {ours}" in text
    assert (folder / LEDGER).read_bytes() == before


def test_a_run_that_is_at_work_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its process holds its ledger, which stays as it is."""
    folder = run_folder(tmp_path, target="t.toml", base_url="http://t.example")
    at_work = Ledger(folder / LEDGER)
    before = (folder / LEDGER).read_bytes()

    code, text = said(capsys, folder)

    assert code == 2
    assert "this run is still at work" in text
    assert (folder / LEDGER).read_bytes() == before
    at_work.close()


def test_the_embedded_server_has_ended_with_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to be deleted, and nobody to be asked."""
    folder = run_folder(tmp_path, base_url="http://127.0.0.1:9")

    assert said(capsys, RUN, "--out", folder.parent) == (
        0,
        f"nothing of run {RUN} is left on the embedded server, which ended with the run\n",
    )


@pytest.mark.parametrize("is_older", [False, True], ids=["run", "older"])
def test_a_target_that_does_not_answer(
    is_older: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, with its URL; the ledger is as it was."""
    folder = run_folder(tmp_path, target="t.toml", base_url="http://127.0.0.1:9")
    file = target_file(tmp_path, target_text("http://127.0.0.1:9"))
    before = (folder / LEDGER).read_bytes()

    words = ["--older-than", "1h"] if is_older else [folder]
    code, text = said(capsys, *words, "--target", file)

    assert code == 4
    assert text.startswith("rolecall: http://127.0.0.1:9 cannot be reached")
    assert (folder / LEDGER).read_bytes() == before


@pytest.fixture(scope="module")
def server() -> Any:
    """A reference server."""
    with serving("--scrypt-n", "2") as running:
        yield running


def contact(server: Reference, name: str) -> None:
    """Make a contact on the server, as a run does."""
    answer = httpx.post(
        f"{server.url}/v2/contacts",
        json={"profile": {"name": name}},
        headers=Admin(server)._headers,
    )
    assert answer.status_code == 201, answer.text


def test_what_was_left_is_listed_deleted_and_not_there_again(
    server: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run lists it (exit code 7), a real one deletes it (0), and then there is nothing (0);
    every time in a form for people and one for programs.
    """
    file = target_file(tmp_path, server.text)
    contact(server, NAME)
    words = ("--target", file, "--older-than", "0s", "--out", tmp_path)

    dry, listed = said(capsys, *words, "--dry-run")
    code, text = said(capsys, *words, "--json")
    again = said(capsys, *words, "--quiet")

    assert dry == 7
    assert f"(of run {RUN})" in listed
    assert f"1 thing of run {RUN} is on {server.url}: 1 contact (nothing was deleted)" in listed
    document = json.loads(text)
    assert code == document["exit_code"] == 0
    assert document["runs"] == [RUN]
    assert [line.partition(" ")[0] for line in document["deleted"]] == ["contact"]
    assert again == (0, f"nothing of runs that are older than 0s is on {server.url}\n")


@pytest.mark.long
def test_a_run_that_meets_what_another_left_says_so(server: Reference, tmp_path: Path) -> None:
    """One line with the command, and the same verdict."""
    file = target_file(tmp_path, server.text)
    contact(server, NAME)
    words = ("certify", file, "--out", "runs", "--select", "PERM and create-contact and token")

    finished = rolecall(*words, cwd=tmp_path)

    line = (
        f"1 thing of run {RUN} was there before this one: rolecall cleanup --target {file} "
        "--older-than 24h deletes what is left"
    )
    assert finished.code == 0, finished.said
    assert finished.results["reasons"][0] == line
    assert finished.results["findings"] == finished.results["left_behind"] == []
    assert f"note          {line}" in finished.stdout
    assert line in (finished.folder / "summary.md").read_text(encoding="utf-8").replace("\\", "")


def test_a_wrong_password_is_said(
    server: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with the account, and nothing more is tried."""
    accounts = "".join(
        f'\n[accounts.{role}]\nemail = "{role}@example.org"\npassword = "wrong-{role}"\n'
        for role in ROLES
    )
    file = target_file(tmp_path, f'[target]\nbase_url = "{server.url}"\n{accounts}')

    code, text = said(capsys, "--target", file, "--older-than", "1h")

    assert code == 2
    assert "[accounts.admin]" in text
