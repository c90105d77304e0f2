"""The command ``rolecall prune``: what goes, and everything that must not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rolecall.__main__ import main
from rolecall.ledger import LEDGER, Ledger
from tests.support.results import results

OTHER = {"name": "other", "base_url": "https://other.example.org"}


def run_id(day: int) -> str:
    """The id of the run of a day."""
    return f"202611{day:02}-030000-aaaaaa"


def made(out: Path, day: int, name: str = "results.json", **more: Any) -> Path:
    """A finished run's folder."""
    folder = out / run_id(day)
    (folder / "allure-results").mkdir(parents=True)
    document = results(run_id(day), **more)
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def left(out: Path) -> list[str]:
    """What is in the folder."""
    return sorted(path.name for path in out.iterdir())


def prune(out: Path, *words: str) -> int:
    """The command."""
    return main(["prune", str(out), *words])


def test_the_oldest_go(tmp_path: Path) -> None:
    """Of five runs two stay, the newest."""
    for day in range(1, 6):
        made(tmp_path, day)

    assert 0 == prune(tmp_path, "--keep", "2")

    assert [run_id(4), run_id(5)] == left(tmp_path)


def test_each_target_keeps_its_own(tmp_path: Path) -> None:
    """The runs of a target that is certified often do not push out those of another, nor runs of
    the suite those of a load.
    """
    made(tmp_path, 1, target=OTHER)
    made(tmp_path, 2, name="load.json", scenario="issuance")
    for day in range(3, 6):
        made(tmp_path, day)

    assert 0 == prune(tmp_path, "--keep", "1")

    assert [run_id(1), run_id(2), run_id(5)] == left(tmp_path)


def test_what_is_no_run_stays(tmp_path: Path) -> None:
    """Files, other folders, and links stay, and what a link leads to."""
    elsewhere = tmp_path / "elsewhere"
    precious = made(elsewhere, 1)
    out = tmp_path / "out"
    made(out, 9)
    for name in ("history.jsonl", "notified.json", f"{run_id(2)}.txt"):
        (out / name).write_text("x", encoding="utf-8")
    (out / "20261103-mine").mkdir()
    (out / run_id(4)).write_text("a file", encoding="utf-8")
    (out / run_id(1)).symlink_to(precious)
    before = left(out)

    assert 0 == prune(out, "--keep", "1")

    assert before == left(out)
    assert precious.is_dir()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"left_behind": ["user 7 (rolecall-x)"]}, "it left things on the target"),
        ({"exit_code": 7}, "it left things on the target"),
        ({"reasons": ["left behind: the clock"]}, "it left things on the target"),
        ({"target": None}, "results.json cannot be read"),
    ],
)
def test_what_somebody_needs_stays(
    more: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose files name what it left is kept, and it is said why."""
    made(tmp_path, 1, **more)
    for day in (2, 3):
        made(tmp_path, day)

    assert 0 == prune(tmp_path, "--keep", "1")

    assert [run_id(1), run_id(3)] == left(tmp_path)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("is_open", "words"), [(True, "it is still at work"), (False, "it has no results")]
)
def test_a_run_without_an_end_stays(
    is_open: bool, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that a run holds, or that has no results, is kept, and it is said why."""
    unfinished = tmp_path / run_id(1)
    unfinished.mkdir()
    ledger = Ledger(unfinished / LEDGER)
    if not is_open:
        ledger.close()
    made(tmp_path, 2)
    made(tmp_path, 3)

    assert 0 == prune(tmp_path, "--keep", "1")

    assert [run_id(1), run_id(3)] == left(tmp_path)
    assert words in capsys.readouterr().out
    ledger.close()


@pytest.mark.parametrize("has_results", [True, False])
@pytest.mark.parametrize("is_gone", [True, False])
def test_what_was_cleaned_up_since_goes(
    tmp_path: Path, *, has_results: bool, is_gone: bool
) -> None:
    """A run that left things may go once its ledger says that they are gone."""
    folder = made(tmp_path, 1, left_behind=["user 7"])
    if not has_results:
        (folder / "results.json").unlink()
    ledger = Ledger(folder / LEDGER)
    ledger.note("run", run=run_id(1), **results()["target"])
    entry = ledger.intend("user", "rolecall-x")
    ledger.created(entry, "7")
    if is_gone:
        ledger.gone(entry)
    ledger.close()
    made(tmp_path, 2)

    assert 0 == prune(tmp_path, "--keep", "1")

    assert ([] if is_gone else [run_id(1)]) + [run_id(2)] == left(tmp_path)


def test_the_run_to_compare_with_stays(tmp_path: Path) -> None:
    """However many parts were run since, the newest whole run is there for --since last."""
    made(tmp_path, 1)
    made(tmp_path, 2)
    for day in range(3, 6):
        made(tmp_path, day, selected=True)

    assert 0 == prune(tmp_path, "--keep", "1")

    assert [run_id(2), run_id(5)] == left(tmp_path)


def test_a_dry_run_removes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names what would go."""
    for day in (1, 2):
        made(tmp_path, day)

    assert 0 == prune(tmp_path, "--keep", "1", "--dry-run")

    assert [run_id(1), run_id(2)] == left(tmp_path)
    assert f"would remove  {tmp_path / run_id(1)}" in capsys.readouterr().out


def test_an_interrupted_removal_is_finished(tmp_path: Path) -> None:
    """What is half removed has a name that no run has, and goes the next time."""
    made(tmp_path, 1).rename(tmp_path / f".{run_id(1)}.pruned")
    made(tmp_path, 2)

    assert 0 == prune(tmp_path)

    assert [run_id(2)] == left(tmp_path)


def test_what_the_system_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message and an exit code, no traceback."""

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    for day in (1, 2):
        made(tmp_path, day)
    monkeypatch.setattr("rolecall.harness.retention.shutil.rmtree", refuse)

    assert 6 == prune(tmp_path, "--keep", "1")

    assert "1 of 1 runs could not be removed" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_keep_nothing_is_no_option(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last run is never removed, and the message says what number may be given."""
    with pytest.raises(SystemExit) as end:
        prune(tmp_path, f"--keep={number}")

    assert 2 == end.value.code
    assert "is not a number of runs, which is 1 or more" in capsys.readouterr().err


def test_no_folder_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is said in one sentence."""
    assert 2 == prune(tmp_path / "nowhere")
    assert "it cannot be read: No such file or directory" in capsys.readouterr().err
