"""The token bank, when several runs end at the same time, or are killed."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from rolecall.token_bank import TokenBank
from tests.support.servers import FORK
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


def put_in_for_ever(folder: Path) -> None:
    """Put tokens in again and again."""
    while True:
        TokenBank(folder, HERE).deposit([caller(exp=int(time.time()) + DAY)], time.time())


def test_a_run_that_is_killed_leaves_a_whole_bank(tmp_path: Path) -> None:
    """Wherever a run is killed at the bank, the file is whole, the lock is free, and what it had
    begun to write is cleared away by the next.
    """
    folder, chance = tmp_path / "bank", random.Random(14)
    bank = TokenBank(folder, HERE)
    bank.deposit([caller(exp=int(time.time()) + DAY)], time.time())
    for _ in range(8):
        process = FORK.Process(target=put_in_for_ever, args=(folder,))
        before = (folder / "tokens.json").stat().st_ino
        process.start()
        while (folder / "tokens.json").stat().st_ino == before and process.is_alive():
            time.sleep(0.001)  # it is at work
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.join(10)

        assert bank.deposits()
    bank.deposit([caller(exp=int(time.time()) + DAY)], time.time())

    assert len(bank.deposits()) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["tokens.json", "tokens.lock"]
