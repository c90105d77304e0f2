"""Things made on the target for cells under load, and deleted afterwards; nothing else is touched.

A create is never repeated, but for one whose body the target refuses (400, 422): that was not done,
and is sent with fewer members (AMB-16). A thing is ours when the target shows it under its name,
which no other has: under the id that the create was answered with, or in a list. One that is not
found may be there all the same, and is named at the end. What was made and cannot be deleted is
named as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import gevent

from rolecall.http.conditional import SAYS_TYPES
from rolecall.http.link import next_page, path_below, sendable
from rolecall.loadgen.checks.token_answer import read_json
from rolecall.loadgen.transport.wire import Response
from rolecall.spec.ids import own_id, walked
from rolecall.spec.model import Dialect, Operation, Specification, marked
from rolecall.spec.templates import bare, fill_path

_MOST_PAGES = 20
_PAUSE = (
    0.3  # seconds between two looks for a new thing, which a fetch or a list may show late (AMB-17)
)

_NOT_TAKEN = (400, 422)  # statuses with which a body is refused for what is in it
#: Members that a create keeps, however few the target takes: who has no role cannot be tried.
_KEPT = ("email", "password", "role")
_WORD = re.compile(r"\w+")

#: Sends an operation's request as a role, given its path and its body; None where there is no
#: answer.
Ask = Callable[[Operation, str, str, Any], Response | None]
#: The path and the body of an operation as a role, for a thing of this name; None where there is no
#: such thing as it is about.
Fill = Callable[[Operation, str, str], tuple[str, Any] | None]


class Things:
    """Things by resource, each made by the highest role that may.

    Args:
        run: what their names begin with, which nothing else on the target does.
        untouchable: things that are never ours, whatever the target says: resources and
            ids, the accounts' own users'.
        base_url: what the paths of requests stand behind; a list's next page is read where it is
            below it, too.

    Attributes:
        ids: by resource, in the order in which they were made.
        refused: why there is none of a resource, where its creation was refused.
    """

    def __init__(
        self,
        spec: Specification,
        dialect: Dialect,
        run: str,
        ask: Ask,
        fill: Fill,
        untouchable: Callable[[], Collection[tuple[str, str]]],
        base_url: str,
    ) -> None:
        self.ids: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._spec = spec
        self._dialect = dialect
        self._run = run
        self._ask = ask
        self._fill = fill
        self._untouchable = untouchable
        self._base_url = base_url
        self._patience = dialect.consistency
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
            answer = self._create(operation, role, *filled)
            if answer is not None and 300 <= answer.status < 500:
                self.refused[resource] = (
                    f"{operation.method} {filled[0]} as {role} is answered {answer.status}; look "
                    f"at [operations.{operation.name}] in the target file, which may give a body"
                )
                continue
            id = self._found(resource, role, own_id(document_of(answer)))
            if id and (resource, id) not in self._untouchable():
                self.ids[resource] = id
            else:
                what = (
                    "not answered"
                    if answer is None or answer.status >= 500
                    else "answered, and nothing of that name is shown"
                )
                self._doubtful.append(
                    f"{resource} called {self.name(resource)}, perhaps: its creation was {what}"
                )
            return

    def _create(self, operation: Operation, role: str, path: str, body: Any) -> Response | None:
        """What a create is answered; one whose body is refused is sent without the members that the
        answer names, and then with no more than it has to have.
        """
        answer = self._ask(operation, role, path, body)
        if not isinstance(body, Mapping):
            return answer
        mark = self.name(operation.resource.name)
        for is_last in (False, True):
            if answer is None or answer.status not in _NOT_TAKEN:
                break
            named = {*_WORD.findall(answer.body.decode("utf-8", "replace"))}.difference(_KEPT)
            left = {name: value for name, value in body.items() if name not in named}
            if is_last or not marked(left, mark):
                needed = {*marked(body, mark), *_KEPT}
                left = {name: value for name, value in body.items() if name in needed}
            if left != body:
                body, answer = left, self._ask(operation, role, path, left)
        return answer

    def delete(self, roles_of: Callable[[Operation], Collection[str]]) -> list[str]:
        """Delete them all, the last first; returns what is left, as ``user 5f47d8...``."""
        left = []
        for resource, id in reversed(self.ids.items()):
            operation = self._spec.operations[f"delete-{resource}"]
            path = fill_path(operation.path, {"id": id})
            answers = (self._ask(operation, role, path, None) for role in roles_of(operation))
            # what let a delete through has done that already
            good = (*operation.success, *self._dialect.gone)
            if not any(answer is not None and answer.status in good for answer in answers):
                left.append(f"{resource} {id}")
        self.ids.clear()
        left += self._doubtful
        self._doubtful = []
        return left

    def _found(self, resource: str, role: str, claimed: str) -> str:
        """The new thing's id, shown under its name; empty where it is not shown in time.

        Args:
            claimed: what the answer to the create says that its id is; empty where it says nothing.
        """
        name = bare(self.name(resource))
        for look in range(1 + round(self._patience / _PAUSE)):
            gevent.sleep(_PAUSE if look else 0)
            for item in self._shown(resource, role, claimed):
                if (id := own_id(item)) and id.strip(".") and name in map(bare, texts(item)):
                    return id
        self._patience /= (
            2  # a target that shows nothing must not cost the same time for every kind of thing
        )
        return ""

    def _shown(self, resource: str, role: str, claimed: str) -> Iterator[dict[str, Any]]:
        """What is shown under the id that was claimed, and in the resource's list."""
        fetch = self._spec.operations[f"fetch-{resource}"]
        if claimed and self._spec.allows(fetch.name, role):
            yield document_of(self._ask(fetch, role, fill_path(fetch.path, {"id": claimed}), None))
        for operation in self._spec.operations.values():
            if operation.effect == "list" and operation.resource.name == resource:
                filled = self._fill(operation, role, "")
                yield from self._items(operation, role, filled[0]) if filled else ()

    def _items(self, operation: Operation, role: str, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a list, over all pages that it links to."""
        for _ in range(_MOST_PAGES):
            answer = self._ask(operation, role, path, None)
            content = (
                read_json(answer.body)
                if answer is not None and answer.status in operation.success
                else None
            )
            if answer is None or not isinstance(content, list):
                return
            yield from (item for item in content if isinstance(item, dict))
            path = sendable(
                path_below(
                    self._base_url, next_page(f"{self._base_url}{path}", answer.lines(b"link"))
                )
            )
            if not path:
                return


def texts(document: Any) -> Iterator[str]:
    """Every text in a document, at any depth."""
    return (value for value in walked(document) if isinstance(value, str))


def told(answer: Response) -> str:
    """What an answer says about the media types that it would understand (`WantedFields`)."""
    return " ".join([*map(answer.text, SAYS_TYPES), answer.body.decode("latin-1")])


def document_of(answer: Response | None) -> dict[str, Any]:
    """The object in an answer, or the first one of its list; empty without any."""
    content = read_json(answer.body) if answer is not None and 200 <= answer.status < 300 else None
    if isinstance(content, list) and content:
        content = content[0]
    return content if isinstance(content, dict) else {}
