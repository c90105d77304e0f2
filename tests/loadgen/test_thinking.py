"""Clients think between their steps: as people write it, and as sessions take turns."""

from __future__ import annotations

from statistics import mean
from typing import Any

import pytest

from rolecall.errors import UsageError
from rolecall.loadgen import plan
from rolecall.loadgen.thinking import Think, ThinkingClients
from tests.loadgen.test_open_loop import Holder, Run


@pytest.mark.parametrize(
    ("between", "average", "low", "high"),
    [
        ("1..5s", "", 1, 5),
        ("2s", "", 2, 2),
        ("500ms..2s", "", 0.5, 2),
        ("100..500ms", "", 0.1, 0.5),
        ("0..3s", "", 0, 3),
        ("1..1m30s", "", 1, 90),
        ("", "3s", 3, None),
    ],
)
def test_as_people_write_it(between: str, average: str, low: float, high: float | None) -> None:
    """Two times and their unit, one time, or an average."""
    assert Think.parse(between, average) == Think(low, high)


def test_without_it_nothing_thinks() -> None:
    """The options are empty unless they are given."""
    assert plan.think(plan.parse([])) is None


@pytest.mark.parametrize(
    ("between", "average"), [("5..1s", ""), ("soon", ""), ("1..", ""), ("", "0s"), ("1s", "2s")]
)
def test_what_is_no_time_is_refused(between: str, average: str) -> None:
    """The message names the option."""
    with pytest.raises(UsageError, match="--think"):
        Think.parse(between, average)


def test_the_times_are_as_asked_for() -> None:
    """Even times lie between both ends, exponential ones around their mean; a seed repeats them."""
    even, spread = Think(1, 5), Think(3, None)
    dice, other = even.dice(7), spread.dice(7)
    times, long = [dice() for _ in range(4000)], [other() for _ in range(4000)]

    assert 1 <= min(times) < 1.1
    assert 4.9 < max(times) <= 5
    assert mean(times) == pytest.approx(3, abs=0.1)
    assert mean(long) == pytest.approx(3, abs=0.25)
    assert max(long) > 12
    again = even.dice(7)
    assert [again() for _ in range(10)] == times[:10]


def test_who_thinks_is_not_asked() -> None:
    """The next step is of a client that has taken none, then of the one that is ready first."""
    seconds = iter([5.0, 1.0, 3.0])
    clients = ThinkingClients(lambda: next(seconds))
    ada, bob, eve, new = people = ["ada", "bob", "eve", "new"]
    scenarios: Any = people  # anything can think
    for client in scenarios[:3]:
        clients.append(client)
    clients.extend(scenarios[3:])

    order: list[Any] = [clients.popleft() for _ in range(len(clients))]
    assert order == [new, bob, eve, ada]


def test_sessions_think_under_a_rate() -> None:
    """A session that still thinks takes no step while others are ready, however many there are."""
    Holder.turns = []
    seconds = iter([60.0, 60.0])
    run = Run(100, 0.4, step=0.0, kind=Holder, think=lambda: next(seconds, 0.0))
    run.open_loop.provide(1, sessions=4)

    run()

    turns = [client for client, _ in Holder.turns]
    assert len(turns) == 40
    thinking = turns[:2]
    assert len(set(turns)) == 4
    assert not set(thinking) & set(turns[2:])


@pytest.mark.parametrize(
    ("argv", "scenario", "said"),
    [
        (["--rate", "100"], "session", "300 sessions are needed, and there are 40"),
        (["--rate", "10"], "session", ""),
        (["--rate", "10", "--in-flight", "10"], "session", "there are 10"),
        (["--rate", "1"], "issuance", "has no sessions that could think"),
        (["--users", "500"], "issuance", ""),
    ],
)
def test_sessions_that_do_not_suffice_are_refused(
    argv: list[str], scenario: str, said: str
) -> None:
    """A rate that thinking clients cannot keep up is a contradiction, said before anything is
    sent.
    """
    options = plan.parse([*argv, "--think", "1..5s", "--duration", "5s"])
    outcome: Any = ""
    try:
        plan.see_that_sessions_suffice(options, scenario, 40)
    except UsageError as error:
        outcome = str(error)

    assert said in outcome
    assert bool(said) is bool(outcome)
