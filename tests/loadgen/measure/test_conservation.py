"""The accounts of a run add up over all workers, or a sentence says by how much they do not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rolecall.loadgen.measure.conservation import Accounts
from rolecall.loadgen.measure.recorder import Recorder
from rolecall.loadgen.measure.totals import Totals

GOOD = Accounts(
    scheduled=100, dropped=10, sent=90, completed=85, unanswered=5,
    requests_sent=120, good=100, throttled=7, failed=9, own_failures=4, by_second=116,
)  # fmt: skip


def recorded(*, steps: int = 10, hang: int = 0) -> Recorder:
    """What a worker noted of so many steps of one request, some of which had no answer when it was
    over.
    """
    recorder = Recorder(time.perf_counter() - 1)
    entry = recorder.entry("POST", "issue")
    for number in range(steps):
        recorder.scheduled += 1
        recorder.sent += 1
        recorder.under_way += 1
        recorder.begun += 1
        now = time.perf_counter()
        if number < hang:
            continue
        if number % 5 == 4:
            entry.throttled(now - 0.01, now - 0.01, now)
        else:
            entry.success(now - 0.01, now - 0.01, now, 1)
        recorder.completed += 1
        recorder.under_way -= 1
    for _ in range(hang):
        entry.failure("unanswered", recorder.start, recorder.start, time.perf_counter())
    recorder.give_up()
    return recorder


def test_accounts_that_add_up() -> None:
    """Everything due was sent or dropped, everything sent has an end, of every request it is known
    what came of it.
    """
    assert list(GOOD.broken()) == []
    assert GOOD.document()["holds"] is True


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"scheduled": 103},
            "103 arrivals were scheduled, but 90 sent and 10 dropped: 3 have no end",
        ),
        ({"dropped": 12}, "12 dropped: 2 too many"),
        (
            {"completed": 80},
            "90 steps were sent, but 80 completed and 5 given up unanswered: 5 have no end",
        ),
        (
            {"requests_sent": 121},
            (
                "121 requests were sent, but 100 were answered well, 7 throttled, 9 failed and 4 "
                "could not leave: 1 have"
            ),
        ),
        ({"by_second": 100}, "116 requests ended, but 100 are in the seconds"),
    ],
)
def test_accounts_that_do_not(changed: dict[str, int], words: str) -> None:
    """Each equation that is broken is a sentence with its numbers."""
    accounts = Accounts(**{**GOOD.__dict__, **changed})
    (sentence,) = accounts.broken()

    assert words in sentence
    assert accounts.document()["holds"] is False


def test_a_closed_loop_has_no_schedule() -> None:
    """In a closed loop, what was sent is compared with its ends alone."""
    assert list(Accounts(**{**GOOD.__dict__, "scheduled": 0, "dropped": 0}).broken()) == []


def test_over_all_workers() -> None:
    """The sums of two workers add up, whichever reports they come in; without the last report of
    one they do not.
    """
    one, two = recorded(steps=10), recorded(steps=10, hang=3)
    reports = [("one", one.take()), ("two", two.take())]
    whole, part = Totals(), Totals()
    for name, report in reversed(reports):
        whole.merge(name, report)
    assert list(whole.accounts().broken()) == []
    assert (whole.accounts().sent, whole.accounts().completed, whole.accounts().unanswered) == (
        20,
        17,
        3,
    )
    assert whole.document()["conservation"]["holds"]

    three = Recorder(time.perf_counter())
    three.scheduled = three.sent = three.under_way = three.begun = (
        1  # it has told of a step, and is killed before it ends
    )
    part.merge("one", reports[0][1])
    part.merge("three", three.take())

    assert len(list(part.accounts().broken())) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"arrivals": [1, 2]},
        {"arrivals": ["many"] * 7},
        {"arrivals": [-1] * 7},
        {"entries": [["POST", "issue"]]},
        {"entries": [["POST", "issue", [b"", b"", b"", {}, {}, 0]]]},
        {"seconds": [[10**9, []]]},
        {"seconds": [[0, [b"", 0, 0, 0, [0, 0, 0]]]]},
        {"violations": {"shape": "several"}},
        {"cpu": None},
        {"lag": "none"},
        {"pauses": [0, 0]},
    ],
)
def test_a_report_counts_as_a_whole_or_not_at_all(broken: dict[str, Any]) -> None:
    """Of a report in which something cannot be read nothing is added."""
    totals = Totals()
    totals.merge("one", recorded().take())
    before = totals.document()

    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        totals.merge("two", {**recorded().take(), **broken})

    assert totals.document() == before


def test_what_this_machine_could_not_send() -> None:
    """A failure of this machine is counted by kind, apart from errors and times."""
    recorder, totals = Recorder(time.perf_counter() - 1), Totals()
    entry = recorder.entry("POST", "issue")
    now = time.perf_counter()
    recorder.begun = 4
    entry.success(now - 0.1, now - 0.1, now, 1)
    entry.failure("refused", now - 0.1, 0.0, now)
    entry.failure("local", now, 0.0, now)
    entry.failure("withdrawn", now, now, now)
    totals.merge("one", recorder.take())
    document = totals.document()

    assert (document["requests"], document["errors"]) == (2, {"refused": 1})
    assert document["own_failures"] == {"local": 1, "withdrawn": 1}
    assert document["response_ms"]["min"] == pytest.approx(100)
    assert document["conservation"]["holds"]
