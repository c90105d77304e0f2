"""The search for the capacity against simulated servers of known capacity: what it answers, and how often it is right.

Run it with ``python benchmarks/capacity.py [SEARCHES] [KIND ...]``. The servers are those of ``tests/simulated_servers.py``, in virtual time.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from rolecall.load.capacity.search import Capacity, Outcome, Search
from tests.queues import Bench
from tests.simulated_servers import KINDS

#: Of the searches, how many may be wrong: one in ten, as the interval is one of 95 %.
ALLOWED = 0.1


def searched(name: str, seed: int) -> Capacity:
    """One search against a server of this kind."""
    kind = KINDS[name]
    settings = {"arrivals": "constant", "pause": 0.5, "patience": 10.0, **kind.settings}
    bench = Bench(kind.make(random.Random(seed)), seed=seed, **settings)  # noqa: S311  # a simulation
    return Search(bench.measure, clock=bench.clock).run()


def row(name: str, found: Sequence[Capacity], seconds: float) -> str:
    """What came of the searches of a kind, as a row of a table."""
    true = KINDS[name].true
    answers = [it.rate for it in found if it.rate is not None]
    right = sum(it.outcome is not Outcome.FOUND or is_covered(it, true) for it in found)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(str(it.outcome) for it in found).items())
    figures = f"{sum(answers) / len(answers):.1f} | {min(answers):.1f} | {max(answers):.1f}" if answers else "- | - | -"
    bad = any(answer > 1.05 * true for answer in answers) or right < (1 - ALLOWED) * len(found)
    lasted = sum(it.seconds for it in found) / len(found)
    most = max(it.seconds for it in found)
    return f"| {name} | {true:g} | {outcomes} | {right}/{len(found)} | {figures} | {lasted:.0f} (<={most:.0f}) | {'WRONG' if bad else ''} {seconds:.1f}"


def is_covered(found: Capacity, true: float) -> bool:
    """Whether the interval holds the truth."""
    return found.low is not None and found.high is not None and found.low <= true <= found.high


def main(words: Sequence[str]) -> None:
    """Print the table."""
    count = int(words[0]) if words else 20
    print(
        "| server | sustained | outcomes | right | mean | lowest | highest | seconds | |\n|---|---:|---|---:|---:|---:|---:|---:|---|"
    )
    with ProcessPoolExecutor(2) as pool:
        for name in words[1:] or KINDS:
            began = time.perf_counter()
            found = list(pool.map(searched, [name] * count, range(count)))
            print(row(name, found, time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
