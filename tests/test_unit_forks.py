"""The forks in which `make unit` runs its tests: what fails in one of them is not lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = """
import os

import pytest


@pytest.mark.parametrize("number", range(8))
def test(number: int) -> None:
    {body}
"""


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run eight tests with this body."""
    path = folder / "test_eight.py"
    path.write_text(TESTS.format(body=body), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.unit.forks", path],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_fails_in_a_fork_is_told(tmp_path: Path) -> None:
    """Each of eight tests is counted once, and what failed is shown, whichever process ran it."""
    done = run(tmp_path, "assert number not in (3, 4)")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 failed, 6 passed" in done.stdout
    assert "FAILED test_eight.py::test[3]" in done.stdout
    assert "FAILED test_eight.py::test[4]" in done.stdout


def test_what_all_pass(tmp_path: Path) -> None:
    """Eight tests that pass are a success."""
    done = run(tmp_path, "assert number < 8")

    assert (done.returncode, done.stderr) == (pytest.ExitCode.OK, "")
    assert "8 passed" in done.stdout


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="on one core there is one process")
def test_a_fork_that_breaks_off_is_no_success(tmp_path: Path) -> None:
    """Where a fork ends in the middle of its tests, even as if all was well, the run fails."""
    done = run(tmp_path, "number == 1 and os._exit(0)")

    assert done.returncode == pytest.ExitCode.INTERNAL_ERROR
    assert "a fork broke off" in done.stdout + done.stderr
