"""Creates things on the target, and tells the run's own things from those of others."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any

from rolecall.envelopes import given_id
from rolecall.evidence import Exchange
from rolecall.http.gate import Creation, Thing, Withheld
from rolecall.ledger import LedgerEntry
from rolecall.outcomes import Inconclusive, NotTested, TransientFailure
from rolecall.pausing import this_moment
from rolecall.run_folder import run_named
from rolecall.spec.ids import id_at, id_of, is_of_id, own_id
from rolecall.spec.model import API_KEY, Operation
from rolecall.spec.templates import bare, fill_path, in_address, mark_in, path_pattern
from rolecall.tokens import Caller
from rolecall.toolkit.callers import Callers
from rolecall.toolkit.consistency import ConsistencyWait
from rolecall.toolkit.members import Path, names_in, texts_at
from rolecall.toolkit.shared import shared_setup, uncancelled
from rolecall.toolkit.things import Fixture, items
from rolecall.whole_files import NotWrittenWhole

_NAME, _ADDRESS = "{name}", "{email}"


class Making(Callers):
    """A run's creations, and how its own things are told from those of others.

    A thing is the run's own when it shows the name that the run gave it, in a member that the run
    wrote the name into, and when the target had not shown its id before. The answer to a create is
    believed in that once the target has shown, for this kind of thing, that it keeps its word: that
    what it says it made is there, under that id and name.
    """

    patience: ConsistencyWait

    @cached_property
    def _proving(self) -> defaultdict[str, asyncio.Lock]:
        return defaultdict(asyncio.Lock)

    @cached_property
    def born(self) -> dict[tuple[str, str], float]:
        """By resource and id: when the making of a thing of the run's own was answered."""
        return {}

    async def create(
        self,
        resource: str,
        name: str,
        method: str,
        path: str,
        caller: Caller | None,
        inside: Thing | None = None,
        **options: Any,
    ) -> Exchange:
        """Send a request that may create something: the ledger has it first; it is not cancelled.

        The entry has an id afterwards if it is certain what was made. Every other way to an end
        leaves it doubtful, but for a refusal.

        Raises:
            NotTested: the target file forbids to make such a thing.
        """
        self.gate.expect_may_make(resource, inside)
        await self._look_before(resource)
        # what is made inside of it may come with it, as a conversation's first message
        for inner in self.spec.resources.values():
            if inner.parent == resource:
                await self._look_before(inner.name)
        return await uncancelled(
            self._create(resource, name, method, path, caller, inside, options)
        )

    async def _create(
        self,
        resource: str,
        name: str,
        method: str,
        path: str,
        caller: Caller | None,
        inside: Thing | None,
        options: dict[str, Any],
    ) -> Exchange:
        if self.client.dead:  # nothing leaves any more, so nothing can be made
            raise replace(self.client.dead)
        entry, sent = self.ledger.intend(resource, name), this_moment()
        if caller and self.gate.owns(Thing("user", caller.user)):
            self.makers[entry.number] = caller
        if inside:
            self.parents.add(inside.id)
        denied = self.may_be_tried(self.spec.operations.get(f"create-{resource}"), caller)
        self._note_written(resource, name, options.get("json"))
        try:
            exchange = await self.send(
                method, path, caller, about=Creation(entry, inside, denied), **options
            )
        except (NotTested, Withheld, NotWrittenWhole):
            self.ledger.gone(entry)  # it did not leave
            raise
        if exchange.ok:
            self.made_by[resource, f"{caller}"].append(exchange)
            await self._settle(entry, exchange, sent)
        elif 400 <= exchange.status < 500:
            self.ledger.refused(entry)
        return exchange

    def _note_written(self, resource: str, name: str, body: Any) -> None:
        """Remember where a thing is given its name; the ledger has it for who finishes the run."""
        for written in (name, in_address(name)):
            for front, path in names_in(body, written):
                place = (resource, front, path)
                if place not in self.written:
                    self.written.add(place)
                    self.ledger.note("written", resource=resource, front=front, path=list(path))

    async def _settle(self, entry: LedgerEntry, exchange: Exchange, sent: float) -> None:
        """Note the id that an answer gives, if it is certain that it is the new thing's."""
        id = id_of(exchange) or self._id_in_location(entry.resource, exchange)
        if not id or self.gate.is_others(entry.resource, id, sent):
            return
        entry.claimed = id
        first = exchange.listed[0] if exchange.listed else None
        document = first if isinstance(first, dict) else exchange.document
        self.note_given(given_id(document))
        is_named = self.bears(document, entry.resource, entry.name)
        # Of those that are made at the same time, one is enough to prove that the target keeps its
        # word.
        async with self._proving[entry.resource] if is_named else nullcontext():
            if (is_named and entry.resource in self.proven) or await self._is_shown(
                entry, id, is_named, exchange
            ):
                self.gate.own(entry, id)
                self.born[entry.resource, id] = exchange.finished

    def _id_in_location(self, resource: str, exchange: Exchange) -> str:
        """The id in the address of what was created (RFC 9110 15.3.2), where no body says it."""
        operation = self.spec.operations.get(f"fetch-{resource}")
        return id_at(exchange.header("location"), operation.path) if operation else ""

    async def _is_shown(
        self, entry: LedgerEntry, id: str, is_named: bool, exchange: Exchange
    ) -> bool:
        if await self.patience.until(
            lambda: self._shows(entry, id, is_named), exchange.finished, f"new {entry.resource}"
        ):
            self.proven.add(entry.resource)
            return True
        return False

    async def _shows(self, entry: LedgerEntry, id: str, is_named: bool) -> bool:
        """Whether the target shows, under this id, a thing with the name of the entry.

        Where keys are not listed, the answer alone has to do: ``is_named`` says whether it shows
        the name.
        """
        if entry.resource == API_KEY:
            listed = await self.keys()
            return (
                is_named
                if listed is None
                else any(
                    own_id(key) == id and self.bears(key, API_KEY, entry.name) for key in listed
                )
            )
        operation = self.spec.operations[f"fetch-{entry.resource}"]
        for role in self.spec.allowed_roles(operation.name):
            exchange = await self.send(
                "GET", fill_path(operation.path, {"id": id}), await self.user(role)
            )
            shown = exchange.document
            if is_of_id(shown, id) and self.bears(shown, entry.resource, entry.name):
                self.prompt.add(entry.resource)
                return True
        found = await self.find(entry.resource, entry.name, time.monotonic())
        return (
            found is not None
            and own_id(found) == id
            and self.bears(found, entry.resource, entry.name)
        )

    async def keys(self) -> list[dict[str, Any]] | None:
        """The target's API keys, as far as it lists them where they are made; else None."""
        exchange = await self.send(
            "GET", self.target.api_keys.create_path, await self.user(self.highest)
        )
        listed = exchange.listed if exchange.ok else None
        if listed is None:
            return None
        self._note_listed(API_KEY, listed)
        return items(exchange)

    def _note_listed(self, resource: str, listed: list[Any]) -> None:
        """Note that a list shows something of the run's own by its name: what is not answered can
        be looked for there.
        """
        if resource not in self.listed and any(
            self.bears(item, resource, self.mark) for item in listed
        ):
            self.listed.add(resource)
            self.ledger.note("listed", resource=resource)

    def bears(self, document: object, resource: str, name: str) -> bool:
        """Whether a thing has a name beginning with ``name``, in a member with the run's names.

        Names, and the e-mail addresses that are made of them.
        """
        return any(
            bare(text[: 2 * len(front + name)]).startswith(bare(front) + mark_in(name))
            for front, path in self._names(resource)
            for text in texts_at(document, path)
        )

    def _names(self, resource: str) -> set[tuple[str, Path]]:
        """Where things of this kind have the name: what stands before it, and the members that lead
        there.

        These are the places where the bodies of its operations have it, and those where a test has
        put it.
        """
        sent = {(front, path) for written, front, path in self.written if written == resource}
        return sent | self._in_bodies[resource]

    @cached_property
    def _in_bodies(self) -> defaultdict[str, set[tuple[str, Path]]]:
        """Those of the operations' bodies, by resource: asked for with every item of every list."""
        found: defaultdict[str, set[tuple[str, Path]]] = defaultdict(set)
        found[API_KEY].add(("", ("name",)))  # as `ask_for_key` has it
        for operation in self.spec.operations.values():
            for place in (_NAME, _ADDRESS):
                found[operation.resource.name].update(names_in(operation.body, place))
        return found

    # --- What was there before ------------------------------------------------------------------

    @shared_setup
    async def _look_before(self, resource: str) -> float:
        """Look at what is there before the run makes such a thing; the monotonic time."""
        if not self.read_only or self.gate.tries_denied:
            try:
                if resource == API_KEY:
                    there = await self.keys() or []
                    seen = this_moment()
                    for key in there:
                        self.gate.saw(API_KEY, own_id(key), seen)
                else:
                    there = await self.look_at_all(resource)
                self.others.update(run for item in there for run in self._runs_in(item, resource))
            except TransientFailure:  # it passes: the next who asks looks again
                raise
            except Inconclusive:  # there is no list to look at
                pass
        return this_moment()

    async def find(self, resource: str, name: str, after: float) -> dict[str, Any] | None:
        """The thing that carries ``name``, in a list read after the moment ``after``; else None."""
        raise NotImplementedError

    async def look_at_all(self, resource: str) -> list[dict[str, Any]]:
        """Read the list of a resource, where it has one that shows all of them; what is in it."""
        raise NotImplementedError

    def _runs_in(self, item: dict[str, Any], resource: str) -> set[str]:
        """The other runs that a thing is named after."""
        runs = {
            run_named(text[len(front) :])
            for front, path in self._names(resource)
            for text in texts_at(item, path)
        }
        return runs - {"", self.run_id}

    async def was_there_before(self, resource: str, id: str) -> bool:
        """Whether the target showed this id before the run made its first thing of this kind."""
        return self.gate.is_others(resource, id, await self._look_before(resource))

    async def send(self, method: str, path: str, caller: Caller | None, **options: Any) -> Exchange:
        """As `Callers.send`; notes what a read shows, so that it is not taken for the run's own."""
        exchange = await super().send(method, path, caller, **options)
        if method == "GET" and exchange.ok and (resource := self._resource_at(path)):
            listed = exchange.listed
            for document in [exchange.document] if listed is None else listed:
                self.gate.saw(resource, own_id(document), exchange.finished)
            if listed is not None:
                self._note_listed(resource, listed)
        return exchange

    def _resource_at(self, path: str) -> str:
        """The resource that a read of this path shows; empty when that is unknown."""
        for pattern, resource in self._reads:
            if pattern.fullmatch(path):
                return resource
        return ""

    @cached_property
    def _reads(self) -> list[tuple[re.Pattern[str], str]]:
        """The paths of lists and fetches, and what they show."""
        return [
            (_pattern(operation), operation.resource.name)
            for operation in self.spec.operations.values()
            if operation.effect in ("list", "fetch")
        ]

    # --- A thing in another spelling ------------------------------------------------------------

    async def spelled(self, fixture: Fixture, id: str) -> Thing:
        """A thing of the run's own under another spelling of its id, for an attack.

        Raises:
            Inconclusive: something else may have that id.
        """
        operation = self.spec.operations[f"fetch-{fixture.resource.name}"]
        exchange = await self.send(
            "GET", fill_path(operation.path, {"id": id}), await self.user(self.highest)
        )
        if not (
            is_of_id(exchange.document, fixture.id)
            if exchange.ok
            else exchange.status in (400, 404, 410, 422)
        ):
            raise Inconclusive(f"an id that nothing else has: {exchange}", operation.requirement)
        thing = Thing(fixture.resource.name, id)
        self.gate.answers_to_nothing(thing)
        return thing


def _pattern(operation: Operation) -> re.Pattern[str]:
    """The paths that an operation's path may become; a list's query may be any."""
    path = operation.path if operation.effect == "fetch" else operation.path.partition("?")[0]
    query = "" if operation.effect == "fetch" else r"(?:\?.*)?"
    return re.compile(path_pattern(path, "[^/?&]+") + query, re.DOTALL)
