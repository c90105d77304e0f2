"""A run whose files cannot be written says so and is worth nothing."""

from __future__ import annotations

import json
import resource
import time
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Reference
from tests.support.command import Finished, finish, start

#: A part of the suite of which evidence.har has more bytes than results.json.
PART = "list-users or fetch-user"


def certify_with_room(most: int, reference: Reference, folder: Path) -> Finished:
    """Certify where no file can have more bytes than ``most``, as on a disk that is full then."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))
    words = ("certify", reference.target_file(folder), "--select", PART, "--out", "runs")
    process = start(*words, cwd=folder, env=reference.env, preexec_fn=limit)
    return finish(process, folder / "runs", time.monotonic())


@pytest.mark.long
@pytest.mark.parametrize(("most", "left"), [(250_000, ["results.json"]), (100_000, [])])
def test_a_full_disk_is_said_and_nothing_is_torn(
    most: int, left: list[str], reference: Reference, tmp_path: Path
) -> None:
    """Exit code 6 and one sentence that names the file; beside the ledger there is no file but
    results.json, if that has room, and it tells of the same.
    """
    finished = certify_with_room(most, reference, tmp_path)

    assert finished.code == 6
    said = finished.stderr.splitlines()[-1]
    assert "could not be written: File too large" in said
    assert "Traceback" not in finished.stderr + finished.stdout
    assert "INCONCLUSIVE" in finished.stdout
    files = sorted(path.name for path in finished.folder.iterdir())
    assert files == sorted(["ledger.jsonl", *left])
    for name in left:
        document = json.loads((finished.folder / name).read_text(encoding="utf-8"))
        assert (document["verdict"], document["exit_code"]) == ("inconclusive", 6)
        assert ".h" in document["reasons"][0]  # report.html or evidence.har, the largest ones
        assert "could not be written" in document["reasons"][0]
