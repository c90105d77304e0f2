"""``rolecall capacity --most-users`` sends ever more clients to a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolecall.schema_validation import validation_errors
from tests.support.load_runs import load

ONE_AT_A_TIME = "--serve-option=--variant=one-at-a-time-10ms"


@pytest.mark.parametrize(
    "workers",
    [pytest.param("0", marks=pytest.mark.long), pytest.param("2", marks=pytest.mark.nightly)],
)
def test_one_at_a_time_carries_no_more_for_more_clients(workers: str, tmp_path: Path) -> None:
    """More clients of a server of 100/s get no more than that, and the law says so."""
    words = ("--most-users", "8", "--search-time", "30", "--workers", workers, ONE_AT_A_TIME)

    run = load(*words, cwd=tmp_path, command="capacity")
    document = json.loads((run.folder / "capacity.json").read_text(encoding="utf-8"))

    assert (0, "met", "at-least") == (run.code, document["verdict"], document["outcome"]), run.said
    assert [] == validation_errors("capacity", document)
    assert [1, 2, 3, 4, 6, 8] == [step["concurrency"] for step in document["steps"]]
    assert 85 < document["capacity"]["rate"] < 105
    # Sigma itself falls with every millisecond that this machine takes beside the server's ten; the
    # most that any number of clients gets does not.
    law = document["usl"]
    assert 85 < (law["bound"] or law["peak_throughput"]) < 115
    assert "law           " in run.stdout
    assert [] == run.left
