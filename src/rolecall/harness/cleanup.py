"""Puts back what a run changed, deletes what it made, and proves by lists that nothing is left.

Deleted is what the run made: ids that are its own by the ledger, and what the lists show under the
run's own name and did not show before the run. Anything else that looks like the run's is named,
and left to a person.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import suppress

from rolecall.ledger import LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import sleep, this_moment
from rolecall.spec.ids import own_id
from rolecall.spec.model import API_KEY
from rolecall.spec.templates import fill_path
from rolecall.tokens import Caller
from rolecall.toolkit.members import is_put_away
from rolecall.toolkit.things import Fixture, items
from rolecall.toolkit.world import World

_LOOKS = 3  # at each list, at least: what deletes in the background needs a moment
_LOG_INS = 3  # times that the highest role logs in, where it meets trouble
_GONE = (404, 410)  # what a deletion may be answered, whatever a fetch is by the dialect
#: The kinds that are deleted before all others, and after them.
_ORDER = {API_KEY: -1, "user": 1, "organization": 2}
#: Why a thing is not deleted, which may be somebody else's, and what a person does.
_BY_HAND = "whoever knows that it is the run's deletes it by hand"
_NAMELESS = f"shows no name of the run; {_BY_HAND}"
_PAUSE = 0.1  # seconds between two looks at a list that still shows what was deleted


class _Gone(Inconclusive):
    """What a list is in is not there any more."""


class Tidying:
    """Puts back and deletes for one run; ``left`` says why a thing is still there, or may be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._why: dict[int, str] = {}
        self._found: dict[tuple[str, str], str] = {}  # by the path of a list, and an id in it
        self._deleted: set[str] = set()  # the resources of which something was deleted
        self._unseen: dict[str, str] = {}
        self._met: set[str] = set()  # ids that an answer claimed, and a list shows

    async def tidy(self) -> None:
        """Put back what is on loan and delete what was made, newest kinds first.

        Raises:
            Inconclusive, NotTested: the highest role gets no token, so nothing could be done.
        """
        world = self._world
        await world.borrowing.put_all_back()
        if not world.ledger.resources:
            return
        admin = await self._admin()
        await asyncio.gather(
            *(self._find_parents(admin, path, resource) for path, resource in self._lists())
        )
        # Some servers delete a conversation and keep its messages, which nothing lists any more.
        await asyncio.gather(
            *(self._sweep_within(admin, path, resource) for path, resource in self._lists_within())
        )
        await asyncio.gather(
            *(self._look_at(admin, path, resource) for path, resource in self._lists_to_prove())
        )
        # What is not deleted may have been full of what was deleted after it, or is in it yet: once
        # more, as long as that helps.
        left, before = await self._delete_all(admin), math.inf
        while 0 < left < before:
            await asyncio.gather(
                *(
                    self._sweep_within(admin, path, resource)
                    for path, resource in self._lists_within()
                )
            )
            left, before = await self._delete_all(admin), left
        await asyncio.gather(
            *(self._sweep(admin, path, resource) for path, resource in self._lists())
        )

    async def _delete_all(self, admin: Caller) -> int:
        """Delete what has an id; how many things are still there.

        What was made last may belong to what was made before it, so one kind goes after the other.
        Keys come first: some servers let a key go only with its maker's token, and the maker may be
        a user that the run made. Organizations go last, and users before them: what is in one that
        is gone is answered 404, gone or not.
        """
        ledger = self._world.ledger
        kinds = list(reversed(list(ledger.resources)))
        for resource in sorted(kinds, key=lambda kind: _ORDER.get(kind, 0)):
            left = [entry for entry in ledger.left if entry.resource == resource]
            await asyncio.gather(*(self._delete(admin, entry) for entry in left))
        return sum(entry.is_thing for entry in ledger.left)

    async def _admin(self) -> Caller:
        """The highest role, logged in anew, for the run may have taken its time; where that fails,
        with the token it has.

        Raises:
            Inconclusive, NotTested: there is none.
        """
        for _ in range(_LOG_INS):
            try:
                return await self._world.renewed(self._world.highest)
            except TransientFailure:  # it passes
                continue
            except (Inconclusive, NotTested):  # refused, or as many log-ins as one run may have
                break
        return await self._world.user(self._world.highest)

    @property
    def left(self) -> list[str]:
        """A line for each thing that is still there, or may be."""
        ledger = self._world.ledger
        lines = [f"{entry}{self._reason(entry)}" for entry in ledger.left]
        lines += list(self._found.values())
        for entry in ledger.doubtful:
            if entry.is_thing and (why := self._why_unseen(entry.resource)):
                what = (
                    f"it was answered with {entry.claimed} and without its name, by which the run "
                    "knows its own"
                    if entry.claimed
                    else "no answer showed what became of it"
                )
                by_hand = f"; {_BY_HAND}" if entry.claimed else ""
                lines.append(f"perhaps {entry}: {what}, and {why}{by_hand}")
        return lines

    def _why_unseen(self, resource: str) -> str:
        """Why a thing of this kind may be there although the target's lists do not show it; empty
        when they would.
        """
        world = self._world
        if resource in self._unseen:
            return self._unseen[resource]
        # for certain, or by what an answer says and no list
        made_some = any(world.ledger.with_id(resource)) or self._claimed(resource) - self._met
        return (
            f"no list showed any {resource} of this run by its name"
            if made_some and resource not in world.listed
            else ""
        )

    def _claimed(self, resource: str) -> set[str]:
        """What answers called things of this kind that may have been made."""
        doubtful = self._world.ledger.doubtful
        return {entry.claimed for entry in doubtful if entry.resource == resource} - {""}

    def _reason(self, entry: LedgerEntry) -> str:
        if not entry.is_thing:
            return (
                ": it could not be put back as it was before; see the exchanges of the test "
                "that changed it"
            )
        return f": {self._why[entry.number]}" if entry.number in self._why else ""

    # --- One by one -----------------------------------------------------------------------------

    async def _delete(self, admin: Caller, entry: LedgerEntry) -> None:
        """Delete one thing of the run's own, by any caller who can; one that is gone counts as
        deleted.
        """
        world = self._world
        maker = world.makers.get(entry.number)
        try:
            for caller in filter(None, (admin, maker)):
                if entry.resource == API_KEY:
                    exchange = await world.delete_key(entry, caller, repeatable=True)
                else:
                    fixture = Fixture(world.spec.resources[entry.resource], entry.id, entry.name)
                    request = await world.request(
                        world.spec.operations[f"delete-{entry.resource}"], caller, fixture
                    )
                    exchange = await world.perform(request, caller, repeatable=True)
                is_gone = exchange.status in (*_GONE, *world.dialect.gone)
                if exchange.ok or (
                    is_gone
                    and self._says_that_it_is_gone(entry)
                    and not (maker and await self._is_shown(entry, maker))
                ):
                    self._deleted.add(entry.resource)
                    world.ledger.gone(entry)
                    self._why.pop(entry.number, None)
                    return
                self._why[entry.number] = f"{exchange}"
        except (Inconclusive, NotTested) as reason:
            self._why[entry.number] = str(reason)

    async def _is_shown(self, entry: LedgerEntry, maker: Caller) -> bool:
        """Whether its maker sees a thing that others are answered 404 for: some servers hide it."""
        if entry.resource == API_KEY:
            return False
        resource = self._world.spec.resources[entry.resource]
        operation = self._world.spec.operations[f"fetch-{entry.resource}"]
        fixture = Fixture(resource, entry.id, entry.name)
        request = await self._world.request(operation, maker, fixture)
        return (await self._world.perform(request, maker)).ok

    def _says_that_it_is_gone(self, entry: LedgerEntry) -> bool:
        """Whether a 404 says so: a key that no list shows may be alive where no caller can delete
        keys this way.
        """
        return entry.resource != API_KEY or API_KEY in self._deleted

    # --- By the lists ---------------------------------------------------------------------------

    def _lists(self) -> Iterator[tuple[str, str]]:
        """The lists that may show something the run made, whole."""
        world = self._world
        made = set(world.ledger.resources)
        for operation in world.spec.operations.values():
            if operation.is_whole_list and operation.resource.name in made:
                yield operation.path, operation.resource.name
        if any(entry.resource == API_KEY for entry in world.ledger.doubtful):
            yield world.target.api_keys.create_path, API_KEY

    def _lists_to_prove(self) -> Iterator[tuple[str, str]]:
        """The lists of which it has yet to be seen that they show the run's things by name, while
        they are still there.
        """
        doubtful = {entry.resource for entry in self._world.ledger.doubtful}
        for path, resource in self._lists():
            if resource in doubtful and resource not in self._world.listed:
                yield path, resource

    def _lists_within(self) -> Iterator[tuple[str, str]]:
        """The lists of what was made inside of something of the run's own, or came with it; it may
        be there when what it was in is gone.
        """
        world = self._world
        for operation in world.spec.operations.values():
            if operation.effect == "list" and "{" in operation.path:
                kind = operation.resource.parent
                made = {entry.id for entry in world.ledger.with_id(kind)}
                for parent in sorted(world.parents | made):
                    yield fill_path(operation.path, {kind: parent}), operation.resource.name

    async def _sweep_within(self, admin: Caller, path: str, resource: str) -> None:
        """Look once through such a list; what contains it is deleted next, so the absence of what
        was in it is not checked.
        """
        try:
            found = await self._carrying_our_name(admin, path, resource)
        except _Gone:
            return
        except Inconclusive as reason:
            self._unseen[resource] = self._unreadable(resource, reason)
            return
        await self._delete_found(admin, path, resource, found)

    async def _find_parents(self, admin: Caller, path: str, resource: str) -> None:
        """Look for what may have been made, and have something in it that nothing else lists."""
        world = self._world
        if any(entry.resource == resource for entry in world.ledger.doubtful) and any(
            inner.parent == resource for inner in world.spec.resources.values()
        ):
            with suppress(Inconclusive):  # the last look at it says so
                for item in await self._carrying_our_name(admin, path, resource):
                    if entry := await self._entry_of(path, resource, item):
                        world.parents.add(entry.id)

    async def _look_at(self, admin: Caller, path: str, resource: str) -> None:
        """Read a list once; what it shows is noted by the world."""
        with suppress(Inconclusive):  # the last look at it says so
            if resource == API_KEY:
                await self._world.keys()
            else:
                async for _ in self._world.pages(path, admin):
                    pass

    @staticmethod
    def _unreadable(resource: str, reason: Inconclusive) -> str:
        return f"the list of {resource}s cannot be read ({reason})"

    async def _delete_found(
        self, admin: Caller, path: str, resource: str, found: list[dict[str, object]]
    ) -> list[LedgerEntry]:
        """Delete what a list shows, where it is certain that it is the run's; what was deleted."""
        self._found = {key: line for key, line in self._found.items() if key[0] != path}
        entries = [entry for item in found if (entry := await self._entry_of(path, resource, item))]
        await asyncio.gather(*(self._delete(admin, entry) for entry in entries))
        return entries

    async def _sweep(self, admin: Caller, path: str, resource: str) -> None:
        """Look through a list for what carries the run's name, among it what was made against all
        denial.
        """
        await self._world.patience.settle(time.monotonic())
        until = this_moment() + self._world.patience.seconds
        looks = 0
        while looks < _LOOKS or this_moment() < until:
            await sleep(_PAUSE if looks else 0.0)
            looks += 1
            try:
                found = await self._carrying_our_name(admin, path, resource)
            except Inconclusive as reason:
                self._unseen[resource] = self._unreadable(resource, reason)
                return
            deletable = await self._delete_found(admin, path, resource, found)
            if not deletable:
                return
        for entry in deletable:
            if entry.gone and entry.number not in self._why:
                self._found[path, entry.id] = (
                    f"{entry}: its deletion was answered, and it is still in the list"
                )

    async def _carrying_our_name(
        self, admin: Caller, path: str, resource: str
    ) -> list[dict[str, object]]:
        """Things that show the run's name, and those that an answer called the run's."""
        found: list[dict[str, object]] = []
        claimed = self._claimed(resource)
        async for page in self._world.pages(path, admin):
            if page.status in (*_GONE, *self._world.dialect.gone):
                raise _Gone(f"a list: {page}")
            if not page.ok or page.listed is None:
                raise Inconclusive(f"a list: {page}")
            for item in items(page):
                if is_put_away(item):  # as much deleted as the target deletes anything
                    continue
                if own_id(item) in claimed:
                    self._met.add(own_id(item))
                elif not self._world.bears(item, resource, self._world.mark):
                    continue
                found.append(item)
        return found

    async def _entry_of(
        self, path: str, resource: str, item: dict[str, object]
    ) -> LedgerEntry | None:
        """The ledger's entry of a thing found in a list under the run's name; None where it is not
        certain that it is the run's.
        """
        world, id = self._world, own_id(item)
        known = world.ledger.of(resource, id)
        if known and not known.gone:
            return known if known.number not in self._why else None
        is_named = world.bears(item, resource, world.mark)
        if not (id and is_named) or (known is None and await world.was_there_before(resource, id)):
            if is_named or not await world.was_there_before(resource, id):
                if is_named:
                    what = f"it carries the run's name, and {'was there before' if id else 'no id'}"
                else:
                    what = f"a creation was answered with it, and it {_NAMELESS}"
                self._found[path, id] = f"perhaps {resource} {id or '(id unknown)'}: {what}"
            return None
        name = known.name if known else "found at the end"
        entry = world.ledger.intend(resource, name, at_any_rate=True)
        world.gate.own(entry, id)
        return entry


async def tidy(world: World) -> list[str]:
    """Put back and delete what the run left; a line for each thing that may still be there."""
    tidying = Tidying(world)
    try:
        await tidying.tidy()
    except (Inconclusive, NotTested) as reason:
        doubtful = [
            f"perhaps {entry}: not looked for, {reason}"
            for entry in world.ledger.doubtful
            if entry.is_thing
        ]
        return [f"{entry}: not deleted, {reason}" for entry in world.ledger.left] + doubtful
    return tidying.left
