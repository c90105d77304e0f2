"""Measures the search for the capacity against simulated servers of known capacity.

Run it with ``python benchmarks/capacity.py [SEARCHES] [KIND ...]``; all kinds, twenty searches
each, take some minutes. The servers are those of ``tests/support/simulated_servers.py``, in virtual
time: each search is over in a fraction of a second, and the seconds in the last column are those
that it would take. A search is right when its interval is around the sustained rate, or when it
does not say that it found one. A row that is wrong (more than one search in ten is not right, or an
answer is more than 5 % too high) ends with a word.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from rolecall.loadgen.capacity.by_rate import Capacity, Search
from rolecall.loadgen.capacity.findings import SearchOutcome
from tests.support.queues import Bench
from tests.support.simulated_servers import KINDS

#: Of the searches, how many may be wrong; by how much an answer may be too high.
ALLOWED, TOO_HIGH = 0.1, 1.05
HEAD = ("server", "sustained", "outcomes", "right", "lowest", "mean", "highest", "seconds")


def searched(name: str, seed: int) -> Capacity:
    """One search against a server of this kind."""
    kind = KINDS[name]
    settings = {"arrivals": "constant", "pause": 0.5, "patience": 10.0, **kind.settings}
    bench = Bench(kind.make(random.Random(seed)), seed=seed, **settings)  # noqa: S311  # a simulation
    return Search(bench.measure, clock=bench.clock).run()


def row(name: str, found: Sequence[Capacity]) -> Iterator[str]:
    """What came of the searches of a kind, as the cells of a table."""
    true = KINDS[name].true
    answers = [search.rate for search in found if search.rate is not None]
    right = sum(is_right(search, true) for search in found)
    yield name
    yield f"{true:g}"
    yield ", ".join(
        f"{count} {outcome}"
        for outcome, count in Counter(str(search.outcome) for search in found).most_common()
    )
    yield f"{right} of {len(found)}"
    yield from (f"{what(answers):.1f}" if answers else "" for what in (min, mean, max))
    yield f"{mean([result.seconds for result in found]):.0f}"
    if right < (1 - ALLOWED) * len(found) or any(answer > TOO_HIGH * true for answer in answers):
        yield "WRONG"


def is_right(found: Capacity, true: float) -> bool:
    """Whether the interval holds the truth, or the search does not say that it found it."""
    if found.outcome is not SearchOutcome.FOUND:
        return True
    return found.low is not None and found.high is not None and found.low <= true <= found.high


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure the search for the capacity.")
    parser.add_argument("count", type=int, nargs="?", default=20, help="searches of each kind")
    # the empty list is what argparse compares with the choices where no word is given
    parser.add_argument(
        "kinds", nargs="*", choices=[*KINDS, []], metavar="KIND", help="servers; else all"
    )
    arguments = parser.parse_args()
    count = arguments.count
    print(f"| {' | '.join(HEAD)} |\n|---|---:|---|---:|---:|---:|---:|---:|")
    with ProcessPoolExecutor(2) as pool:
        for name in arguments.kinds or KINDS:
            print(
                "|",
                " | ".join(row(name, list(pool.map(searched, [name] * count, range(count))))),
                "|",
                flush=True,
            )


if __name__ == "__main__":
    main()
