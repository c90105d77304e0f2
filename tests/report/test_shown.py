"""What ``rolecall show`` prints of an exchange, and of a cell."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.report import har, shown
from tests.support.exchanges import exchange

EPOCH = "1970-01-01T00:00:00.000Z"
ALLOWED = exchange(
    number=3,
    caller="admin (token)",
    request_headers={"authorization": "Bearer abc"},
    queued=9.5,
    started=10.0,
    finished=10.25,
    at=0.0,
    headers=[("Content-Type", "application/json")],
    body=b"[1]",
)
DENIED = exchange(number=4, status=403, body=b"no")


def archive(*exchanges: Any) -> dict[str, Any]:
    """An evidence.har with these exchanges."""
    return har.document(exchanges, str)


def results(**more: Any) -> dict[str, Any]:
    """A results.json with one cell, whose test found control and answer."""
    test = {
        "name": "test_a_refused_read_shows_nothing[list-users-guest-token]",
        "look_at": "",
        "evidence": {"answer": 4, "control": 3},
        "exchanges": [2, 3, 4],
    }
    cell = {
        "operation": "list-users",
        "role": "guest",
        "credential": "token",
        "expected": "deny",
        "outcome": "passed",
        "reason": "",
        "status": 403,
    }
    requirement = {
        "id": "PERM-list-users",
        "level": "must",
        "statement": "List users: only bot and admin may.",
        "clause": "Permissions",
        "tests": [test | more],
    }
    return {"cells": [cell], "requirements": [requirement]}


def told(document: dict[str, Any]) -> str:
    """The text of the only cell."""
    return shown.cell_text(document, archive(ALLOWED, DENIED), document["cells"][0])


def test_an_exchange_is_told_as_on_the_wire() -> None:
    """Number, caller, times, both sides with headers and bodies, and the line to send it again."""
    (entry,) = archive(ALLOWED)["log"]["entries"]

    assert shown.exchange(entry).splitlines() == [
        f"exchange 3, as admin (token), {EPOCH}, 250 ms (after 500 ms in the queue)",
        "> GET http://target.example/v2/users",
        "> authorization: Bearer abc",
        "< 200",
        "< Content-Type: application/json",
        "<",
        "< [1]",
        'try curl -i -H "Authorization: Bearer $TOKEN" http://target.example/v2/users',
    ]


def test_one_without_an_answer_says_why() -> None:
    """In the place of the status stands what went wrong, and how often it was sent."""
    (entry,) = archive(exchange(status=0, error="cut off", attempts=4))["log"]["entries"]

    lines = shown.exchange(entry).splitlines()

    assert "< cut off" in lines
    assert "sent 4 times; this is the last one" in lines


def test_a_target_writes_no_line_of_ours() -> None:
    """Lines of a body, ends of lines in a header and controls cannot pass for ours."""
    hostile = exchange(headers=[("x", "a\n> GET /forged")], body=b"b\n> GET /forged\n\x1b[2J")
    (entry,) = archive(hostile)["log"]["entries"]

    lines = shown.exchange(entry).splitlines()

    assert [line for line in lines if line.startswith(">")] == [
        "> GET http://target.example/v2/users"
    ]
    assert "\x1b" not in "".join(lines)


def test_a_cell_is_told_with_its_evidence() -> None:
    """Outcome, expectation, requirement, and each piece of evidence, the control first."""
    text = told(results())

    assert text.startswith("list-users-guest-token: passed (403)\n  expected  deny\n")
    assert "PERM-list-users (must): List users: only bot and admin may. [Permissions]" in text
    assert text.index("control: exchange 3") < text.index("answer: exchange 4")
    assert "other exchanges of the test: 2" in text
    assert text.count("try curl") == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "test_of_another"}, "none: no test of this cell was run"),
        ({"evidence": {}, "exchanges": []}, "none: the test came to no exchange"),
        ({"look_at": "[accounts]"}, "look at   [accounts]"),
    ],
)
def test_a_cell_without_evidence_says_so(more: dict[str, Any], said: str) -> None:
    """Where there is nothing to show, that is said, and where to look."""
    assert said in told(results(**more))


def test_cells_are_found_by_name() -> None:
    """A cell is named by operation, role and credential."""
    document = results()

    assert shown.cell(document, "list-users-guest-token") == document["cells"][0]
    assert shown.cell(document, "list-users-guest-api-key") is None
