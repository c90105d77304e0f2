"""A run is judged again with the same outcomes, whatever server it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rolecall.selftest import cases as catalogue
from tests.support.command import environment

#: One run of the embedded server with an option, and the same run judged again.
_TWICE = """
import json, sys
from pathlib import Path
from rolecall.harness.entry import run_suite
from rolecall.harness.progress import Progress
from rolecall.harness.rejudging import rejudge

out = Path(sys.argv[2])
words = ["--serve-option=" + sys.argv[1], "--out", str(out)]
run = run_suite(words, Progress(sys.stderr, silent=True))
print(json.dumps(rejudge(run.context.folder, out / "again", sys.stderr, silent=True)))
"""
_FAULTS, _VARIANTS = 40, 20
#: Where it depends on the time what a test does next.
_TROUBLED = [
    f"--variant={name}"
    for name in (
        "answers-in-any-order",
        "reads-lag",
        "lists-lag",
        "resets-now-and-then",
        "random-503",
        "hangs-now-and-then",
    )
]


def options(faults: int, variants: int) -> list[str]:
    """Switches of the reference server, spread over the catalogue."""
    quick = [case for case in catalogue.cases() if not case.load]
    kinds = {"--fault": ("fault", "flip"), "--variant": ("legal",)}
    counts = {"--fault": faults, "--variant": variants}
    return [
        f"{option}={case.name}"
        for option, names in kinds.items()
        for case in catalogue.spread([case for case in quick if case.kind in names], counts[option])
    ]


def twice(option: str, folder: Path) -> dict[str, Any]:
    """What comes of a run that is judged again."""
    command = [sys.executable, "-c", _TWICE, option, str(folder)]
    finished = subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=False
    )
    assert finished.returncode == 0, finished.stderr
    comparison: dict[str, Any] = json.loads(finished.stdout)
    return comparison


@pytest.mark.nightly
@pytest.mark.parametrize("option", [*options(_FAULTS, _VARIANTS), *_TROUBLED])
def test_servers_are_judged_again_as_before(option: str, tmp_path: Path) -> None:
    """Every requirement has the outcome that it had, and all requests of tests are those of then in
    their order, for 20 variants, 40 faults, and targets that are slow, lag or break off.
    """
    comparison = twice(option, tmp_path)
    assert comparison["differences"] == []
    assert comparison["not_judged"] == []
    assert comparison["departure"] is None
