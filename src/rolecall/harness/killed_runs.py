"""Finishes what runs that were killed have left on a target.

One run is finished by its ledger (`finish_run`); those whose ledger is not at hand by the names
that lists show (`finish_older`). Both put back and delete as a run does at its end, by `Tidying`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError
from rolecall.evidence import Evidence
from rolecall.harness.cleanup import tidy
from rolecall.harness.context import secrets_of
from rolecall.harness.former_world import FormerWorld, NoList, newest_time
from rolecall.harness.preflight import Preflight
from rolecall.http.client import Client
from rolecall.http.gate import Gate
from rolecall.ledger import CHANGE, CLOCK, LEDGER, Ledger, LedgerEntry, is_at_work
from rolecall.outcomes import Inconclusive, NotTested
from rolecall.run_folder import begin_of_run
from rolecall.spec.ids import own_id
from rolecall.spec.loading import load_specification
from rolecall.target import Target
from rolecall.tokens import Caller
from rolecall.toolkit.clock import TargetClock

_CLOCK_TIMEOUT = 60.0  # seconds in which the target's clock has to be back


@dataclass
class Cleaned:
    """What came of it: the runs, what was deleted or would be, what is still there, and notes."""

    runs: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def redacted(self, redact: Callable[[str], str]) -> Cleaned:
        """The same without secrets."""
        return Cleaned(self.runs, *([redact(line) for line in lines] for lines in self._lines()))

    def _lines(self) -> tuple[list[str], list[str], list[str]]:
        return self.deleted, self.left, self.notes


@dataclass(frozen=True)
class KilledRun:
    """A run's ledger, open again, and what it says of the run."""

    ledger: Ledger
    id: str
    source: str
    base_url: str

    @classmethod
    def open(cls, folder: Path) -> KilledRun:
        """Open the ledger in a run's folder.

        Raises:
            UsageError: there is none, it is malformed, or the run is still at work.
        """
        if not (folder / LEDGER).is_file():
            hint = f"Give the folder of a run of rolecall certify: {LEDGER} is in it."
            raise UsageError(str(folder), "it is not a run's folder", hint)
        ledger = Ledger.reopen(folder / LEDGER)
        if not ledger.is_held:
            ledger.close()
            hint = "End it, or wait for its end: it deletes what it made by itself."
            raise UsageError(str(folder), "this run is still at work, or being cleaned up", hint)
        known = [str(ledger.about.get(name, "")) for name in ("run", "target", "base_url")]
        id = known[0] or folder.resolve().name
        if begin_of_run(id) is None:
            ledger.close()
            raise UsageError(str(folder), "neither its ledger nor its name tells the run's id")
        return cls(ledger, id, *known[1:])

    @property
    def is_of_the_embedded_server(self) -> bool:
        """Whether the target ended with the run."""
        return bool(self.base_url) and not self.source

    def check(self, target: Target) -> None:
        """Refuse a target that is not the run's: on another server all things of the run would be
        found gone, and be crossed off the ledger.

        Raises:
            UsageError: it has another URL.
        """
        if self.base_url and self.base_url.rstrip("/") != target.base_url:
            raise UsageError(
                target.source,
                f"it is the file of {target.base_url}, and the run was against {self.base_url}",
                "Give that target's file with --target. A tunnel needs the port that it had.",
            )


async def finish_run(run: KilledRun, target: Target, *, dry_run: bool) -> Cleaned:
    """Put back what the run changed and delete what it made, by its ledger.

    Raises:
        Unreachable: nothing answers.
        UsageError: an account's log-in is refused.
    """
    world = _world(target, run.ledger, run.id, dry_run=dry_run)
    try:
        return (await _finish(world, dry_run=dry_run)).redacted(world.client.secrets.redact)
    finally:
        await world.close()


async def _finish(world: FormerWorld, *, dry_run: bool) -> Cleaned:
    ledger = world.ledger
    world.take_over()
    for entry in [entry for entry in ledger.doubtful if entry.resource == CHANGE]:
        ledger.gone(entry)  # without its user's line nothing was sent
    moves = [entry for entry in ledger.doubtful if entry.resource == CLOCK]
    clock = [] if dry_run else await _put_clock_back(world, moves[::-1])
    await Preflight(world).run()
    admin = await world.user(world.highest)
    doubts = await world.strangers(admin)
    strangers = [entry for entry in ledger.left if entry.number in doubts]
    cleaned = Cleaned([world.run_id])
    if dry_run:
        cleaned.deleted = [str(entry) for entry in ledger.left if entry.number not in doubts]
        cleaned.deleted += [f"{move.resource} ({move.name}), perhaps" for move in moves]
        cleaned.deleted += await _found_by_name(world, admin)
    else:
        for entry in [entry for entry in ledger.left if entry.resource == CHANGE]:
            await _take_loan_over(world, entry, admin)
        cleaned = await _tidied(world, cleaned, strangers)
    cleaned.left += clock + [f"{entry}: {doubts[entry.number]}" for entry in strangers]
    return cleaned


async def _found_by_name(world: FormerWorld, admin: Caller) -> list[str]:
    """What lists show under the run's name and its ledger does not know the id of."""
    found, wanted = [], set(world.ledger.resources)
    for path, resource in world.whole_lists():
        if resource in wanted:
            with suppress(Inconclusive, NoList):
                listed, _ = await world.all_in(path, admin)
                ours = (item for item in listed if world.bears(item, resource, world.mark))
                ids = (own_id(item) for item in ours)
                found += [f"{resource} {id}" for id in ids if not world.ledger.of(resource, id)]
    return found


async def _tidied(
    world: FormerWorld, cleaned: Cleaned, strangers: list[LedgerEntry] | None = None
) -> Cleaned:
    """Let the usual end of a run come; strangers are no part of it."""
    ledger = world.ledger
    for entry in strangers or ():
        entry.gone = True  # for this process: the ledger's file goes on to name it
    before = {entry.number for entry in ledger.entries if entry.gone}
    cleaned.left = await tidy(world)
    cleaned.deleted = [
        str(entry)
        for entry in ledger.entries
        if entry.id and entry.gone and entry.number not in before
    ]
    if not cleaned.left:
        for entry in list(ledger.doubtful):
            ledger.gone(entry)  # no list shows it: it was never made
    return cleaned


async def _put_clock_back(world: FormerWorld, moves: list[LedgerEntry]) -> list[str]:
    """Put the target's clock back; lines where it is not proven to be."""
    if not moves:
        return []
    clock = TargetClock(world)
    clock.take_over(moves)
    if not world.target.expiry.clock_url:
        return clock.left("the target file names no clock_url")
    await clock.put_back(_CLOCK_TIMEOUT)
    world.forget_logins()
    return clock.left()


async def _take_loan_over(world: FormerWorld, entry: LedgerEntry, admin: Caller) -> None:
    try:
        await world.borrowing.take_over(entry, admin)
    except (Inconclusive, NotTested):
        return  # it stays in the ledger, which names it


async def finish_older(target: Target, older_than: float, out: Path, *, dry_run: bool) -> Cleaned:
    """Delete what runs have left that began, and were last at work, ``older_than`` seconds ago, by
    the names that the target's lists show.

    Raises:
        Unreachable, UsageError: as for `finish_run`.
    """
    world = _world(target, Ledger(Path(os.devnull)), "", dry_run=dry_run)
    try:
        cleaned = await _finish_older(world, older_than, out, dry_run=dry_run)
        return cleaned.redacted(world.client.secrets.redact)
    finally:
        await world.close()


async def _finish_older(
    world: FormerWorld, older_than: float, out: Path, *, dry_run: bool
) -> Cleaned:
    await Preflight(world).run()
    found = await _Found.by_lists(world)
    cleaned = Cleaned(notes=found.notes)
    for run in sorted(found.things | found.on_loan):
        if why := found.why_not(run, older_than, out):
            cleaned.notes.append(f"left alone: {found.counted(run)} of run {run}: {why}")
        else:
            cleaned.runs.append(run)
    _take_over(world, found, cleaned.runs)
    loans = [
        f"user {id}: it shows the name of run {run}, which had it on loan: put it back by hand, or "
        f"with rolecall cleanup {run}"
        for run in cleaned.runs
        for id in found.on_loan.get(run, ())
    ]
    if dry_run:
        cleaned.deleted = [str(entry) for entry in world.ledger.left]
    elif cleaned.runs:
        cleaned = await _tidied(world, cleaned)
    cleaned.left += loans + found.unread
    return cleaned


def _take_over(world: FormerWorld, found: _Found, runs: list[str]) -> None:
    """Note the things of runs as the world's own."""
    world.runs, world.run_id = set(runs), next(iter(runs), "")
    for run in runs:
        for resource, id in found.things.get(run, ()):
            entry = world.ledger.intend(resource, f"of run {run}", at_any_rate=True)
            world.gate.own(entry, id)
    world.take_over()


@dataclass
class _Found:
    """What lists show of runs: by run, kinds and ids; and when each was last at work."""

    things: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)  # seconds since its newest thing was made
    on_loan: dict[str, list[str]] = field(default_factory=dict)  # users' ids, by run
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @classmethod
    async def by_lists(cls, world: FormerWorld) -> _Found:
        """Read every list of the target."""
        found, admin = cls(), await world.user(world.highest)
        for path, resource in world.whole_lists():
            try:
                listed, moment = await world.all_in(path, admin)
            except NoList as answer:
                found.notes.append(f"the target has no list of {resource}s: {answer}")
            except Inconclusive as reason:
                found.unread.append(f"perhaps {resource}s: their list cannot be read ({reason})")
            else:
                for item in listed:
                    found.take(world, resource, item, moment)
        return found

    def take(self, world: FormerWorld, resource: str, item: dict[str, Any], moment: float) -> None:
        """Take one thing, if it is a run's."""
        id = own_id(item)
        for run in world.borrowers_of(item) if resource == "user" else ():
            self.on_loan.setdefault(run, []).append(id)
        for run in world.runs_named_in(item, resource):
            if not id or world.gate.is_protected(resource, id):
                continue
            self.things.setdefault(run, []).append((resource, id))
            at_work = newest_time(item)
            if at_work is not None:
                idle = max(0.0, moment - at_work)  # a Date has no fractions of a second
                self.idle[run] = min(self.idle.get(run, idle), idle)

    def counted(self, run: str) -> str:
        """How many things of each kind there are of a run."""
        kinds = [resource for resource, _ in self.things.get(run, ())]
        return by_kind(iter(kinds + ["user on loan"] * len(self.on_loan.get(run, ()))))

    def why_not(self, run: str, older_than: float, out: Path) -> str:
        """Why a run is left alone; empty where it is not."""
        began = begin_of_run(run)
        if began is None or time.time() - began < older_than:
            return "it is younger than that"
        if self.idle.get(run, older_than) < older_than:
            return "its newest thing is younger than that: it may still be at work"
        return "it is still at work" if is_at_work(out / run) else ""


def by_kind(resources: Iterator[str]) -> str:
    """Kinds with their numbers: ``3 user, 1 contact``."""
    return ", ".join(f"{number} {resource}" for resource, number in Counter(resources).items())


def _world(target: Target, ledger: Ledger, run: str, *, dry_run: bool) -> FormerWorld:
    spec = load_specification()
    gate = Gate(
        ledger,
        target.base_url,
        target.accounts.values(),
        clock_url=target.expiry.clock_url,
        read_only=dry_run,
    )
    client = Client(target, Evidence(), secrets_of(target, spec), gate)
    return FormerWorld(target, spec, client, run)
