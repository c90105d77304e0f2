"""What is wrapped round a thing or a list is told from the thing itself."""

from __future__ import annotations

from typing import Any

import pytest

from rolecall.envelopes import Document, goes_on, is_of_id, next_link, own_id

THING = {"id": "7", "name": "one"}


@pytest.mark.parametrize(
    "document",
    [
        THING,
        [THING],
        {"data": THING},
        {"contact": THING, "meta": {"took": 3}},
        {"success": True, "status": "ok", "error": None, "result": {"item": THING}},
        {"data": {"type": "contacts", "id": "7", "attributes": {"name": "one"}}, "included": []},
    ],
)
def test_a_thing_in_any_wrapping(document: Any) -> None:
    """A thing is found in what teams wrap round it, with its own members."""
    found = Document(document).thing
    assert (own_id(found), found["name"]) == ("7", "one")


@pytest.mark.parametrize(
    "document",
    [
        [THING],
        [{"contact": THING}],
        {"contacts": [THING], "total": 1, "next": "/v2/contacts?page=2"},
        {"_links": {"curies": [{"name": "x"}]}, "_embedded": {"contacts": [THING]}},
        {"data": {"items": [THING], "pageInfo": {"hasNextPage": False}}},
        {"7": THING},
        {"data": [{"id": "7", "attributes": {"name": "one"}}], "included": [{"id": "8"}]},
    ],
)
def test_a_list_in_any_wrapping(document: Any) -> None:
    """A list is found in what teams wrap round it, each thing with its own members."""
    found = Document(document).things
    assert found is not None
    assert [(own_id(item), item["name"]) for item in found] == [("7", "one")]


def test_empty_lists_are_lists() -> None:
    """A list with nothing in it is one in its wrapping, too."""
    assert Document({"items": [], "total": 0}).things == Document([]).things == []


@pytest.mark.parametrize(
    "document",
    [
        {"name": "one", "organization": {"id": "8"}},
        {"title": "one", "participants": [{"id": "8"}]},
        {"user": {"id": "8"}, "organization": {"id": "9"}},
        {"text": "one", "data": {"id": "8"}},
    ],
)
def test_what_a_thing_refers_to_is_not_the_thing(document: Any) -> None:
    """A thing that says no id is not taken for one that it refers to: that might be deleted."""
    assert Document(document).thing == document
    assert Document(document).things is None
    assert not own_id(Document(document).thing)


@pytest.mark.parametrize("member", ["id", "_id", "Id", "ID", "uid", "uuid", "guid"])
def test_members_that_say_an_id(member: str) -> None:
    """An id is read from the members in which things say it."""
    assert own_id({"name": "8", member: 7}) == "7"


def test_a_thing_that_says_its_id_otherwise() -> None:
    """Where no member is known to say the id, any may; where one says another, none may."""
    assert is_of_id({"userId": "7"}, "7")
    assert not is_of_id({"id": "8", "organization": "7"}, "7")
    assert not is_of_id({"name": ""}, "")


@pytest.mark.parametrize(
    ("document", "link", "more"),
    [
        ({"items": [THING], "next": "/v2/contacts?page=2"}, "/v2/contacts?page=2", True),
        ({"_embedded": {"x": [THING]}, "_links": {"next": {"href": "?p=2"}}}, "?p=2", True),
        ({"data": [THING], "pagination": {"nextCursor": "b64"}}, "", True),
        ({"data": [THING], "hasMore": True}, "", True),
        ({"data": [THING], "next": None, "has_more": False}, "", False),
        ([THING | {"next": "/v2/contacts/8", "hasMore": True}], "", False),
    ],
)
def test_where_a_list_goes_on(document: Any, link: str, more: bool) -> None:
    """What stands round a list says whether it goes on, and where; what is in it does not."""
    assert (next_link(document), goes_on(document)) == (link, more)
