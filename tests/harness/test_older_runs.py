"""What is deleted of runs that were killed: theirs, and nothing that could be somebody else's."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from rolecall.harness import cleanup, killed_runs
from rolecall.harness.former_world import FormerWorld
from rolecall.harness.killed_runs import Cleaned
from rolecall.ledger import CHANGE, CLOCK, LEDGER, Ledger
from tests.unit.shelves import NAME, RUN, SPEC, Shelves

DAY = 86_400.0
#: Another run, of long ago, and one that began an hour ago.
OLD = "20260101-101010-aaaaaa"
YOUNG = f"{datetime.now(UTC) - timedelta(hours=1):%Y%m%d-%H%M%S}-bbbbbb"


@pytest.fixture
def target() -> Shelves:
    """A target with nothing on its shelves."""
    return Shelves()


def finished(target: Shelves, *, dry_run: bool = False) -> Cleaned:
    """What comes of finishing the run; ``asked`` has its requests alone."""
    world = FormerWorld(target.world.target, SPEC, target, RUN)
    world.patience.seconds = 0.0
    world.gate.read_only = world.read_only = dry_run
    target.asked.clear()
    with patch.object(cleanup, "_PAUSE", 0.0):
        return asyncio.run(killed_runs._finish(world, dry_run=dry_run))


def older(target: Shelves, out: Path, *, older_than: float = DAY, dry_run: bool = False) -> Cleaned:
    """What comes of finishing all runs of an age."""
    world = FormerWorld(target.world.target, SPEC, target, "")
    world.patience.seconds = 0.0
    world.gate.read_only = world.read_only = dry_run
    target.asked.clear()
    with patch.object(cleanup, "_PAUSE", 0.0):
        return asyncio.run(killed_runs._finish_older(world, older_than, out, dry_run=dry_run))


def deleted(target: Shelves) -> list[str]:
    """What was asked to be deleted, in order."""
    return [asked.removeprefix("DELETE ") for asked in target.asked if asked.startswith("DELETE")]


def unsafe(target: Shelves) -> list[str]:
    """The requests that may change something, but for log-ins."""
    return [
        asked
        for asked in target.asked
        if not asked.startswith("GET") and asked != "POST /v2/auth/token"
    ]


# --- One run, by its ledger ---------------------------------------------------------------------


def test_what_the_ledger_knows_is_deleted(target: Shelves) -> None:
    """By id, keys before everything and users after it; and what only its name tells."""
    target.made("contact", "c1")
    target.made("user", "u1")
    target.made("api-key", "k1")
    target.doubtful("contact")
    target.later("contact", "c2", f"{NAME}2-test")
    target.put("contact", "c0", "somebody")

    cleaned = finished(target)

    assert cleaned.left == []
    assert deleted(target) == [
        "/v2/apikeys/k1",
        "/v2/contacts/c1",
        "/v2/users/u1",
        "/v2/contacts/c2",
    ]
    assert target.shelves["/v2/contacts"].keys() == {"c0"}
    assert list(target.world.ledger.left) == list(target.world.ledger.doubtful) == []


def test_an_id_that_was_given_anew_is_left_alone(target: Shelves) -> None:
    """A thing that does not show the run's name may be somebody else's by now: it is named."""
    target.made("contact", "c1")
    target.made("contact", "c2")
    target.put("contact", "c1", "somebody")

    cleaned = finished(target)

    assert deleted(target) == ["/v2/contacts/c2"]
    (line,) = cleaned.left
    assert line == (
        f"contact c1 ({NAME}1-test): it does not show the run's name any more, and may be "
        "somebody else's by now"
    )


def test_what_is_gone_is_not_deleted_again(target: Shelves) -> None:
    """Nothing is left, and nothing is sent for it: the next who has its id is safe."""
    target.made("contact", "c1")
    target.shelves["/v2/contacts"].clear()

    assert finished(target).left == []
    assert deleted(target) == []
    assert not list(target.world.ledger.left)


@pytest.mark.parametrize("status", [405, 501])
def test_what_cannot_be_deleted_is_named(target: Shelves, status: int) -> None:
    """Where a kind of thing cannot be deleted, the others are, and these are named."""
    target.made("contact", "c1")
    target.made("user", "u1")
    target.instead["DELETE /v2/contacts/c1"] = (status, None)

    (line,) = finished(target).left

    assert line.startswith(f"contact c1 ({NAME}1-test): DELETE /v2/contacts/c1 as admin")
    assert str(status) in line
    assert "u1" not in target.shelves["/v2/users"]


def test_a_dry_run_sends_nothing_that_writes(target: Shelves) -> None:
    """It lists what would be deleted, by id and by name; nothing is asked but reads and log-ins."""
    target.made("contact", "c1")
    target.doubtful("contact")
    target.later("contact", "c2", f"{NAME}2-test")
    target.world.gate.own(target.world.ledger.intend(CHANGE, "givenName of user u0"), "u0")

    cleaned = finished(target, dry_run=True)

    assert unsafe(target) == []
    assert sorted(line.partition(" (")[0] for line in cleaned.deleted) == [
        "change of user u0",
        "contact c1",
        "contact c2",
    ]


def test_a_user_on_loan_is_put_back_and_not_deleted(target: Shelves) -> None:
    """A user that was changed, and carries the run's name, gets its old value; it is an account's,
    and is not deleted.
    """
    target.put("user", "user-of-guest", givenName=f"{NAME}9-update-user-self")
    target.made("user", "u1")
    undo = {"write": {"givenName": "Gus"}, "before": {"givenName": "Gus"}}
    entry = target.world.ledger.intend(CHANGE, "givenName of user user-of-guest", undo=undo)
    target.world.ledger.created(entry, "user-of-guest")

    assert finished(target).left == []
    assert deleted(target) == ["/v2/users/u1"]
    assert target.shelves["/v2/users"]["user-of-guest"]["givenName"] == "Gus"
    assert entry.gone


def test_a_user_without_an_address_of_the_run_is_told_by_its_whole_name(target: Shelves) -> None:
    """One that was to be made, and not one that was on loan and is no account of this file."""
    target.doubtful("user")
    target.later("user", "u1", f"{NAME}2-test", email="odd@example.org")
    target.put("user", "u2", f"{NAME}3-update-user-self", email="somebody@example.org")

    finished(target)

    assert deleted(target) == ["/v2/users/u1"]
    assert target.shelves["/v2/users"].keys() == {"u2"}


def test_a_user_that_somebody_changed_since_is_left_alone(target: Shelves) -> None:
    """What another person has written is not written over: the change is named."""
    target.put("user", "user-of-guest", givenName="Augusta")
    undo = {"write": {"givenName": "Gus"}, "before": {"givenName": "Gus"}}
    entry = target.world.ledger.intend(CHANGE, "givenName of user user-of-guest", undo=undo)
    target.world.ledger.created(entry, "user-of-guest")

    (line,) = finished(target).left

    assert line.startswith("change of user user-of-guest (givenName of user user-of-guest)")
    assert unsafe(target) == []


def test_a_moved_clock_without_a_way_to_it_is_named(target: Shelves) -> None:
    """Where the target file has no clock_url any more, what to do is said."""
    target.world.ledger.intend(CLOCK, "+86400 s", undo={"ahead": {"Date": [-1.0, 1.0]}})

    (line,) = finished(target).left

    assert "perhaps moved (sent: +86400 s (not answered, or with an error))" in line
    assert "the target file names no clock_url" in line


def test_a_second_time_there_is_nothing_to_do(target: Shelves) -> None:
    """It may be called as often as one likes."""
    target.made("contact", "c1")
    target.doubtful("contact")
    assert finished(target).left == []

    again = finished(target)

    assert (again.deleted, again.left) == ([], [])
    assert unsafe(target) == []


# --- All runs of an age, by the lists -----------------------------------------------------------


def test_what_older_runs_left_is_found_by_its_name(target: Shelves, tmp_path: Path) -> None:
    """Things of two runs, a user by its address, keys where they are listed; nothing of others."""
    target.put("contact", "c1", f"rolecall-{OLD}-1-create-contact")
    target.put("contact", "c2", f"{NAME}2-create-contact")
    target.put("api-key", "k1", f"rolecall-{OLD}-3-key")
    address = f"rolecall.{OLD.replace('-', '.')}.4.create.user@example.org"
    target.put("user", "u1", email=address)
    target.put("contact", "c0", "somebody")

    cleaned = older(target, tmp_path, older_than=0.0)

    assert cleaned.left == []
    assert cleaned.runs == [OLD, RUN]
    assert sorted(deleted(target)) == [
        "/v2/apikeys/k1",
        "/v2/contacts/c1",
        "/v2/contacts/c2",
        "/v2/users/u1",
    ]


def test_a_user_of_an_odd_address_is_found_by_its_whole_name(
    target: Shelves, tmp_path: Path
) -> None:
    """Some tests make users with addresses that are nearly the run's."""
    name = f"rolecall-{OLD}-6-create-user"
    target.put("user", "u1", name, email="r.olecall.x@example.org")

    assert older(target, tmp_path).left == []
    assert deleted(target) == ["/v2/users/u1"]


def test_younger_runs_are_left_alone(target: Shelves, tmp_path: Path) -> None:
    """By the time in the run's id; what is left alone is said."""
    target.put("contact", "c1", f"rolecall-{OLD}-1-create-contact")
    target.put("contact", "c2", f"rolecall-{YOUNG}-1-create-contact")

    cleaned = older(target, tmp_path)

    assert deleted(target) == ["/v2/contacts/c1"]
    assert cleaned.notes == [
        f"left alone: 1 contact of run {YOUNG}: it is younger than that",
    ]


def test_a_run_that_made_something_lately_is_left_alone(target: Shelves, tmp_path: Path) -> None:
    """A run of several days, on another machine, is told by when its newest thing was made."""
    now = datetime.now(UTC).isoformat()
    target.put("contact", "c1", f"rolecall-{OLD}-1-x", createdAt="2026-01-01T10:10:10Z")
    target.put("contact", "c2", f"rolecall-{OLD}-2-x", createdAt=now)

    cleaned = older(target, tmp_path)

    assert deleted(target) == []
    assert "it may still be at work" in cleaned.notes[0]


def test_a_run_at_work_on_this_machine_is_left_alone(target: Shelves, tmp_path: Path) -> None:
    """Its process holds its ledger."""
    target.put("contact", "c1", f"rolecall-{OLD}-1-create-contact")
    (tmp_path / OLD).mkdir()
    ledger = Ledger(tmp_path / OLD / LEDGER)

    at_work = older(target, tmp_path)
    assert deleted(target) == []
    ledger.close()
    over = older(target, tmp_path)

    assert at_work.notes == [f"left alone: 1 contact of run {OLD}: it is still at work"]
    assert (deleted(target), over.notes) == (["/v2/contacts/c1"], [])


def test_a_dry_run_lists_what_older_runs_left(target: Shelves, tmp_path: Path) -> None:
    """With the run's id, and without any request that writes."""
    target.put("contact", "c1", f"rolecall-{OLD}-1-create-contact")

    cleaned = older(target, tmp_path, dry_run=True)

    assert cleaned.deleted == [f"contact c1 (of run {OLD})"]
    assert unsafe(target) == []


def test_a_list_that_cannot_be_read_proves_nothing(target: Shelves, tmp_path: Path) -> None:
    """A refusal may hide something; where there is no such list, that is said and no more."""
    target.instead["GET /v2/contacts"] = (403, None)
    target.instead["GET /v2/apikeys"] = (404, None)

    cleaned = older(target, tmp_path)

    assert [line.partition(" (")[0] for line in cleaned.left] == [
        "perhaps contacts: their list cannot be read"
    ]
    assert [note.partition(":")[0] for note in cleaned.notes] == [
        "the target has no list of api-keys"
    ]


def near_misses(name: str) -> list[dict[str, Any]]:
    """What is not named after a run, though it looks like it or tells of one."""
    return [
        {"profile": {"name": f"see {name}"}},
        {"profile": {"name": name.rpartition("-")[0].rpartition("-")[0]}},
        {"profile": {"name": "rolecall-nightly-contact"}},
        {"profile": {"name": "rolecall-2026-01-01"}},
        {"profile": {"name": f"rolecall-{OLD[:-1]}g-1-x"}},
        {"profile": {"name": f"rolecall-{OLD}-mine"}},
        {"profile": {"note": name}},
        {"title": name},
        {"lastMessage": {"text": name}},
        {"profile": {"name": [name]}},
        {"profile": {"name": {"name": name}}},
        {"profile": None, "createdBy": {"id": "u1", "profile": {"name": name}}},
    ]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_without_the_name_is_touched(seed: int, target: Shelves, tmp_path: Path) -> None:
    """Among things of any form, in any order, those are deleted that carry a run's name where runs
    write it, in whatever way the target writes names, and no others.
    """
    chance = random.Random(seed)
    name = f"rolecall-{OLD}-7-create-contact"
    theirs = near_misses(name)
    ours = [{"profile": {"name": f"rolecall-{OLD}-{number}-x"}} for number in range(5)]
    ours += [{"profile": {"name": name}} for name in (name.upper(), name.title().replace("-", " "))]
    everything = [(thing, False) for thing in theirs] + [(thing, True) for thing in ours]
    chance.shuffle(everything)
    numbers = itertools.count(1)
    kept: set[str] = set()
    lost: set[str] = set()
    for members, is_ours in everything:
        id = f"c{next(numbers)}"
        target.put("contact", id, **members)
        (lost if is_ours else kept).add(id)
    target.put("user", "user-of-guest", givenName=name, email="guest@example.org")
    target.put("user", "u9", givenName=name, email="somebody@example.org")

    cleaned = older(target, tmp_path)

    assert target.shelves["/v2/contacts"].keys() == kept
    assert {path.rpartition("/")[2] for path in deleted(target)} == lost
    assert target.shelves["/v2/users"].keys() == {"user-of-guest", "u9"}
    assert [line.partition(":")[0] for line in cleaned.left] == ["user user-of-guest", "user u9"]
