"""Lists of the target: read page by page, once for all who ask at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rolecall.bounds import DOCUMENTS_LIMIT, LIST_LIMIT
from rolecall.envelopes import goes_on, next_link
from rolecall.evidence import Exchange, cite_look
from rolecall.http.link import next_page, path_below, query_of, resolved
from rolecall.outcomes import Inconclusive, TransientFailure
from rolecall.spec.ids import identifiers, own_id
from rolecall.spec.model import Operation
from rolecall.spec.templates import fill_path, with_query
from rolecall.tokens import Caller
from rolecall.toolkit.making import Making
from rolecall.toolkit.shared import SingleFlight
from rolecall.toolkit.things import Fixture, items

#: A list shorter than this cannot be a page that was cut: no server has a page size below it.
SMALLEST_PAGE = 10
#: Pages after which a list counts as endless.
_MOST_PAGES = 200


@dataclass(frozen=True)
class _Listing:
    """What a list holds, and the answers that showed it."""

    items: list[dict[str, Any]]
    pages: list[Exchange]


class Lists(Making):
    """A run's looks at the lists of the target."""

    @cached_property
    def _listings(self) -> dict[str, SingleFlight[_Listing]]:
        return {}

    @cached_property
    def _repeating(self) -> dict[str, Exchange]:
        """The lists, by path, that an offset leads nowhere in: the answers that showed the same."""
        return {}

    async def shared(self, resource: str) -> Fixture:
        """A thing that tests may look at and must not change: see `World.shared`."""
        raise NotImplementedError

    async def find(
        self, resource: str, name: str, after: float, piece: str = ""
    ) -> dict[str, Any] | None:
        """The thing that carries ``name``, in a list read after the moment ``after``; else None."""
        everything = await self.listing(resource, after, piece)
        return next((item for item in everything if name in str(item)), None)

    async def look_at_all(self, resource: str) -> list[dict[str, Any]]:
        """Read the list of a resource, where it has one that shows all of them; what is in it."""
        has_list = any(
            operation.resource.name == resource and operation.is_whole_list
            for operation in self._lists()
        )
        return await self.listing(resource, 0.0) if has_list else []

    def _lists(self) -> list[Operation]:
        return [
            operation for operation in self.spec.operations.values() if operation.effect == "list"
        ]

    async def listing(self, resource: str, after: float, piece: str = "") -> list[dict[str, Any]]:
        """All of a resource's list, read after ``after`` by the highest role that may see it; its
        pages are cited as ``piece``.
        """
        listing = await self._listings.setdefault(
            resource, SingleFlight(lambda: self._list(resource))
        ).after(after)
        cite_look(listing.pages if piece else (), piece)
        return listing.items

    async def _list(self, resource: str) -> _Listing:
        operation = next(
            operation for operation in self._lists() if operation.resource.name == resource
        )
        path = operation.path
        if "{conversation}" in path:
            path = fill_path(path, {"conversation": (await self.shared("conversation")).id})
        exchange = None
        for role in self.spec.allowed_roles(operation.name):
            caller = await self.user(role)
            everything: list[dict[str, Any]] = []
            pages: list[Exchange] = []
            size = 0
            async for exchange in self.pages(path, caller):
                # cut off, or no JSON at all: what it lacks may be there
                if exchange.ok and exchange.json is None:
                    raise TransientFailure(
                        f"a list of {resource}s that can be read: {exchange}", "RESPONSE-json"
                    )
                everything += items(exchange)
                pages.append(exchange)
                size += exchange.length
            if size > DOCUMENTS_LIMIT:
                # for those who wait for it, and not to be remembered
                self._listings.pop(resource, None)
            if exchange and exchange.ok:
                return _Listing(everything, pages)
        raise Inconclusive(
            f"a look at the list of {resource}s: {exchange}",
            f"[operations.{operation.name}] in the target file",
        )

    async def pages(self, path: str, caller: Caller) -> AsyncIterator[Exchange]:
        """The pages of a list: along ``Link: rel="next"`` (RFC 8288), else by offset to the end.

        Raises:
            Inconclusive: the list does not end, or is too large to be looked at.
        """
        seen: set[str] = set()
        next_path, by_offset = path, False
        size = 0
        for _ in range(_MOST_PAGES):
            exchange = await self.send("GET", next_path, caller)
            size += exchange.length
            if size > LIST_LIMIT:
                raise Inconclusive(
                    f"the end of the list at {path}: it goes on after {LIST_LIMIT:,} bytes",
                    "the size of that list",
                )
            yield exchange
            new = _ids_in(exchange) - seen
            if by_offset and not new and items(exchange):
                self._repeating[path] = exchange
            seen |= new
            next_path = self._next(exchange, path) if new else ""
            if not next_path:
                if (
                    not new
                    or not exchange.ok
                    or len(new) < SMALLEST_PAGE
                    or exchange.header("link")
                ):
                    return
                next_path, by_offset = with_query(path, f"offset={len(seen)}"), True
        raise Inconclusive(
            f"the end of the list at {path}: it goes on after {_MOST_PAGES} pages",
            "the list's Link header",
        )

    def is_whole(self, exchange: Exchange, operation: Operation, path: str) -> bool:
        """Whether a list that was followed to its end is whole.

        Raises:
            Inconclusive: it says that it goes on, and not how to ask for the rest; or it is as long
                as a page, and shows the same at any offset.
        """
        where = (
            f"[operations.{operation.name}] path in the target file, such as "
            f"{operation.path.partition('?')[0]}?limit=1000"
        )
        if goes_on(exchange.json) and not next_link(exchange.json):
            raise Inconclusive(
                f"the rest of a list that says that it goes on, and at no address: {exchange}",
                where,
            )
        if same := self._repeating.get(path):
            raise Inconclusive(
                f"the rest of a list that may be cut, and shows the same at any offset: {same}",
                where,
            )
        return True

    def _next(self, exchange: Exchange, path: str) -> str:
        """The next page's path, if the answer links to one on this target; others get no token.

        A target that stands behind a proxy may link to itself by the name that it has there: then
        this list is asked for with the link's query.
        """
        link = next_page(exchange.url, exchange.header_lines("link"))
        if not link and (said := next_link(exchange.json)):
            link = resolved(exchange.url, said)
        query = query_of(link)
        return path_below(self.client.base_url, link) or (with_query(path, query) if query else "")


def _ids_in(exchange: Exchange) -> set[str]:
    """The ids of what a list shows.

    Raises:
        Inconclusive: what is in its array says none of its own, and something deeper does.
    """
    shown = items(exchange)
    found = {id for item in shown if (id := own_id(item))}
    if exchange.ok and shown and not found and any(identifiers(exchange.json)):
        raise Inconclusive(
            f"the things in {exchange}: what is in its array says no id of its own",
            "the shape of that answer",
        )
    return found
