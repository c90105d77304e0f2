"""A run is judged again with the same outcomes, whatever server it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
#: Something to do for up to half a second, again and again, for ten minutes at most.
_SPIN = """
import random, time

end = time.monotonic() + 600
while (now := time.monotonic()) < end:
    until = now + random.random() / 2
    while time.monotonic() < until:
        pass
    time.sleep(random.random() / 3)
"""
_FAULTS, _VARIANTS = 40, 20
#: Where it depends on the time what a test does next.
_TROUBLED = [
    f"--variant={name}"
    for name in (
        "answers-in-any-order",
        "reads-lag",
        "lists-lag",
        "replicas-take-turns",
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


@contextmanager
def busy() -> Iterator[None]:
    """Let every core have more to do than it can, now and then; it ends by itself, too."""
    command = [sys.executable, "-c", _SPIN]
    spinning = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


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
@pytest.mark.parametrize("option", sorted({*options(_FAULTS, _VARIANTS), *_TROUBLED}))
def test_servers_are_judged_again_as_before(option: str, tmp_path: Path) -> None:
    """Every requirement has the outcome that it had, and all requests of tests are those of then in
    their order, for 20 variants, 40 faults, and targets that are slow, lag or break off.
    """
    expect_the_same(twice(option, tmp_path))


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("option", ["--variant=answers-in-any-order", "--variant=reads-lag"])
def test_a_run_on_a_busy_machine_is_judged_again_as_before(
    option: str, number: int, tmp_path: Path
) -> None:
    """So it is where answers, pauses and alarms come late, and in another order each time."""
    with busy():
        comparison = twice(option, tmp_path)
    expect_the_same(comparison)


def expect_the_same(comparison: dict[str, Any]) -> None:
    """The outcomes are those of then, and so are the requests."""
    assert comparison["differences"] == []
    assert comparison["not_judged"] == []
    assert comparison["departure"] is None
    assert comparison["then"]["verdict"] == comparison["now"]["verdict"]
