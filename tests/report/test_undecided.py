"""What was not decided, by cause."""

from __future__ import annotations

from typing import Any

from rolecall.report.undecided import Undecided, undecided


def open_test(name: str, reason: str, **more: Any) -> dict[str, Any]:
    """A test of results.json that proved nothing."""
    given = {"outcome": "inconclusive", "look_at": "", "capability": "", "evidence": {}}
    return given | {"name": name, "reason": reason} | more


def found(
    *requirements: tuple[str, list[dict[str, Any]]], cells: list[dict[str, Any]] | None = None
) -> list[Undecided]:
    """The causes of these requirements' tests."""
    entries = [{"id": id, "tests": tests} for id, tests in requirements]
    return undecided({"requirements": entries, "cells": cells or []})


def cell(operation: str, role: str, status: int | None, outcome: str) -> dict[str, Any]:
    """A cell of results.json."""
    return {"operation": operation, "role": role, "status": status, "outcome": outcome}


def stopped(status: int | str, path: str, number: int = 7) -> str:
    """The reason of a test that met this answer."""
    return (
        f"missing: a form to test with: GET {path} as bot (token) -> {status} (exchange {number})"
    )


LOOK = "[operations.{}] in the target file"


def test_operations_that_are_not_there_are_one_cause() -> None:
    """404, 405 and 501 to everybody are one block with the names of the operations, and what rests
    on them.
    """
    tests = [
        open_test(
            "test_a[list-forms]", stopped(404, "/v2/forms"), look_at=LOOK.format("list-forms")
        ),
        open_test("test_b", stopped(405, "/v2/x/1"), look_at=LOOK.format("create-form")),
    ]
    cells = [
        cell("list-forms", "guest", 404, "inconclusive"),
        cell("list-forms", "admin", 404, "inconclusive"),
        cell("create-form", "admin", 405, "inconclusive"),
        cell("delete-form", "admin", None, "inconclusive"),
    ]

    (cause,) = found(("PERM-list-forms", tests), cells=cells)

    assert cause.kind == "2 operations seem not to be there: 404 or 405 to everybody"
    assert cause.operations == ("list-forms", "create-form")
    assert "[operations] in the target file" in cause.look_at
    assert cause.exchange == 7


def test_an_operation_that_somebody_can_do_is_there() -> None:
    """404 to one role, where another was answered otherwise, is no missing operation."""
    tests = [open_test("a", stopped(404, "/v2/forms"), look_at=LOOK.format("list-forms"))]
    for cells in (
        [cell("list-forms", "admin", 200, "passed")],
        [cell("list-forms", "guest", 403, "inconclusive")],
    ):
        (cause,) = found(("PERM-list-forms", tests), cells=cells)

        assert (cause.kind, cause.operations) == ("404 to GET /v2/forms", ())


def test_one_status_is_one_cause() -> None:
    """Tests that were stopped by one status are one block, which names the requests without ids."""
    paths = ["/v2/users/5f1b0c2d3e4f5a6b", "/v2/users/0f9e8d7c6b5a4f3e?x=1", "/v2/forms"]
    tests = [open_test(f"t{n}", stopped(500, path, n + 1)) for n, path in enumerate(paths)]

    (cause,) = found(("R", tests))

    assert cause.kind == "500 to GET /v2/users/..., GET /v2/forms"
    assert len(cause.tests) == 3


def test_each_operation_to_look_at_is_named() -> None:
    """Where one status stands for refusals of several operations, each of them is told once."""
    tests = [
        open_test(f"test_{number}", stopped(422, path), look_at=LOOK.format(operation))
        for number, (path, operation) in enumerate(
            [
                ("/v2/users", "create-user"),
                ("/v2/contacts", "create-contact"),
                ("/v2/users", "create-user"),
            ]
        )
    ]

    (cause,) = found(("AUTH-required", tests))

    assert cause.look_at == (
        "[operations.create-user] in the target file; likewise [operations.create-contact]"
    )


def test_what_lacks_of_a_success_is_said() -> None:
    """Where the answer was a success its status says nothing: what lacks is told, and another want
    is another cause.
    """
    wanted = "missing: the rest of a list: GET {} as bot (token) -> 200 (exchange 7)"
    reasons = [wanted.format("/v2/users"), wanted.format("/v2/forms"), stopped(200, "/v2/users")]

    causes = found(("R", [open_test(f"t{n}", why) for n, why in enumerate(reasons)]))

    assert [cause.kind for cause in causes] == [
        "the rest of a list: 200 to GET /v2/users, GET /v2/forms",
        "a form to test with: 200 to GET /v2/users",
    ]


def test_other_reasons_stay_apart() -> None:
    """Another status, another role's dead account or another place to look at is another cause."""
    reasons = [
        stopped(500, "/v2/users"),
        stopped(400, "/v2/users"),
        stopped("timed out after 1 s", "/v2/users"),
        "missing: a live credential: guest (token) may do nothing at all",
        "missing: a live credential: agent (token) may do nothing at all",
    ]

    assert len(found(("R", [open_test(f"t{n}", why) for n, why in enumerate(reasons)]))) == 5


def test_what_needs_an_option_is_one_cause() -> None:
    """Tests that lacked one capability are one block, with what all of their reasons say."""
    reasons = ["it takes 65 s: run with --intrusive", "101 wrong passwords: run with --intrusive"]
    tests = [
        open_test(f"t{n}", why, outcome="not-tested", capability="intrusive")
        for n, why in enumerate(reasons)
    ]

    (cause,) = found(("A", tests[:1]), ("B", tests[1:]))

    assert (cause.kind, cause.requirements) == ("run with --intrusive", ("A", "B"))


def test_what_follows_belongs_to_its_cause() -> None:
    """A test over the results of a requirement that was left open has the cause of those."""
    tests = [
        open_test("test_a", stopped(500, "/v2/forms")),
        open_test("test_b[create-form]", "a create-form that was refused", outcome="not-tested"),
    ]

    (cause,) = found(("PERM-create-form", tests))

    assert cause.tests == (
        ("PERM-create-form", "test_a"),
        ("PERM-create-form", "test_b[create-form]"),
    )


def test_the_harness_comes_first() -> None:
    """What broke in the harness is named before what the target left open; passed tests nowhere."""
    tests = [
        open_test("a", "missing: a form"),
        open_test("b", "ZeroDivisionError: x", outcome="error"),
        open_test("c", "", outcome="passed"),
    ]

    assert [cause.outcome for cause in found(("R", tests))] == ["error", "inconclusive"]


def test_what_passed_at_its_second_try_is_called_flaky() -> None:
    """It is a cause of its own, beside what the same answer left open for good."""
    reason = stopped(500, "/v2/forms/6f8e2a1b9c").replace("missing: ", "flaky: expected 403; got ")
    causes = found(
        ("PERM-update-form", [open_test("test_a", reason)]),
        ("PERM-fetch-form", [open_test("test_b", stopped(500, "/v2/forms/6f8e2a1b9c"))]),
    )

    assert [
        "flaky: 500 to GET /v2/forms/..., as expected at the second try",
        "500 to GET /v2/forms/...",
    ] == [cause.kind for cause in causes]


def test_the_words_of_the_answer_are_shown() -> None:
    """What the target said to the request that failed is shown beside its status, once."""
    reason = "missing: an API key: POST /v2/apikeys as admin (token) -> 409 (exchange 7)"
    lacking = "users made by this run cannot log in (POST /v2/auth/token as a -> 403 (exchange 9))"
    (cause,) = found(("KEY-union", [open_test("a", reason, said="At most five keys")]))
    (other,) = found(
        ("SEC-I11", [open_test("a", lacking, outcome="not-tested", said="Confirm your e-mail")])
    )

    assert cause.kind == "409 'At most five keys' to POST /v2/apikeys"
    assert other.kind.endswith("(POST /v2/auth/token -> 403 'Confirm your e-mail')")
