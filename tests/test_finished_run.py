"""Reading a finished run's folder: what is there, and what is said where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolecall.errors import UsageError
from rolecall.finished_run import EVIDENCE, RESULTS, FinishedRun
from tests.conftest import Watched


def test_a_run_is_read_again(certified: Watched) -> None:
    """A run's folder gives the documents that were written."""
    run = FinishedRun.read(certified.finished.folder)
    assert run.results == certified.finished.results
    assert len(run.evidence["log"]["entries"]) == run.results["requests"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "results.json: there is no such file"),
        ({RESULTS: "{"}, "results.json: it is not JSON"),
        ({RESULTS: "[" * 100_000}, "results.json: it is not JSON"),
        ({RESULTS: "[]"}, "results.json: it holds no JSON object"),
        ({RESULTS: "{}"}, "results.json: it is not a run's results: $: "),
    ],
)
def test_what_is_no_run_is_said_in_a_sentence(
    files: dict[str, str], said: str, tmp_path: Path
) -> None:
    """A folder without results, or with broken ones, is a usage error that names the file."""
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        FinishedRun.read(tmp_path)
    assert said in str(caught.value)


def test_evidence_that_is_no_archive_is_said(certified: Watched, tmp_path: Path) -> None:
    """Results without their evidence are not enough."""
    (tmp_path / RESULTS).write_text(json.dumps(certified.finished.results), encoding="utf-8")
    (tmp_path / EVIDENCE).write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="not an HTTP archive"):
        FinishedRun.read(tmp_path)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """A folder that is not there is a usage error."""
    with pytest.raises(UsageError, match="no such folder"):
        FinishedRun.read(tmp_path / "nowhere")
