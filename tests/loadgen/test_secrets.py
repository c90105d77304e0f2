"""No password or token of a load run is in any file of its folder, or was printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolecall.loadgen.scenarios import NAMES
from tests.harness.test_no_secret_leaves import leaks, secrets_on
from tests.support.load_runs import load
from tests.support.miniatures import Tap
from tests.support.servers import serving, target

#: Violations show exchanges, with all that was sent and received in them.
FAULTS = {
    "issuance": "one-token-in-300-of-another-user",
    "refresh-get": "one-token-in-300-of-another-user",
    "refresh-race": "race-kills-both-winners",
}
#: Of races as many as five accounts carry while winners are asked for again: one beside others of
#: its account proves nothing.
RATES = {"refresh-get": "300", "refresh-race": "10"}
#: On two workers by day: the scenario with all kinds of secrets, and the one with the most tokens.
ON_WORKERS = {"mixed", "guarded"}


@pytest.mark.parametrize(
    ("scenario", "workers"),
    [
        pytest.param(
            scenario,
            workers,
            marks=pytest.mark.long
            if workers == "0" or scenario in ON_WORKERS
            else pytest.mark.nightly,
        )
        for scenario in NAMES
        for workers in ("0", "2")
    ],
)
def test_nothing_leaks(scenario: str, workers: str, tmp_path: Path) -> None:
    """Every scenario, with violations where there is a fault for it: of hundreds of secrets on the
    wire none is left anywhere.
    """
    with (
        serving(
            "--scrypt-n", "16", *([f"--fault={FAULTS[scenario]}"] if scenario in FAULTS else [])
        ) as server,
        Tap(server.url) as tap,
    ):
        file = target(tmp_path, server.text.replace(server.url, tap.url))
        run = load(
            scenario,
            file,
            "--rate",
            RATES.get(scenario, "150"),
            "--duration",
            "5s",
            "--workers",
            workers,
            cwd=tmp_path,
        )
        secrets = secrets_on([*tap.sent, *tap.answered])

    assert len([secret for secret in secrets if secret.startswith("eyJ")]) > 30
    assert run.left == []
    assert leaks(secrets, run.folder, run.said) == []
    if scenario in FAULTS:
        assert run.document["violation_samples"], run.said
