"""The target's clock is moved for a run, and put back whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from rolecall.loadgen import clock
from rolecall.loadgen.checks.expired import CLOCK, Left
from rolecall.loadgen.clock import MovedClock, is_needed
from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.server import Running, running
from rolecall.reference.settings import Settings
from rolecall.reference.switches import instead_of
from rolecall.target import Account, ExpiryOptions, Target
from tests.reference.asking import QUICK
from tests.support.command import ROLES

DAY, PATIENCE = 86400, 1.5
#: What a hook may do: whether it moves the clock, what it answers, and whether the clock is ahead
#: then.
HOOKS = {
    "does nothing": (False, 200, False),
    "moves, and says that it did not": (True, 500, True),
    "moves, and is lost": (True, 0, True),
    "is not there": (False, 404, False),
}


def target_of(one: Running) -> Target:
    """A target file's content for a reference server."""
    accounts = {
        name: Account(name, name.rstrip("2"), account.email, account.password or "")
        for name, account in one.accounts.items()
    }
    return Target(
        "tests",
        one.base_url,
        accounts,
        timeout=PATIENCE,
        expiry=ExpiryOptions(clock_url=f"{one.base_url}/__clock"),
    )


@contextmanager
def served(*variants: str, clock: bool = True) -> Iterator[tuple[Running, Target]]:
    """A server whose clock can be moved."""
    with running(Settings(scrypt_n=QUICK, clock=clock, variants=variants)) as one:
        yield one, target_of(one)


def status(target: Target, token: str) -> int:
    """What a token is answered at a list that every agent may read."""
    return httpx.get(
        f"{target.base_url}/v2/contacts", headers={"authorization": f"Bearer {token}"}
    ).status_code


def hooked(server: Server, moves: bool, answered: int) -> None:
    """Let the clock's hook do something else; an answer of 0 comes too late."""
    handle = server.handle

    @instead_of(server.handle)
    async def otherwise(call: Call, action: Action) -> Answer:
        if call.path != "/__clock":
            return await handle(call, action)
        if moves:
            await handle(call, action)
        if not answered:
            await asyncio.sleep(1.5 * PATIENCE)
        return Answer(answered or 200)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second is waited for."""
    monkeypatch.setattr(clock, "_PAUSE", 0.01)


def test_ahead_and_back(tmp_path: Path) -> None:
    """While the block lasts a token of each role has expired and new ones are good; then the clock
    is where it was, and the ledger says so.
    """
    with served() as (one, target):
        moved = MovedClock(target, tmp_path)
        with moved.ahead() as left:
            assert one.server.clock.offset == pytest.approx(DAY + 124)
            assert [(kept.role, kept.way) for kept in left.tokens] == [
                (role, CLOCK) for role in ROLES
            ]
            assert {status(target, kept.token) for kept in left.tokens} == {403}
        assert one.server.clock.offset == 0
        assert status(target, left.tokens[-1].token) == 200

    assert (moved.left_behind, left.why_not) == ("", ())
    events = [
        json.loads(line)
        for line in (tmp_path / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [event["event"] for event in events] == ["intend", "intend", "gone", "gone"]
    assert not any(kept.token in str(events) for kept in left.tokens)


def test_back_after_an_interruption(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run puts the clock back as its end does."""
    with served() as (one, target):
        with pytest.raises(KeyboardInterrupt), MovedClock(target, tmp_path).ahead():
            raise KeyboardInterrupt
        assert one.server.clock.offset == 0


@pytest.mark.parametrize("hook", HOOKS)
def test_what_the_hook_answers_is_not_believed(tmp_path: Path, hook: str) -> None:
    """The target's own time tells whether the clock moved; in the end it is back."""
    moves, answered, is_ahead = HOOKS[hook]
    with served() as (one, target):
        hooked(one.server, moves, answered)
        moved = MovedClock(target, tmp_path)
        with moved.ahead() as left:
            assert bool(left.tokens) is is_ahead
            assert bool(one.server.clock.offset) is is_ahead
        assert one.server.clock.offset == 0

    assert moved.left_behind == ""
    assert list(left.why_not) == ([] if is_ahead else [left.why_not[0]])
    assert is_ahead or "does not move the target's clock" in left.why_not[0]


def test_a_clock_that_stays_ahead_is_said(tmp_path: Path) -> None:
    """What was not put back is said with what to do, and stays open in the ledger."""
    with served() as (one, target):
        moved = MovedClock(target, tmp_path)
        with moved.ahead():
            hooked(one.server, moves=False, answered=200)
        assert one.server.clock.offset > DAY

    assert (
        "the target's clock, moved by 86524 s: its time does not show that it was put back"
        in moved.left_behind
    )
    assert 'POST {"advance": -86524} to [expiry] clock_url' in moved.left_behind
    assert "gone" not in (tmp_path / "ledger.jsonl").read_text(encoding="utf-8")


def interrupted() -> float:
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_a_second_interruption_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who presses Ctrl-C again does not wait for the clock, and hears that it was left ahead."""
    with served() as (_, target):
        moved = MovedClock(target, tmp_path)
        with pytest.raises(KeyboardInterrupt), moved.ahead():
            monkeypatch.setattr(moved, "_shift", interrupted)

    assert "it was not put back" in moved.left_behind


def test_a_target_that_is_gone_meanwhile_is_said(tmp_path: Path) -> None:
    """A target that does not answer at the end is named as left behind."""
    with served() as (_, target):
        context = (moved := MovedClock(target, tmp_path)).ahead()
        context.__enter__()
    context.__exit__(None, None, None)

    assert "cannot be reached" in moved.left_behind


def test_nobody_can_log_in(tmp_path: Path) -> None:
    """Where no token can be had nothing is moved, and it is said why."""
    with served() as (one, target):
        wrong = {
            name: replace(account, password="wrong") for name, account in target.accounts.items()
        }
        with MovedClock(replace(target, accounts=wrong), tmp_path).ahead() as left:
            assert one.server.clock.offset == 0

    assert isinstance(left, Left)
    assert left.why_not[0].startswith("the clock was not moved: ")
    assert "401" in left.why_not[0]


@pytest.mark.parametrize(
    ("expiry", "needed"),
    [
        (ExpiryOptions(), False),
        (ExpiryOptions(clock_url="http://127.0.0.1:1/__clock"), True),
        (ExpiryOptions(clock_url="http://127.0.0.1:1/__clock", signing_key="a key"), False),
        (ExpiryOptions(clock_url="http://127.0.0.1:1/__clock", bank=Path("/nowhere")), True),
    ],
)
def test_the_clock_is_moved_for_want_of_another_way(expiry: ExpiryOptions, needed: bool) -> None:
    """The clock is moved only where neither a key nor a banked token is there."""
    assert is_needed(Target("tests", "http://127.0.0.1:1", {}, expiry=expiry)) is needed
