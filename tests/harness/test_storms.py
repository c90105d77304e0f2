"""A target that throttles everything for a while delays a run, and changes nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import Reference
from tests.support.miniatures import Connection, Miniature, Received, response
from tests.support.servers import certify, forwarded, serving
from tests.support.timelines import busiest

PART = "PERM-list-users or REFRESH-chain"


@pytest.mark.parametrize(
    ("seconds", "select"),
    [
        pytest.param(4, PART, marks=pytest.mark.long),
        pytest.param(60, "", marks=pytest.mark.nightly),
    ],
    ids=["a part, four seconds", "the whole, a minute"],
)
def test_a_storm_of_429_in_the_middle_of_a_run(seconds: int, select: str, tmp_path: Path) -> None:
    """The verdict is that of a quiet night, every test is decided, nothing is left, and the rate
    limit held for all requests, the refused ones among them.
    """
    over = 0.0
    count = refused = 0

    def answer(request: Received, connection: Connection) -> None:
        nonlocal over, count, refused
        count += 1
        if count == 30:
            over = time.monotonic() + seconds
        if time.monotonic() < over:
            refused += 1
            connection.send(response(429, retry_after=["", "1"][count % 2]))
            return
        try:
            connection.send(forwarded(server.url, request))
        except (httpx.HTTPError, ValueError):  # sent on purpose, and no client may pass it on
            connection.send(response(400))

    with (
        serving("--clock", "--scrypt-n", "2", env=Reference.env) as server,
        Miniature(answer) as front,
    ):
        file = server.target_file(tmp_path, url=front.url, under_target="rate_limit = 40")
        finished = certify(file, select, env=Reference.env, seconds=900)

    assert refused > 0
    assert finished.seconds > seconds
    results = finished.results
    assert (results["verdict"], finished.code) == ("part-passed" if select else "conformant", 0)
    assert results["counts"]["tests"]["inconclusive"] == 0
    assert results["left_behind"] == []
    assert busiest([request.at for request in front.received]) <= 40
