"""Limits of the load generator, beyond which a run says nothing of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Seconds of dispatch lag, at the 99th percentile.
MOST_LAG = 0.010
#: Of one core, over the run.
MOST_CPU = 0.9
#: Of a closed loop's time, in which a process did nothing: so much less is the load that it
#: offered.
MOST_STANDSTILL = 0.05
#: Of all requests, answered with 429: of more than these the server has only said that it does not
#: want them.
MOST_THROTTLED = 0.5


def of_the_generator(measured: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on how this machine was too slow or too small to offer the load."""
    yield from slow(measured)
    if local := measured["own_failures"].get("local"):
        yield (
            f"the generator was out of files, ports or memory: {local:,} requests could not be "
            "sent "
            "(more with ulimit -n, or over more machines)"
        )
    if withdrawn := measured["own_failures"].get("withdrawn"):
        yield (
            f"the generator was told to end clients while they waited: {withdrawn:,} requests "
            "were broken off by this side"
        )


def slow(measured: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on how this machine was too slow, so that its times may be its own."""
    lag = measured["dispatch_lag_ms"]["p99"]
    if lag > 1000 * MOST_LAG:
        yield (
            f"the generator was {lag:.0f} ms behind its schedule (p99): lower the rate, or add "
            "workers"
        )
    for worker in measured["workers"]:
        if worker["cpu"] > MOST_CPU:
            yield (
                f"worker {worker['name']} used {worker['cpu']:.0%} of its core: lower the rate, "
                "or add workers"
            )
    if not_read := measured["errors"].get("coding"):
        yield (
            f"{not_read} answers were in a content coding that is not read here (gzip and "
            "deflate are): let the server send none"
        )


def of_a_closed_loop(measured: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on processes that stood still while their clients should have sent."""
    for worker in measured["workers"]:
        still = worker["stood_still_ms"]
        if still > 1000 * MOST_STANDSTILL * measured["duration_s"]:
            yield (
                f"the generator was at a standstill for {still:,.0f} ms (worker {worker['name']}, "
                "the longest pause "
                f"{worker['longest_pause_ms']:,.0f} ms): its clients sent nothing meanwhile"
            )


def of_the_answers(measured: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on how the server let in, or did, too little for a verdict."""
    requests, throttled, errors = (
        measured["requests"],
        measured["throttled"],
        sum(measured["errors"].values()),
    )
    if not requests:
        yield "nothing was answered"
    elif requests == throttled:
        yield (
            f"nothing was let in: all {requests:,} requests were answered 429; lower the rate, "
            "or raise the server's limit"
        )
    elif requests == throttled + errors:
        yield (
            f"nothing good was answered: of {requests:,} requests {errors:,} failed and "
            f"{throttled:,} were answered 429"
        )
