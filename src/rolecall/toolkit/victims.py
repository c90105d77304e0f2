"""Things that refused writes are tried on, one test at a time, and whether a trace is left."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rolecall.evidence import Exchange, note
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.pausing import sleep
from rolecall.spec.ids import own_id
from rolecall.toolkit.effect_judge import SETTLING
from rolecall.toolkit.lists import SMALLEST_PAGE
from rolecall.toolkit.members import shows_name
from rolecall.toolkit.things import Fixture, Request
from rolecall.toolkit.world import World

#: Members that say when a thing was last touched, or how often: a change of one is noted,
#: and is not an effect. A change of when it was deleted, archived or closed is one.
_STAMP = re.compile(
    r"(?i)(?:last_?)?(?:updated?|modified|changed|touched|accessed|seen|viewed|fetched|checked)(?:_?(?:at|on|date|time))?"
    r"|__v|_?version|_?rev(?:ision)?|_?etag"
)
#: Seconds in which a clock moves that a thing shows, such as the date in a signed address.
_A_SECOND = 1.05


@dataclass
class Victim:
    """A thing, what was last seen of it, and whether its list shows it."""

    fixture: Fixture
    document: dict[str, Any]
    is_listed: bool


@dataclass(frozen=True)
class Tried:
    """A write that was refused: the request, the answer, and how it was asked."""

    request: Request
    answer: Exchange
    how: str


@asynccontextmanager
async def victim(world: World, resource: str) -> AsyncIterator[Victim]:
    """A thing of a kind for one test at a time; after a finding the next test has another one.

    Raises:
        Inconclusive: it cannot be made, updated or seen.
    """
    locks: defaultdict[str, asyncio.Lock] = world.__dict__.setdefault(
        "_victim_locks", defaultdict(asyncio.Lock)
    )
    victims: dict[str, Victim] = world.__dict__.setdefault("_victims", {})
    async with locks[resource]:
        found = victims.pop(resource, None) or await _new(world, resource)
        yield found
        victims[resource] = found


async def _new(world: World, resource: str) -> Victim:
    """A thing that an allowed role has just updated, so that such an update is known to work."""
    await world.shared(resource)  # which is older, and tells later whether a list is cut
    fixture, admin = await world.fresh(resource), await world.user(world.highest)
    request = await world.request(world.spec.operations[f"update-{resource}"], admin, fixture)
    answer = await world.perform(request, admin)
    if not answer.ok:
        raise Inconclusive(
            f"an update of {fixture} by {admin}: {answer}", request.operation.requirement
        )
    await world.patience.settle(answer.finished)
    document: dict[str, Any] | None = None

    async def is_as_updated() -> bool:
        nonlocal document
        document = await world.observe(fixture)
        return document is not None and _bears(document, request)

    await world.patience.until(is_as_updated, answer.finished, f"{resource} as updated")
    if document is None:
        raise Inconclusive(f"{fixture}, just made", f"PERM-fetch-{resource}")
    try:
        is_listed = fixture.id in await _listed(world, fixture, answer.finished)
    except TransientFailure:
        raise
    except Inconclusive:  # there is no list to look at
        is_listed = False
    return Victim(fixture, document, is_listed)


async def expect_there(world: World, victim: Victim, tried: Sequence[Tried]) -> None:
    """The thing is still there, whatever those who may change it made of it.

    Raises:
        Finding: it is gone.
    """
    victim.document = await _still_there(
        world, victim, tried, f"{victim.fixture} there: {_names(tried)} refused"
    )


async def expect_untouched(
    world: World, victim: Victim, tried: Sequence[Tried], *, in_list: bool = False
) -> None:
    """The thing is as it was before: there, with the same members, and in its list.

    What another test was refused, and is done by now, is kept for the end of the run.

    Raises:
        Finding: it is gone or hidden, or has changed in a member that does not change by itself.
        Inconclusive: its list, which showed it before, is not to be seen now.
    """
    fixture, before, last = victim.fixture, victim.document, tried[-1]
    expected = f"{fixture} as it was: {_names(tried)} refused"
    world.patience.refused += [(write.request, write.answer) for write in tried]
    now = await _still_there(world, victim, tried, expected)
    if changed := _changes(before, now):
        again = await world.observe(fixture) or {}
        moving = _changes(now, again)  # what a look at it changes, such as a counter of looks
        victim.document = now
        done = next((write for write in tried if _bears(now, write.request)), None)
        if real := _lasting(changed - moving):
            if not done and (late := _done_later(world, before, now)):
                world.patience.done_later += late
                return
            if not done and not await _stays_changed(world, victim, before, moving, last.answer):
                return
            done = done or last
            raise Finding(
                expected,
                f"{done.answer.status} ({done.how}), and "
                f"{', '.join(sorted(real - moving or real))} changed",
                done.answer,
            )
        note(f"{_names(tried)} was refused, and {', '.join(sorted(changed))} moved")
    if in_list and victim.is_listed and await _stays_hidden(world, fixture, last.answer.finished):
        raise Finding(
            f"{expected}, and in its list",
            f"{last.answer.status}, and the list does not show it any more",
            last.answer,
        )


def _bears(document: Mapping[str, Any], request: Request) -> bool:
    """Whether a thing shows the name that a write would have given it."""
    return bool(request.name) and shows_name(document, request.name)


def _done_later(
    world: World, before: Mapping[str, Any], now: Mapping[str, Any]
) -> list[tuple[Request, Exchange]]:
    """What other tests were refused a while ago, and a thing shows by now."""
    return [
        (request, answer)
        for request, answer in world.patience.refused
        if _bears(now, request) and not _bears(before, request)
    ]


async def _still_there(
    world: World, victim: Victim, tried: Sequence[Tried], expected: str
) -> dict[str, Any]:
    """The thing as it stands a moment after the last request.

    Raises:
        Finding: it is gone.
    """
    last = tried[-1].answer
    await sleep(SETTLING)
    await world.patience.settle(last.finished)
    now: dict[str, Any] | None = None

    async def is_gone() -> bool:
        nonlocal now
        now = await world.observe(victim.fixture)
        return now is None

    await world.patience.stays(is_gone, last.finished, f"{victim.fixture.resource.name} gone")
    if now is None:
        raise Finding(expected, f"{last.status}, and it is gone", last)
    return now


async def _stays_changed(
    world: World,
    victim: Victim,
    before: Mapping[str, Any],
    moving: set[str],
    refusal: Exchange,
) -> bool:
    """Whether a thing goes on to differ from what it was, but for what moves by itself, which is
    added to ``moving``: what tells the time stands still for a second.
    """
    await sleep(_A_SECOND)
    moving |= _changes(victim.document, await world.observe(victim.fixture) or {})

    async def is_changed() -> bool:
        victim.document = await world.observe(victim.fixture) or victim.document
        return bool(_lasting(_changes(before, victim.document) - moving))

    name = victim.fixture.resource.name
    return await world.patience.stays(is_changed, refusal.finished, f"{name} changed")


def _lasting(changed: set[str]) -> set[str]:
    """The changed members that do not just say when a thing was last touched."""
    return {name for name in changed if not _STAMP.fullmatch(name)}


def _names(tried: Sequence[Tried]) -> str:
    return ", ".join(dict.fromkeys(write.request.operation.name for write in tried))


async def _listed(world: World, fixture: Fixture, after: float) -> set[str]:
    """The ids of a list of such things that was read after the moment ``after`` (monotonic
    seconds).

    Raises:
        Inconclusive: no list is to be seen.
    """
    return set(map(own_id, await world.listing(fixture.resource.name, after)))


async def _stays_hidden(world: World, fixture: Fixture, since: float) -> bool:
    """Whether a list that showed a thing goes on to leave it out: of two replicas one may not know
    it yet.
    """
    after = since

    async def is_hidden() -> bool:
        nonlocal after
        hidden = await _is_hidden(world, fixture, after)
        after = time.monotonic()
        return hidden

    return await world.patience.stays(is_hidden, since, f"{fixture.resource.name} hidden")


async def _is_hidden(world: World, fixture: Fixture, after: float) -> bool:
    """Whether a list leaves out a thing that it showed, and does not just show fewer than there
    are: then what nobody touched, and is older, would be gone first.

    Raises:
        Inconclusive: no list is to be seen.
    """
    listed = await _listed(world, fixture, after)
    if fixture.id in listed:
        return False
    if len(listed) < SMALLEST_PAGE or (await world.shared(fixture.resource.name)).id in listed:
        return True
    note(f"the list of {fixture.resource.name}s is cut: it proves nothing of {fixture}")
    return False


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    """The members in which two looks at one thing differ."""
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
