"""Serves the figures of a run while it goes on, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gevent.pywsgi import WSGIServer

from rolecall.loadgen import loopback
from rolecall.loadgen.measure.totals import Totals

#: https://prometheus.io/docs/instrumenting/exposition_formats/
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUANTILES = {"0.5": 50.0, "0.9": 90.0, "0.99": 99.0, "0.999": 99.9}


def serve(port: int, totals: Callable[[], Totals | None]) -> WSGIServer:
    """Serve ``/metrics`` on loopback, beside everything else that this process does; to be stopped.

    Raises:
        UsageError: the port is taken.
    """

    def answer(
        environ: Mapping[str, Any], start: Callable[[str, list[tuple[str, str]]], Any]
    ) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics\n"]
        start("200 OK", [("Content-Type", _TYPE)])
        now = totals()
        return ["".join(f"{line}\n" for line in lines(now)).encode()] if now else []

    return loopback.serve(port, answer, "--prometheus-port")


def lines(totals: Totals) -> Iterator[str]:
    """The metrics of a run up to now."""
    document = totals.document()
    yield from _metric(
        "requests_total", "counter", "Requests that ended.", {"": document["requests"]}
    )
    yield from _metric(
        "throttled_total",
        "counter",
        "Requests that were answered with 429.",
        {"": document["throttled"]},
    )
    for name, about in (
        ("errors", "Requests that were answered wrongly, or not at all."),
        ("violations", "Broken promises."),
    ):
        counts = {f'{{kind="{kind}"}}': count for kind, count in document[name].items()}
        yield from _metric(f"{name}_total", "counter", about, counts)
    own = {f'{{kind="{kind}"}}': count for kind, count in document["own_failures"].items()}
    yield from _metric(
        "own_failures_total", "counter", "Requests that failed by this machine's own doing.", own
    )
    for name in ("scheduled", "sent", "completed", "late", "dropped"):
        yield from _metric(
            f"arrivals_{name}_total",
            "counter",
            "Arrivals of the open schedule, or steps of a closed loop.",
            {"": document[name]},
        )
    response = totals.response
    times = zip(_QUANTILES, response.percentiles(list(_QUANTILES.values())), strict=True)
    quantiles = {f'{{quantile="{quantile}"}}': seconds for quantile, seconds in times}
    yield from _metric("response_seconds", "summary", "From when a request was due.", quantiles)
    yield f"rolecall_response_seconds_sum {response.total!r}"
    yield f"rolecall_response_seconds_count {response.count}"


def _metric(name: str, kind: str, about: str, samples: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP rolecall_{name} {about}"
    yield f"# TYPE rolecall_{name} {kind}"
    for labels, value in samples.items():
        yield f"rolecall_{name}{labels} {value!r}"
