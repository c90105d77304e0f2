"""What a token says of its times, read leniently by a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.switches import instead_of
from rolecall.reference.target import target_file as describe
from tests.support.servers import certify, target

#: An end that no float can be made of.
HUGE = 10**400


def test_a_run_survives_a_huge_exp(tmp_path: Path) -> None:
    """A server that writes an exp of 400 digits breaks the lifetime, not the harness: the run ends
    with that finding.
    """
    with running(Settings(scrypt_n=2)) as server:
        write = server.server.issuer.write

        @instead_of(server.server.issuer.write)
        def endless(claims: dict[str, Any]) -> str:
            return write(claims | {"exp": HUGE})

        finished = certify(
            target(tmp_path, describe(server.server, server.base_url)),
            "ISSUE-lifetime or ISSUE-jwt",
        )

    assert finished.code == 1, finished.said
    assert {finding["requirement"] for finding in finished.results["findings"]} == {
        "ISSUE-lifetime"
    }
