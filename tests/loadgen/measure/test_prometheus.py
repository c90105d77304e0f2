"""The figures of a run for Prometheus are right and in its format."""

from __future__ import annotations

import re
import socket

import gevent
import httpx
import pytest

from rolecall.errors import UsageError
from rolecall.loadgen.measure import prometheus
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals

_SAMPLE = re.compile(r'rolecall_\w+(\{\w+="[^"]*"\})? [0-9.e+-]+')


def measured() -> Totals:
    """A run of three requests: one good, one throttled, one refused."""
    recorder = Recorder(0.0)
    entry = recorder.entry("POST", "issue")
    entry.success(0.1, 0.1, 0.35, 600)
    entry.throttled(0.2, 0.2, 0.3)
    entry.failure("refused", 0.3, 0.0, 0.4)
    recorder.violation("shape")
    totals = Totals()
    totals.merge("one", recorder.take())
    return totals


def test_what_was_measured_is_told() -> None:
    """Every count and quantile is there, each line a comment or a sample of the text format."""
    lines = list(prometheus.lines(measured()))

    assert all(line.startswith("# ") or _SAMPLE.fullmatch(line) for line in lines)
    assert {
        "rolecall_requests_total 3",
        "rolecall_throttled_total 1",
        'rolecall_errors_total{kind="refused"} 1',
    } <= set(lines)
    assert {
        'rolecall_violations_total{kind="shape"} 1',
        "rolecall_response_seconds_count 2",
    } <= set(lines)


def test_it_is_served_beside_the_run() -> None:
    """/metrics alone answers, on loopback; a port that is taken is a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="--prometheus-port"):
            prometheus.serve(port, measured)
    server = prometheus.serve(port, measured)
    try:
        # the server answers in this thread
        statuses, text = gevent.get_hub().threadpool.apply(asked, (port,))
    finally:
        server.stop()

    assert statuses == [200, 404]
    assert "rolecall_requests_total 3\n" in text


def asked(port: int) -> tuple[list[int], str]:
    """What two paths are answered with, and the text of the first."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        answers = [client.get("/metrics"), client.get("/")]
    return [answer.status_code for answer in answers], answers[0].text
