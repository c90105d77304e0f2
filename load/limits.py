"""What a generator may be behind, and still say something of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Seconds of dispatch lag, at the 99th percentile.
MOST_LAG = 0.010
#: Of one core, over the run.
MOST_CPU = 0.9


def of_the_generator(measured: Mapping[str, Any]) -> Iterator[str]:
    """How this machine was too slow to offer the load, in sentences; nothing where it was not."""
    lag = measured["dispatch_lag_ms"]["p99"]
    if lag > 1000 * MOST_LAG:
        yield f"the generator was {lag:.0f} ms behind its schedule (p99): lower the rate, or add workers"
    for worker in measured["workers"]:
        if worker["cpu"] > MOST_CPU:
            yield f"worker {worker['name']} used {worker['cpu']:.0%} of its core: lower the rate, or add workers"
    if not_read := measured["errors"].get("coding"):
        yield f"{not_read} answers were in a content coding that is not read here (gzip and deflate are): let the server send none"
