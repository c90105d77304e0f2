"""Where a replay leaves the course of its run."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.memory import Memory
from rolecall.replay.course import Course
from rolecall.replay.recorded import Recorded
from tests.support.exchanges import exchange

PLACE = "http://target.example/v2"


def recorded(number: int, **facts: Any) -> Recorded:
    """A request of the run."""
    it: Any = object.__new__(Recorded)
    given = {"method": "GET", "url": f"{PLACE}/users"} | facts
    it._entry = {"request": {"method": given.pop("method"), "url": given.pop("url")}}
    it.number, it.test, it.caller, it.attack = number, "test_a", "guest (token)", ""
    vars(it).update(given)
    return it  # type: ignore[no-any-return]


def test_the_same_requests_in_their_order_are_the_course() -> None:
    """Ids that chance made, and what is sent before and after all tests, do not matter."""
    course = Course([recorded(1), recorded(2, url=f"{PLACE}/users/1"), recorded(3, test="")])

    course.asked(exchange(number=1, test="test_a"), Memory())
    course.asked(exchange(number=2, test="test_a", url=f"{PLACE}/users/2"), Memory())
    course.asked(exchange(number=3, method="DELETE"), Memory())

    assert course.departure is None


@pytest.mark.parametrize("decision", ["a new look", ""])
def test_the_first_departure_is_told_with_what_led_to_it(decision: str) -> None:
    """The request, the test, what the run sent there, and what the test had learnt last; later
    departures follow from it.
    """
    course = Course([recorded(1), recorded(2, test="test_b", method="PUT")])
    memory = Memory([(decision, True)] if decision else [])
    if decision:
        memory.recorded(decision)

    course.asked(exchange(number=1, test="test_a"), Memory())
    course.asked(exchange(number=2, test="test_c"), memory)
    course.asked(exchange(number=3, test="test_d"), Memory())

    assert course.departure == {
        "exchange": 2,
        "test": "test_c",
        "now": "GET /v2/users as guest (token)",
        "test_then": "test_b",
        "then": "PUT /v2/users as guest (token)",
        "decision": decision,
        "is_known": True,
    }


def test_a_decision_that_the_run_did_not_make_is_named_before_a_later_one() -> None:
    """What was asked for in vain first is what to look at; and the run may have sent nothing."""
    course, memory = Course([]), Memory([("drawn", 1)])
    memory.recall("printed", lambda: "now")
    memory.recall("drawn", lambda: 2)

    course.asked(exchange(number=9, test="test_a"), memory)

    departure = course.departure
    assert departure
    assert (departure["decision"], departure["is_known"]) == ("printed", False)
    assert departure["then"] == "nothing"
