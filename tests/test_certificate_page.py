"""docs/certificate.md: what it tells a stranger to type works."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rolecall.report.certificate import CERTIFICATE
from rolecall.signing import new_pair, private_key
from tests.support.certified_runs import made_run
from tests.support.documentation import ROOT, blocks


def by_hand(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the page's commands in a folder; files that it writes to /tmp land there instead."""
    script = blocks(ROOT / "docs" / "certificate.md", "sh")[0].text.replace("/tmp/", f"{folder}/")
    return subprocess.run(
        ["sh", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(
    not all(map(shutil.which, ("jq", "openssl", "base64", "sha256sum"))),
    reason="jq, openssl and coreutils are needed",
)
def test_a_certificate_can_be_checked_without_rolecall(tmp_path: Path) -> None:
    """OpenSSL verifies the signature and sha256sum the digests; a changed payload fails."""
    private, public = new_pair()
    (tmp_path / "rolecall.key.pub").write_bytes(public)
    for name, data in made_run().files(private_key(private, "")).items():
        (tmp_path / name).write_bytes(data)
    finished = by_hand(tmp_path)

    assert 0 == finished.returncode, finished.stderr
    assert "Signature Verified Successfully" in finished.stdout
    assert "results.json: OK" in finished.stdout
    assert "evidence.har: OK" in finished.stdout

    other = made_run("20261125-000000-fedcba").files(private_key(new_pair()[0], ""))
    (tmp_path / CERTIFICATE).write_bytes(other[CERTIFICATE])
    assert 0 != by_hand(tmp_path).returncode
