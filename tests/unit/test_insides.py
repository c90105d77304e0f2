"""What stands inside of other things, in memory."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from rolecall.evidence import Exchange
from rolecall.spec.loading import load_specification
from rolecall.toolkit.insides import Fetched, parts
from tests.support.exchanges import exchange

SPEC = load_specification()
ORGANIZATION = {
    "id": "1",
    "name": "ours",
    "status": "active",
    "settings": {"plan": "gold"},
    "tags": [],
}


class Answered:
    """Answers to fetches, as the responses of a run have them."""

    def __init__(self, *answers: Exchange) -> None:
        self._answers = answers

    def answered(self, *effects: str) -> Any:
        """Each with the operation that it answers."""
        for answer in self._answers:
            yield answer, SPEC.operations[answer.attack]


@pytest.mark.parametrize(
    ("inner", "whole"),
    [
        (ORGANIZATION, True),
        ({**ORGANIZATION, "name": "other", "tags": ["new"]}, True),
        ({"id": "1", "name": "ours", "status": "active"}, False),
        ({**ORGANIZATION, "id": "2"}, False),
        ({**ORGANIZATION, "status": "closed"}, False),
    ],
)
def test_an_excerpt_is_not_the_whole(inner: dict[str, Any], whole: bool) -> None:
    """A thing inside of another one is whole where nearly all of it stands there that a fetch
    told.
    """
    body = json.dumps(ORGANIZATION).encode()
    told = exchange(body=body, attack="fetch-organization", caller="admin (token)")
    refusal = exchange(status=403, attack="fetch-organization")
    world: Any = SimpleNamespace(spec=SPEC, dialect=SPEC.dialect({}, "a test"))
    responses: Any = Answered(told, refusal)
    fetched = Fetched(responses, world)

    (found,) = parts({"id": "9", "organization": inner, "of": {"name": "nobody"}})

    assert fetched.is_whole("organization", found) is whole
    assert fetched.knows("organization", str(ORGANIZATION["id"]))
    assert not fetched.knows("contact", str(ORGANIZATION["id"]))
    assert fetched.denied_to("guest") == {"organization": refusal}
    assert fetched.denied_to("bot") == {}


@pytest.mark.parametrize(("id", "is_looked_at"), [("5f47d8", True), ("7", False)])
def test_a_thing_of_a_list_is_looked_at_itself(id: str, is_looked_at: bool) -> None:
    """A thing of a list may be of another kind, unless things of two kinds may have its id."""
    thing = {"id": id, "name": "ours"}

    assert list(parts(thing, is_strange=True)) == ([thing] if is_looked_at else [])
    assert not list(parts(thing))
