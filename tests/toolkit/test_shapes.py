"""Denials in every shape: the cover meets each row with each shape, and traces are seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.test_each_member import Written, changed, leaves
from rolecall.evidence import Evidence, Exchange
from rolecall.ledger import Ledger
from rolecall.outcomes import Finding
from rolecall.spec.loading import load_specification
from rolecall.toolkit import victims
from rolecall.toolkit.consistency import ConsistencyWait
from rolecall.toolkit.shapes import SHAPES, attempts, denied, dressed, in_turn
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.victims import Tried, Victim, expect_untouched
from tests.support.servers import certify, serving

SPEC = load_specification()
DENIED = [
    name
    for name, operation in SPEC.operations.items()
    if denied(SPEC, name) and not operation.is_self
]

# --- The cover ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", DENIED)
def test_each_denied_row_meets_each_shape(operation: str) -> None:
    """Every shape that suits an operation is tried once in a short run, by roles to whom it is
    denied, and by as many as there are shapes for.
    """
    chosen, fitting = (
        attempts(operation, everything=False),
        [shape for shape in SHAPES if SPEC.operations[operation].effect in shape.effects],
    )
    roles = denied(SPEC, operation)

    assert [attempt.shape for attempt in chosen][: len(fitting)] == fitting
    assert len(chosen) <= len(fitting) + 6
    assert {attempt.role for attempt in chosen} <= set(roles)
    assert len({attempt.role for attempt in chosen}) == min(len(roles), len(fitting))


def test_each_role_meets_each_shape() -> None:
    """Every role that is denied anything of an effect meets every shape of that effect
    somewhere.
    """
    met = {
        (attempt.role, attempt.shape.name)
        for name in DENIED
        for attempt in attempts(name, everything=False)
    }
    wanted = {
        (role, shape.name)
        for name in DENIED
        for role in denied(SPEC, name)
        for shape in SHAPES
        if SPEC.operations[name].effect in shape.effects
    }

    assert met == wanted


def test_all_combinations_are_tried_when_asked_for() -> None:
    """``--intrusive`` tries each role that may not in each shape; and the short cover is the same
    in every run.
    """
    everything = attempts("list-users", everything=True)

    assert len(everything) == len(denied(SPEC, "list-users")) * sum(
        "list" in shape.effects for shape in SHAPES
    )
    assert attempts("list-users", everything=False) == attempts("list-users", everything=False)


def request(operation: str, path: str, body: Any = None) -> Request:
    """A request of an operation."""
    return Request(SPEC.operations[operation], path, body, "rolecall-1")


def test_a_shape_changes_the_request_and_nothing_else() -> None:
    """A query is added to the one that is there, what is unknown is left out of it, and a form has
    all the texts.
    """
    shapes = {shape.name: shape for shape in SHAPES}
    filtered, _ = dressed(
        request("list-messages", "/v2/messages?conversation=1"),
        shapes["of the own organization"],
        {},
    )
    known, _ = dressed(
        request("list-users", "/v2/users"), shapes["of oneself"], {"self": "7", "email": "a%40b"}
    )
    _, form = dressed(
        request("create-contact", "/v2/contacts", {"profile": {"name": "rolecall-1"}, "n": 1}),
        shapes["as a form"],
        {},
    )

    marks = shapes["of its status, a note or a tag alone"]
    _, closed = dressed(request("update-conversation", "/v2/conversations/1"), marks, {})
    _, noted = dressed(request("update-user", "/v2/users/1", {"name": "rolecall-1"}), marks, {})

    assert (closed["json"], noted["json"]) == (
        {"status": "closed"},
        {"meta": {"note": "rolecall-1"}},
    )
    assert filtered == "/v2/messages?conversation=1"
    assert known == "/v2/users?id=7&email=a%40b"
    assert (form["json"], form["content"]) == (None, b"profile%5Bname%5D=rolecall-1")


def test_things_take_turns() -> None:
    """Each kind of thing, and each operation, gets another one of some choices."""
    assert [in_turn("abc", name) for name in SPEC.resources] == list("abc" * 3)
    assert len({in_turn(range(47), name) for name in SPEC.operations}) == 47


# --- Traces ------------------------------------------------------------------------------------

FIXTURE = Fixture(SPEC.resources["contact"], "7", "rolecall-7")
BEFORE = {"id": "7", "name": "rolecall-7", "updatedAt": "then", "views": 3, "active": True}


def look(
    *documents: dict[str, Any] | None,
) -> Callable[[Fixture], Awaitable[dict[str, Any] | None]]:
    """What is seen of a thing, one look after the other."""
    left = list(documents)

    async def observe(fixture: Fixture) -> dict[str, Any] | None:
        return left.pop(0) if len(left) > 1 else left[0]

    return observe


def tried_on(
    *documents: dict[str, Any] | None, listed: bool = True, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look at a thing after a write that was refused."""
    monkeypatch.setattr(victims, "SETTLING", 0.0)

    async def listing(resource: str, after: float) -> list[dict[str, Any]]:
        return [{"id": "7"}] if listed else []

    world: Any = SimpleNamespace(
        observe=look(*documents), listing=listing, patience=ConsistencyWait(0.0)
    )
    answer = Exchange(1, "DELETE", "http://target/v2/contacts/7", {}, b"", "guest", status=403)
    tried = [Tried(request("delete-contact", "/v2/contacts/7"), answer, "guest, with a body")]
    with Evidence.collect():
        asyncio.run(
            expect_untouched(world, Victim(FIXTURE, dict(BEFORE), True), tried, in_list=True)
        )


@pytest.mark.parametrize(
    ("now", "listed", "said"),
    [
        (None, True, "it is gone"),
        (BEFORE | {"deletedAt": "now"}, True, "deletedAt changed"),
        (BEFORE | {"active": False}, True, "active changed"),
        (BEFORE | {"name": "other"}, True, "name changed"),
        ({name: value for name, value in BEFORE.items() if name != "views"}, True, "views changed"),
        (BEFORE, False, "the list does not show it"),
    ],
    ids=["gone", "marked", "inactive", "renamed", "lost", "hidden"],
)
def test_a_trace_of_a_refused_write_is_seen(
    now: dict[str, Any] | None, listed: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a refused write has done to a thing is a finding: gone, marked, changed, or in no list
    any more.
    """
    with pytest.raises(Finding, match=said):
        tried_on(now, listed=listed, monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    "looks",
    [
        [BEFORE],
        [BEFORE | {"updatedAt": "now", "lastAccessedAt": "now", "__v": 2}],
        [BEFORE | {"views": 4}, BEFORE | {"views": 5}],
    ],
    ids=["nothing", "stamps", "counter-of-looks"],
)
def test_what_moves_by_itself_is_no_trace(
    looks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time stamps of a touch, and what each look changes, are not held against the target."""
    tried_on(*looks, monkeypatch=monkeypatch)


# --- Members -----------------------------------------------------------------------------------


def test_the_texts_of_a_member_are_changed_and_looked_for() -> None:
    """Texts in objects and lists are changed, addresses are not; what still reads as before is
    lost, what was normalised is not.
    """
    value = {"name": "Ada", "email": "ada@example.org", "tags": ["x"], "n": 1}
    written = Written(
        "profile",
        dict(leaves(value, ("profile",))),
        Exchange(1, "PATCH", "http://target/", {}, b"", "admin"),
    )

    assert changed(value) == {"name": "Ada2", "email": "ada@example.org", "tags": ["x2"], "n": 1}
    assert written.lost({"profile": value}) == ["profile.name", "profile.tags.0"]
    assert written.lost({"profile": {"name": "ADA2", "tags": ["x2"]}}) == []


def test_one_thing_under_two_entries_is_deleted_once(tmp_path: Path) -> None:
    """A create that was answered with the id of what the run had made before leaves one thing to
    delete.
    """
    ledger = Ledger(tmp_path / "ledger.jsonl")
    first, second = ledger.intend("message", "a"), ledger.intend("message", "b")
    ledger.created(first, "7")
    ledger.created(second, "7")

    assert (first.gone, list(ledger.left)) == (True, [second])
    ledger.close()


# --- Whose finding -----------------------------------------------------------------------------


def found(fault: str, select: str, folder: Path) -> set[str]:
    """What a part of the suite holds against a server with a fault."""
    with serving("--fault", fault) as server:
        finished = certify(server.target_file(folder), select)
    return {finding["requirement"] for finding in finished.results["findings"]}


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "select", "expected"),
    [
        ("flip-update-contact-guest", "SEC-A08 or SEC-A09 or SEC-A11 or SEC-E07", set()),
        ("denied-update-applies", "SEC-A08 or SEC-A09 or SEC-A11 or SEC-E07", set()),
        (
            "lists-cached-before-guard",
            "PERM-list-services or KEY-union or SEC-H09",
            {"PERM-list-services"},
        ),
    ],
)
def test_a_detour_is_not_blamed_for_what_the_way_itself_lets_in(
    fault: str, select: str, expected: set[str], tmp_path: Path
) -> None:
    """What the same request does without the attack is the cell's finding, and not that of the
    attack.
    """
    assert found(fault, select, tmp_path) == expected
