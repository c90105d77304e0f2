"""The run that is compared with: the named one, or the newest whole one of the target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rolecall import history
from rolecall.errors import UsageError
from rolecall.harness.earlier import last_run, named_run, note_run
from rolecall.target import Target
from tests.support.results import requirement, results

TARGET = Target("staging", "https://staging.example.org", {})


def left(out: Path, number: int, **more: Any) -> dict[str, Any]:
    """A run of the n-th night in the folder ``out``."""
    document = results(f"202611{number:02}-030000-aaaaaa", **more)
    (out / document["run"]).mkdir()
    (out / document["run"] / "results.json").write_text(json.dumps(document), encoding="utf-8")
    return document


def test_last_is_the_newest_whole_run_of_the_target(tmp_path: Path) -> None:
    """Parts, runs that were broken off, other targets, broken files and other folders are passed
    over.
    """
    wanted = left(tmp_path, 2)
    left(tmp_path, 1)
    left(tmp_path, 3, selected=True)
    left(tmp_path, 4, requirements=[requirement("A", tests={})])
    left(tmp_path, 5, target={"name": "live", "base_url": "https://live.example.org"})
    left(tmp_path, 6, verdict="splendid")
    for name, text in (("20261107", "{"), ("20261108", "[]"), ("20261109", '{"target": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text, encoding="utf-8")
    (tmp_path / "history.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "zzz").mkdir()

    assert last_run(tmp_path, TARGET) == wanted


def test_without_an_earlier_run_there_is_none(tmp_path: Path) -> None:
    """The first night has nothing to be compared with."""
    assert last_run(tmp_path, TARGET) is None
    assert last_run(tmp_path / "nowhere", TARGET) is None
    assert named_run("last", tmp_path) is None
    assert named_run(None, tmp_path) is None


def test_a_named_run_is_read_or_refused(tmp_path: Path) -> None:
    """A run is named by its folder or by its id; one that is not there is a usage error."""
    document = left(tmp_path, 1)
    assert named_run(document["run"], tmp_path) == document
    assert named_run(str(tmp_path / document["run"]), Path("elsewhere")) == document
    with pytest.raises(UsageError, match="there is no such folder"):
        named_run("20261102", tmp_path)


def test_a_finished_run_is_noted(tmp_path: Path) -> None:
    """The history gets a line for a run that came to its end, and none for one that did not."""
    assert note_run(tmp_path, results()) == ""
    assert note_run(tmp_path, results(requirements=[requirement("A", tests={})])) == ""
    assert [line["run"] for line in history.read(tmp_path)[0]] == [results()["run"]]
