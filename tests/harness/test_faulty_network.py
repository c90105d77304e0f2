"""Through a network that delays, loses, cuts and closes, a run blames nothing on the target, and
passes nothing that is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Reference
from tests.support.command import Finished
from tests.support.faulty_network import FaultyNetwork
from tests.support.servers import certify, serving

PART = "PERM-list or PERM-create or REFRESH or EXPIRY-403 or ISSUE"
#: One fault, and the part of the suite that finds it.
FAULTS = {
    "anonymous-write-applies": "AUTH-required",
    "denied-500": "PERM-list-organizations",
    "denied-update-applies": "PERM-update-organization",
    "expired-500": "EXPIRY-403",
    "flip-create-form-bot": "PERM-create-form",
    "refusals-carry-tokens": "ISSUE-refused",
}


def run_through(
    seed: int, folder: Path, select: str, *options: str
) -> tuple[Finished, FaultyNetwork]:
    """A run through the network of a seed against a server with these options."""
    with (
        serving("--clock", "--scrypt-n", "2", *options, env=Reference.env) as server,
        FaultyNetwork(server.url, seed) as network,
    ):
        file = server.target_file(folder, url=network.url)
        return certify(file, select, env=Reference.env, seconds=900), network


def failed(results: dict[str, Any]) -> list[str]:
    """The requirements that failed, or broke the harness, with the reasons."""
    return [
        f"{entry['id']}: {entry['reason']}"
        for entry in results["requirements"]
        if entry["outcome"] in ("failed", "error")
    ]


@pytest.mark.parametrize(
    ("seed", "select"),
    [
        *(pytest.param(seed, PART, marks=pytest.mark.long) for seed in (1,)),
        *(pytest.param(seed, "", marks=pytest.mark.nightly) for seed in range(1, 51)),
    ],
)
def test_a_right_server_is_not_blamed(seed: int, select: str, tmp_path: Path) -> None:
    """No requirement fails, whatever the network does."""
    finished, network = run_through(seed, tmp_path, select)

    assert network.met["lost"] + network.met["reset"] + network.met["cut"] > 0
    assert failed(finished.results) == []
    assert finished.results["verdict"] in ("conformant", "part-passed", "inconclusive")


@pytest.mark.parametrize(
    ("fault", "seed"),
    [
        *(pytest.param(name, 1, marks=pytest.mark.long) for name in list(FAULTS)[:2]),
        *(
            pytest.param(name, seed, marks=pytest.mark.nightly)
            for name in FAULTS
            for seed in range(2, 6)
        ),
    ],
)
def test_a_wrong_server_does_not_get_away(fault: str, seed: int, tmp_path: Path) -> None:
    """The fault is found, or what would find it is inconclusive."""
    finished, _ = run_through(seed, tmp_path, FAULTS[fault], "--fault", fault)

    assert finished.code != 0, finished.said
    assert finished.results["verdict"] in ("not-conformant", "inconclusive")
