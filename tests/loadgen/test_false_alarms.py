"""Lawful servers are accused in no scenario, and faults that only load shows are found."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from rolecall.loadgen.scenarios import NAMES
from tests.support.command import environment
from tests.support.servers import ROOT

SCRIPT = ROOT / "benchmarks" / "false_alarms.py"
SERVERS = (
    "plain",
    "lone",
    "revoked",
    "lost",
    "short",
    "all",
    "any-order",
    "few",
    "theft",
    "grace",
    "reusable",
    "failed",
    "no-jti",
)

#: Of these a long run is made, the plainest and the one on which least is certain; of the others
#: by night.
SAMPLE = {"plain", "all"}


def run(*argv: str) -> str:
    """The script to its end; what it says."""
    command = [sys.executable, str(SCRIPT), *argv]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(server, marks=pytest.mark.long if server in SAMPLE else pytest.mark.nightly)
        for server in SERVERS
    ],
)
def test_no_false_alarm(server: str) -> None:
    """Two short runs of every scenario, of the twenty that are made by hand: bursts with four
    accounts, a closed loop with forty.
    """
    said = run("--runs=2", "--seconds=1.5", f"--only={server}", "--show")

    assert said.count("2 of 2 as it should be") == len(NAMES)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("plain", marks=pytest.mark.nightly),
        pytest.param("all", marks=pytest.mark.long),
    ],
)
def test_faults_are_found_all_the_same(server: str) -> None:
    """Each fault that only load shows is found on the plain server, and on the one on which least
    is certain.
    """
    assert (
        run("--runs=1", "--seconds=6", f"--only={server}", "--faults").count(
            "1 of 1 as it should be"
        )
        == 6
    )


@pytest.mark.long
def test_all_servers_are_tried() -> None:
    """The script offers exactly the servers that this test knows."""
    choices = re.search(r"--only \{([^}]*)\}", run("--help"))

    assert choices is not None
    assert set(re.split(r"[,\s]+", choices[1])) == set(SERVERS)
