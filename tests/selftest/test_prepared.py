"""Runs of the suite that are forked from a process which has collected it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolecall.errors import RolecallError
from rolecall.selftest.prepared import Order, Prepared, Said
from tests.conftest import Reference
from tests.support.miniatures import Miniature, silent
from tests.support.servers import FORK, without


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    """A process that takes orders."""
    process = Prepared(FORK)
    yield process
    process.close()


def target_file(reference: Reference, folder: Path, url: str = "") -> Path:
    """The target file of a server whose expired tokens are not asked for: the key is in no
    environment here.
    """
    path = folder / "target.toml"
    path.write_text(
        without(reference.text, "expiry").replace(reference.url, url or reference.url),
        encoding="utf-8",
    )
    return path


def test_runs_know_nothing_of_each_other(
    prepared: Prepared, reference: Reference, tmp_path: Path
) -> None:
    """What one run leaves out is there for the next one, and each has its own results and its own
    folder.
    """
    target = target_file(reference, tmp_path)

    for number, requirement in enumerate(("ISSUE-status", "PERM-list-users")):
        came = prepared.run(
            Order(target, tmp_path / f"{number}", only=frozenset({requirement})), 60
        )

        assert came.document is not None, came.crash
        assert [entry["id"] for entry in came.document["requirements"] if entry["tests"]] == [
            requirement
        ]
        assert came.document["selected"] is True
        assert came.document["counts"]["tests"]["passed"] > 0
        assert came.document["findings"] == []
        assert [path.name for path in (tmp_path / f"{number}").iterdir()] == [came.document["run"]]


def test_what_a_test_lacked(prepared: Prepared, reference: Reference, tmp_path: Path) -> None:
    """A test that was not tested says which capability the target lacks."""
    came = prepared.run(
        Order(target_file(reference, tmp_path), tmp_path / "out", only=frozenset({"SEC-A04"})), 60
    )

    assert came.document is not None, came.crash
    assert came.lacking
    assert set(came.lacking.values()) == {"signing-key"}


def test_a_run_that_cannot_begin(prepared: Prepared, tmp_path: Path) -> None:
    """A target file that is not there is that run's trouble."""
    came = prepared.run(Order(tmp_path / "nowhere.toml", tmp_path / "out"), 60)

    assert came.document is None
    assert "nowhere.toml" in came.crash


def test_a_run_that_does_not_end(prepared: Prepared, reference: Reference, tmp_path: Path) -> None:
    """A run that has not ended in time is ended, and the process takes the next order."""
    with Miniature(silent) as server, pytest.raises(RolecallError, match=r"no result within 0.3 s"):
        prepared.run(
            Order(
                target_file(reference, tmp_path, server.url),
                tmp_path / "out",
                only=frozenset({"ISSUE-status"}),
            ),
            0.3,
        )

    came = prepared.run(
        Order(target_file(reference, tmp_path), tmp_path / "out", only=frozenset({"ISSUE-status"})),
        60,
    )

    assert came.document is not None, came.crash


def test_a_run_that_dies(prepared: Prepared, tmp_path: Path) -> None:
    """A process that ends in the middle of a run is a crash of that run, said in so many words."""
    with Miniature(silent) as server:
        target = tmp_path / "target.toml"
        target.write_text(f'[target]\nbase_url = "{server.url}"\n', encoding="utf-8")
        prepared._orders.send(Order(target, tmp_path / "out"))
        os.kill(prepared._orders.recv(), signal.SIGKILL)

        assert prepared._orders.recv() == Said(crash="the process ended without a word")
