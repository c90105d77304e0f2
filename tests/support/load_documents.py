"""Documents of load runs for tests, made by the recorder from requests of known distribution."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals


def load_document(
    seed: int = 0,
    *,
    rate: int = 200,
    seconds: int = 40,
    times: Callable[[random.Random, float], float] = lambda dice, at: dice.lognormvariate(-5, 0.5),
    errors: float = 0.0,
    throttled: float = 0.0,
    **members: Any,
) -> dict[str, Any]:
    """A valid ``load.json``; ``times`` gives the response time in seconds of a request at a moment,
    ``members`` replace its own.
    """
    # Longer than 40 lines because the document is written out as a reader of load.json sees it.
    dice = random.Random(seed)
    recorder, totals = Recorder(0.0), Totals()
    entry = recorder.entry("POST", "/v2/auth/token")
    for number in range(rate * seconds):
        at = number / rate
        response = times(dice, at)
        recorder.scheduled += 1
        recorder.sent += 1
        recorder.completed += 1
        recorder.lag.note(dice.expovariate(5000))
        ended = min(at + response, seconds - 0.001)
        chance = dice.random()
        if chance < errors:
            entry.failure("timeout", ended - response, ended - response, ended)
        elif chance < errors + throttled:
            entry.throttled(ended - response, ended - response, ended)
        else:
            entry.success(ended - response, ended - response * 0.9, ended, 600)
        if number % (3 * rate) == 0:
            totals.merge("one", recorder.take())
    totals.merge("one", recorder.take())
    return {
        "verdict": "met",
        "exit_code": 0,
        "reasons": [],
        "scenario": "issuance",
        "target": {"name": "reference", "base_url": "http://127.0.0.1:8080"},
        "started": "2026-11-22T10:00:00+00:00",
        "finished": "2026-11-22T10:00:40+00:00",
        "arrivals": {
            "arrivals": "constant",
            "seed": 0,
            "phases": [{"low": rate, "high": rate, "seconds": seconds}],
        },
        "users": None,
        **totals.document(seconds),
        "objectives": [],
        "violation_samples": [],
        **members,
    }
