"""The token bank, when several runs end at the same time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from rolecall.token_bank import TokenBank
from tests.support.token_answers import DAY
from tests.unit.test_token_bank import HERE, caller


def test_runs_that_end_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """What two runs put in at the same moment is all there afterwards."""
    for attempt in range(10):
        urls = [f"{HERE}/{attempt}/{number}" for number in range(4)]
        tonight = [caller(exp=int(time.time()) + DAY)]
        threads = [
            threading.Thread(
                target=TokenBank(tmp_path / "bank", url).deposit, args=(tonight, time.time())
            )
            for url in urls
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [len(TokenBank(tmp_path / "bank", url).deposits()) for url in urls] == [1] * 4
