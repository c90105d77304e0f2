"""What is made on the target for the cells that are tried under load, and deleted afterwards: nothing that was there before is touched.

A create is never repeated. Where its answer was lost, the thing is looked for by its name, which no other has; one that is not found may
come to be all the same, and is named at the end. What was made and cannot be deleted is named as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from rolecall.conformance.fixtures import fill_path
from rolecall.conformance.tables import Dialect, Operation, Specification
from rolecall.load.checks.invariants import read_json
from rolecall.load.transport.wire import Response

_NEXT = re.compile(rb'<([^<>]*)>[^,<>]{0,200}\brel="?next\b', re.IGNORECASE)
_MOST_PAGES = 20

#: Sends an operation's request as a role, given its path and its body; None where there is no answer.
Ask = Callable[[Operation, str, str, Any], Response | None]
#: The path and the body of an operation as a role, for a thing of this name; None where there is no such thing as it is about.
Fill = Callable[[Operation, str, str], tuple[str, Any] | None]


class Things:
    """Things by resource, each made by the highest role that gets one.

    Args:
        run: what their names begin with, which nothing else on the target does.
        untouchable: asked for ids that are no thing's of ours, whatever the target says: those of the accounts themselves.

    Attributes:
        ids: by resource, in the order in which they were made.
    """

    def __init__(
        self, spec: Specification, dialect: Dialect, run: str, ask: Ask, fill: Fill, untouchable: Callable[[], Collection[str]]
    ) -> None:
        self.ids: dict[str, str] = {}
        self._spec = spec
        self._dialect = dialect
        self._run = run
        self._ask = ask
        self._fill = fill
        self._untouchable = untouchable
        self._doubtful: list[str] = []

    def name(self, resource: str) -> str:
        """What the thing of a resource is called."""
        return f"{self._run}-{resource}"

    def make(self, resource: str, roles: Collection[str]) -> None:
        """Make the thing of a resource, as the first of these roles that may."""
        operation = self._spec.operations[f"create-{resource}"]
        for role in roles:
            filled = self._fill(operation, role, self.name(resource))
            if filled is None:
                continue
            answer = self._ask(operation, role, *filled)
            if answer is None or answer.status >= 500:
                if not self._keep(resource, self._found(resource, role)):
                    self._doubtful.append(f"{resource} called {self.name(resource)}, perhaps: its creation was not answered")
                return
            if self._keep(resource, document_of(answer).get("id")):
                return

    def delete(self, roles_of: Callable[[Operation], Collection[str]]) -> list[str]:
        """Delete them all, the last first: what could not be, as ``user 5f47d8...``."""
        left = []
        for resource, id in reversed(self.ids.items()):
            operation = self._spec.operations[f"delete-{resource}"]
            path = fill_path(operation.path, {"id": id})
            answers = (self._ask(operation, role, path, None) for role in roles_of(operation))
            good = (*operation.success, *self._dialect.gone)  # what let a delete through has done that already
            if not any(answer is not None and answer.status in good for answer in answers):
                left.append(f"{resource} {id}")
        self.ids.clear()
        left += self._doubtful
        self._doubtful = []
        return left

    def _keep(self, resource: str, id: object) -> bool:
        """Whether this is an id of a thing of ours, which is kept."""
        if not isinstance(id, str) or not id.strip(".") or id in self._untouchable():
            return False
        self.ids[resource] = id
        return True

    def _found(self, resource: str, role: str) -> object:
        """The id of the thing in its list, if it is there."""
        for operation in self._spec.operations.values():
            if operation.effect == "list" and operation.resource.name == resource:
                filled = self._fill(operation, role, "")
                for item in self._items(operation, role, filled[0]) if filled else ():
                    if self.name(resource) in texts(item):
                        return item.get("id")
        return None

    def _items(self, operation: Operation, role: str, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a list, over all pages that it links to."""
        for _ in range(_MOST_PAGES):
            answer = self._ask(operation, role, path, None)
            content = read_json(answer.body) if answer is not None and answer.status in operation.success else None
            if answer is None or not isinstance(content, list):
                return
            yield from (item for item in content if isinstance(item, dict))
            link = _NEXT.search(answer.header(b"link") or b"")
            if link is None:
                return
            path = _joined(path, link[1])


def _joined(path: str, link: bytes) -> str:
    """Where a link leads, seen from a path: path and query alone, since nothing is sent to another host."""
    try:
        parts = urlsplit(urljoin(path, link.decode("ascii")))
    except ValueError:
        return path
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def texts(document: Any) -> Iterator[str]:
    """Every text in a document, at any depth."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value


def document_of(answer: Response | None) -> dict[str, Any]:
    """The object in an answer, the first one of a list; empty where there is none."""
    content = read_json(answer.body) if answer is not None and 200 <= answer.status < 300 else None
    if isinstance(content, list) and content:
        content = content[0]
    return content if isinstance(content, dict) else {}
