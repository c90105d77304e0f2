"""Variants of lists: how much of what there is they show, in which order, and how soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, repeat
from typing import Any

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import not_found
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

LAG = 1.0
"""Seconds by which a replica is behind."""


class Replica:
    """What the store held ``lag`` seconds ago."""

    def __init__(self, server: Server) -> None:
        self.lag = LAG
        self._states: dict[tuple[str, str], list[tuple[float, str | None]]] = {}
        store = server.store
        for resource in RESOURCES:
            for text in store.containing(resource):
                self._states[resource, loads(text.encode())["id"]] = [(0.0, text)]
        add, change, remove = store.add, store.replace, store.remove

        @instead_of(store.add)
        def added(resource: str, id: str, body: str) -> None:
            add(resource, id, body)
            self._note(resource, id, body)

        @instead_of(store.replace)
        def replaced(resource: str, id: str, body: str) -> None:
            change(resource, id, body)
            self._note(resource, id, body)

        @instead_of(store.remove)
        def removed(resource: str, id: str) -> None:
            remove(resource, id)
            self._note(resource, id, None)

    def _note(self, resource: str, id: str, body: str | None) -> None:
        self._states.setdefault((resource, id), []).append((time.monotonic(), body))

    def get(self, resource: str, id: str) -> str | None:
        """A document's text as it was."""
        then = time.monotonic() - self.lag
        return next(
            (
                text
                for moment, text in reversed(self._states.get((resource, id), ()))
                if moment <= then
            ),
            None,
        )

    def all(self, resource: str, *texts: str) -> Iterator[str]:
        """The documents as they were, oldest first, whose text contains all of these."""
        for kind, id in self._states:
            if (
                kind == resource
                and (text := self.get(kind, id))
                and all(wanted in text for wanted in texts)
            ):
                yield text


def _lists_from(server: Server, replica: Replica, lags: Iterator[float]) -> None:
    found, page, containing = server.resources.found, server.store.page, server.store.containing
    is_list = False

    @instead_of(server.resources.found)
    def behind(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        nonlocal is_list
        is_list, replica.lag = True, next(lags)
        try:
            return found(query, principal, resource)
        finally:
            is_list = False

    @instead_of(server.store.page)
    def old_page(resource: str, limit: int, offset: int) -> list[str]:
        return (
            [*replica.all(resource)][offset : offset + limit]
            if is_list
            else page(resource, limit, offset)
        )

    @instead_of(server.store.containing)
    def old_texts(resource: str, *texts: str) -> Iterator[str]:
        return replica.all(resource, *texts) if is_list else containing(resource, *texts)


@variant("lists-lag")
def lists_lag(server: Server) -> None:
    """Lists show what there was a second ago, as those of a search index or a replica."""
    _lists_from(server, Replica(server), repeat(LAG))


@variant("reads-lag")
def reads_lag(server: Server) -> None:
    """Lists and fetches show what there was a second ago, as those of a replica."""
    _all_from(server, Replica(server), repeat(LAG))


@variant("replicas-take-turns", "trouble")
def replicas_take_turns(server: Server) -> None:
    """Every second list or fetch shows what there was a second ago: one of two replicas lags."""
    _all_from(server, Replica(server), cycle((0.0, LAG)))


def _all_from(server: Server, replica: Replica, lags: Iterator[float]) -> None:
    _lists_from(server, replica, lags)
    fetch, get = server.resources.fetch, server.store.get
    is_fetch = False

    @instead_of(server.resources.fetch)
    def behind(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        nonlocal is_fetch
        is_fetch, replica.lag = True, next(lags)
        try:
            return fetch(call, principal, resource, id)
        finally:
            is_fetch = False

    @instead_of(server.store.get)
    def old(resource: str, id: str) -> str | None:
        return replica.get(resource, id) if is_fetch else get(resource, id)


def _newest_first(server: Server) -> None:
    containing = server.store.containing

    @instead_of(server.store.containing)
    def reversed_texts(resource: str, *texts: str) -> Iterator[str]:
        return reversed([*containing(resource, *texts)])

    @instead_of(server.store.page)
    def newest(resource: str, limit: int, offset: int) -> list[str]:
        return [*reversed_texts(resource)][offset : offset + limit]

    @instead_of(server.resources.page_size)
    def few(query: ListQuery) -> int:
        return min(query.limit, 25)


@variant("lists-of-25-newest-first")
def lists_of_25_newest_first(server: Server) -> None:
    """A list has 25 things at most whatever its limit, the newest first, and a Link to the next."""
    _newest_first(server)


def _first_page_alone(server: Server) -> None:
    """A list is its first page, whatever the offset, and nothing leads to the others."""
    listing, found = server.resources.listing, server.resources.found

    @instead_of(server.resources.found)
    def first_page(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        return found(replace(query, offset=0), principal, resource)

    @instead_of(server.resources.listing)
    def unlinked(call: Call, principal: Principal, resource: str) -> Answer:
        answer = listing(call, principal, resource)
        answer.headers.pop("Link", None)
        return answer


@variant("lists-of-the-newest-25")
def lists_of_the_newest_25(server: Server) -> None:
    """A list has the newest 25 things, whatever its limit and offset, and nothing leads to the
    others.
    """
    _newest_first(server)
    _first_page_alone(server)


@variant("lists-of-the-oldest-20", "trouble")
def lists_of_the_oldest_20(server: Server) -> None:
    """A list has the oldest 20 things, whatever its limit and offset: its pages are asked for in
    another way, which nothing tells.
    """

    @instead_of(server.resources.page_size)
    def few(query: ListQuery) -> int:
        return min(query.limit, 20)

    _first_page_alone(server)


@variant("makers-see-at-once")
def makers_see_at_once(server: Server) -> None:
    """What was made is there at once for its maker, and for others a second later, as where these
    are led to a replica.
    """
    made: dict[str, tuple[str, float]] = {}  # by id: whose it is, and when it was made
    new, existing, found = (
        server.resources.new_document,
        server.resources.existing,
        server.resources.found,
    )

    def is_unknown(principal: Principal, id: str) -> bool:
        maker, moment = made.get(id, (principal.id, 0.0))
        return principal.id not in (maker, id) and time.monotonic() < moment + LAG

    @instead_of(server.resources.new_document)
    def noted(change: Change, **extra: Any) -> Document:
        document = new(change, **extra)
        made[document["id"]] = change.principal.id, time.monotonic()
        return document

    @instead_of(server.resources.existing)
    def in_time(principal: Principal, resource: str, id: str) -> str:
        if is_unknown(principal, id):
            raise not_found("Not found")
        return existing(principal, resource, id)

    @instead_of(server.resources.found)
    def known(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        return [
            text
            for text in found(query, principal, resource)
            if not is_unknown(principal, loads(text.encode())["id"])
        ]
