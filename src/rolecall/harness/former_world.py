"""The world of runs that have ended, and left things on the target.

What it deletes is theirs by their ledger, or carries their name: a name that begins with
``rolecall-``, the time at which the run began and six hexadecimal digits of chance, in a member
that a run writes its name into. A user has to carry it in its e-mail address, or the whole name of
one that a run makes: a run that was killed may have left its name in a user that it had on loan,
and that user is never deleted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from rolecall.error_words import ABSENT
from rolecall.evidence import Exchange
from rolecall.http.client import Client
from rolecall.ledger import LedgerEntry
from rolecall.outcomes import Inconclusive
from rolecall.run_folder import run_named
from rolecall.spec.ids import own_id
from rolecall.spec.model import API_KEY, Specification
from rolecall.spec.templates import bare
from rolecall.target import Target
from rolecall.tokens import Caller
from rolecall.toolkit.clock import date_of
from rolecall.toolkit.members import names_in, texts_at
from rolecall.toolkit.things import Fixture, items
from rolecall.toolkit.world import World

#: How the name of a user ends that a run has made, and has not changed.
_MADE = "-create-user"
#: Members in which a thing says when it was made, or changed.
_TIMES = ("createdAt", "updatedAt", "created_at", "updated_at", "created", "modified")


class FormerWorld(World):
    """The world of runs that have ended; ``runs`` are their ids."""

    def __init__(self, target: Target, spec: Specification, client: Client, run_id: str) -> None:
        super().__init__(target, spec, client, run_id, intrusive=False)
        self.runs = {run_id} if run_id else set()

    def bears(self, document: object, resource: str, name: str) -> bool:
        """Whether a thing has the name of one of the runs, for the first one's `mark`; for another
        name, whether it has that.
        """
        if name != self.mark:
            return super().bears(document, resource, name)
        return bool(
            self.runs.intersection(self.runs_named_in(document, resource))
        ) or self._was_intended(document, resource)

    def _was_intended(self, document: object, resource: str) -> bool:
        """Whether it carries the whole name of something that the ledger has no id of: of a user
        that was to be made, that is told from one on loan, which has another name.
        """
        names = (
            entry.name
            for entry in self.ledger.entries
            if entry.resource == resource and not entry.id and not entry.gone
        )
        return any(super(FormerWorld, self).bears(document, resource, name) for name in names)

    def runs_named_in(self, document: object, resource: str) -> set[str]:
        """The runs that a thing is named after where a run writes its name, and that made it."""
        addresses = set(self._addresses()) if resource == "user" else set()
        return {
            run
            for place, text, run in self._names_in(document, resource)
            if resource != "user" or place in addresses or bare(text).endswith(bare(_MADE))
        }

    def borrowers_of(self, user: object) -> set[str]:
        """The runs whose name a user shows that they did not make: they had it on loan."""
        named = {run for _, _, run in self._names_in(user, "user")}
        return named - self.runs_named_in(user, "user")

    def _names_in(
        self, document: object, resource: str
    ) -> Iterator[tuple[tuple[str, tuple[str, ...]], str, str]]:
        """The names of runs in a thing: the place, the text there, and the run."""
        for front, path in self._names(resource):
            for text in texts_at(document, path):
                begin, rest = text[: len(front)], text[len(front) :]
                if begin.casefold() == front.casefold() and (run := run_named(rest)):
                    yield (front, path), text, run

    def _addresses(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Where users have an e-mail address, and what stands before the run's name in it."""
        for operation in self.spec.operations.values():
            if operation.resource.name == "user":
                yield from names_in(operation.body, "{email}")

    async def was_there_before(self, resource: str, id: str) -> bool:
        """Whether a thing is known to be somebody else's: an account's user.

        What was there before those runs, they alone could see.
        """
        return self.gate.is_protected(resource, id)

    def take_over(self) -> None:
        """Learn from the ledger what the run had learnt, and where it made what."""
        for fact in self.ledger.facts.get("written", ()):
            place = (fact["resource"], fact["front"], tuple(fact["path"]))
            self.written.add(place)
        self.listed |= {fact["resource"] for fact in self.ledger.facts.get("listed", ())}
        self.parents |= {entry.id for entry in self.ledger.with_id("conversation")}

    # --- Looks ----------------------------------------------------------------------------------

    async def strangers(self, admin: Caller) -> dict[int, str]:
        """The entries of things that are not certainly the run's any more, each with the reason;
        those that are gone are noted in the ledger.

        An id may have been given anew since: what is deleted by it has to show the run's name.
        """
        entries = [entry for entry in self.ledger.left if entry.is_thing]
        keys = await self._keys() if any(e.resource == API_KEY for e in entries) else None
        looks = [self._doubt(admin, entry, keys) for entry in entries]
        doubts = zip(entries, await asyncio.gather(*looks), strict=True)
        return {entry.number: doubt for entry, doubt in doubts if doubt}

    async def _keys(self) -> list[dict[str, Any]] | None:
        with suppress(Inconclusive):
            return await self.keys()
        return None

    async def _doubt(
        self, admin: Caller, entry: LedgerEntry, keys: list[dict[str, Any]] | None
    ) -> str:
        """Why a thing should not be deleted by its id; empty where it may, or is gone."""
        shown: object = None
        if entry.resource == API_KEY:
            shown = next((key for key in keys or () if own_id(key) == entry.id), shown)
        else:
            fixture = Fixture(self.spec.resources[entry.resource], entry.id, entry.name)
            request = await self.request(
                self.spec.operations[f"fetch-{entry.resource}"], admin, fixture
            )
            with suppress(Inconclusive):
                exchange = await self.perform(request, admin)
                if exchange.status in self.dialect.gone:
                    self.ledger.gone(entry)
                shown = exchange.document or exchange.json if exchange.ok else None
        if self.gate.is_protected(entry.resource, entry.id):
            return "it is the user of an account"
        if shown is None or bare(self.mark) in bare(str(shown)):
            return ""
        return "it does not show the run's name any more, and may be somebody else's by now"

    def whole_lists(self) -> Iterator[tuple[str, str]]:
        """The paths of the lists that show all things of a kind, and the kinds."""
        for operation in self.spec.operations.values():
            if operation.is_whole_list:
                yield operation.path, operation.resource.name
        if self.target.api_keys.create_path:
            yield self.target.api_keys.create_path, API_KEY

    async def all_in(self, path: str, admin: Caller) -> tuple[list[dict[str, Any]], float]:
        """What a list shows, and the target's time at its end (seconds since 1970).

        Raises:
            NoList: the target has none there.
            Inconclusive: it cannot be read.
        """
        found: list[dict[str, Any]] = []
        moment = 0.0
        async for page in self.pages(path, admin):
            if page.status in ABSENT:
                raise NoList(page)
            if not page.ok or page.listed is None:
                raise Inconclusive(f"a list: {page}")
            found += items(page)
            moment = date_of(page) or time.time()
        return found, moment


class NoList(Exception):
    """The target has no list at a place."""

    def __init__(self, answer: Exchange) -> None:
        super().__init__(str(answer))


def newest_time(document: dict[str, Any]) -> float | None:
    """When a thing was made or changed last, as it says itself (seconds since 1970)."""
    moments = []
    for member in _TIMES:
        with suppress(TypeError, ValueError):
            moment = datetime.fromisoformat(document[member]) if member in document else None
            if moment and moment.tzinfo:
                moments.append(moment.timestamp())
    return max(moments, default=None)
