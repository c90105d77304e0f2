"""Messages between a master and its workers survive the wire; what is none is refused."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import msgpack
import pytest

from rolecall.errors import ExitCode
from rolecall.histogram import Histogram
from rolecall.loadgen.messages import End, Go, Message, Prepare, Ready, Report
from rolecall.loadgen.run import beforehand
from rolecall.loadgen.schedule import Phase, Schedule
from rolecall.loadgen.untrusted import UnreadableValue

PREPARE = Prepare("mixed", clients=8, index=1, workers=2, options={"racers": 5})
GO = Go(
    number=3,
    delay=0.2,
    width=1.0,
    schedule=Schedule((Phase(0, 10.5, 2), Phase(10.5, 10.5, 60)), "poisson", 7),
    grace=10.5,
    abandon=True,
    index=1,
    workers=2,
)
RACES = {"policies": [True, 1.0, inf], "witnesses": {"longest": "a race"}, "races": [[1, 4]]}
DELAYS = Histogram()
DELAYS.record(0.05)
DENIALS = {
    "kinds": {"user-deleted": [[2, 1, 1, 0, 1, 0], 0.003, DELAYS.pack()]},
    "why_not": {"key-deleted": "no path"},
}
REPORT = Report(
    number=3,
    measured={},
    violations={"counts": {"shape": 2}, "samples": [["shape", "said", "exchange", 0.5]]},
    seen={"tokens": b"16 bytes of pair", "refresh_tokens": b"", "users": b""},
    races=RACES,
    denials=DENIALS,
    sampled={"cells": ["read-user as guest"], "left": []},
    refused={"ada@example.org": 401},
    beside=4,
    accounts=7,
    last=True,
    away=3.5,
    error="KeyError in somewhere.py:1",
)


def denied(*row: Any) -> dict[str, Any]:
    """What a worker tells of users who were deleted, and of nothing else."""
    return {"kinds": {"user-deleted": list(row)}, "why_not": {}}


@pytest.mark.parametrize(
    "message",
    [
        PREPARE,
        Ready(),
        Ready("no users", ExitCode.INCONCLUSIVE),
        GO,
        Go(1, 0.2, 0.5, None, 10.5, abandon=False, index=0, workers=1),
        End(),
        End(0.0),
        REPORT,
        Report(number=1),
    ],
    ids=["prepare", "ready", "not ready", "open", "closed", "end", "at once", "report", "empty"],
)
def test_a_message_survives_the_wire(message: Any) -> None:
    """What msgpack, Locust's coding, makes of a message is read as the same message; so is what a
    process that does all by itself takes as it is packed.
    """
    wire = msgpack.loads(msgpack.dumps(message.pack()), strict_map_key=False)

    assert type(message).unpack(wire) == message
    assert type(message).unpack(message.pack()) == message


@pytest.mark.parametrize(
    ("message", "member", "value"),
    [
        (PREPARE, "scenario", ["session"]),
        (PREPARE, "clients", 10**8),
        (PREPARE, "index", 2),
        (PREPARE, "index", True),
        (PREPARE, "workers", 0),
        (PREPARE, "options", None),
        (Ready(), "error", None),
        (Ready(), "exit_code", 99),
        (Ready(), "exit_code", "0"),
        (Ready("the target is away", ExitCode.UNREACHABLE), "exit_code", 0),
        (Ready("the target is away", ExitCode.UNREACHABLE), "exit_code", 1),
        (GO, "number", -1),
        (GO, "delay", nan),
        (GO, "width", 0.0),
        (GO, "grace", inf),
        (GO, "abandon", 1),
        (GO, "workers", 0),
        (GO, "workers", 1),
        (GO, "schedule", []),
        (GO, "schedule", {**GO.pack()["schedule"], "arrivals": "bursts"}),
        (GO, "schedule", {**GO.pack()["schedule"], "arrivals": ["poisson"]}),
        (GO, "schedule", {**GO.pack()["schedule"], "seed": "7"}),
        (GO, "schedule", {**GO.pack()["schedule"], "phases": [{}]}),
        (GO, "schedule", {**GO.pack()["schedule"], "phases": [[1, 1, 1]]}),
        (
            GO,
            "schedule",
            {**GO.pack()["schedule"], "phases": [{"low": 1, "high": 1, "seconds": 0}]},
        ),
        (
            GO,
            "schedule",
            {**GO.pack()["schedule"], "phases": [{"low": inf, "high": 1, "seconds": 1}]},
        ),
        (End(), "grace", -1),
        (End(), "grace", "0"),
        (REPORT, "number", "3"),
        (REPORT, "measured", 7),
        (REPORT, "violations", None),
        (REPORT, "violations", {"counts": {"shape": "many"}}),
        (REPORT, "violations", {"counts": {"no-such-kind": 1}}),
        (REPORT, "violations", {"samples": [["no-such-kind", "", "", 0.0]]}),
        (REPORT, "violations", {"samples": [["shape", "", "", 0.0]] * 1000}),
        (REPORT, "violations", {"samples": [["shape", b"", "", 0.0]]}),
        (REPORT, "violations", {"samples": [["shape", "", "", nan]]}),
        (REPORT, "seen", None),
        (REPORT, "seen", {"tokens": b"123", "refresh_tokens": b"", "users": b""}),
        (REPORT, "seen", {"tokens": b"", "refresh_tokens": b""}),
        (REPORT, "denials", "none"),
        (REPORT, "denials", {"kinds": {}}),
        (REPORT, "denials", {"kinds": {}, "why_not": {"no-such-kind": ""}}),
        (REPORT, "denials", {"kinds": {"no-such-kind": []}, "why_not": {}}),
        (REPORT, "denials", denied([2, 1, 1, 0, 0], 0.1, DELAYS.pack())),
        (REPORT, "denials", denied([2, 1, 1, 1, 0, 0], 0.1, DELAYS.pack())),
        (REPORT, "denials", denied([3, 2, 1, 0, 0, 0], 0.1, DELAYS.pack())),
        (REPORT, "denials", denied([2, 1, 1, 0, 0, -1], 0.1, DELAYS.pack())),
        (REPORT, "denials", denied([2, 1, 1, 0, 0, 0], nan, DELAYS.pack())),
        (REPORT, "denials", denied([2, 1, 1, 0, 0, 0], 0.1, b"delays")),
        (REPORT, "denials", denied([2, 1, 1, 0, 0, 0], 0.1, None)),
        (REPORT, "races", "none"),
        (REPORT, "races", RACES | {"policies": [True, 1.0]}),
        (REPORT, "races", RACES | {"policies": [True, nan, inf]}),
        (REPORT, "races", RACES | {"witnesses": {"longest": 7}}),
        (REPORT, "races", RACES | {"races": [[1, -4]]}),
        (REPORT, "sampled", {"secrets": []}),
        (REPORT, "sampled", {"cells": None}),
        (REPORT, "sampled", {"cells": [7]}),
        (REPORT, "refused", ["ada@example.org"]),
        (REPORT, "refused", {"ada@example.org": "401"}),
        (REPORT, "beside", 10**13),
        (REPORT, "last", 1),
        (REPORT, "away", inf),
        (REPORT, "error", b"KeyError"),
    ],
)
def test_a_member_that_does_not_fit(message: Any, member: str, value: object) -> None:
    """Another type, or a number beyond its bounds, is refused in a sentence that does not repeat
    it.
    """
    with pytest.raises(UnreadableValue) as refused:
        type(message).unpack(message.pack() | {member: value})

    assert "\n" not in str(refused.value)
    assert "no-such-kind" not in str(refused.value)


@pytest.mark.parametrize("message", [PREPARE, Ready(), GO, End(), REPORT])
def test_a_member_that_is_missing(message: Any) -> None:
    """A message without one of its members, or that has none at all, is refused by its name."""
    for member in message.pack():
        rest = {name: value for name, value in message.pack().items() if name != member}
        with pytest.raises(UnreadableValue, match=f"^{member} is missing"):
            type(message).unpack(rest)
    with pytest.raises(UnreadableValue, match="is not a mapping"):
        type(message).unpack([])


def test_kinds_are_told_apart() -> None:
    """Each message has a name of its own on the wire."""
    kinds = [message.kind for message in Message.__subclasses__()]

    assert sorted(kinds) == ["end", "go", "prepare", "ready", "report"]


def test_the_segment_of_a_word_that_cannot_be_read() -> None:
    """It is known as far as it was said, so that the answer reaches the segment."""
    assert [Go.number_of(packed) for packed in ({"number": 4}, {"number": "4"}, 7)] == [4, 0, 0]


def test_any_rate_is_a_job_that_can_be_read() -> None:
    """A rate far beyond what can be sent is no message that a worker refuses."""
    job = Prepare("issuance", beforehand(1e12), index=0, workers=1, options={})

    assert Prepare.unpack(job.pack()) == job
