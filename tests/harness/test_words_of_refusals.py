"""What a target says when it refuses what a run needs is what its engineer reads first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.servers import certify, serving


def test_they_are_shown(tmp_path: Path) -> None:
    """That users have to confirm their e-mail is told in the target's own words, beside what was
    not tried for it, and nothing is held against the target.
    """
    with serving("--scrypt-n", "2", "--variant", "users-confirm-their-email") as server:
        finished = certify(server.target_file(tmp_path), "REFRESH")

    said = " ".join(finished.said.split())
    assert finished.code == 3, finished.said
    assert "-> 403 'Confirm your e-mail address first'), and the log-ins to [accounts" in said
    assert not finished.results["findings"]


@pytest.mark.long
def test_a_limit_of_keys_is_kept(tmp_path: Path) -> None:
    """A target that lets a user have five keys is asked for no more at once, and all that keys can
    show is proven.
    """
    with serving("--scrypt-n", "2", "--variant", "five-keys-a-user") as server:
        finished = certify(server.target_file(tmp_path), "KEY-union or KEY-order or SEC-K")

    assert finished.code == 0, finished.said
    assert finished.results["verdict"] == "part-passed"
