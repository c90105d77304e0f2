"""A capacity that is known too badly is no result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rolecall.loadgen import plan
from rolecall.loadgen.capacity.findings import Capacity, SearchOutcome
from rolecall.loadgen.capacity.rate_steps import CapacityRun
from rolecall.loadgen.coordinator import Coordinator


def written(folder: Path, *argv: str, outcome: SearchOutcome, off: float) -> dict[str, Any]:
    """The document of a search that found 100/s, known to so many per cent."""
    options = plan.parse(["--capacity", f"--run-folder={folder / 'run'}", "--host=x", *argv])
    coordinator = Coordinator(lambda message, name: None, list)
    run = CapacityRun(None, options, coordinator, "issuance")  # type: ignore[arg-type]  # not used
    run.started = 1.0
    run.objectives = plan.objectives(options)
    low, high = 100 / (1 + off / 100), 100 * (1 + off / 100)
    found = Capacity(outcome, "it held", 100.0, low, high, low, high, [], 10.0)
    run.found = lambda: found
    return run.write()


@pytest.mark.parametrize(
    ("argv", "off", "came_to"),
    [
        ([], 1.3, ("met", 0)),
        ([], 48, ("invalid", 3)),
        (["--precision", "60"], 48, ("met", 0)),
        (["--precision", "1"], 1.3, ("invalid", 3)),
    ],
)
def test_what_is_known_less_well_is_not_met(
    argv: list[str], off: float, came_to: tuple[str, int], tmp_path: Path
) -> None:
    """Known to 48 % where 5 are asked for: invalid, with what would help, and the figures stay."""
    document = written(tmp_path, *argv, outcome=SearchOutcome.FOUND, off=off)

    assert (document["verdict"], document["exit_code"]) == came_to
    assert document["capacity"]["rate"] == 100
    assert any("--search-time" in reason for reason in document["reasons"]) is (
        came_to[0] == "invalid"
    )


def test_a_ceiling_that_held_is_as_good_as_asked_for(tmp_path: Path) -> None:
    """Of the most that was to be tried nothing more is to be known."""
    document = written(tmp_path, outcome=SearchOutcome.AT_LEAST, off=48)

    assert (document["verdict"], document["exit_code"]) == ("met", 0)


@pytest.mark.parametrize(("limit", "verdict"), [(90, "met"), (110, "missed")])
def test_a_rate_may_be_asked_of_the_capacity(limit: int, verdict: str, tmp_path: Path) -> None:
    """``--slo rate>90`` decides a search whose answer is 100/s."""
    document = written(tmp_path, "--slo", f"rate>{limit}", outcome=SearchOutcome.FOUND, off=1.0)

    assert document["verdict"] == verdict
