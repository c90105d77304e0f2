"""What several tests of the toolkit use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.timed_target import TimedTarget


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TimedTarget]:
    """A target in memory, with a clock."""
    target = TimedTarget(monkeypatch, tmp_path)
    yield target
    target.ledger.close()
