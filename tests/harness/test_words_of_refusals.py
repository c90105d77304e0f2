"""What a target says when it refuses what a run needs is what its engineer reads first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.servers import certify, serving


@pytest.mark.parametrize(
    ("variant", "select", "says", "look_at"),
    [
        (
            "five-keys-a-user",
            "KEY or SEC-K",
            "409 'At most five keys a user: delete one first' to POST /v2/apikeys",
            "whether the target limits the keys of a user",
        ),
        (
            "users-confirm-their-email",
            "REFRESH",
            "(POST /v2/auth/token -> 403 'Confirm your e-mail address first'), and 15 log-ins to",
            "",
        ),
    ],
)
def test_they_are_shown(variant: str, select: str, says: str, look_at: str, tmp_path: Path) -> None:
    """A quota of keys, and users who have to confirm their e-mail, are told in the target's own
    words, and nothing is held against it.
    """
    with serving("--scrypt-n", "2", "--variant", variant) as server:
        finished = certify(server.target_file(tmp_path), select)

    said = " ".join(finished.said.split())
    assert finished.code == 3, finished.said
    assert says in said and look_at in said
    assert not finished.results["findings"]
