"""Limits of the load generator, beyond which a run says nothing of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rolecall.loadgen.objectives import Objective

#: Seconds of dispatch lag, at the 99th percentile, that are always allowed; and the share that it
#: may be of what is measured: of the usual service time, or of the tightest limit asked for.
MOST_LAG, LAG_SHARE = 0.010, 0.1
#: Of one core, over the run.
MOST_CPU = 0.9
#: Of one core: below, a process that was late was not late because of its own work.
_LITTLE_CPU = 0.5
#: Shares from which on one of them is named as the reason for being late: of a process's time
#: without a core, of a container's time without CPU time left, of all cores' time that was stolen.
_WAITED = _OF_QUOTA = _STOLEN = 0.02
#: Of a closed loop's time, in which a process did nothing: so much less is the load that it
#: offered.
MOST_STANDSTILL = 0.05
#: Of all requests, answered with 429: of more than these the server has only said that it does not
#: want them.
MOST_THROTTLED = 0.5

#: What was not left, and what helps.
_SHORT_OF: Mapping[str, tuple[str, str]] = {
    "files": ("out of files", "raise ulimit -n, let fewer clients send, or use more machines"),
    "ports": (
        "out of ports",
        "let the server keep connections open, widen net.ipv4.ip_local_port_range, or add machines",
    ),
    "memory": ("out of memory", "let fewer clients send, or use more machines"),
    "local": (
        "out of files, ports or memory",
        "raise ulimit -n, let fewer clients send, or use more machines",
    ),
}


def of_the_generator(
    measured: Mapping[str, Any], objectives: Sequence[Objective] = ()
) -> Iterator[str]:
    """Sentences on how this machine was too slow or too small to offer the load."""
    yield from slow(measured, objectives)
    for kind, (what, help_) in _SHORT_OF.items():
        if count := measured["own_failures"].get(kind):
            yield f"the generator was {what}: {count:,} requests could not be sent; {help_}"
    if withdrawn := measured["own_failures"].get("withdrawn"):
        yield (
            f"the generator was told to end clients while they waited: {withdrawn:,} requests "
            "were broken off by this side"
        )


def out_of(kind: str) -> str:
    """What a failure of this kind says was not left on this machine, and what helps; empty where it
    is no failure of this machine.
    """
    what, help_ = _SHORT_OF.get(kind, ("", ""))
    return what and f"the generator was {what}: {help_}"


def most_lag(measured: Mapping[str, Any], objectives: Sequence[Objective] = ()) -> float:
    """Milliseconds of dispatch lag at p99 up to which the times are the server's."""
    limits = [objective.limit for objective in objectives if objective.unit == "ms"]
    return max(
        1000 * MOST_LAG,
        LAG_SHARE * float(measured["service_ms"]["p50"]),
        LAG_SHARE * min(limits, default=0.0),
    )


def slow(measured: Mapping[str, Any], objectives: Sequence[Objective] = ()) -> Iterator[str]:
    """Sentences on how this machine was too slow, so that its times may be its own."""
    lag, most = measured["dispatch_lag_ms"]["p99"], most_lag(measured, objectives)
    if lag > most:
        yield (
            f"the generator was {lag:.0f} ms behind its schedule (p99, at most {most:.0f} ms): "
            f"{why_late(measured['workers'], lag, measured['duration_s'])}"
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


def why_late(workers: Sequence[Mapping[str, Any]], lag_ms: float, seconds: float) -> str:
    """Why a generator was late, by the kernel's accounts of its machines, and what would help.

    Args:
        lag_ms: how late it was, at the 99th percentile.
        seconds: the length of the run.
    """

    def most(name: str) -> float:
        return max((float(worker.get(name, 0.0)) for worker in workers), default=0.0)

    if most("quota") >= _OF_QUOTA:
        return (
            f"its container had used up its CPU time for {most('quota'):.0%} of the run; raise the "
            "container's limit"
        )
    if most("stolen") >= _STOLEN:
        return (
            f"the hypervisor gave {most('stolen'):.0%} of this machine's time to others (steal); "
            "use another machine, or another hour"
        )
    if most("cpu") >= _LITTLE_CPU:
        return f"it used {most('cpu'):.0%} of its core; lower the rate, or add workers"
    pause = most("longest_pause_ms")
    if pause >= lag_ms and pause > 1000 * most("waited") * seconds:
        return (
            f"it stood still for {pause:,.0f} ms at a time, and not for want of a core: see "
            "whether it was stopped, or the machine suspended or swapping"
        )
    if most("waited") >= _WAITED:
        return (
            f"it used {most('cpu'):.0%} of a core, and waited for one for {most('waited'):.0%} of "
            f"the run, since the machine was busy ({most('machine_busy'):.0%} of all cores); end "
            "what else runs there, or send from another machine"
        )
    return (
        f"it used {most('cpu'):.0%} of a core, so that neither a lower rate nor more workers will "
        "help; see whether the machine was swapping, or suspended"
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
    elif not measured["sent"]:
        yield (
            "no client took a step, beyond logging in beforehand: give the run more time than "
            "clients think, or are told to wait"
        )
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
