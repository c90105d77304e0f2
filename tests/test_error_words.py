"""The words of an error, as servers of many frameworks write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rolecall.error_words import words_behind, words_of
from tests.support.exchanges import exchange


def words(document: Any, status: int = 409, media_type: str = "application/json") -> str:
    """The words of an error with this document, or text."""
    body = document if isinstance(document, str) else json.dumps(document)
    return words_of(
        exchange(
            "POST",
            "https://example.org/v2/apikeys",
            status=status,
            headers=[("content-type", media_type)],
            body=body.encode(),
        )
    )


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "At most five keys", "code": "QUOTA"}},
        {"error": "quota", "error_description": "At most five keys"},
        {"type": "about:blank", "title": "Conflict", "detail": "At most five keys"},
        {"statusCode": 409, "message": ["At most five keys"], "error": "Conflict"},
        {"detail": [{"loc": ["body", "scopes"], "msg": "At most five keys", "type": "value"}]},
        {"errors": [{"message": "At most five keys"}]},
    ],
)
def test_where_frameworks_put_them(document: dict[str, Any]) -> None:
    """The telling words come first, not a code or the name of the status."""
    assert words(document) == "At most five keys"


def test_errors_by_member() -> None:
    """Where an error has a list for each member, the member is named."""
    assert words({"errors": {"scopes": ["are too many"]}}) == "scopes: are too many"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {
                "title": "The body is not valid",
                "status": 422,
                "errors": [{"pointer": "/department", "detail": "must be sales or care"}],
            },
            "The body is not valid: /department: must be sales or care",
        ),
        (
            {
                "error": {
                    "message": "Invalid",
                    "errors": [{"field": "plan", "message": "plan is required"}],
                }
            },
            "Invalid: plan is required",
        ),
        ({"error": "Invalid", "errors": ["no plan", 7]}, "Invalid"),
        ({"title": "Invalid", "errors": []}, "Invalid"),
        ({"message": "too long", "errors": [{"field": {}, "message": "too long"}]}, "too long"),
    ],
)
def test_a_general_title_is_followed_by_what_is_wrong(document: dict[str, Any], said: str) -> None:
    """Where a list says what is wrong with which member, its first entry follows the title."""
    assert words(document, status=422) == said


def test_what_is_no_words() -> None:
    """A success, a page, an empty error and a bare code tell nothing."""
    assert words({"message": "fine"}, status=200) == ""
    assert words("<h1>Conflict</h1>", media_type="text/html") == ""
    assert words("", media_type="text/plain") == ""
    assert words({"message": {"message": {}}}) == ""
    assert words_of(exchange(status=409, body=b'{"message"', cut="10 of 90 bytes are kept")) == ""
    assert words("[" * 5_000 + "]" * 5_000) == words("[" + "{}," * 300_000 + "{}]") == ""


def test_one_line_of_bounded_length() -> None:
    """A text of many lines is one line, and a long one is cut."""
    assert words("At most\n five keys", media_type="text/plain") == "At most five keys"
    assert len(words({"message": "x" * 10_000})) == 123


def test_behind_a_reason() -> None:
    """The exchange that a reason names is looked up by its number."""
    refused = exchange(
        "POST", "https://example.org/v2/apikeys", status=409, body=b'{"message":"no"}'
    )

    assert words_behind("missing: a key: POST /v2/apikeys -> 409 (exchange 1)", [refused]) == "no"
    assert words_behind("missing: a key", [refused]) == ""
    assert words_behind("as seen (exchange 7)", [refused]) == ""
